from __future__ import annotations

from opencraw.contract import Rights
from tests.fixtures.core import running
from tests.fixtures.script import Held
from tests.worker.bench import script_of, whole

# Collect and followup.


async def test_collect_makes_one_turn_of_all_that_came_meanwhile(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="collect") as core:
        await core.say("one")
        await held.reached.wait()
        for text in ("two", "three", "four"):
            await core.say(text)
        held.release()
        assert await core.delivered(2) == ["released", "echo four"]
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts == ["one", "released", "two", "three", "four"]
        rows = await core.fetch(
            "SELECT queue_collected_messages AS n FROM turn ORDER BY started_at"
        )
        assert [row["n"] for row in rows] == [0, 3]
        await whole(core)


async def test_followup_makes_a_turn_of_each_in_order(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        for text in ("two", "three", "four"):
            await core.say(text)
        held.release()
        texts = await core.delivered(4)
        assert texts == ["released", "echo two", "echo three", "echo four"]
        await whole(core)


# Interrupt.


async def test_interrupt_ends_the_running_turn_and_answers_the_newest(database_url: str) -> None:
    held = Held("Once upon a time ")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("tell me a story")
        await held.reached.wait()
        await core.say("no, a joke")
        cut, joke = (await core.delivered(2))[:2]
        assert (cut, joke) == ("Once upon a time ", "echo no, a joke")
        assert [line.interrupted for line in core.channel.lines()] == [True, False]
        assert await core.outcomes() == [
            ("tell me a story", "interrupted"), ("no, a joke", "answered")
        ]  # fmt: skip
        await whole(core)


async def test_a_guest_does_not_interrupt_the_turn_of_the_owner(database_url: str) -> None:
    held = Held("Once upon a time ")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("a story")
        await held.reached.wait()
        await core.say("me too", rights=Rights.GUEST)
        held.release()
        assert await core.delivered(2) == ["released", "echo me too"]
        await whole(core)


async def test_an_owner_is_answered_although_a_guest_speaks_in_the_same_breath(
    database_url: str,
) -> None:
    """In mode interrupt too: what waited when a turn was decided on does not end it."""
    async with running(database_url, mode="interrupt", debounce_ms=100) as core:
        await core.say("mine")
        await core.say("and mine", rights=Rights.GUEST)
        assert await core.delivered(2) == ["echo mine", "echo and mine"]
        await whole(core)
