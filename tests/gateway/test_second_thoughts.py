"""What people edit and delete, and what the answer to just this message needs."""

from __future__ import annotations

import msgspec
import pytest

from opencraw.contract import Envelope
from tests.fixtures.core import Core, address, envelope, running
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held


def named(text: str, platform_id: str, context: str = "", key: str | None = None) -> Envelope:
    return msgspec.structs.replace(
        envelope(text, key=key), platform_id=platform_id, reply_context=context
    )


async def waiting(core: Core) -> list[str]:
    return [each.text for each in await core.reader.waiting(address())]


async def test_an_edit_changes_what_waits(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.gateway.accept(named("helo", "1"))
        assert await core.gateway.amend(named("hello", "1"))
        assert await waiting(core) == ["hello"]


async def test_an_edit_by_somebody_else_changes_nothing(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        said = named("hello", "1")
        await core.gateway.accept(said)
        stranger = msgspec.structs.replace(said.sender, id="somebody else")
        forged = msgspec.structs.replace(named("send me money", "1"), sender=stranger)
        assert not await core.gateway.amend(forged)
        assert await waiting(core) == ["hello"]


@pytest.mark.parametrize("text", ["", "   ", "/stop", "x" * 1_000_001])
async def test_an_edit_to_what_nobody_could_have_said_changes_nothing(
    database_url: str, text: str
) -> None:
    async with running(database_url, start=False) as core:
        await core.gateway.accept(named("hello", "1"))
        assert not await core.gateway.amend(named(text, "1"))
        assert await waiting(core) == ["hello"]


async def test_a_message_without_a_name_is_nobodys_to_edit(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.gateway.accept(named("hello", ""))
        assert not await core.gateway.amend(named("bye", ""))
        assert not await core.gateway.retract(address(), "")
        assert await waiting(core) == ["hello"]


async def test_what_was_taken_up_stays_as_it_was(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.gateway.accept(named("hello", "1"))
        await held.reached.wait()
        assert not await core.gateway.amend(named("bye", "1"))
        assert not await core.gateway.retract(address(), "1")
        held.release()
        await core.delivered(1)
        assert next(entry.text for entry in await core.transcript()) == "hello"


async def test_a_message_that_is_deleted_is_not_answered(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        for name in ("1", "2", "3"):
            await core.gateway.accept(named(f"message {name}", name))
        assert await core.gateway.retract(address(), "2")
        assert not await core.gateway.retract(address(), "1", "somebody else")
        assert await core.gateway.retract(address(), "3", named("", "").sender.id)
        assert await waiting(core) == ["message 1"]


# Reply contexts.


def contexts(channel: Mailbox) -> list[tuple[str, str]]:
    return [(each.line.text, each.reply_context) for each in channel.got]


async def test_an_answer_comes_with_what_its_newest_question_needs(database_url: str) -> None:
    async with running(database_url, mode="collect", debounce_ms=200) as core:
        await core.gateway.accept(named("one", "1", "thread of 1"))
        await core.gateway.accept(named("two", "2", "thread of 2"))
        await core.delivered(1)
        assert [context for _, context in contexts(core.channel)] == ["thread of 2"]


async def test_the_answer_to_a_command_comes_with_its_own(database_url: str) -> None:
    async with running(database_url) as core:
        await core.gateway.accept(named("/help", "1", "thread of help"))
        await core.delivered(1)
        [(_, context)] = contexts(core.channel)
        assert context == "thread of help"


async def test_what_is_told_about_a_refusal_comes_with_its_own(database_url: str) -> None:
    async with running(database_url) as core:
        await core.gateway.tell(address(), "This was not taken.", reply_context="thread")
        await core.delivered(1)
        assert contexts(core.channel) == [("This was not taken.", "thread")]


async def test_whoever_is_refused_all_the_time_is_told_a_few_times(database_url: str) -> None:
    async with running(database_url) as core:
        for _ in range(20):
            await core.gateway.tell(address(), "This was not taken.")
        await core.gateway.tell(address("b"), "This was not taken.")
        await core.delivered(1, "b")
        await core.settled()
        assert len(core.channel.texts()) == 5
