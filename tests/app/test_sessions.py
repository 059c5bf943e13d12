"""Conversations as operators see and change them."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from opencraw.app import sessions as module
from tests.app.desk import at_work, said
from tests.control.serving import BEARER
from tests.fixtures.core import MODEL, address, session_of, until
from tests.fixtures.script import Held

# Reading.


async def test_a_conversation_is_shown_since_it_began_anew(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("before")
        await desk.core.asked("/new")
        await desk.core.asked("after")
        shown = await desk.document(whole=False)
        assert said(shown)[1:] == [("user", "after"), ("assistant", "echo after")]
        assert said(await desk.document())[:2] == [("user", "before"), ("assistant", "echo before")]
        assert shown["schema_version"] == 2
        assert shown["id"] == str(session_of())
        assert shown["last_user_message_id"] == shown["history"][1]["message_id"]
        assert shown["last_assistant_message_id"] == shown["history"][2]["message_id"]
        assert shown["usage_totals"]["prompt_tokens"] > 0
        assert (shown["model_override"], shown["model_pinning"]) == (None, "prefer")
        assert shown["last_active"] >= shown["created_at"]


async def test_after_a_reset_nothing_is_shown_but_what_was_announced(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("before")
        await desk.core.asked("/new")
        shown = await desk.document(whole=False)
        assert [kind for kind, _ in said(shown)] == ["notice"]
        assert shown["usage_totals"]["prompt_tokens"] == 0
        assert shown["last_user_message_id"] is shown["last_assistant_message_id"] is None


async def test_a_long_one_is_paged(database_url: str) -> None:
    async with at_work(database_url) as desk:
        for number in range(5):
            await desk.core.asked(f"{number}")
        whole = (await desk.document())["history"]
        path = f"/{session_of()}?whole=true&limit=4"
        newest = (await desk.ask("GET", path))["history"]
        older = (await desk.ask("GET", f"{path}&before={newest[0]['seq']}"))["history"]
        assert [*older, *newest] == whole[-8:]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "", None), ("DELETE", "", None), ("POST", "/model", {}), ("POST", "/fork", {})],
)
async def test_one_that_is_not_there_is_not_found(
    database_url: str, method: str, path: str, body: object
) -> None:
    async with at_work(database_url) as desk:
        await desk.ask(method, f"/{uuid4()}{path}", body, status=404)
        await desk.ask(method, f"/nonsense{path}", body, status=400)


async def test_a_page_ends_when_it_is_large_and_the_next_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_PAGE", 5_000)
    async with at_work(database_url) as desk:
        for letter in "abc":
            await desk.core.asked(letter * 2_000)
        await desk.core.asked("x" * 9_000)
        path, pages = f"/{session_of()}?whole=true", []
        page = (await desk.ask("GET", path))["history"]
        while page:
            pages.append([line["seq"] for line in page])
            page = (await desk.ask("GET", f"{path}&before={page[0]['seq']}"))["history"]
        # An answer's text stands twice in its line. One line there always is.
        assert pages == [[8], [7], [6], [5], [4], [3], [2], [1]]
        monkeypatch.setattr(module, "LARGEST_PAGE", 7_000)
        page = (await desk.ask("GET", f"{path}&before=7"))["history"]
        assert [line["seq"] for line in page] == [5, 6]


# Searching.


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("The bicycle is green.", "BICYCLE", True),
        ("Über die Brücke", "über", True),
        ("我的自行车是绿色的", "自行车", True),
        ("Велосипед зелёный", "велосипед", True),
        ("100% sure", "100%", True),
        ("100 sure", "100%", False),
        ("snake_case", "snake_case", True),
        ("snakeXcase", "snake_case", False),
        ("a\\b", "a\\b", True),
        ("'; DROP TABLE entry; --", "'; DROP", True),
    ],
)
async def test_what_was_said_is_found(
    database_url: str, text: str, wanted: str, found: bool
) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked(text)
        async with desk.client.get(
            "/api/v1/os/sessions/search", params={"q": wanted}, headers=BEARER
        ) as response:
            lines = (await response.json())["found"]
        assert [line["by"] for line in lines] == (["assistant", "user"] if found else [])


async def test_the_newest_come_first_with_what_stands_around(database_url: str) -> None:
    async with at_work(database_url) as desk:
        long = "x" * 300
        await desk.core.asked(f"{long} needle {long}")
        await desk.core.asked("a needle", "b")
        await desk.core.asked("/help")
        found = (await desk.ask("GET", "/search?q=needle"))["found"]
        assert [line["chat"] for line in found] == ["b", "b", "a", "a"]
        assert [line["snippet"] for line in found[:2]] == ["echo a needle", "a needle"]
        around = "x" * 79
        assert found[3]["snippet"] == f"…{around} needle {around}…"
        only = await desk.ask("GET", f"/search?q=needle&session={session_of()}&limit=1")
        assert [line["seq"] for line in only["found"]] == [2]
        older = await desk.ask("GET", f"/search?q=needle&before={found[1]['at'][:-6]}Z")
        assert [line["chat"] for line in older["found"]] == ["a", "a"]


@pytest.mark.parametrize(
    "query", ["", "?q=", "?q=%20", f"?q={'x' * 201}", "?q=x&limit=101", "?q=x&session=1",
              "?q=x&before=yesterday", "?q=x&before=2026-01-01", "?q=%00",
              "?q=x&before=0001-01-01T00:00:00%2B14:00", "?q=x&before=9999-12-31T23:59:59-14:00"],
)  # fmt: skip
async def test_a_search_for_nothing_is_refused(database_url: str, query: str) -> None:
    async with at_work(database_url) as desk:
        await desk.ask("GET", f"/search{query}", status=400)


async def test_who_searches_while_others_do_comes_back_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search reads everything there is, so a few at a time would leave nothing for people."""
    monkeypatch.setattr(module, "SEARCH_PATIENCE_SECONDS", 0.2)
    async with at_work(database_url) as desk:
        await desk.core.asked("needle")
        blocker = await asyncpg.connect(database_url)
        running = """SELECT FROM pg_stat_activity
                      WHERE wait_event_type = 'Lock' AND query LIKE '%ILIKE%'
                        AND datname = current_database()"""
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE entry IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(desk.ask("GET", "/search?q=needle"))
            await until(lambda: desk.core.fetch(running))
            error = (await desk.ask("GET", "/search?q=needle", status=429))["error"]
            assert error["code"] == "RATE_LIMITED"
            assert error["retry_after_ms"] > 0
            assert len(await desk.core.fetch(running)) == 1
        await blocker.close()
        assert len((await first)["found"]) == 2
        assert len((await desk.ask("GET", "/search?q=needle"))["found"]) == 2


# The model.


async def test_a_model_is_chosen_and_let_go(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        path = f"/{session_of()}/model"

        async def choose(body: dict[str, object]) -> tuple[object, object]:
            answer = await desk.ask("POST", path, body)
            shown = await desk.document()
            assert answer["status"] == "ok"
            chosen = (answer["model_override"], answer["model_pinning"])
            assert chosen == (shown["model_override"], shown["model_pinning"])
            return chosen

        assert await choose({"model_override": "SCRIPT/Two"}) == ("script/two", "prefer")
        assert await choose({"model_pinning": "strict"}) == ("script/two", "strict")
        assert await choose({}) == ("script/two", "strict")
        assert await choose({"model_override": "spare"}) == ("script/two", "strict")
        assert await choose({"model_override": ""}) == (None, "prefer")
        assert await choose({"model_override": "spare", "model_pinning": "strict"}) == (
            "script/two", "strict"
        )  # fmt: skip
        await desk.core.asked("/model clear")
        shown = await desk.document()
        assert (shown["model_override"], shown["model_pinning"]) == (None, "prefer")


@pytest.mark.parametrize(
    "body",
    [{"model_override": "nobody"}, {"model_pinning": "strict"}, {"model_pinning": "hard"},
     {"model_override": "", "model_pinning": "strict"}, {"model": "x"}, {"model_override": 1}],
)  # fmt: skip
async def test_a_choice_that_cannot_be_is_refused(database_url: str, body: object) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        error = (await desk.ask("POST", f"/{session_of()}/model", body, status=400))["error"]
        assert error["code"] == "INVALID_FIELD"
        if body == {"model_override": "nobody"}:
            assert error["details"]["available_models"] == [MODEL, "script/two"]


# Deleting.


async def test_what_is_deleted_is_gone_and_its_chat_begins_anew(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        await desk.core.asked("/queue collect")
        assert await desk.ask("DELETE", f"/{session_of()}") == {"status": "ok"}
        await desk.ask("GET", f"/{session_of()}", status=404)
        await desk.ask("DELETE", f"/{session_of()}", status=404)
        assert (await desk.ask("GET", ""))["sessions"] == []
        assert (await desk.ask("GET", "/search?q=hello"))["found"] == []
        assert await desk.core.reader.history(address()) == []
        await desk.core.asked("hello again")
        shown = await desk.document()
        assert said(shown) == [("user", "hello again"), ("assistant", "echo hello again")]
        assert shown["queue"]["mode"] is None


async def test_a_running_turn_is_not_deleted_under_its_people(database_url: str) -> None:
    held = Held()
    async with at_work(database_url, held) as desk:
        await desk.core.say("long")
        await held.reached.wait()
        error = (await desk.ask("DELETE", f"/{session_of()}", status=409))["error"]
        assert error["code"] == "CONFLICT_ERROR"
        assert "/stop" in error["message"]
        held.release()
        await desk.core.settled()
        await desk.ask("DELETE", f"/{session_of()}")


async def test_what_waits_is_deleted_too(database_url: str) -> None:
    async with at_work(database_url, start=False) as desk:
        await desk.core.say("waits")
        await desk.core.fetch("UPDATE session SET last_seq = 0 RETURNING id")
        await desk.ask("DELETE", f"/{session_of()}")
        assert await desk.core.outcomes() == [("", "withdrawn")]


async def test_archived_conversations_are_listed_by_themselves(database_url: str) -> None:
    async with at_work(database_url) as desk:
        await desk.core.asked("hello")
        await desk.core.asked("hello", "b")
        await desk.core.fetch("UPDATE session SET archived_at = now() WHERE chat = 'a'")
        for query, chat in (("", "b"), ("?archived=true", "a")):
            [listed] = (await desk.ask("GET", query))["sessions"]
            assert (listed["chat"], listed["messages"], listed["running"]) == (chat, 1, False)
