"""More messages wait than may: who gives up a place, and what everybody is told."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from opencraw.contract import Rights
from opencraw.errors import QueueFull
from opencraw.settings import Drop
from tests.fixtures.core import Core, address, running, session_of, until
from tests.fixtures.script import Held
from tests.worker.bench import script_of, whole


async def flood(core: Core, held: Held, count: int, chat: str = "a") -> None:
    """Have a turn run, and so many messages wait behind it."""
    await core.say("running", chat)
    await held.reached.wait()
    for number in range(1, count + 1):
        await core.say(f"{number}", chat)


async def overflowed(core: Core, count: int) -> None:
    """Wait until so many have given up their places."""

    async def gone() -> bool:
        rows = await core.fetch("SELECT FROM inbox WHERE outcome IN ('summarized', 'dropped')")
        return len(rows) == count

    await until(gone, f"{count} give up their places")


async def test_the_oldest_are_answered_together_from_a_summary(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="collect", cap=3) as core:
        await flood(core, held, 7)
        await overflowed(core, 4)
        assert core.dispatcher.waiting(session_of()) == 3
        held.release()
        notice, released, summary, answer = await core.delivered(4)
        assert notice.startswith("More than 3 messages wait here.")
        assert summary.startswith("[4 messages were not answered one by one")
        assert summary.endswith("- `1`\n- `2`\n- `3`\n- `4`")
        assert (released, answer) == ("released", "echo 7")
        await whole(core)
        assert len(core.channel.got) == 4, "people are told once, however many follow"
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts == ["running", "released", summary, "5", "6", "7"]
        assert [outcome for _, outcome in await core.outcomes()] == (
            ["answered"] + 4 * ["summarized"] + 3 * ["answered"]
        )
        [_, turn] = await core.fetch(
            "SELECT queue_dropped_messages AS n, queue_collected_messages FROM turn"
            " ORDER BY started_at"
        )
        assert tuple(turn) == (4, 3)
        shown = [line.text for line in await core.reader.history(address())]
        assert shown == ["running", notice, "released", summary, "5", "6", "7", answer]


async def test_a_summary_quotes_the_newest_and_counts_the_others(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="collect", cap=1) as core:
        await flood(core, held, 0)
        await core.say("long " * 100)
        for number in range(12):
            await core.say(f"{number}")
        held.release()
        summary = (await core.delivered(4))[2]
        quotes = summary.splitlines()[1:]
        assert quotes == ["- (4 before these)", *(f"- `{number}`" for number in range(3, 11))]
        await whole(core)


async def test_a_long_text_is_quoted_by_its_beginning(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, cap=1) as core:
        await flood(core, held, 0)
        await core.say("so\nmuch " * 1000)
        await core.say("short")
        held.release()
        await core.delivered(4)
        [_, quote] = core.channel.texts()[2].splitlines()
        assert quote.startswith("- `so much so much")
        assert quote.endswith("…`")
        assert len(quote) < 200
        await whole(core)


@pytest.mark.parametrize(
    ("drop", "dropped", "answered"),
    [("oldest", ["1", "2", "3"], ["4", "5"]), ("newest", ["3", "4", "5"], ["1", "2"])],
)
async def test_what_is_dropped_is_told_by_name_and_never_answered(
    database_url: str, drop: Drop, dropped: list[str], answered: list[str]
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=2, drop=drop) as core:
        await flood(core, held, 5)
        held.release()
        await whole(core)
        replies = [line.text for line in core.channel.lines() if line.kind == "reply"]
        assert replies == ["released", *(f"echo {text}" for text in answered)]
        outcomes = dict(await core.outcomes())
        assert [text for text, outcome in outcomes.items() if outcome == "dropped"] == dropped
        notices = [line.text for line in core.channel.lines() if line.kind == "notice"]
        quoted = [
            line.removeprefix("- ").strip("`")
            for notice in notices
            for line in notice.splitlines()
            if line.startswith("- ")
        ]
        assert quoted == dropped
        assert all("because more than 2 wait here" in notice for notice in notices)


async def test_a_lane_whose_people_chose_block_refuses_until_there_is_room(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await flood(core, held, 0)
        await core.say("/queue cap:1 drop:block")
        await core.say("1")
        with pytest.raises(QueueFull, match="1 messages of this conversation wait already"):
            await core.say("2")
        await core.say("2", "another lane")
        held.release()
        await core.delivered(3)
        await core.say("3")
        await whole(core)
        assert [text for text, outcome in await core.outcomes() if outcome == "answered"] == [
            "running", "1", "3"
        ]  # fmt: skip


async def test_stop_takes_back_those_without_a_place_too(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, cap=2) as core:
        await flood(core, held, 5)
        await overflowed(core, 3)
        waiting = [each.text for each in await core.reader.waiting(address())]
        assert waiting == ["1", "2", "3", "4", "5"], "none of them is answered yet"
        await core.say("/stop")
        await whole(core)
        assert core.channel.texts()[1:] == [
            "Stopped: the running answer ends and 5 waiting taken back."
        ]
        assert [outcome for _, outcome in await core.outcomes()] == (
            ["interrupted"] + 5 * ["withdrawn"] + ["command"]
        )
        assert (await core.asked("hello")).text == "echo hello"


async def test_a_death_between_giving_up_a_place_and_the_summary_loses_nothing(
    database_url: str,
) -> None:
    held, home = Held(), uuid4()
    async with running(database_url, held, home=home, mode="collect", cap=2) as before:
        await flood(before, held, 5)
        await overflowed(before, 3)
        before.dies = True
    async with running(
        database_url, home=home, mode="collect", cap=2, channel=before.channel
    ) as after:
        await after.delivered(4)
        assert after.channel.texts()[1] == "echo running"
        assert after.channel.texts()[2].endswith("- `1`\n- `2`\n- `3`")
        assert after.channel.texts()[3] == "echo 5"
        await whole(after)


async def test_a_lane_in_which_only_a_summary_is_left_is_answered(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, cap=1) as core:
        await flood(core, held, 2)
        await overflowed(core, 1)
        receipt = await core.say("3")
        await overflowed(core, 2)
        assert await core.reader.withdraw(address(), receipt.message_id)
        held.release()
        _, released, summary, answer = await core.delivered(4)
        assert released == "released"
        assert summary.startswith("[2 messages were not answered")
        assert answer == f"echo {summary}"
        await whole(core)
        [_, turn] = await core.fetch("SELECT queue_dropped_messages FROM turn ORDER BY started_at")
        assert turn["queue_dropped_messages"] == 2


async def test_what_guests_said_is_summed_up_in_a_turn_of_their_own(database_url: str) -> None:
    """A turn of the owner's never reads what a guest asks for, in a summary either."""
    held = Held()
    async with running(database_url, held, mode="collect", cap=2) as core:
        await flood(core, held, 0)
        for number in range(3):
            await core.say(f"guest {number}", rights=Rights.GUEST)
        await core.say("mine")
        await core.say("mine, too")
        held.release()
        await whole(core)
        rows = await core.fetch(
            "SELECT turn.rights, array_agg(inbox.text ORDER BY inbox.id) AS texts"
            "  FROM turn JOIN inbox ON inbox.turn_id = turn.id GROUP BY turn.id"
            " ORDER BY turn.started_at"
        )
        assert [tuple(row) for row in rows] == [
            ("owner", ["running"]),
            ("owner", ["mine", "mine, too"]),
            ("guest", ["guest 0", "guest 1", "guest 2"]),
        ]


async def test_a_defect_in_one_full_lane_is_nobody_elses_trouble(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    locker = await asyncpg.connect(database_url)
    await locker.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a defect of ours'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.kind = 'notice')"
        " EXECUTE FUNCTION refuse()"
    )
    held = Held()
    try:
        async with running(database_url, held, mode="collect", cap=1) as core:
            await flood(core, held, 3)
            await until(lambda: "could not be relieved" in caplog.text)
            assert (await core.asked("hello", "b")).text == "echo hello"
            await locker.execute("DROP FUNCTION refuse CASCADE")
            held.release()
            assert (await core.delivered(4))[-1] == "echo 3"
            await whole(core)
    finally:
        await locker.execute("DROP FUNCTION IF EXISTS refuse CASCADE")
        await locker.close()


async def test_a_flood_beyond_the_cap_loses_no_message_and_gives_each_lane_its_turn(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, mode="collect", cap=5, max_concurrency=1) as core:
        await flood(core, held, 60, "flooded")
        await core.say("hello", "free")
        held.release()
        await core.delivered(1, "free")
        await whole(core)
        outcomes = [outcome for _, outcome in await core.outcomes("flooded")]
        assert outcomes == ["answered"] + 55 * ["summarized"] + 5 * ["answered"]


async def test_what_is_chosen_at_another_node_holds_for_the_turn_that_runs_here(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("running")
        await held.reached.wait()
        async with running(database_url, start=False) as other:
            await other.say("/queue collect cap:1 drop:oldest")
            await other.say("1")
            await other.say("2")
            await overflowed(core, 1)
        turn = core.dispatcher.running(session_of())
        assert turn is not None
        assert turn.mode == "collect"
        held.release()
        await core.settled()
