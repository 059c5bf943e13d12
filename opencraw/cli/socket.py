"""A conversation's frames over WebSocket, across restarts of the daemon: see docs/webchat.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    WSMsgType,
    WSServerHandshakeError,
)

from opencraw.cli.client import Daemon, find, gone
from opencraw.cli.exchange import Frame
from opencraw.errors import Refused, Unavailable

PROTOCOL = "opencraw.v1"
HEARTBEAT_SECONDS = 20.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
#: How long a message that the daemon could not take just now waits until it is offered again.
AGAIN_SECONDS = 1.0


class Socket:
    """What was said and not acknowledged is said again; what was missed is asked for."""

    def __init__(self, config: Path, chat: str, *, patience: float) -> None:
        self.connected = False
        self._config = config
        self._chat = chat
        self._patience = patience
        self._socket: ClientWebSocketResponse | None = None
        self._resume_token: str | None = None
        self._last_seq = 0
        self._unacknowledged: dict[str, str] = {}

    async def say(self, text: str) -> str:
        """Send a message, now or when the daemon is back; return the id that names it."""
        client_message_id = str(uuid4())
        self._unacknowledged[client_message_id] = text
        await self._send_message(client_message_id)
        return client_message_id

    def forget(self, client_message_id: str) -> None:
        """Do not send a message again that may not have arrived."""
        self._unacknowledged.pop(client_message_id, None)

    async def stop(self) -> None:
        """End the running turn and take back what waits."""
        await self._send({"type": "stop"})

    async def ask_history(self, limit: int, *, after_seconds: float = 0) -> None:
        """Have the newest lines sent as a `history` frame."""
        await asyncio.sleep(after_seconds)
        await self._send({"type": "history", "limit": limit})

    async def frames(self) -> AsyncGenerator[Frame]:
        """Every frame, through reconnects.

        Raises `Unavailable` when no daemon is there, or was not for longer than the patience, and
        `Refused` when it does not let us in.
        """
        loop = asyncio.get_running_loop()
        pause, since = FIRST_PAUSE_SECONDS, loop.time()
        async with ClientSession() as session:
            while True:
                try:
                    async with await self._connect(session) as socket:
                        async for message in socket:
                            if message.type is WSMsgType.TEXT:
                                yield await self._take(socket, json.loads(message.data))
                    if not self.connected:
                        raise Unavailable("The daemon takes up no conversation at the moment.")
                    pause, since = FIRST_PAUSE_SECONDS, loop.time()
                except Unavailable:
                    # Nobody is there from the start, or has not come back.
                    if self._resume_token is None or loop.time() - since > self._patience:
                        raise
                finally:
                    self._socket, self.connected = None, False
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _connect(self, session: ClientSession) -> ClientWebSocketResponse:
        daemon = find(self._config)  # anew each time: a restart may have changed port and token
        try:
            return await session.ws_connect(
                f"{daemon.url}/ws",
                params={"chat": self._chat},
                headers=daemon.headers,
                protocols=(PROTOCOL,),
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=0,
            )
        except WSServerHandshakeError as error:
            raise _shut_out(daemon, error.status) from error
        except (ClientError, OSError) as error:
            raise gone(daemon) from error

    async def _take(self, socket: ClientWebSocketResponse, frame: Frame) -> Frame:
        match frame.get("type"):
            case "hello":
                self._socket, self.connected = socket, True
                await self._greeted(frame)
            case "said" | "message":
                self._last_seq = max(self._last_seq, frame["seq"])
            case "ack":
                self._unacknowledged.pop(frame["client_message_id"], None)
            case "error" if frame.get("client_message_id") in self._unacknowledged:
                if frame.get("retryable"):
                    await asyncio.sleep(AGAIN_SECONDS)
                    await self._send_message(frame["client_message_id"])
                else:
                    del self._unacknowledged[frame["client_message_id"]]
        return frame

    async def _greeted(self, frame: Frame) -> None:
        if self._resume_token is None:
            self._last_seq = frame["seq"]
        else:
            token, seq = self._resume_token, self._last_seq
            await self._send({"type": "resume", "resume_token": token, "last_seq": seq})
        self._resume_token = frame["resume_token"]
        for client_message_id in list(self._unacknowledged):
            await self._send_message(client_message_id)

    async def _send_message(self, client_message_id: str) -> None:
        content = self._unacknowledged[client_message_id]
        message = {"type": "message", "content": content, "client_message_id": client_message_id}
        await self._send(message)

    async def _send(self, frame: Frame) -> None:
        if self._socket is None:
            return  # what matters is sent after the next greeting
        try:
            await self._socket.send_str(json.dumps(frame))
        except (ClientError, ConnectionError):
            return  # the reader has noticed too, and will connect again


def _shut_out(daemon: Daemon, status: int) -> Refused | Unavailable:
    if status in {401, 403}:
        return Refused(
            f"The daemon at {daemon.url} does not accept the token in its own data folder.\n"
            f"It does not let this terminal in.\nRestart the daemon: it writes a new one."
        )
    if status == 404:
        return Refused(
            f"The daemon at {daemon.url} has no chat page.\nThere is nothing to talk to.\n"
            f"Enable the channel that serves it in the configuration and restart."
        )
    return gone(daemon)
