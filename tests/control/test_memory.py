"""The routes to what is remembered, before a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from opencraw.contract import DEFAULT_TENANT
from opencraw.control import memory as routes
from opencraw.memory.items import Item, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, conversation_scope, person_scope
from opencraw.sessions.identity import Links
from opencraw.store.database import Database
from tests.control.serving import BEARER, code_of, serving

PATH = "/api/v1/os/memory"
ANNA = person_scope("telegram", "123")
BERT = person_scope("telegram", "456")
GROUP = conversation_scope("discord", "the.house #1")


def only(scope: str) -> Scopes:
    return Scopes(DEFAULT_TENANT, scope, (scope,))


@pytest.fixture
async def memory(database: Database) -> Memory:
    await database.fetch("DELETE FROM memory")
    return Memory(database, Links({"anna": ["telegram:123", "discord:987"]}))


async def remember(memory: Memory, scope: str, *texts: str) -> Sequence[Item]:
    return [await memory.save(only(scope), Note(text)) for text in texts]


class Client:
    """Somebody with the access token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> Any:
        async with self._session.request(
            method, f"{PATH}/{path}", headers=BEARER, params=query, json=body
        ) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def refused(
        self, method: str, path: str, body: object = None, **query: str
    ) -> tuple[int, str]:
        async with self._session.request(
            method, f"{PATH}/{path}", headers=BEARER, params=query, json=body
        ) as response:
            return response.status, await code_of(response)

    async def exported(self, scope: str) -> list[dict[str, Any]]:
        async with self._session.get(
            f"{PATH}/export", headers=BEARER, params={"scope": scope}
        ) as response:
            assert response.headers["Content-Type"].startswith("application/x-ndjson")
            return [json.loads(line) for line in (await response.read()).splitlines()]


@asynccontextmanager
async def asking(memory: Memory | None) -> AsyncIterator[Client]:
    async with serving(memory=memory) as served:
        yield Client(served.client)


async def test_a_search_finds_what_a_turn_of_the_person_would(memory: Memory) -> None:
    await remember(memory, ANNA, "Anna likes green tea")
    await remember(memory, person_scope("discord", "987"), "Her tea comes from Uji")
    await remember(memory, AGENT_SCOPE, "The office serves tea at four")
    await remember(memory, BERT, "Bert hates tea")
    body = {"channel_id": "telegram", "sender_id": "123", "query": "tea", "limit": 10}
    async with asking(memory) as client:
        answer = await client.ask("POST", "search", body)
    assert {name: answer[name] for name in ("status", "agent_id", "query", "limit")} == {
        "status": "ok",
        "agent_id": "main",
        "query": "tea",
        "limit": 10,
    }
    assert {item["text"] for item in answer["items"]} == {
        "Anna likes green tea",
        "Her tea comes from Uji",
        "The office serves tea at four",
    }
    assert all(item["score"] > 0 and item["schema_version"] == 1 for item in answer["items"])


async def test_a_search_in_a_scope_stays_in_it(memory: Memory) -> None:
    await remember(memory, ANNA, "Anna likes tea")
    await remember(memory, GROUP, "The house is out of tea")
    async with asking(memory) as client:
        answer = await client.ask("POST", "search", {"scope": GROUP, "query": "tea"})
    assert [item["text"] for item in answer["items"]] == ["The house is out of tea"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"channel_id": "a", "sender_id": "b"}, "MISSING_FIELD"),
        ({"query": "tea"}, "MISSING_FIELD"),
        ({"query": "tea", "channel_id": "a"}, "MISSING_FIELD"),
        ({"query": "tea", "sender_id": "b", "channel_id": " "}, "MISSING_FIELD"),
        ({"query": "tea", "sender_id": "b", "channel_id": "a", "scope": ANNA}, "MISSING_FIELD"),
        ({"query": " ", "scope": ANNA}, "INVALID_FIELD"),
        ({"query": "x" * 2_001, "scope": ANNA}, "INVALID_FIELD"),
        ({"query": "tea", "scope": ANNA, "limit": 0}, "INVALID_FIELD"),
        ({"query": "tea", "scope": ANNA, "limit": 51}, "INVALID_FIELD"),
        ({"query": "tea", "scope": ANNA, "limit": "5"}, "INVALID_FIELD"),
        ({"query": "tea", "scope": ANNA, "tenant": "other"}, "INVALID_FIELD"),
        ({"query": "tea", "scope": "*"}, "INVALID_FIELD"),
        ({"query": "tea", "scope": "os.assistant.telegram."}, "INVALID_FIELD"),
        ({"query": "tea", "scope": "os.assistant.telegram.\u202e1"}, "INVALID_FIELD"),
    ],
)
async def test_a_search_says_whose_and_what(
    memory: Memory, body: dict[str, object], code: str
) -> None:
    async with asking(memory) as client:
        assert await client.refused("POST", "search", body) == (400, code)


async def test_a_summary_lists_what_matters_by_day(memory: Memory) -> None:
    await remember(memory, ANNA, "Anna likes green tea", "Her train leaves at nine")
    body = {"channel_id": "telegram", "sender_id": "123", "horizon": "30d"}
    async with asking(memory) as client:
        answer = await client.ask("POST", "summarize", body)
        assert (answer["status"], answer["agent_id"], answer["horizon"]) == ("ok", "main", "30d")
        day, *lines = answer["summary"].splitlines()
        assert len(day) == len("2026-01-31")
        assert set(lines) == {"- Anna likes green tea", "- Her train leaves at nine"}
        for horizon in ("", "30", "d", "-1d", "99999d", "1y"):
            refused = await client.refused("POST", "summarize", {**body, "horizon": horizon})
            assert refused == (400, "INVALID_FIELD")


async def test_scopes_say_whose_they_are(memory: Memory) -> None:
    await remember(memory, ANNA, "one", "two")
    await remember(memory, GROUP, "three")
    await remember(memory, AGENT_SCOPE, "four")
    async with asking(memory) as client:
        found = {each.pop("scope"): each for each in (await client.ask("GET", "scopes"))["scopes"]}
    assert all(each.pop("newest") for each in found.values())
    assert found == {
        ANNA: {"kind": "person", "channel_id": "telegram", "name": "123", "items": 2},
        GROUP: {
            "kind": "conversation",
            "channel_id": "discord",
            "name": "the.house #1",
            "items": 1,
        },
        AGENT_SCOPE: {"kind": "agent", "channel_id": None, "name": None, "items": 1},
    }


async def test_a_list_goes_on_where_it_ended_whatever_is_forgotten_meanwhile(
    memory: Memory, database: Database
) -> None:
    await remember(memory, ANNA, *(f"fact {number}" for number in range(7)))
    # As one flush leaves them.
    await database.fetch("UPDATE memory SET created_at = now()")
    async with asking(memory) as client:
        first = await client.ask("GET", "items", scope=ANNA, limit="3")
        await client.ask("DELETE", f"items/{first['items'][-1]['id']}", scope=ANNA)
        second = await client.ask("GET", "items", scope=ANNA, limit="3", before=first["next"])
        third = await client.ask("GET", "items", scope=ANNA, limit="3", before=second["next"])
        assert third["next"] is None
        seen = [item["text"] for page in (first, second, third) for item in page["items"]]
        assert sorted(seen) == [f"fact {number}" for number in range(7)]
        for place in ("yesterday", "2026-01-01", f"2026-01-01T00:00:00.0_{uuid4()}x", "_"):
            refused = await client.refused("GET", "items", scope=ANNA, before=place)
            assert refused == (400, "INVALID_FIELD")


async def test_each_call_names_a_scope(memory: Memory) -> None:
    [item] = await remember(memory, ANNA, "one")
    async with asking(memory) as client:
        for method, path, body in (
            ("GET", "items", None),
            ("GET", "export", None),
            ("POST", "items", {"text": "a"}),
            ("PATCH", f"items/{item.id}", {"text": "a"}),
            ("DELETE", f"items/{item.id}", None),
        ):
            assert await client.refused(method, path, body) == (400, "MISSING_FIELD")
            assert await client.refused(method, path, body, scope="os") == (400, "INVALID_FIELD")


async def test_a_memory_is_found_by_the_beginning_of_its_id_in_its_scope(memory: Memory) -> None:
    [mine, *_] = await remember(memory, ANNA, "one", "two")
    async with asking(memory) as client:
        for name in (str(mine.id), str(mine.id)[:13], mine.id.hex[:12].upper()):
            found = await client.ask("GET", "items", scope=ANNA, id=name)
            assert [item["id"] for item in found["items"]] == [str(mine.id)]
        assert (await client.ask("GET", "items", scope=AGENT_SCOPE, id=str(mine.id)))["items"] == []
        for wrong in ("", "abc", "zzzz", "a" * 33):
            refused = await client.refused("GET", "items", scope=ANNA, id=wrong)
            assert refused == (400, "INVALID_FIELD")


async def test_another_scopes_memory_is_not_there(memory: Memory) -> None:
    [item] = await remember(memory, ANNA, "Anna's secret")
    async with asking(memory) as client:
        gone = (404, "NOT_FOUND")
        path = f"items/{item.id}"
        assert await client.refused("PATCH", path, {"text": "mine now"}, scope=BERT) == gone
        assert await client.refused("DELETE", path, scope=BERT) == gone
        assert (await client.ask("GET", "items", scope=BERT))["items"] == []
        assert (await client.ask("GET", "items", scope=ANNA))["items"][0]["text"] == "Anna's secret"
        for name in ("1", str(item.id).upper(), f"urn:uuid:{item.id}"):
            refused = await client.refused("DELETE", f"items/{name}", scope=ANNA)
            assert refused == (400, "INVALID_FIELD")


async def test_what_is_corrected_is_found_by_its_new_words(memory: Memory) -> None:
    [item] = await remember(memory, ANNA, "Anna is 41")
    async with asking(memory) as client:
        body = {"text": "Anna is forty-two"}
        answer = await client.ask("PATCH", f"items/{item.id}", body, scope=ANNA)
        assert answer["item"]["id"] == str(item.id)
        assert answer["item"]["corrected_at"] is not None
        found = await client.ask("POST", "search", {"scope": ANNA, "query": "forty"})
        assert [each["text"] for each in found["items"]] == ["Anna is forty-two"]
        for text in ("", " \n", "x" * 2_001):
            refused, _ = await client.refused(
                "PATCH", f"items/{item.id}", {"text": text}, scope=ANNA
            )
            assert refused == 400


async def test_an_operator_tells_everybodys_assistant(memory: Memory) -> None:
    async with asking(memory) as client:
        body = {"text": "The office moves in June", "importance": 0.9}
        answer = await client.ask("POST", "items", body, scope=AGENT_SCOPE)
        assert answer["item"]["importance"] == 0.9
        wrong = {"text": "a", "importance": 1.1}
        assert await client.refused("POST", "items", wrong, scope=ANNA) == (400, "INVALID_FIELD")
        body = {"channel_id": "telegram", "sender_id": "1", "query": "office"}
        assert len((await client.ask("POST", "search", body))["items"]) == 1


async def test_what_is_forgotten_is_gone(memory: Memory) -> None:
    [item, _] = await remember(memory, ANNA, "one", "two")
    async with asking(memory) as client:
        await client.ask("DELETE", f"items/{item.id}", scope=ANNA)
        assert await client.refused("DELETE", f"items/{item.id}", scope=ANNA) == (404, "NOT_FOUND")
        assert [
            each["text"] for each in (await client.ask("GET", "items", scope=ANNA))["items"]
        ] == ["two"]


async def test_everything_is_forgotten_only_when_it_is_named_twice(memory: Memory) -> None:
    await remember(memory, ANNA, "one", "two")
    await remember(memory, BERT, "three")
    async with asking(memory) as client:
        for confirm in ("", BERT, ANNA.upper()):
            body = {"scope": ANNA, "confirm": confirm}
            assert await client.refused("POST", "forget", body) == (400, "INVALID_FIELD")
        assert await client.refused("POST", "forget", {"scope": ANNA}) == (400, "MISSING_FIELD")
        answer = await client.ask("POST", "forget", {"scope": ANNA, "confirm": ANNA})
        assert answer == {"status": "ok", "forgotten": 2}
        left = (await client.ask("GET", "scopes"))["scopes"]
    assert [each["scope"] for each in left] == [BERT]


async def test_an_export_has_every_memory_of_its_scope_once(
    memory: Memory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_ITEMS", 10)
    texts = {f"fact {number}\nof \u2028 many" for number in range(25)}
    await remember(memory, ANNA, *texts)
    await remember(memory, BERT, "not Anna's")
    await database.fetch("UPDATE memory SET created_at = now()")
    async with asking(memory) as client:
        head, *items = await client.exported(ANNA)
        nothing = await client.exported(GROUP)
    assert (head["schema_version"], head["kind"], head["scope"]) == (1, "opencraw_memory", ANNA)
    assert {item["text"] for item in items} == texts
    assert len(items) == 25
    assert len(nothing) == 1


async def test_without_memory_every_route_says_how_to_turn_it_on() -> None:
    body = {"scope": ANNA, "query": "tea", "horizon": "1d", "confirm": ANNA, "text": "a"}
    async with serving() as served:
        for route in routes.MemoryApi(None).routes():
            path = route.path.replace("{id}", str(uuid4()))
            async with served.client.request(
                route.method, path, headers=BEARER, json=body
            ) as response:
                assert response.status == 503
                error = (await response.json())["error"]
            assert error["code"] == "MEMORY_DISABLED"
            assert "[memory]" in error["message"]
            assert error["category"] == "permanent"
            assert error["retry_after_ms"] is None


async def test_many_may_ask_at_once(memory: Memory) -> None:
    await remember(memory, ANNA, "Anna likes tea")
    async with asking(memory) as client:
        body = {"scope": ANNA, "query": "tea"}
        answers = await asyncio.gather(*(client.ask("POST", "search", body) for _ in range(30)))
    assert all(len(answer["items"]) == 1 for answer in answers)
