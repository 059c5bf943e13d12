"""Conversations that go on elsewhere, and those that leave and come back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from opencraw.errors import Refused
from opencraw.sessions.keeping import Keeping
from tests.app.desk import at_work, said
from tests.fixtures.core import address, envelope, session_of
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held, calls

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
        shown = await core.reader.history(address("b"))
        assert [(line.kind, line.text) for line in shown] == [
            ("said", "one"), ("reply", "echo one"), ("said", "two"), ("reply", "echo two")
        ]  # fmt: skip
        await core.asked("elsewhere", "b")
        assert [line.seq for line in await core.reader.history(address("b"))] == [1, 2, 3, 4, 5, 6]
        forked = await desk.document("b")
        assert (forked["forked_from"], forked["forked_seq"]) == (str(session_of()), 4)
        assert await desk.document() == before


async def test_a_fork_counts_what_is_in_it_and_begins_today(database_url: str) -> None:
    async with at_work(database_url) as desk:
        for text in ("one", "two", "three"):
            await desk.core.asked(text)
        await desk.core.fetch(
            "UPDATE session SET created_at = '2020-01-01', last_active_at = '2020-01-02',"
            " begun_at = '2020-01-01', prompt_tokens = 29742 WHERE id = $1",
            session_of(),
        )
        await desk.ask("POST", f"/{session_of()}/fork", {"at_seq": 3, "chat": "b"}, status=201)
        forked = await desk.document("b")
        assert forked["messages"] == 2
        assert set(forked["usage_totals"].values()) == {0}
        for moment in ("created_at", "last_active", "begun_at"):
            assert forked[moment] > "2021", moment
        listed = (await desk.ask("GET", ""))["sessions"]
        assert [each["chat"] for each in listed] == ["b", "a"]


async def test_a_line_that_is_not_there_is_refused_in_the_words_of_nobodys_protocol(
    database_url: str,
) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("one")
        path = f"/{session_of()}/fork"
        error = (await desk.ask("POST", path, {"at_seq": 9}, status=400))["error"]
        assert error["message"] == "There is no line 9 here; the last is line 2."


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
        for table in ("outbox", "entry"):  # a part is written whole or not at all
            await desk.core.fetch(
                f"DELETE FROM {table} WHERE session_id = $1 AND seq > 2", session_of("b")
            )
        await desk.core.fetch(
            "UPDATE session SET archived_at = now(), copying_seq = last_seq WHERE id = $1",
            session_of("b"),
        )
        await desk.ask("POST", f"/{session_of()}/fork", {"chat": "b"}, status=201)
        assert len(await desk.core.reader.history(address("b"))) == 6


# Out and in again.


async def test_what_was_exported_is_the_same_when_it_comes_back(database_url: str) -> None:
    async with at_work(database_url, calls("current_time"), "noon") as desk:
        await desk.core.asked("what time is it?")
        await desk.core.asked("/queue collect")
        await desk.core.asked("thanks")
        exported = await desk.document()
        people = await desk.core.reader.history(address())
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
        again = await desk.core.reader.history(address())
        assert [(line.kind, line.text, line.tools) for line in again] == [
            (line.kind, line.text, line.tools) for line in people
        ]
        assert shown["marks"] == exported["marks"] | {"flushed_seq": exported["last_seq"]}
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


async def test_one_that_is_archived_is_here_and_stays_as_it_is(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        exported = await desk.document()
        await desk.core.fetch("UPDATE session SET archived_at = now() RETURNING id")
        before = await desk.document()
        other = exported | {"history": [line | {"text": "forged"} for line in exported["history"]]}
        for document in (exported, other):
            assert (await desk.ask("POST", "", document))["imported"] is False
        assert await desk.document() == before
        assert len(await desk.core.reader.history(address())) == 2


async def test_what_was_written_into_a_half_copy_does_not_keep_it_from_becoming_whole(
    database_url: str,
) -> None:
    async with at_work(database_url) as desk:
        for text in ("one", "two"):
            await desk.core.asked(text)
        exported = await desk.document()
        await desk.ask("DELETE", f"/{session_of()}")
        half = exported | {"history": exported["history"][:2]}
        await desk.ask("POST", "?more=true", half, status=201)
        with pytest.raises(Refused, match="only a part of it is here"):
            await desk.core.say("into the half")
        await desk.core.asked("/status")
        assert (await desk.ask("POST", "", exported, status=201))["imported"] is True
        whole = await desk.document()
        assert [line["kind"] for line in whole["history"]] == [
            "user", "assistant", "user", "assistant", "notice"
        ]  # fmt: skip
        assert (await desk.core.asked("and on")).text == "echo and on"
        assert (await desk.ask("POST", "", exported))["imported"] is False


async def test_a_message_that_was_accepted_before_is_known_in_a_half_copy(
    database_url: str,
) -> None:
    async with at_work(database_url) as desk:
        first = await desk.core.door.accept(envelope("hello", key="same"))
        await desk.core.settled()
        await desk.core.fetch("UPDATE session SET copying_seq = last_seq RETURNING id")
        again = await desk.core.door.accept(envelope("hello", key="same"))
        assert (again.message_id, again.duplicate) == (first.message_id, True)


async def test_a_half_copy_that_is_deleted_is_no_copy_any_more(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("one")
        exported = await desk.document()
        await desk.ask("DELETE", f"/{session_of()}")
        half = exported | {"history": exported["history"][:1]}
        await desk.ask("POST", "?more=true", half, status=201)
        await desk.ask("DELETE", f"/{session_of()}")
        assert (await desk.core.asked("anew")).text == "echo anew"
        assert said(await desk.document()) == [("user", "anew"), ("assistant", "echo anew")]


async def test_of_a_line_that_is_here_nothing_is_added(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("one")
        exported = await desk.document()
        await desk.ask("DELETE", f"/{session_of()}")
        await desk.ask("POST", "?more=true", exported, status=201)
        other = [
            line | {"turn_id": str(uuid4()), "message_id": str(uuid4())}
            | ({"delivered": line["delivered"] | {"delivery_id": str(uuid4())}}
               if "delivered" in line else {})
            for line in exported["history"]
        ]  # fmt: skip
        await desk.ask("POST", "", exported | {"history": other}, status=201)
        assert len(await desk.core.reader.history(address())) == 2
        [turns] = await desk.core.fetch(
            "SELECT count(*) FROM turn WHERE session_id = $1", session_of()
        )
        assert turns["count"] == 1


async def test_nothing_that_comes_from_elsewhere_goes_into_anybodys_memory(
    database_url: str,
) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("my bank account is another one")
        exported = await desk.document()
        await desk.ask("DELETE", f"/{session_of()}")
        marks = exported["marks"] | {"reset_seq": 2, "flushed_seq": 0}
        await desk.ask("POST", "", exported | {"marks": marks}, status=201)
        assert await Keeping(desk.core.database).left_behind() == []


async def test_what_people_were_shown_stands_in_a_document_once(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("one")
        exported = await desk.document()
        assert "text" not in exported["history"][1]["delivered"]
        await desk.core.fetch("UPDATE outbox SET text = 'changed on its way' RETURNING seq")
        changed = await desk.document()
        assert changed["history"][1]["delivered"]["text"] == "changed on its way"
        for document, shown in ((exported, "echo one"), (changed, "changed on its way")):
            await desk.ask("DELETE", f"/{session_of()}")
            await desk.ask("POST", "", document, status=201)
            assert [line.text for line in await desk.core.reader.history(address())] == [
                "one",
                shown,
            ]


async def test_a_document_without_time_zones_is_refused(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("one")
        exported = await desk.document()
        late = exported["history"][0] | {"at": "9999-12-31T23:59:59-23:00"}
        for wrong in ({"created_at": "2020-01-01T00:00:00"}, {"history": [late]}):
            await desk.ask("POST", "", exported | wrong, status=400)


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
