"""The routes to who may talk, before a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from opencraw.control.pairing import PairingApi
from opencraw.control.settings import ApiKey, SecuritySettings
from tests.control.serving import BEARER, code_of, serving
from tests.fixtures.core import Core, running
from tests.fixtures.people import PAIRING, admitted, knocks, says

PATH = "/api/v1/os/pairing"
READER, OTHER = "a1b2c3d4" * 4, "e5f6a7b8" * 4


class Client:
    """Somebody with a token."""

    def __init__(self, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self._session = session
        self._headers = headers

    async def list(self) -> list[dict[str, Any]]:
        async with self._session.get(PATH, headers=self._headers) as response:
            assert response.status == 200, await response.text()
            requests: list[dict[str, Any]] = (await response.json())["requests"]
            return requests

    async def post(self, verb: str, **body: object) -> Any:
        async with self._session.post(
            f"{PATH}/{verb}", headers=self._headers, json=body
        ) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def refused(self, verb: str, **body: object) -> tuple[int, str]:
        async with self._session.post(
            f"{PATH}/{verb}", headers=self._headers, json=body
        ) as response:
            return response.status, await code_of(response)


@asynccontextmanager
async def asking(core: Core, headers: dict[str, str] = BEARER) -> AsyncIterator[Client]:
    keys = [
        ApiKey(token=SecretStr(READER), scopes=["pairing:read"]),
        ApiKey(token=SecretStr(OTHER), scopes=["memory:write"]),
    ]
    routes = PairingApi(core.opened.entrance.strangers).routes()
    async with serving(SecuritySettings(control_api_keys=keys), routes=routes) as served:
        yield Client(served.client, headers)


async def test_a_request_is_listed_and_approved(database_url: str) -> None:
    async with running(database_url, access={"test": PAIRING}) as core, asking(core) as client:
        assert await client.list() == []
        code = await knocks(core, "anna")
        [request] = await client.list()
        assert (request["code"], request["status"]) == (code, "pending")
        assert (request["channel_id"], request["account"]) == ("test", "account")
        assert (request["sender_id"], request["sender_name"]) == ("anna", "Some Body")
        assert request["requested_at"] < request["expires_at"]
        answer = await client.post("approve", code=code, note="from the office")
        assert answer["status"] == "approved"
        assert answer["has_owner"] is True
        assert answer["request"]["resolution_note"] == "from the office"
        assert answer["request"]["resolved_by"].startswith("credential ")
        assert await admitted(core, says("hello", "anna"))
        [request] = await client.list()
        assert (request["status"], request["rights"]) == ("approved", "guest")
        assert await client.post("revoke", channel="test", sender="anna") == {
            "status": "revoked",
            "revoked": 1,
        }
        assert not await admitted(core, says("hello", "anna"))


async def test_an_owner_is_made_only_when_that_is_said(database_url: str) -> None:
    access = PAIRING.model_copy(update={"owners": []})
    async with running(database_url, access={"test": access}) as core, asking(core) as client:
        answer = await client.post("approve", code=await knocks(core, "anna"))
        assert (answer["request"]["rights"], answer["has_owner"]) == ("guest", False)
        answer = await client.post("approve", code=await knocks(core, "ben"), rights="owner")
        assert (answer["request"]["rights"], answer["has_owner"]) == ("owner", True)


async def test_what_cannot_be_done_is_refused(database_url: str) -> None:
    async with running(database_url, access={"test": PAIRING}) as core, asking(core) as client:
        code = await knocks(core, "anna")
        long = "x" * 513
        assert await client.refused("approve", code=code, note=long) == (400, "INVALID_FIELD")
        assert await client.refused("approve", code=code, rights="god") == (400, "INVALID_FIELD")
        assert await client.refused("approve") == (400, "MISSING_FIELD")
        answer = await client.post("reject", code=code)
        assert answer["status"] == "rejected"
        assert await client.refused("approve", code=code) == (409, "CONFLICT_ERROR")
        nobody = {"channel": "test", "sender": "ghost"}
        assert await client.refused("revoke", **nobody) == (404, "NOT_FOUND")
        assert await client.refused("revoke", channel=" ", sender="x") == (400, "MISSING_FIELD")
        assert await client.refused("revoke", channel="test", sender="") == (400, "INVALID_FIELD")
        listed = {"channel": "test", "sender": "boss"}
        assert await client.refused("revoke", **listed) == (409, "CONFLICT_ERROR")


async def test_whoever_guesses_codes_is_locked_out(database_url: str) -> None:
    async with running(database_url, access={"test": PAIRING}) as core, asking(core) as client:
        code = await knocks(core, "anna")
        for _ in range(5):
            assert await client.refused("approve", code="AAAAAAAA") == (404, "NOT_FOUND")
        assert await client.refused("approve", code=code) == (429, "RATE_LIMITED")
        assert await client.refused("reject", code=code) == (429, "RATE_LIMITED")


@pytest.mark.parametrize(("token", "may_list"), [(READER, True), (OTHER, False)])
async def test_deciding_takes_the_scope_for_it(
    database_url: str, token: str, *, may_list: bool
) -> None:
    async with running(database_url, access={"test": PAIRING}) as core:
        code = await knocks(core, "anna")
        async with asking(core, {"Authorization": f"Bearer {token}"}) as client:
            for verb in ("approve", "reject", "revoke"):
                status = await client.refused(verb, code=code)
                assert status == (403, "missing_required_scope")
            if may_list:
                assert len(await client.list()) == 1
        assert not await admitted(core, says("hello", "anna"))
