"""Conversations that go on elsewhere, and those that leave and come back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.desk import at_work, said
from tests.fixtures.core import Mailbox, address, session_of
from tests.fixtures.script import Held, calls


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url


# Going on elsewhere.


async def test_a_fork_goes_on_from_a_line_and_leaves_the_other_alone(database_url: str) -> None:
    async with at_work(database_url) as desk:
        core = desk.core
        for text in ("one", "two", "three"):
            await core.asked(text)
        before = await desk.document()
        answer = await desk.ask(
            "POST", f"/{session_of()}/fork", {"at_seq": 4, "chat": "b"}, status=201
        )
        assert answer["id"] == str(session_of("b"))
        assert (answer["chat"], answer["at_seq"]) == ("b", 4)
        assert [entry.text for entry in await core.transcript("b")] == [
            "one", "echo one", "two", "echo two"
        ]  # fmt: skip
        shown = await core.door.history(address("b"))
        assert [(line.kind, line.text) for line in shown] == [
            ("said", "one"), ("reply", "echo one"), ("said", "two"), ("reply", "echo two")
        ]  # fmt: skip
        await core.asked("elsewhere", "b")
        assert [line.seq for line in await core.door.history(address("b"))] == [1, 2, 3, 4, 5, 6]
        forked = await desk.document("b")
        assert (forked["forked_from"], forked["forked_seq"]) == (str(session_of()), 4)
        assert await desk.document() == before


async def test_what_prompts_show_is_the_same_in_a_fork(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("before")
        await desk.core.asked("/new")
        await desk.core.asked("after")
        await desk.ask("POST", f"/{session_of()}/fork", {"chat": "b"}, status=201)
        assert [entry.text for entry in await desk.core.transcript("b")] == ["after", "echo after"]
        await desk.ask("POST", f"/{session_of()}/fork", {"chat": "c", "at_seq": 2}, status=201)
        assert [entry.text for entry in await desk.core.transcript("c")] == [
            "before",
            "echo before",
        ]


@pytest.mark.parametrize(("at", "cut"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 6), (7, 7)])
async def test_a_call_is_never_cut_off_from_its_result(
    database_url: str, at: int, cut: int
) -> None:
    steps = calls("current_time", "current_time"), "noon"
    async with at_work(database_url, *steps) as desk:
        await desk.core.asked("what time is it?")
        kinds = [line["kind"] for line in (await desk.document())["history"]]
        assert kinds == ["user", "assistant", "tool_started", "tool_result", "tool_started",
                         "tool_result", "assistant"]  # fmt: skip
        answer = await desk.ask(
            "POST", f"/{session_of()}/fork", {"at_seq": at, "chat": "b"}, status=201
        )
        assert answer["at_seq"] == cut
        await desk.core.asked("and now?", "b")
        assert len(await desk.core.transcript("b")) > cut


async def test_a_fork_of_a_running_turn_is_whole(database_url: str) -> None:
    held = Held()
    async with at_work(database_url, calls("current_time"), held) as desk:
        await desk.core.say("what time is it?")
        await held.reached.wait()
        answer = await desk.ask("POST", f"/{session_of()}/fork", {"chat": "b"}, status=201)
        assert answer["at_seq"] == 4
        held.release()
        await desk.core.settled()
        await desk.core.asked("and now?", "b")


async def test_nobody_is_put_into_a_conversation_that_is_there(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        await desk.core.asked("hello", "b")
        path = f"/{session_of()}/fork"
        await desk.ask("POST", path, {"chat": "b"}, status=409)
        await desk.ask("POST", path, {"chat": "a"}, status=409)
        assert len(await desk.core.transcript("b")) == 2


@pytest.mark.parametrize("body", [{"at_seq": -1}, {"at_seq": 3}, {"chat": "B"}, {"at": 1}])
async def test_a_fork_that_cannot_be_is_refused(database_url: str, body: object) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        await desk.ask("POST", f"/{session_of()}/fork", body, status=400)


async def test_where_nobody_names_chats_there_is_no_fork(database_url: str) -> None:
    async with at_work(database_url, channel=Mailbox()) as desk:
        await desk.core.asked("hello")
        error = (await desk.ask("POST", f"/{session_of()}/fork", {}, status=400))["error"]
        assert "where chats are named" in error["message"]


async def test_a_fork_that_was_cut_off_is_made_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.sessions.copies._MOST_LINES", 2)
    async with at_work(database_url) as desk:
        for text in ("one", "two", "three"):
            await desk.core.asked(text)
        await desk.ask("POST", f"/{session_of()}/fork", {"chat": "b"}, status=201)
        await desk.core.fetch("DELETE FROM outbox WHERE session_id = $1", session_of("b"))
        await desk.core.fetch(
            "DELETE FROM entry WHERE session_id = $1 AND seq > 2", session_of("b")
        )
        await desk.core.fetch(
            "UPDATE session SET archived_at = now() WHERE id = $1", session_of("b")
        )
        await desk.ask("POST", f"/{session_of()}/fork", {"chat": "b"}, status=201)
        assert len(await desk.core.door.history(address("b"))) == 6


# Out and in again.


async def test_what_was_exported_is_the_same_when_it_comes_back(database_url: str) -> None:
    async with at_work(database_url, calls("current_time"), "noon") as desk:
        await desk.core.asked("what time is it?")
        await desk.core.asked("/queue collect")
        await desk.core.asked("thanks")
        exported = await desk.document()
        people = await desk.core.door.history(address())
        await desk.ask("DELETE", f"/{session_of()}")
        assert (await desk.ask("POST", "", exported, status=201))["imported"] is True
        shown = await desk.document()
        own = ("turn_id", "message_id", "delivered")

        def plain(document: dict[str, Any]) -> list[dict[str, Any]]:
            return [
                {name: value for name, value in line.items() if name not in own}
                for line in document["history"]
            ]

        assert plain(shown) == plain(exported)
        again = await desk.core.door.history(address())
        assert [(line.kind, line.text, line.tools) for line in again] == [
            (line.kind, line.text, line.tools) for line in people
        ]
        assert shown["marks"] == exported["marks"]
        await desk.core.asked("and on")


async def test_an_import_is_done_once(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        exported = await desk.document()
        assert (await desk.ask("POST", "", exported))["imported"] is False
        assert len((await desk.document())["history"]) == 2


async def test_a_long_one_comes_in_parts(database_url: str) -> None:
    async with at_work(database_url) as desk:
        for number in range(3):
            await desk.core.asked(f"{number}")
        exported = await desk.document()
        await desk.ask("DELETE", f"/{session_of()}")
        first, second = exported["history"][:2], exported["history"][2:]
        for _ in range(2):  # the first time its answer got lost
            await desk.ask("POST", "?more=true", exported | {"history": first}, status=201)
            assert (await desk.ask("GET", ""))["sessions"] == [], "nobody is shown half of it"
        await desk.ask("POST", "", exported | {"history": second}, status=201)
        assert len((await desk.document())["history"]) == 6
        assert len((await desk.ask("GET", ""))["sessions"]) == 1


async def test_a_document_of_somebody_elses_turns_changes_none_of_them(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        await desk.core.asked("hello", "b")
        mine = await desk.document("b")
        theirs = await desk.document()
        await desk.ask("DELETE", f"/{session_of('b')}")
        await desk.ask("POST", "", mine | {"history": theirs["history"]}, status=201)
        await desk.ask("DELETE", f"/{session_of('b')}")
        assert said(await desk.document()) == said(theirs)


async def test_what_is_no_document_is_refused(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.ask("POST", "", {"schema_version": 3}, status=400)
        await desk.ask("POST", "", [], status=400)
