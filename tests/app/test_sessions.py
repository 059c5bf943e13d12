"""Conversations as operators see and change them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.app.desk import at_work, said
from tests.control.serving import BEARER
from tests.fixtures.core import MODEL, address, session_of
from tests.fixtures.script import Held


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url


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
              "?q=x&before=yesterday", "?q=x&before=2026-01-01", "?q=%00"],
)  # fmt: skip
async def test_a_search_for_nothing_is_refused(database_url: str, query: str) -> None:
    async with at_work(database_url) as desk:
        await desk.ask("GET", f"/search{query}", status=400)


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
        assert await desk.core.door.history(address()) == []
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
