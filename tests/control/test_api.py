from __future__ import annotations

from uuid import UUID

import pytest

from tests.control.serving import BEARER, code_of, serving


async def test_status_and_sessions_are_what_the_daemon_says() -> None:
    async with serving() as served:
        async with served.client.get("/api/v1/os/status", headers=BEARER) as response:
            assert await response.json() == await served.facts.status()
        url = "/api/v1/os/sessions"
        async with served.client.get(url, headers=BEARER, params={"limit": "2"}) as response:
            assert await response.json() == {"sessions": [{"id": "0"}, {"id": "1"}]}


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "99999", "x", "", "1.5", "٣"])
async def test_a_limit_is_a_small_number(limit: str) -> None:
    async with serving() as served:
        url = "/api/v1/os/sessions"
        async with served.client.get(url, headers=BEARER, params={"limit": limit}) as response:
            assert response.status == 400
            assert await code_of(response) == "INVALID_FIELD"


async def test_a_message_is_handed_over_once_and_named() -> None:
    async with serving() as served:
        body = {"channel": "webchat", "recipient": "main", "message": "Hello, ä \U0001f600"}
        url = "/api/v1/os/messages/send"
        async with served.client.post(url, json=body, headers=BEARER) as response:
            answer = await response.json()
        assert answer["status"] == "ok"
        UUID(answer["message_id"])
        assert served.facts.sent == [("webchat", "main", "Hello, ä \U0001f600")]


async def test_messages_are_listed_and_explained() -> None:
    async with serving() as served:
        url = "/api/v1/os/messages"
        async with served.client.get(url, headers=BEARER) as response:
            assert len((await response.json())["messages"]) == 20
        async with served.client.get(url, headers=BEARER, params={"limit": "2"}) as response:
            assert await response.json() == {"messages": [{"message_id": "0"}, {"message_id": "1"}]}
        async with served.client.get(url, headers=BEARER, params={"limit": "201"}) as response:
            assert await code_of(response) == "INVALID_FIELD"
        async with served.client.get(f"{url}/1b2c3d4e", headers=BEARER) as response:
            assert await response.json() == {"message_id": "1b2c3d4e"}
        async with served.client.get(f"{url}/nobody", headers=BEARER) as response:
            assert response.status == 404
            assert await code_of(response) == "NOT_FOUND"
