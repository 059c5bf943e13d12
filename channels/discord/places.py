"""Which of Discord's channels is which address, and the other way round."""

from __future__ import annotations

from collections import OrderedDict

from channels.discord import failures, wire
from channels.discord.inbound import Place, channel_in, place_of
from channels.discord.rest import Rest
from opencraw.contract import Address, ChatType

_MOST = 50_000


class Places:
    """What Discord has told; what it has not it is asked for."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._places: OrderedDict[str, Place] = OrderedDict()
        #: The channels of direct messages, by their chats.
        self._direct: OrderedDict[str, str] = OrderedDict()

    def learn(self, channel: wire.Channel) -> Place | None:
        """Remember a channel that Discord describes; None for one in which nobody writes to us."""
        try:
            place = place_of(channel)
        except ValueError:
            return None
        self.put(channel.id, place)
        return place

    def put(self, channel_id: str, place: Place) -> None:
        self._places[channel_id] = place
        _keep_few(self._places)
        if not place.group:
            self._direct[place.chat] = channel_id
            _keep_few(self._direct)

    def of(self, channel_id: str) -> Place | None:
        return self._places.get(channel_id)

    async def find(self, channel_id: str) -> Place:
        """Where a channel is. Raises `Refused`, `Unavailable`, `AccountRefused`, and `ValueError`
        for one in which nobody writes to us."""
        place = self._places.get(channel_id)
        if place is None:
            try:
                channel = await self._rest.channel(channel_id)
            except failures.TROUBLE as error:
                raise failures.of_call(error) from error
            place = place_of(channel)
            self.put(channel_id, place)
        return place

    async def channel_of(self, address: Address) -> str:
        """Discord's channel behind an address. Raises what is in `failures.TROUBLE`."""
        channel_id = channel_in(address) or self._direct.get(address.chat)
        if channel_id is None:
            channel = await self._rest.direct_channel(address.chat.removeprefix("@"))
            channel_id = channel.id
            self.put(channel_id, _direct(address))
        return channel_id


def _direct(address: Address) -> Place:
    return Place(address.chat, chat_type=ChatType.DIRECT)


def _keep_few(remembered: OrderedDict[str, Place] | OrderedDict[str, str]) -> None:
    if len(remembered) > _MOST:
        remembered.popitem(last=False)
