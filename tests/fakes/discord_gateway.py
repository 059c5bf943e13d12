"""The gateway of the fake: sessions that are begun, resumed and forgotten."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.fakes.discord_objects import Json

#: What Discord asks of clients. Ours looks for signs of life more often.
HEARTBEAT_MS = 41_250
MESSAGE_CONTENT = 1 << 15
_HEARTBEAT, _IDENTIFY, _RESUME, _INVALID, _HELLO, _ACK = 1, 2, 6, 9, 10, 11


@dataclass
class Session:
    """What one client has been told, and on which connection it listens now."""

    intents: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    events: list[Json] = field(default_factory=list)
    ws: web.WebSocketResponse | None = None


class Gateway:
    """Use `handle` as the handler of a WebSocket."""

    def __init__(self, token: str, hello: Json) -> None:
        self.token = token
        #: What READY says, beside the session.
        self._hello = hello
        self.url = ""
        #: How sessions were begun, in order: "identify" or "resume".
        self.log: list[str] = []
        #: What clients wanted of their connections.
        self.asked: list[Mapping[str, str]] = []
        self.heartbeats = 0
        #: When each event that has an id was first sent.
        self.handed_out: dict[str, float] = {}
        self.silent = False
        self.content_allowed = True
        self._sessions: dict[str, Session] = {}
        self._told: list[web.WebSocketResponse] = []
        self._dead: set[web.WebSocketResponse] = set()

    @property
    def listening(self) -> int:
        """How many clients would be told of an event now."""
        return sum(each.ws is not None and not each.ws.closed for each in self._sessions.values())

    async def tell(self, name: str, content: Json) -> None:
        """Something happened: everybody who has a session is told, now or when they resume."""
        for session in self._sessions.values():
            event = {"op": 0, "t": name, "s": len(session.events) + 1, "d": content}
            session.events.append(event)
            if session.ws is not None and not self.silent and session.ws not in self._dead:
                self.handed_out.setdefault(str(content.get("id")), time.monotonic())
                await _send(session.ws, event)

    async def drop(self, code: int = 4000) -> None:
        """End all connections with a code; sessions may be resumed."""
        for ws in [*self._told]:
            with suppress(ConnectionError):
                await ws.close(code=code)

    def die(self) -> None:
        """On the connections that there are nothing is said any more; new ones are well."""
        self._dead.update(self._told)

    def forget(self) -> None:
        """No session can be resumed any more."""
        self._sessions.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        self.asked.append(dict(request.query))
        await ws.prepare(request)
        self._told.append(ws)
        session: Session | None = None
        try:
            if not self.silent:
                await _send(ws, {"op": _HELLO, "d": {"heartbeat_interval": HEARTBEAT_MS}})
            async for received in ws:
                if received.type is not WSMsgType.TEXT or self.silent or ws in self._dead:
                    continue
                frame = json.loads(received.data)
                if frame["op"] == _HEARTBEAT:
                    self.heartbeats += 1
                    await _send(ws, {"op": _ACK})
                else:
                    session = await self._begin(ws, frame) or session
        except ConnectionError:
            pass
        finally:
            self._told.remove(ws)
            self._dead.discard(ws)
            if session is not None and session.ws is ws:
                session.ws = None
        return ws

    async def _begin(self, ws: web.WebSocketResponse, frame: Json) -> Session | None:
        content = frame["d"]
        if content.get("token") != self.token:
            await ws.close(code=4004, message=b"Authentication failed.")
            return None
        if frame["op"] == _IDENTIFY:
            return await self._identify(ws, content["intents"])
        if frame["op"] == _RESUME:
            return await self._resume(ws, content["session_id"], content["seq"] or 0)
        return None

    async def _identify(self, ws: web.WebSocketResponse, intents: int) -> Session | None:
        if intents & MESSAGE_CONTENT and not self.content_allowed:
            await ws.close(code=4014, message=b"Disallowed intent(s).")
            return None
        self.log.append("identify")
        session = Session(intents)
        self._sessions = {session.id: session}
        ready = self._hello | {
            "v": 10,
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in self._hello["guilds"]],
        }
        events = [("READY", ready), *(("GUILD_CREATE", each) for each in self._hello["guilds"])]
        for number, (name, told) in enumerate(events, 1):
            session.events.append({"op": 0, "t": name, "s": number, "d": told})
            await _send(ws, session.events[-1])
        session.ws = ws
        return session

    async def _resume(self, ws: web.WebSocketResponse, session_id: str, seq: int) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None:
            await _send(ws, {"op": _INVALID, "d": False})
            return None
        self.log.append("resume")
        for event in session.events[seq:]:
            await _send(ws, event)
        session.ws = ws
        await self.tell("RESUMED", {})
        return session


async def _send(ws: web.WebSocketResponse, frame: Json) -> None:
    # Somebody who does not read is no reason for others to wait.
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5):
            await ws.send_str(json.dumps(frame))
