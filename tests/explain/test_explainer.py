"""Stories as the database and the running process tell them."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from uuid import UUID, uuid4, uuid5

import orjson
import pytest

from opencraw.errors import DeliveryFailure, NeverSendable, NotFound, NotSent, Refused
from opencraw.explain.answer import as_json
from opencraw.explain.explainer import AtWork, Explainer, Here
from opencraw.explain.sentences import Explanation
from opencraw.explain.story import Hands, Story, Work
from opencraw.settings import Drop
from tests.fixtures.core import Core, accept, address, envelope, running, until
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench


def explainer(core: Core, channels: tuple[str, ...] = ("test",)) -> Explainer:
    """As the daemon has it."""

    def at_work(session: UUID) -> AtWork | None:
        run = core.dispatcher.running(session)
        if run is None:
            return None
        return AtWork(run.turn.id, run.doing.what, time.monotonic() - run.doing.since)

    here = Here(
        node=core.node.id,
        at_work=at_work,
        turns_running=lambda: core.dispatcher.turns_running,
        channels=lambda: channels,
    )
    return Explainer(core.database, core.rules, here)


async def told(core: Core, message: UUID) -> Explanation:
    """The explanation of a message, which programs can read, too."""
    story, explanation = await explainer(core).explain(str(message))
    assert orjson.loads(orjson.dumps(as_json(story, explanation)))["message_id"] == str(message)
    return explanation


async def story_of(core: Core, message: UUID) -> Story:
    story, _ = await explainer(core).explain(str(message))
    return story


def work_of(story: Story) -> Work:
    assert story.turn is not None
    assert story.turn.work is not None
    return story.turn.work


async def test_an_answered_message(database_url: str) -> None:
    async with running(database_url, "42") as core:
        message = (await core.say("what is 6*7?")).message_id
        await core.delivered(1)
        await core.settled()
        explanation = await told(core, message)
        assert explanation.brief == "answered"
        assert explanation.headline.startswith("Answered by turn ")
        assert [each.what.split()[0] for each in explanation.history] == [
            "accepted",
            "turn",
            "the",
            "reply",
        ]


async def test_what_waits_is_told_what_runs_before_it(database_url: str) -> None:
    bench = Bench()
    tools = bench.tools
    async with running(database_url, calls("work"), tools=tools, mode="followup") as core:
        first = (await core.say("do it")).message_id
        await bench.begun.wait()
        second = (await core.say("and this")).message_id
        third = (await core.say("and that")).message_id
        assert "has been running the tool work for" in (await told(core, first)).headline
        waits = (await told(core, third)).headline
        assert waits.startswith("Waits: 1 message is ahead of it, and turn ")
        assert " has been running the tool work for " in waits
        assert (await told(core, second)).headline.startswith("Waits: turn ")
        bench.may_end.set()
        await core.settled()


async def test_another_process_tells_what_a_turn_is_at_from_its_last_line(
    database_url: str,
) -> None:
    bench = Bench()
    async with (
        running(database_url, calls("work"), tools=bench.tools) as busy,
        running(database_url, start=False) as other,
    ):
        message = (await busy.say("do it")).message_id
        await bench.begun.wait()
        story = await story_of(other, message)
        assert work_of(story).hands is Hands.WORKING
        assert work_of(story).what == "running the tool work"
        assert story.nodes == 2
        bench.may_end.set()
        await busy.settled()


async def test_a_steered_message_and_the_turn_that_heard_it(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("work"), "done", tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        heard = (await core.say("and quickly")).message_id
        bench.may_end.set()
        await core.settled()
        story = await story_of(core, heard)
        assert story.steer_outcome == "injected"
        assert story.heard_at is not None
        assert (await told(core, heard)).brief == "heard by a running turn"


async def test_a_superseded_message_names_the_one_that_replaced_it(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        second = (await core.say("two")).message_id
        third = (await core.say("three")).message_id
        held.release()
        await core.settled()
        assert str(third)[:8] in (await told(core, second)).headline
        assert (await told(core, third)).brief == "answered"


@pytest.mark.parametrize(
    ("drop", "brief"), [("summarize", "summarized"), ("oldest", "dropped"), ("newest", "dropped")]
)
async def test_who_gave_up_a_place(database_url: str, drop: Drop, brief: str) -> None:
    held = Held()
    async with running(
        database_url,
        held,
        cap=1,
        drop=drop,
        mode="followup",
    ) as core:
        await core.say("one")
        await held.reached.wait()
        said = [(await core.say(text)).message_id for text in ("two", "three")]
        gone = said[-1] if drop == "newest" else said[0]
        waited = "gave up its place" if drop == "summarize" else brief

        async def gave_up() -> bool:
            return (await told(core, gone)).brief == waited

        await until(gave_up, "it gives up its place")
        assert "its conversation was full" in (await told(core, gone)).headline
        held.release()
        await core.settled()
        assert (await told(core, gone)).brief == brief


async def test_taken_back_muted_and_commands(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        second = (await core.say("two")).message_id
        assert await core.reader.withdraw(address(), second)
        assert (await told(core, second)).headline == "Not answered: taken back."
        muted = await accept(core.inbox, envelope("psst"), muted=True)
        assert (await told(core, muted.message_id)).brief == "muted"
        command = (await core.say("/status")).message_id
        await until(lambda: len(core.channel.got) == 1, "the command is answered")
        await until(lambda: _is_brief(core, command, "a command"), "its delivery is on record")
        assert len((await told(core, command)).history) == 2
        held.release()
        await core.settled()


async def _is_brief(core: Core, message: UUID, brief: str) -> bool:
    return (await told(core, message)).brief == brief


async def test_an_answer_that_was_cut_short(database_url: str) -> None:
    held = Held("so far")
    async with running(database_url, held) as core:
        message = (await core.say("one")).message_id
        await held.reached.wait()
        await core.say("/stop")
        await core.settled()
        explanation = await told(core, message)
        assert explanation.brief == "interrupted"
        assert "what it had said is kept" in explanation.headline


@pytest.mark.parametrize(
    ("trouble", "brief", "words"),
    [
        (NeverSendable("no such chat"), "answered, not delivered", "no such chat"),
        (NotSent("busy", retry_after=600), "answered, on its way", "the next attempt is in 1"),
    ],
)
async def test_an_answer_that_cannot_be_delivered(
    database_url: str, trouble: DeliveryFailure, brief: str, words: str
) -> None:
    channel = Mailbox()
    channel.trouble.append(trouble)
    async with running(database_url, "42", channel=channel) as core:
        message = (await core.say("what is 6*7?")).message_id

        async def is_told() -> bool:
            return words in (await told(core, message)).headline

        await until(is_told, words)
        assert (await told(core, message)).brief == brief


async def test_an_answer_for_a_channel_that_is_closed(database_url: str) -> None:
    async with running(database_url, "42") as core:
        core.channel.gate.clear()
        message = (await core.say("what is 6*7?")).message_id
        await until(lambda: _is_brief(core, message, "answered, on its way"), "it is answered")
        await core.fetch("UPDATE outbox SET state = 'pending', owner = NULL, attempts = 0")
        _, explanation = await explainer(core, ()).explain(str(message))
        assert explanation.headline.endswith("is not open here; the answer is kept.")


async def test_a_turn_whose_node_died(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        message = (await core.say("one")).message_id
        await held.reached.wait()
        dead = uuid4()
        await core.fetch("UPDATE turn SET owner = $1", dead)
        observer = Explainer(core.database, core.rules, replace(_nobody, node=core.node.id))
        story, explanation = await observer.explain(str(message))
        assert work_of(story).hands is Hands.DEAD
        assert "lost its node, which died; it is taken over by this daemon" in explanation.headline
        await core.fetch(
            "INSERT INTO node (id, home, host, pid, lease_until, left_at)"
            " VALUES ($1, $1, 'north', 7, now() - interval '1 s', now())",
            dead,
        )
        _, explanation = await observer.explain(str(message))
        assert "handed over by a daemon that stopped (north, process 7)" in explanation.headline
        await core.fetch("UPDATE turn SET owner = $1", core.node.id)
        _, explanation = await observer.explain(str(message))
        assert "given up on an error" in explanation.headline
        held.release()
        await core.settled()


_nobody = Here(
    node=UUID(int=0), at_work=lambda _: None, turns_running=lambda: 0, channels=lambda: ("test",)
)


async def test_a_message_is_found_by_every_id_that_people_see(database_url: str) -> None:
    async with running(database_url, "42") as core:
        message = (await core.say("what is 6*7?")).message_id
        await core.settled()
        [turn] = await core.fetch("SELECT id FROM turn")
        delivery = uuid5(turn["id"], "reply")
        for name in (message, turn["id"], delivery):
            for written in (str(name), str(name)[:8], f" {name.hex.upper()}"):
                story, _ = await explainer(core).explain(written)
                assert story.message.id == message


async def test_a_turn_is_explained_by_what_it_answers_not_by_what_it_heard(
    database_url: str,
) -> None:
    bench = Bench()
    async with running(database_url, calls("work"), "done", tools=bench.tools) as core:
        message = (await core.say("do it")).message_id
        await bench.begun.wait()
        await core.say("and quickly")
        [turn] = await core.fetch("SELECT id FROM turn")
        story, _ = await explainer(core).explain(str(turn["id"]))
        assert story.message.id == message
        bench.may_end.set()
        await core.settled()
        for name in (turn["id"], uuid5(turn["id"], "reply")):
            story, _ = await explainer(core).explain(str(name))
            assert story.message.id == message


async def test_what_the_turn_before_a_waiting_message_said_is_not_its_answer(
    database_url: str,
) -> None:
    first, second = Held(), Held()
    async with running(database_url, first, second, cap=1, mode="followup") as core:
        await core.say("one")
        await first.reached.wait()
        for text in ("two", "three"):
            await core.say(text)
        await core.delivered(1)  # the lane is full
        first.release()
        await second.reached.wait()
        await core.delivered(3)  # the answer, and whom the second turn sums up
        message = (await core.say("four")).message_id
        assert (await story_of(core, message)).deliveries == ()
        second.release()
        await core.settled()


@pytest.mark.parametrize("name", ["", "1234567", "wait", "0" * 33, "1b2c3d4e'; --", "%"])
async def test_what_is_no_id_is_refused_with_words(database_url: str, name: str) -> None:
    async with running(database_url, start=False) as core:
        with pytest.raises(Refused, match="is no id"):
            await explainer(core).explain(name)


async def test_an_unknown_id_is_told_where_to_look(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        with pytest.raises(NotFound, match="lists those that were accepted last"):
            await explainer(core).explain("1b2c3d4e")


async def test_a_beginning_that_two_ids_have_is_refused(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        ids = [(await core.say(text)).message_id for text in ("one", "two")]
        twins = [UUID(f"12345678-0000-4000-8000-00000000000{digit}") for digit in "12"]
        for old, new in zip(ids, twins, strict=True):
            await core.fetch("UPDATE inbox SET message_id = $2 WHERE message_id = $1", old, new)
        with pytest.raises(Refused, match=f"message {twins[0]}, message {twins[1]}"):
            await explainer(core).explain("12345678")
        story, _ = await explainer(core).explain(str(twins[1]))
        assert story.message.id == twins[1]


async def test_a_word_of_the_operator_answers_nobody(database_url: str) -> None:
    async with running(database_url) as core:
        delivery = await core.opened.notices.post(address(), "default", "the backup is done")
        with pytest.raises(NotFound, match="answers no message"):
            await explainer(core).explain(str(delivery))


async def test_the_newest_messages_come_first_and_no_more_than_asked(database_url: str) -> None:
    async with running(database_url) as core:
        for text in ("one", "two", "three"):
            await core.asked(text)
        await core.settled()
        found = await explainer(core).newest(2)
        assert [story.message.text for story, _ in found] == ["three", "two"]
        assert {explanation.brief for _, explanation in found} == {"answered"}


async def test_a_turn_that_ended_between_two_looks_is_not_called_given_up(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held) as core:
        message = (await core.say("one")).message_id
        await held.reached.wait()
        [turn] = await core.fetch("SELECT id FROM turn")
        looks = iter([None, AtWork(turn["id"], "waiting for the model", 0.1)])
        here = replace(_nobody, node=core.node.id, at_work=lambda _: next(looks))
        story, _ = await Explainer(core.database, core.rules, here).explain(str(message))
        assert work_of(story).hands is Hands.WORKING
        held.release()
        await core.settled()


async def test_a_turn_that_has_ended_is_in_nobodys_hands_and_is_read_once(
    database_url: str,
) -> None:
    async with running(database_url, "42") as core:
        message = (await core.say("what is 6*7?")).message_id
        await core.delivered(1)
        await core.settled()
        looks = count()
        here = replace(_nobody, node=core.node.id, turns_running=lambda: next(looks))
        observer = Explainer(core.database, core.rules, here)
        story, explanation = await observer.explain(str(message))
        assert next(looks) == 1
        assert story.turn is not None
        assert story.turn.work is None
        answer = orjson.loads(orjson.dumps(as_json(story, explanation)))
        assert answer["turn"]["work"] is None
        assert answer["turn"]["state"] == "done"


async def test_what_another_turn_of_the_lane_is_at_says_nothing_about_this_one(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held) as core:
        message = (await core.say("one")).message_id
        await held.reached.wait()
        here = replace(_nobody, at_work=lambda _: AtWork(uuid4(), "running the tool x", 5.0))
        story, _ = await Explainer(core.database, core.rules, here).explain(str(message))
        assert work_of(story).what == "waiting for the model"
        held.release()
        await core.settled()
