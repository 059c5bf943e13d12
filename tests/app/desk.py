"""An operator's desk: real rows, real HTTP, a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from opencraw.app.sessions import DaemonSessions, Shelf
from opencraw.contract import Address
from opencraw.control.server import HttpServer
from opencraw.control.sessions import SessionsApi
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.errors import Refused
from opencraw.gateway.models import Models
from opencraw.sessions.keys import Conversations
from tests.control.serving import BEARER, TOKEN, code_of
from tests.fixtures.core import MODEL, Core, address, running, session_of
from tests.fixtures.hosts import host_of
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Step


class Named(Mailbox):
    """A channel on which chats are begun by naming them."""

    def named(self, chat: str) -> Address:
        if chat != chat.lower():
            raise Refused("A chat is named in small letters.", code="INVALID_FIELD")
        return address(chat)


@dataclass
class Desk:
    """An operator at work."""

    core: Core
    client: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: object = None, *, status: int = 200
    ) -> dict[str, Any]:
        """The body of an answer of this status."""
        url = f"/api/v1/os/sessions{path}"
        async with self.client.request(method, url, json=body, headers=BEARER) as response:
            text = await response.text()
            assert response.status == status, text
            if status >= 400:
                await code_of(response)
            answer: dict[str, Any] = json.loads(text)
            return answer

    async def document(self, chat: str = "a", *, whole: bool = True) -> dict[str, Any]:
        return await self.ask("GET", f"/{session_of(chat)}{'?whole=true' if whole else ''}")


@asynccontextmanager
async def at_work(
    url: str, *steps: Step, channel: Mailbox | None = None, **more: Any
) -> AsyncIterator[Desk]:
    async with running(url, *steps, channel=channel or Named(), **more) as core:
        host = host_of(test=core.channel)
        shelf = Shelf(
            core.database,
            core.sessions,
            host,
            Conversations(),
            lambda: Models(MODEL, {MODEL: "main", "script/two": "spare"}),
        )
        server = HttpServer(
            RuntimeSettings(),
            SecuritySettings(),
            port=0,
            routes=SessionsApi(DaemonSessions(shelf)).routes(),
            token=TOKEN,
        )
        async with server, aiohttp.ClientSession(server.base_url) as client:
            yield Desk(core, client)


def said(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["kind"], line["text"]) for line in document["history"]]
