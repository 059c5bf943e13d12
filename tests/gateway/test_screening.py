"""What hooks say to messages at the door."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opencraw.contract import Rights
from opencraw.errors import Refused
from opencraw.gateway import screening
from opencraw.hooks import Denied, Facts, Go, Hooks, Point, Verdict, hook
from tests.fixtures.core import Core, envelope, is_whole, running, session_of
from tests.fixtures.onlookers import Onlooker

RECEIVED = Point.MESSAGE_RECEIVED


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def test_a_hook_is_told_who_said_what_and_where(database_url: str) -> None:
    onlooker = Onlooker(RECEIVED)
    said = envelope("hello\x00 \ud800", rights=Rights.GUEST)
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.door.accept(said)
        await whole(core)
    assert onlooker.at(RECEIVED) == [
        {
            "tenant": "default",
            "session_id": str(session_of()),
            "correlation_id": str(said.correlation_id),
            "dedupe_key": said.dedupe_key,
            "channel_id": "test",
            "account": "account",
            "chat": "a",
            "thread": "",
            "chat_type": "direct",
            "sender_id": "id of guest",
            "sender_name": "Guest",
            "rights": "guest",
            "origin": "channel",
            "size": 8,
            "text": "hello\ufffd \ufffd",
        }
    ]


async def test_a_message_that_is_denied_is_refused_and_nothing_is_stored(
    database_url: str,
) -> None:
    onlooker = Onlooker(RECEIVED, answers={RECEIVED: Denied("no politics here")})
    async with running(database_url, hooks=onlooker.hooks) as core:
        with pytest.raises(Refused, match="no politics here") as refused:
            await core.say("vote!")
        assert refused.value.code == "FORBIDDEN"
        assert await core.fetch("SELECT FROM inbox") == []
        assert await core.fetch("SELECT FROM session") == []


async def test_what_stands_behind_new_is_looked_at_like_any_message(database_url: str) -> None:
    onlooker = Onlooker(RECEIVED, answers={RECEIVED: Denied("no politics here")})
    async with running(database_url, hooks=onlooker.hooks) as core:
        with pytest.raises(Refused, match="no politics here"):
            await core.say("/new vote!")
        assert await core.fetch("SELECT FROM inbox") == []
        assert await core.fetch("SELECT FROM session WHERE reset_seq > 0") == []
        del onlooker.answers[RECEIVED]
        said = envelope("/new what is the time?")
        first = await core.door.accept(said)
        assert [facts["text"] for facts in onlooker.at(RECEIVED)] == ["vote!", "what is the time?"]
        assert onlooker.at(RECEIVED)[-1]["size"] == len("what is the time?")
        onlooker.answers[RECEIVED] = Denied("not any more")
        again = await core.door.accept(said)
        assert (again.message_id, again.duplicate) == (first.message_id, True)
        assert (await core.delivered(2))[1] == "echo what is the time?"
        await whole(core)


async def test_commands_are_not_looked_at(database_url: str) -> None:
    onlooker = Onlooker(RECEIVED, answers={RECEIVED: Denied("no politics here")})
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.say("/new")
        await core.say("/status")
        assert onlooker.at(RECEIVED) == []
        await core.delivered(2)
        await whole(core)


async def test_nothing_can_be_put_in_the_place_of_what_people_say(database_url: str) -> None:
    onlooker = Onlooker(RECEIVED, answers={RECEIVED: Go({"text": "something else"})})
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.say("hello")
        assert await core.delivered(1) == ["echo hello"]
        await whole(core)


async def test_what_was_taken_in_stays_so_whatever_is_said_of_it_later(database_url: str) -> None:
    onlooker = Onlooker(RECEIVED)
    said = envelope("hello")
    async with running(database_url, hooks=onlooker.hooks) as core:
        first = await core.door.accept(said)
        onlooker.answers[RECEIVED] = Denied("not any more")
        again = await core.door.accept(said)
        assert (again.message_id, again.duplicate) == (first.message_id, True)
        await whole(core)


async def test_a_hook_that_fails_keeps_nobody_out_unless_somebody_chose_that(
    database_url: str,
) -> None:
    failing = Onlooker(RECEIVED, answers={RECEIVED: LookupError("gone")})
    async with running(database_url, hooks=failing.hooks) as core:
        await core.say("hello")
        await core.delivered(1)
    strict = Onlooker(RECEIVED, answers={RECEIVED: LookupError("gone")}, on_failure="deny")
    async with running(database_url, hooks=strict.hooks) as core:
        with pytest.raises(Refused, match="could not be made") as refused:
            await core.say("hello")
        assert "gone" not in str(refused.value)


async def test_commands_never_wait_for_a_hook(database_url: str) -> None:
    begun = asyncio.Event()

    @hook(RECEIVED, timeout_seconds=60.0)
    async def endless(point: Point, facts: Facts) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(database_url, hooks=Hooks({"endless": endless})) as core:
        waiting = asyncio.ensure_future(core.say("hello"))
        await begun.wait()
        await core.say("/stop")
        await core.delivered(1)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await whole(core)


async def test_whoever_offers_a_message_does_not_wait_for_hooks_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "HOOK_SECONDS", 0.05)

    @hook(RECEIVED, timeout_seconds=60.0)
    async def endless(point: Point, facts: Facts) -> None:
        await asyncio.Event().wait()

    async with running(database_url, hooks=Hooks({"a": endless, "b": endless})) as core:
        await core.say("hello")
        assert await core.delivered(1) == ["echo hello"]
        await whole(core)


async def test_messages_are_taken_in_in_the_order_in_which_they_came(database_url: str) -> None:
    """The later a message came, the sooner its hook is done."""
    gates = {str(number): asyncio.Event() for number in range(5)}
    asked: list[Any] = []

    @hook(RECEIVED, timeout_seconds=60.0)
    async def slow(point: Point, facts: Facts) -> Verdict | None:
        text = str(facts["text"])
        asked.append(text)
        if len(asked) == len(gates):
            gates["4"].set()
        await gates[text].wait()
        if int(text):
            gates[str(int(text) - 1)].set()
        return Denied("no threes") if text == "3" else None

    async with running(
        database_url, hooks=Hooks({"slow": slow}), mode="followup", start=False
    ) as core:
        said = [asyncio.ensure_future(core.say(text)) for text in gates]
        outcomes = await asyncio.gather(*said, return_exceptions=True)
        assert [isinstance(each, Refused) for each in outcomes] == [
            False, False, False, True, False
        ]  # fmt: skip
        rows = await core.fetch("SELECT text FROM inbox ORDER BY id")
        assert [row["text"] for row in rows] == ["0", "1", "2", "4"]
        # The next one waits for nobody.
        gates["5"] = asyncio.Event()
        gates["5"].set()
        await core.say("5")
