"""The words that nodes have for each other.

Each says where to look or what to show; none is believed. Whoever hears one asks the database
before anything is done that lasts, and whoever misses one finds the same by polling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from opencraw.contract import Address
from opencraw.events import Event
from opencraw.sessions.voice import Voice


class Spoken(msgspec.Struct, frozen=True, tag=True):
    """A message was committed in this session."""

    session: UUID
    voice: Voice
    origin: str
    #: The node that took it cannot begin its turn now: whoever can may do so.
    needs_hands: bool


class Chosen(msgspec.Struct, frozen=True, tag=True):
    """The people of this session chose how its queue behaves."""

    session: UUID


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """The people of this session asked for what runs in it to end."""

    session: UUID


class Shown(msgspec.Struct, frozen=True, tag=True):
    """Something happened that sockets of this conversation should see, wherever they are."""

    address: Address
    event: Event


class Peek(msgspec.Struct, frozen=True, tag=True):
    """Somebody looks at this session: whoever runs a turn of it shows the draft from its start."""

    session: UUID


class LetGo(msgspec.Struct, frozen=True, tag=True):
    """A node begins no more turns, or has left: look for its work now."""


class Paced(msgspec.Struct, frozen=True, tag=True):
    """A message of this sender was taken: it used up one of those that its rate allows."""

    sender: str


Message = Spoken | Chosen | Stopped | Shown | Peek | LetGo | Paced

#: A parcel begins with the id of the node that sent it.
_SENDER_BYTES = 16
#: What reading bytes of strangers raises; brackets within brackets end in the last of them.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.msgpack.Encoder().encode
_open: msgspec.msgpack.Decoder[list[msgspec.Raw]] = msgspec.msgpack.Decoder(list[msgspec.Raw])
_read: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class Garbled(msgspec.Struct, frozen=True):
    """Bytes that no node of this version sent, and what is wrong with them."""

    problem: str


def pack(sender: UUID, messages: Sequence[Message]) -> bytes:
    """Return one parcel."""
    return sender.bytes + _encode(messages)


def is_from(sender: UUID, parcel: bytes) -> bool:
    """Whether this node sent the parcel. Costs nothing: every parcel comes back to its sender."""
    return parcel[:_SENDER_BYTES] == sender.bytes


def unpack(parcel: bytes) -> Iterator[Message | Garbled]:
    """Yield what is in a parcel. A newer version may say what we do not understand: the rest of
    its parcel still counts."""
    try:
        sealed = _open.decode(parcel[_SENDER_BYTES:])
    except _UNREADABLE as error:
        yield Garbled(str(error))
        return
    for each in sealed:
        try:
            yield _read.decode(each)
        except _UNREADABLE as error:
            yield Garbled(str(error))
