"""What hooks make of what is about to be sent."""

from __future__ import annotations

import asyncio

import pytest

from opencraw.contract import ChatType, Listener, Rights, Sender
from opencraw.errors import NotSent
from opencraw.events import DraftGrew
from opencraw.hooks import Denied, Facts, Go, Hooks, Point, Verdict, hook
from opencraw.outbox.sender import SQL
from opencraw.sessions.keys import Conversations
from opencraw.store.database import Database
from tests.fixtures.core import Core, address, is_whole, running, until
from tests.fixtures.onlookers import Onlooker
from tests.fixtures.script import Held

SENDING = Point.MESSAGE_SENDING
OWNER = Sender("owner", "Owner", Rights.OWNER)


async def outbox(core: Core) -> list[tuple[str, str, str | None]]:
    rows = await core.fetch("SELECT state, text, failure FROM outbox ORDER BY id")
    return [(row["state"], row["text"], row["failure"]) for row in rows]


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def test_a_hook_sees_what_is_about_to_be_sent(database_url: str) -> None:
    onlooker = Onlooker(SENDING)
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.asked("hello")
        await whole(core)
        [row] = await core.fetch("SELECT delivery_id, turn_id FROM outbox")
    assert onlooker.at(SENDING) == [
        {
            "delivery_id": str(row["delivery_id"]),
            "turn_id": str(row["turn_id"]),
            "channel_id": "test",
            "account": "account",
            "chat": "a",
            "thread": "",
            "kind": "reply",
            "tools": [],
            "interrupted": False,
            "size": 10,
            "text": "echo hello",
        }
    ]


async def test_what_a_hook_puts_in_its_place_is_sent_and_is_on_record(database_url: str) -> None:
    onlooker = Onlooker(SENDING, answers={SENDING: Go({"text": "Hello.\x00"})})
    async with running(database_url, hooks=onlooker.hooks) as core:
        assert (await core.asked("hello")).text == "Hello.\ufffd"
        await whole(core)
        assert await outbox(core) == [("sent", "Hello.\ufffd", None)]
        lines = await core.reader.history(address())
        assert [line.text for line in lines] == ["hello", "Hello.\ufffd"]
        # The model goes on from what it said itself.
        assert (await core.transcript())[-1].text == "echo hello"


async def test_a_second_copy_says_the_same(database_url: str) -> None:
    times: list[int] = []

    @hook(SENDING)
    async def count(point: Point, facts: Facts) -> Verdict:
        times.append(1)
        return Go({"text": f"{facts['text']} ({len(times)})"})

    async with running(database_url, hooks=Hooks({"count": count})) as core:
        core.channel.trouble.append(NotSent("busy", retry_after=0.0))
        assert (await core.asked("hello")).text == "echo hello (1)"
        await whole(core)
    assert times == [1]


async def test_what_is_held_back_is_a_dead_letter_that_names_the_reason(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    onlooker = Onlooker(SENDING, answers={SENDING: Denied("it tells a password")})
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.say("hello")
        await whole(core)
        assert core.channel.got == []
        assert await outbox(core) == [
            (
                "dead",
                "*(Held back: it tells a password)*",
                "a hook held it back: it tells a password",
            )
        ]
        assert core.channel.dead == ["a hook held it back: it tells a password"]
        onlooker.answers.clear()
        assert (await core.asked("and now?")).text == "echo and now?"
        await whole(core)
    assert "it tells a password" in caplog.text
    assert "echo hello" not in caplog.text


async def test_a_hook_that_fails_holds_nothing_back_unless_somebody_chose_that(
    database_url: str,
) -> None:
    failing = Onlooker(SENDING, answers={SENDING: LookupError("gone")})
    async with running(database_url, hooks=failing.hooks) as core:
        assert (await core.asked("hello")).text == "echo hello"
        await whole(core)
    strict = Onlooker(SENDING, answers={SENDING: LookupError("gone")}, on_failure="deny")
    async with running(database_url, hooks=strict.hooks) as core:
        await core.say("again")
        await whole(core)
        assert [state for state, _, _ in await outbox(core)] == ["sent", "dead"]


async def test_what_may_be_held_back_is_not_shown_while_it_is_written(database_url: str) -> None:
    onlooker = Onlooker(SENDING)
    held = Held("a secret ")
    async with running(database_url, held, hooks=onlooker.hooks) as core:
        await core.say("hello")
        await held.reached.wait()
        # Also not to somebody who looks in only now.
        draft = core.reader.draft(address())
        assert draft is not None
        assert draft.text == ""
        held.release()
        await core.delivered(1)
        assert not [event for _, event in core.shown if isinstance(event, DraftGrew)]
        await whole(core)
    async with running(database_url) as core:
        await core.asked("hello")
        assert [event for _, event in core.shown if isinstance(event, DraftGrew)]
        await whole(core)


async def test_of_two_who_look_at_a_delivery_the_first_is_right(
    database_url: str, database: Database
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/status")
        [row] = await core.fetch("SELECT delivery_id, text FROM outbox")
        given = (row["delivery_id"], row["text"], "mine", None)
        for _ in range(2):
            answer = await database.commit(SQL.put_in_place, given)
            assert answer is not None
            assert (answer["text"], answer["state"]) == ("mine", "pending")
        for other in ("theirs", None), ("held back", "no"):
            answer = await database.commit(SQL.put_in_place, (*given[:2], *other))
            assert answer is not None
            assert (answer["text"], answer["state"]) == ("mine", "pending")
        dead = (row["delivery_id"], "mine", "held back", "no")
        for _ in range(2):
            answer = await database.commit(SQL.put_in_place, dead)
            assert answer is not None
            assert (answer["text"], answer["state"]) == ("held back", "dead")


async def test_what_was_attempted_once_is_not_looked_at_again(database_url: str) -> None:
    onlooker = Onlooker(SENDING, answers={SENDING: Go({"text": "other words"})})
    async with running(database_url, start=False) as core:
        await core.say("/status")
        await core.fetch("UPDATE outbox SET attempts = 1")
        [row] = await core.fetch("SELECT text FROM outbox")
    async with running(database_url, hooks=onlooker.hooks) as core:
        assert await core.delivered(1) == [row["text"]]
        await whole(core)
    assert onlooker.seen == []


async def test_nobody_reads_what_a_hook_still_looks_at(database_url: str) -> None:
    """Nor, on its channel, what comes after it: lines are shown in their order."""
    looks, goes_on = asyncio.Event(), asyncio.Event()

    @hook(SENDING)
    async def slow(point: Point, facts: Facts) -> Verdict:
        looks.set()
        await goes_on.wait()
        return Go({"text": str(facts["text"]).upper()})

    shared = Conversations("main", listener=lambda _: Listener(ChatType.DIRECT, OWNER))
    async with running(database_url, hooks=Hooks({"slow": slow}), conversations=shared) as core:

        async def texts(channel: str) -> list[str]:
            return [line.text for line in await core.reader.history(address(channel=channel))]

        await core.say("hello")
        await looks.wait()
        await core.say("and then?")
        await until(lambda: core.fetch("SELECT FROM outbox OFFSET 1"))
        assert await texts("test") == ["hello"]
        assert await texts("other") == ["hello", "and then?"]
        goes_on.set()
        await core.delivered(2)
        await whole(core)
        assert await texts("test") == ["hello", "ECHO HELLO", "and then?", "ECHO AND THEN?"]


async def test_what_is_held_back_is_read_as_held_back(database_url: str) -> None:
    onlooker = Onlooker(SENDING, answers={SENDING: Denied("no")})
    async with running(database_url, hooks=onlooker.hooks) as core:
        await core.say("hello")
        await whole(core)
        lines = await core.reader.history(address())
        assert [line.text for line in lines] == ["hello", "*(Held back: no)*"]


async def test_where_nobody_looks_an_answer_is_read_before_it_is_sent(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/status")
        assert len(await core.reader.history(address())) == 1
