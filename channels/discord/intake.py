"""What becomes of each event that Discord tells us.

The library counts an event as received before we have looked at it, and a session that ended cannot
be resumed for long. So what a channel's cursor has not passed is looked up by HTTP whenever a
session begins: nothing hangs on events alone but edits, deletions and reactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec

from channels.discord import failures, wire
from channels.discord.cursors import Cursors
from channels.discord.inbound import (
    NAME,
    Place,
    Us,
    address_of,
    envelope_of,
    reaction_of,
)
from channels.discord.interactions import Interactions
from channels.discord.places import Places
from channels.discord.queues import Queues
from channels.discord.rest import PAGE, Rest
from channels.discord.settings import DiscordSettings
from channels.receiving import answered, lasting, offer, understood
from opencraw.contract import ChatType, Gateway
from opencraw.errors import Refused

log = logging.getLogger(__name__)

T = TypeVar("T")

#: So many events wait at most. What finds no room is looked up later.
MOST_WAITING = 5_000
#: Discord takes 50 requests a second, and answers are among them.
_MOST_LOOK_UPS = 5
#: To so many people a channel is opened before they have written for the first time.
_MOST_EXPECTED = 25


class Intake:
    """Of one `run` of the channel."""

    def __init__(
        self,
        settings: DiscordSettings,
        rest: Rest,
        gateway: Gateway,
        places: Places,
        me: Us,
        *,
        since: datetime,
    ) -> None:
        """In a channel that is new to us, what was said before `since` is not for us."""
        self._since = wire.snowflake_at(since)
        self._settings = settings
        self._rest = rest
        self._gateway = gateway
        self._places = places
        self._me = me
        self._roles: dict[str, str] = {}
        self._queues = Queues(MOST_WAITING)
        self._cursors = Cursors(gateway, me.bot_id)
        self._interactions = Interactions(rest, gateway, places)
        self._few_at_once = asyncio.Semaphore(_MOST_LOOK_UPS)
        #: Channels of which something found no room, and the oldest of it.
        self._missed: dict[str, int] = {}
        #: Listed channels in which we listened before this run.
        self._familiar: set[str] = set()
        self._handlers: Mapping[str, Callable[[bytes], Awaitable[None]]] = {
            "MESSAGE_UPDATE": self._edited,
            "MESSAGE_DELETE": self._deleted,
            "MESSAGE_DELETE_BULK": self._deleted,
            "MESSAGE_REACTION_ADD": lambda raw: self._reacted(raw, added=True),
            "MESSAGE_REACTION_REMOVE": lambda raw: self._reacted(raw, added=False),
            "INTERACTION_CREATE": self._interacted,
            "CHANNEL_CREATE": self._channel_made,
            "THREAD_CREATE": self._channel_made,
        }

    async def prepare(self) -> None:
        """Have a cursor wherever we are expected to listen, before anything can happen there: even
        of the first message that is ever written something is left if we die over it."""
        await lasting(self._cursors.load)
        access = self._settings.access
        for channel_id in access.groups:
            if await lasting(partial(self._cursors.of, channel_id)) is not None:
                self._familiar.add(channel_id)
            else:
                await lasting(partial(self._cursors.begin, channel_id, self._since))
        for user_id in [*access.owners, *access.allowed_senders][:_MOST_EXPECTED]:
            if user_id not in self._cursors.direct.values():
                await self._expect(user_id)

    async def run(self) -> None:
        """Work until cancelled. Raises what ends the channel, in a group."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._queues.run())
            tasks.create_task(self._cursors.run())

    def happened(self, name: str, raw: msgspec.Raw) -> None:
        """Take note of an event; returns at once."""
        content = bytes(raw)
        if name == "READY":
            self._session_began()
        elif name == "GUILD_CREATE":
            self._guild_shown(content)
        elif name == "MESSAGE_CREATE":
            channel_id, message_id = _ids_in(content)
            if not self._queues.put(channel_id, lambda: self._said(content)):
                self._look_up_later(channel_id, message_id)
        elif handler := self._handlers.get(name):
            channel_id, own_id = _ids_in(content)
            # Nobody waits behind a button.
            queue = channel_id if name.startswith("MESSAGE") else f"{name} {own_id}"
            if not self._queues.put(queue, lambda: handler(content)):
                log.warning("discord: too much happens at once, %s was let go", name)

    # Messages.

    async def _said(self, raw: bytes, *, live: bool = True) -> None:
        message = await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Message))
        if message is None:
            return
        # What is looked up does not say in which server it is.
        direct = message if live and message.guild_id is None else None
        place = await self._place(message.channel_id, direct)
        if place is not None:
            await self._take(message, place)

    async def _take(self, message: wire.Message, place: Place) -> None:
        envelope = envelope_of(message, place, self._me_now())
        receipt = await offer(self._gateway, envelope) if envelope is not None else None
        channel_id = message.channel_id
        if receipt is not None and not place.group:
            self._cursors.remember(channel_id, place.chat.removeprefix("@"))
        if receipt is not None or self._cursors.keeps(channel_id):
            self._cursors.come_to(channel_id, int(message.id))

    async def _edited(self, raw: bytes) -> None:
        def read() -> wire.Message | None:
            update = msgspec.json.decode(raw, type=wire.Update)
            if update.edited_timestamp is None or update.author is None:
                return None  # A link got its picture, or a thread began.
            return msgspec.json.decode(raw, type=wire.Message)

        message = await self._read(raw, read)
        place = message and await self._place(message.channel_id)
        envelope = message and place and envelope_of(message, place, self._me_now())
        if envelope:
            await lasting(lambda: self._gateway.amend(envelope))

    async def _deleted(self, raw: bytes) -> None:
        deleted = await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Deleted))
        place = deleted and await self._place(deleted.channel_id)
        if not deleted or not place:
            return
        address = address_of(place, self._me)
        for message_id in (*deleted.ids, *([deleted.id] if deleted.id else [])):
            await lasting(partial(self._gateway.retract, address, message_id))

    async def _reacted(self, raw: bytes, *, added: bool) -> None:
        reacted = await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Reacted))
        place = reacted and await self._place(reacted.channel_id)
        reaction = reacted and place and reaction_of(reacted, place, self._me, added=added)
        if reaction:
            await lasting(lambda: self._gateway.react(reaction))

    async def _interacted(self, raw: bytes) -> None:
        interaction = await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Interaction))
        if interaction is not None:
            await self._interactions.answer(interaction, self._me_now())

    # Servers and their channels.

    def _guild_shown(self, raw: bytes) -> None:
        """Look up what was missed there before anything else that is told of it."""
        try:
            guild = msgspec.json.decode(raw, type=wire.Guild)
        except msgspec.MsgspecError:
            self._queues.put("servers", lambda: self._not_understood(raw))
            return
        for role in guild.roles:
            if role.tags.bot_id == self._me.bot_id:
                self._roles[guild.id] = role.id
        for channel in (*guild.channels, *guild.threads):
            place = self._places.learn(channel)
            if place is not None and place.chat in self._settings.access.groups:
                self._look_up(channel.id, channel.last_message_id)

    async def _not_understood(self, raw: bytes) -> None:
        await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Guild))

    async def _channel_made(self, raw: bytes) -> None:
        channel = await self._read(raw, lambda: msgspec.json.decode(raw, type=wire.Channel))
        if channel is not None:
            self._places.learn(channel)

    async def _place(self, channel_id: str, direct: wire.Message | None = None) -> Place | None:
        """Where something happened, `direct` if it was told without a server; None if Discord does
        not tell."""
        known = self._places.of(channel_id) is not None
        if direct is not None and not known and direct.author.id != self._me.bot_id:
            person = Place(f"@{direct.author.id}", chat_type=ChatType.DIRECT)
            self._places.put(channel_id, person)
        try:
            return await answered(lambda: self._places.find(channel_id))
        except (Refused, ValueError) as error:
            log.warning("discord: channel %s is passed over: %s", channel_id, error)
            return None

    # Gaps.

    def _session_began(self) -> None:
        """Look up what was written to us while nobody listened, before what is written now."""
        for channel_id, user_id in self._cursors.direct.items():
            self._places.put(channel_id, Place(f"@{user_id}", chat_type=ChatType.DIRECT))
            self._look_up(channel_id, None)

    async def _expect(self, user_id: str) -> None:
        try:
            channel = await self._calling(lambda: self._rest.direct_channel(user_id))
        except (Refused, ValueError) as error:
            log.warning("discord: %s cannot be written to directly: %s", user_id, error)
            return
        cursor = await lasting(partial(self._cursors.of, channel.id))
        start = self._since if cursor is None else cursor
        await lasting(partial(self._cursors.begin, channel.id, start, person=user_id))

    def _look_up(self, channel_id: str, newest: str | None) -> None:
        self._queues.put(channel_id, lambda: self._catch_up(channel_id, newest), however_full=True)

    def _look_up_later(self, channel_id: str, message_id: str) -> None:
        if channel_id not in self._missed and message_id:
            self._missed[channel_id] = int(message_id)
            self._look_up(channel_id, None)

    async def _catch_up(self, channel_id: str, newest: str | None) -> None:
        """Take what stands behind the cursor of a channel, in order. `newest` is the newest message
        of it that Discord told of; if it told of none, somebody has to look."""
        cursor = await lasting(partial(self._cursors.of, channel_id))
        if cursor is None:
            # A thread of a channel in which we listen may have begun while nobody did.
            place = self._places.of(channel_id)
            known = place is not None and place.thread and place.chat in self._familiar
            cursor = int(channel_id) if known else self._since
            await lasting(partial(self._cursors.begin, channel_id, cursor))
        after = min(cursor, self._missed.pop(channel_id, cursor + 1) - 1)
        if newest is not None and int(newest) <= after:
            return
        oldest = datetime.now(UTC) - timedelta(hours=self._settings.catch_up_hours)
        after = max(after, wire.snowflake_at(oldest))
        while True:
            try:
                async with self._few_at_once:
                    page = await self._calling(
                        partial(self._rest.messages, channel_id, after=str(after))
                    )
            except Refused as refused:
                log.warning("discord: channel %s cannot be looked up: %s", channel_id, refused)
                return
            read = after
            for content in sorted(map(msgspec.json.encode, page), key=_number_in):
                after = max(after, _number_in(content))
                await self._said(content, live=False)
            # What is written now waits behind it, so the cursor never passes what was not read.
            if len(page) < PAGE or after == read:
                return

    # What all have in common.

    def _me_now(self) -> Us:
        commands = frozenset(command.name for command in self._gateway.commands)
        return Us(self._me.bot_id, frozenset(self._roles.values()), commands)

    async def _read(self, raw: bytes, translate: Callable[[], T]) -> T | None:
        return await understood(self._gateway, NAME, self._me.bot_id, raw, translate)

    async def _calling(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call of Discord's API, until it says yes or no, or wants us to stay away."""

        async def translated() -> T:
            try:
                return await call()
            except failures.TROUBLE as error:
                raise failures.of_call(error) from error

        return await answered(translated)


class _Ids(msgspec.Struct):
    channel_id: wire.Snowflake = ""
    id: wire.Snowflake = ""


def _ids_in(content: bytes) -> tuple[str, str]:
    """The channel of an event and its own id; empty where it has none, or cannot be understood."""
    try:
        ids = msgspec.json.decode(content, type=_Ids)
    except msgspec.MsgspecError:
        return "", ""
    return ids.channel_id, ids.id


def _number_in(content: bytes) -> int:
    """The place of a message among others; what has none comes first, and is put aside."""
    return int(_ids_in(content)[1] or 0)
