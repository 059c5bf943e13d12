from __future__ import annotations

from msgspec import structs

from opencraw.contract import ChatType, Rights, Sender
from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ToolMessage, UserMessage
from tests.fixtures.core import envelope, running
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench, script_of, whole


async def test_a_running_turn_hears_what_is_said(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("work", "quick"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("and quickly")
        await core.say("please")
        bench.may_end.set()
        assert await core.delivered(1) == ["echo please"]
        await whole(core)
        assert await core.outcomes() == [
            ("do it", "answered"), ("and quickly", "injected"), ("please", "injected")
        ]  # fmt: skip
        *_, done, skipped, quickly, please = script_of(core).prompts[-1].messages
        assert (quickly, please) == (UserMessage("and quickly"), UserMessage("please"))
        assert isinstance(done, ToolMessage)
        assert isinstance(skipped, ToolMessage)
        assert (done.failed, skipped.failed) == (False, True)
        assert bench.effects == ["worked"]


async def test_what_was_heard_on_the_way_reads_the_same_in_every_prompt(database_url: str) -> None:
    """Somebody without a name says it where others listen."""
    bench = Bench()
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("do it", chat_type=ChatType.GROUP)
        await bench.begun.wait()
        heard = envelope("and quickly", chat_type=ChatType.GROUP)
        nameless = Sender(heard.sender.id, "", heard.sender.rights)
        await core.door.accept(structs.replace(heard, sender=nameless))
        bench.may_end.set()
        await core.delivered(1)
        await core.say("what next?", chat_type=ChatType.GROUP)
        await core.delivered(2)
        await whole(core)
        *_, before, last = (prompt.messages for prompt in script_of(core).prompts)
        assert last[: len(before)] == before
        assert "id of owner" in before[-1].text


async def test_a_long_message_is_heard_whole(database_url: str) -> None:
    bench = Bench()
    long = "and so on " * 1_000
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say(long)
        bench.may_end.set()
        await core.delivered(1)
        await whole(core)
        assert script_of(core).prompts[-1].messages[-1] == UserMessage(long)


async def test_a_steer_that_comes_too_late_is_a_turn_of_its_own(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        held.release()
        assert await core.delivered(2) == ["released", "echo two"]
        await whole(core)
        assert await core.outcomes() == [("one", "answered"), ("two", "answered")]


async def test_a_message_that_was_heard_does_not_count_as_waiting(database_url: str) -> None:
    """A long turn that is spoken to often never fills its lane."""
    steps = [Held(reply=calls("quick")) for _ in range(3)]
    async with running(database_url, *steps, tools=Bench().tools, cap=2) as core:
        await core.say("begin")
        for number, step in enumerate(steps):
            await step.reached.wait()
            await core.say(f"{number} one")
            await core.say(f"{number} two")
            step.release()
        await core.delivered(1)
        await whole(core)
        assert [outcome for _, outcome in await core.outcomes()] == ["answered"] + 6 * ["injected"]


async def test_a_guest_does_not_steer_the_turn_of_the_owner(database_url: str) -> None:
    """What one may ask another may not; nor may he keep tools from running by speaking."""
    bench = Bench()
    async with running(database_url, calls("work", "quick"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("me too", rights=Rights.GUEST)
        bench.may_end.set()
        assert await core.delivered(2) == ["echo do it", "echo me too"]
        await whole(core)
        assert bench.effects == ["worked", "quick"]
        assert await core.outcomes() == [("do it", "answered"), ("me too", "answered")]
        rows = await core.fetch("SELECT rights FROM turn ORDER BY started_at")
        assert [row["rights"] for row in rows] == ["owner", "guest"]


async def test_a_guest_who_waits_at_the_start_keeps_no_tool_from_running(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("quick"), tools=bench.tools, debounce_ms=100) as core:
        await core.say("do it")
        await core.say("me too", rights=Rights.GUEST)
        assert await core.delivered(2) == ["echo do it", "echo me too"]
        assert bench.effects == ["quick"]
        await whole(core)


async def test_what_was_said_to_a_turn_that_ends_badly_is_not_lost(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        script_of(core).steps.append(ModelFailure(FailureKind.AUTH, "no"))
        held.release()
        await core.delivered(2)
        await whole(core)
        assert await core.outcomes() == [("one", "answered"), ("two", "failed")]


async def test_a_mode_that_is_chosen_meanwhile_holds_for_the_running_turn(
    database_url: str,
) -> None:
    bench = Bench()
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("/queue followup")
        await core.say("later")
        bench.may_end.set()
        assert (await core.delivered(3))[1:] == ["echo do it", "echo later"]
        await whole(core)
