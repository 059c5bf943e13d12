"""The line on which Discord tells us what happens: its gateway.

The library holds the line: it sends heartbeats, resumes a session after a break, and begins a new
one where there is nothing to resume. It reads events, too, but a single one that it cannot read
would end it. So it is not asked to: what happened is passed on as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

import aiohttp
import discord
import msgspec
import yarl
from discord.gateway import DiscordWebSocket

from channels.bounded import bounding
from channels.discord import failures, wire
from channels.discord.rest import Rest
from channels.discord.settings import DiscordSettings
from opencraw.contract import Pulse
from opencraw.errors import AccountRefused, Unavailable

log = logging.getLogger(__name__)

#: A dead line is noticed after the first part of our patience, so that the rest is left to resume.
_ASK_AFTER, _BREAK_AFTER = 1 / 4, 2 / 3
_BROKEN = 4000
#: What a server has is one frame, of some megabytes where it has many channels.
LARGEST_FRAME = 32 * 1024 * 1024
_NO_IDENTIFY_SECONDS = 3600.0
_END_AGAIN_SECONDS = 0.1
#: So often a session is resumed at the same place. What comes next may be what ends the connection.
_MOST_RESUMED = 3


class Line:
    """One session of ours with the gateway."""

    def __init__(
        self,
        settings: DiscordSettings,
        rest: Rest,
        pulse: Pulse,
        happened: Callable[[str, msgspec.Raw], None],
    ) -> None:
        """`happened` is told of each event, by name and content, in order, and returns at once."""
        self._settings = settings
        self._rest = rest
        self._pulse = pulse
        self._happened = happened

    async def run(self) -> None:
        """Listen until cancelled. Raises `AccountRefused` and `Unavailable`."""
        with _translated():
            await self._find_gateway()
            client = _Client(_intents(self._settings), self._heard)
            try:
                await client.login(self._rest.token)
                await self._connected(client)
            finally:
                await client.leave(self._pulse.patience / 8)
        raise Unavailable("Discord ended the connection")

    async def _connected(self, client: _Client) -> None:
        watch = asyncio.create_task(self._watch(client), name="discord: signs of life")
        connected = asyncio.create_task(client.connect(), name="discord: the connection")
        try:
            await asyncio.wait([connected])
            connected.result()
        finally:
            watch.cancel()
            # The library waits in a way that can lose the word to end, before Python 3.12.
            while not connected.done():
                connected.cancel()
                await asyncio.wait([connected], timeout=_END_AGAIN_SECONDS)
            await asyncio.wait([watch])

    async def _find_gateway(self) -> None:
        """Have the library connect to where the API says. Discord takes away the token of whoever
        begins too many sessions in a day, so the last few are not used up."""
        found = await self._rest.call("GET", "/gateway/bot")
        limit = found["session_start_limit"]
        if limit["remaining"] < 5:
            raise Unavailable(
                f"Discord lets the bot begin {limit['remaining']} more sessions today; these are "
                "kept. Look for what ends its connections: is the token used elsewhere?",
                retry_after=limit.get("reset_after", _NO_IDENTIFY_SECONDS * 1000) / 1000,
            )
        # The library knows one address for the whole process.
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(found["url"])

    def _heard(self, text: str | bytes) -> None:
        self._pulse.beat()
        try:
            frame = msgspec.json.decode(text, type=wire.Frame)
        except msgspec.MsgspecError:
            return  # The library reads it next, and ends the session for it.
        if frame.op == 0 and frame.t is not None:
            self._happened(frame.t, frame.d)

    async def _watch(self, client: _Client) -> None:
        """Ask for a sign of life earlier than the library does, and break a line that is dead while
        there still is time to resume."""
        patience = self._pulse.patience
        while True:
            await asyncio.sleep(patience / 8)
            # There is none before the first connection, whatever the library's types say.
            ws: DiscordWebSocket | None = client.ws
            if ws is None or not ws.open:
                continue
            if self._pulse.silence > patience * _BREAK_AFTER:
                log.warning("discord: nothing heard for %.0f s, resuming", self._pulse.silence)
                # Whoever says goodbye to a dead line waits for the answer.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience / 8):
                        await ws.close(_BROKEN)
            elif self._pulse.silence > patience * _ASK_AFTER and ws._keep_alive is not None:
                with contextlib.suppress(*failures.TROUBLE):
                    await ws.send_heartbeat(ws._keep_alive.beat())


class _Client(discord.Client):
    """The library's client, for as long as one `run`. Its own way to the gateway asks for frames
    that are compressed, and bounds neither these nor what they become; ours does both otherwise."""

    def __init__(self, intents: discord.Intents, heard: Callable[[str | bytes], None]) -> None:
        # Nobody asked for voice.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            intents=intents,
            max_messages=None,
            enable_debug_events=True,
            heartbeat_timeout=60.0,
            http_trace=bounding(),
        )
        self._heard = heard
        self._session: aiohttp.ClientSession | None = None
        #: The last event there was when a connection was made, and of how many this was so.
        self._resumed: tuple[int | None, int] = (None, 0)
        self.http.ws_connect = self._line  # type: ignore[method-assign]
        # It would keep all servers, channels and people in memory, and end at what it cannot read.
        self._connection.parsers.clear()

    def dispatch(self, event: str, /, *args: object, **_: object) -> None:
        """Take frames at once and in order, where the library would start a task for each."""
        if event == "socket_raw_receive" and isinstance(args[0], str | bytes):
            self._heard(args[0])

    async def _line(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        """What the library makes a connection by. Raises `Unavailable` when it would only end as
        those before it did: a new session asks for what was missed in another way."""
        # There is none before the first connection, whatever the library's types say.
        ws: DiscordWebSocket | None = self.ws
        sequence = ws.sequence if ws is not None else None
        known, times = self._resumed
        times = times + 1 if sequence is not None and sequence == known else 0
        if times > _MOST_RESUMED:
            raise Unavailable(
                f"Discord's session ended {times + 1} times at the same place; a new one is begun. "
                f"If that stays so, look whether an event of over {LARGEST_FRAME:,} bytes waits."
            )
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": self.http.user_agent})
        connection = await self._session.ws_connect(
            yarl.URL(url).without_query_params("compress"),
            timeout=aiohttp.ClientWSTimeout(ws_close=30.0),
            autoclose=False,
            compress=compress,
            max_msg_size=LARGEST_FRAME,
        )
        self._resumed = (sequence, times)
        return connection

    async def leave(self, patience: float) -> None:
        """Say goodbye, but not for longer than `patience` to a line that does not answer."""
        try:
            async with asyncio.timeout(patience):
                await self.close()
        except TimeoutError:
            log.debug("discord: the line was dead")
        finally:
            await self.http.close()
            if self._session is not None:
                await self._session.close()


def _intents(settings: DiscordSettings) -> discord.Intents:
    return discord.Intents(
        guilds=True,
        dm_messages=True,
        dm_reactions=True,
        guild_messages=settings.intent_guild_messages,
        guild_reactions=settings.intent_guild_messages,
        message_content=settings.intent_message_content,
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise what the host understands instead of what the library raises."""
    try:
        yield
    except failures.TROUBLE as error:
        raise _of_line(error) from error


def _of_line(error: Exception) -> Exception:
    match error:
        case discord.PrivilegedIntentsRequired():
            return AccountRefused(failures.NO_INTENT)
        case discord.ConnectionClosed(code=4004):
            return AccountRefused(failures.REFUSAL)
        case discord.ConnectionClosed():
            return AccountRefused(f"Discord ended the connection for good (code {error.code})")
        case _:
            return failures.of_call(error)
