"""Long conversations are summed up in the middle of everything, and nothing is lost on the way."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from opencraw.contract import ChatType, Origin, Rights, Sender
from opencraw.events import ToolShown
from opencraw.hooks import Facts, Hook, Hooks, Point
from opencraw.hooks.points import Verdict
from opencraw.model import UserMessage
from opencraw.sessions.keeping import Keeping
from opencraw.sessions.keys import Conversations
from tests.fixtures.core import envelope, running, session_of
from tests.fixtures.scribe import GOOD, Scribe
from tests.worker.bench import whole
from tests.worker.long_talk import CONTEXT, WORDS, marks, memories, talk, texts

pytestmark = pytest.mark.usefixtures("watched")


async def test_a_long_conversation_goes_on_from_its_summary(database_url: str) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        first = scribe.jobs.index("summary")
        assert scribe.jobs[first - 1 : first + 2] == ["notes", "summary", "answer"]
        [line] = [each for each in await core.transcript() if each.kind == "checkpoint"]
        found = await marks(core)
        assert found["checkpoint_seq"] == line.seq
        assert line.covers == found["begin_seq"] == found["flushed_seq"]
        beginning, *rest = texts(core)
        assert GOOD in beginning
        assert rest[-1].startswith("f well")
        assert not any("a well" in each for each in rest)


async def test_what_leaves_is_found_in_memory_word_for_word(database_url: str) -> None:
    async with running(database_url, provider=Scribe(), context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        kept = await memories(core)
        assert {scope for _, scope, _ in kept} == {"os.assistant.test.id%20of%20owner"}
        assert ("fact", "os.assistant.test.id%20of%20owner", "somebody likes tea") in kept
        passages = "\n".join(text for kind, _, text in kept if kind == "pre_compaction_flush")
        assert f"a {WORDS}".strip() in passages
        [row] = await core.fetch(
            "SELECT DISTINCT importance, channel_id, sender_id, message_count FROM memory"
            " WHERE kind = 'pre_compaction_flush'"
        )
        assert (round(row["importance"], 2), row["channel_id"]) == (0.9, "test")
        assert row["sender_id"] == "id of owner"


async def test_people_see_why_it_takes_long_and_what_it_took(database_url: str) -> None:
    async with running(database_url, provider=Scribe(), context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        assert core.tools_shown() == [("compaction", "started"), ("compaction", "finished")]
        session = await core.sessions.session(session_of())
        assert session is not None
        assert session.prompt_tokens == 6 * 10 + 100 + 10, "the notes and the summary count"


async def test_hooks_are_told_before_and_after(database_url: str) -> None:
    told: list[tuple[Point, Facts]] = []

    async def look(point: Point, facts: Facts) -> Verdict | None:
        told.append((point, facts))
        return None

    points = frozenset({Point.BEFORE_COMPACTION, Point.AFTER_COMPACTION})
    hooks = Hooks({"look": Hook(points, look)})
    async with running(
        database_url, provider=Scribe(), context=CONTEXT, memory=True, hooks=hooks
    ) as core:
        await talk(core, 6)
        (before, facts), (after, result) = told
        assert (before, after) == (Point.BEFORE_COMPACTION, Point.AFTER_COMPACTION)
        assert facts["why"] == "threshold"
        assert result["summed_up"] is True
        assert result["covers"] == (await marks(core))["begin_seq"]


async def test_the_next_prompt_begins_with_the_bytes_of_the_last(database_url: str) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 8)
    answers = scribe.asked["answer"]
    grown = [
        later.messages[: len(earlier.messages)] == earlier.messages
        for earlier, later in pairwise(answers)
    ]
    assert grown.count(False) == scribe.jobs.count("summary") < 3


# By order.


async def test_a_person_may_order_it_and_say_what_matters(database_url: str) -> None:
    scribe = Scribe()
    wide = CONTEXT.model_copy(
        update={"max_prompt_tokens": 8_000, "compaction_trigger_tokens": 6_000}
    )
    async with running(database_url, provider=scribe, context=wide, memory=True) as core:
        await talk(core, 6)
        said = await core.asked("/compact the garden and the cat")
        assert said.text.startswith("Before the next answer")
        assert (await marks(core))["compaction_wanted"] == "the garden and the cat"
        await core.asked("go on")
        await whole(core)
        [asked] = scribe.asked["summary"]
        assert "the garden and the cat" in asked.messages[-1].text
        found = await marks(core)
        assert (found["compaction_wanted"], found["checkpoint_seq"] > 0) == (None, True)
        await core.asked("and on")
        assert len(scribe.asked["summary"]) == 1


async def test_an_order_for_which_there_is_nothing_to_sum_up_is_no_trouble(
    database_url: str,
) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await core.asked("/compact")
        assert (await marks(core))["compaction_wanted"] == ""
        assert (await core.asked("hello")).text == "echo hello"
        await whole(core)
        assert scribe.jobs == ["answer"]
        assert (await marks(core))["compaction_wanted"] is None
        steps = [event for _, event in core.shown if isinstance(event, ToolShown)]
        assert [(each.name, each.state) for each in steps] == [
            ("compaction", "started"), ("compaction", "finished")
        ]  # fmt: skip
        assert steps[-1].summary == "there is too little to sum up yet"


async def test_where_nothing_is_summed_up_an_order_says_how_to_have_it(database_url: str) -> None:
    async with running(database_url, provider=Scribe()) as core:
        said = await core.asked("/compact")
        assert "`compaction_enabled = true`" in said.text
        assert (await marks(core))["compaction_wanted"] is None


# Whose it is.


async def test_where_others_listen_it_goes_into_the_memory_of_all(database_url: str) -> None:
    async with running(database_url, provider=Scribe(), context=CONTEXT, memory=True) as core:
        for number in range(6):
            await core.say(f"{number} {WORDS}", chat_type=ChatType.GROUP)
            await core.delivered(number + 1)
        await whole(core)
        assert {scope for _, scope, _ in await memories(core)} == {"os.conversation.test.a"}


async def test_what_machines_say_leaves_the_prompts_and_is_in_nobodys_memory(
    database_url: str,
) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        for number in range(8):
            await core.say(f"{number} {WORDS}", origin=Origin.CRON)
            await core.delivered(number + 1)
        await whole(core)
        assert await memories(core) == []
        assert set(scribe.jobs) == {"answer"}
        found = await marks(core)
        assert found["flushed_seq"] >= found["begin_seq"] > 0


@pytest.mark.parametrize("sums_up", [False, True])
async def test_a_conversation_of_machines_is_cut_as_seldom_as_any(
    database_url: str, *, sums_up: bool
) -> None:
    scribe = Scribe()
    context = CONTEXT.model_copy(update={"compaction_enabled": sums_up})
    async with running(database_url, provider=scribe, context=context, memory=True) as core:
        for number in range(16):
            await core.say(f"{number} {WORDS}", origin=Origin.CRON)
            await core.delivered(number + 1)
        await whole(core)
    grown = [
        later.messages[: len(earlier.messages)] == earlier.messages
        for earlier, later in pairwise(scribe.asked["answer"])
    ]
    assert 0 < grown.count(False) < 8


async def test_a_person_who_speaks_among_machines_has_none_of_their_words_in_memory(
    database_url: str,
) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await core.asked(f"the person's own words {WORDS}")
        for number in range(7):
            await core.say(f"{number} the machine's words {WORDS}", origin=Origin.CRON)
            await core.delivered(number + 2)
        assert set(scribe.jobs) == {"answer"}
        assert (await marks(core))["begin_seq"] == 0, "what the person said waits for a person"
        await core.asked("and what do you say?")
        await whole(core)
        kept = "\n".join(text for _, _, text in await memories(core))
        assert "the person's own words" in kept
        assert "machine" not in kept
        [noted] = scribe.asked["notes"]
        assert "the person's own words" in noted.messages[-1].text
        assert "machine" not in noted.messages[-1].text


async def test_people_who_share_a_conversation_keep_each_his_own_words(database_url: str) -> None:
    """All direct chats are one conversation there."""
    scribe = Scribe()
    shared = Conversations("main")
    async with running(
        database_url, provider=scribe, context=CONTEXT, memory=True, conversations=shared
    ) as core:
        for number, who in enumerate(["anna", "bert", "anna", "bert", "anna", "bert", "bert"]):
            sender = Sender(who, who, Rights.OWNER)
            said = envelope(f"{number} {who}'s own words {WORDS}", who)
            await core.door.accept(msgspec.structs.replace(said, sender=sender))
            await core.settled()
        await whole(core)
        kept = await memories(core)
        for who, other in (("anna", "bert"), ("bert", "anna")):
            mine = [text for _, scope, text in kept if scope == f"os.assistant.test.{who}"]
            assert any(f"{who}'s own words" in text for text in mine)
            assert "somebody likes tea" in mine, "of each somebody takes notes"
            assert not any(other in text for text in mine)
        for asked in scribe.asked["notes"]:
            assert ("anna" in asked.messages[-1].text) != ("bert" in asked.messages[-1].text)


async def test_what_was_said_before_new_is_not_passed_over(database_url: str) -> None:
    """The new conversation grew long before anybody saw to the former one."""
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await core.asked("my cat is called Mimi")
        await core.asked("/new")
        await talk(core, 6)
        await whole(core)
        assert (await marks(core))["checkpoint_seq"] > 0
        assert any("Mimi" in text for _, _, text in await memories(core))
        assert not await Keeping(core.database).left_behind()
        assert not any("Mimi" in each.messages[-1].text for each in scribe.asked["notes"])


async def test_with_memory_alone_what_is_left_out_is_kept_word_for_word(database_url: str) -> None:
    scribe = Scribe()
    context = CONTEXT.model_copy(update={"compaction_enabled": False})
    async with running(database_url, provider=scribe, context=context, memory=True) as core:
        await talk(core, 8)
        await whole(core)
        assert set(scribe.jobs) == {"answer"}
        found = await marks(core)
        assert 0 < found["begin_seq"] == found["flushed_seq"]
        assert {kind for kind, _, _ in await memories(core)} == {"pre_compaction_flush"}
        assert UserMessage(f"a {WORDS}") not in scribe.asked["answer"][-1].messages


async def test_nothing_of_this_costs_a_statement_without_memory(database_url: str) -> None:
    async with running(database_url, provider=Scribe()) as core:
        await core.asked("warm up")
        await core.settled()
        [before] = await core.fetch("SELECT writes FROM turn")
        assert before["writes"] == 1, "a turn without tools is one write"
