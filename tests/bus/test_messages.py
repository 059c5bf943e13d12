from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from opencraw.bus.messages import (
    Chosen,
    Garbled,
    LetGo,
    Message,
    Paced,
    Peek,
    Shown,
    Spoken,
    Stopped,
    is_from,
    pack,
    unpack,
)
from opencraw.contract import Address
from opencraw.events import (
    DraftGrew,
    Event,
    LinesAdded,
    QueueChanged,
    ToolShown,
    TurnEnded,
    TurnStarted,
)
from opencraw.sessions.voice import Voice

SESSION, TURN = uuid4(), uuid4()
PLACE = Address("webchat", "local", "main")
EVENTS: tuple[Event, ...] = (
    TurnStarted(TURN, 2),
    DraftGrew(TURN, 1, 7, "wörter 🎉"),
    ToolShown(TURN, 1, "call", "calculate", "started", "1 + 1"),
    TurnEnded(TURN, 1, "interrupted"),
    QueueChanged(),
    LinesAdded(),
)
MESSAGES: tuple[Message, ...] = (
    Spoken(SESSION, Voice("owner", PLACE), "channel", needs_hands=True),
    Chosen(SESSION),
    Stopped(SESSION),
    *(Shown(PLACE, event) for event in EVENTS),
    Peek(SESSION),
    LetGo(),
    Paced("telegram:7"),
)


def test_every_message_arrives_as_it_was_sent() -> None:
    assert list(unpack(pack(uuid4(), MESSAGES))) == list(MESSAGES)


def test_a_node_knows_its_own_parcels() -> None:
    mine, other = uuid4(), uuid4()
    assert is_from(mine, pack(mine, MESSAGES))
    assert not is_from(mine, pack(other, MESSAGES))
    assert not is_from(mine, b"")


@pytest.mark.parametrize(
    "parcel",
    [b"", b"x", b"0" * 16, b"0" * 16 + b"\xc1", b"0" * 400, b"0" * 16 + b"\x91" * 20_000],
)
def test_what_nobody_sent_is_garbled(parcel: bytes) -> None:
    found = list(unpack(parcel))
    assert found
    assert all(isinstance(each, Garbled) for each in found)


def test_the_rest_of_a_parcel_counts_when_a_newer_version_says_something_new() -> None:
    parcel = pack(uuid4(), [LetGo()])[:16] + msgspec.msgpack.encode(
        [{"type": "Sung", "song": 1}, {"type": "LetGo"}, {"type": "Stopped", "session": "?"}]
    )
    first, second, third = unpack(parcel)
    assert isinstance(first, Garbled)
    assert second == LetGo()
    assert isinstance(third, Garbled)
