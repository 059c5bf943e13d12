"""What travels over a WebChat socket, in both directions. docs/webchat.md explains each frame.

What comes in is decoded strictly: an unknown type, an unknown field or a wrong type is refused with
words that a person can act on. What goes out is encoded once, however many sockets it goes to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from opencraw.contract import Attachment, Choice, Line, ShownFile, Waiting
from opencraw.errors import Refused

TEXT_LIMIT = 1_000_000
#: A waiting message is shown by its beginning; the whole of it follows as `said`.
WAITING_TEXT_LIMIT = 2_000
MOST_FILES = 50
_NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f\ud800-\udfff]*$"


class ClientFrame(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower
):
    """Anything a client may send."""


class Message(ClientFrame, frozen=True):
    content: str
    client_message_id: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=_NO_CONTROL_CHARACTERS)]
        | None
    ) = None
    #: Files that were handed in before, by what we called them then.
    attachments: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=200)], ...],
        msgspec.Meta(max_length=MOST_FILES),
    ] = ()


class Resume(ClientFrame, frozen=True):
    resume_token: str
    last_seq: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class History(ClientFrame, frozen=True):
    before: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Stop(ClientFrame, frozen=True):
    pass


class Withdraw(ClientFrame, frozen=True):
    message_id: UUID


class Choose(ClientFrame, frozen=True):
    choice_id: UUID
    option: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class FrameRefused(Refused):
    """A client sent what nobody understands. `client_message_id` names a refused message."""

    def __init__(self, message: str, *, code: str, client_message_id: str | None = None) -> None:
        super().__init__(message, code=code)
        self.client_message_id = client_message_id


class _Named(msgspec.Struct):
    """Just enough of a refused frame to tell its sender which message was meant."""

    client_message_id: Annotated[str, msgspec.Meta(max_length=128)] | None = None


AnyClientFrame = Message | Resume | History | Stop | Withdraw | Choose
_client_frame: msgspec.json.Decoder[AnyClientFrame] = msgspec.json.Decoder(AnyClientFrame)
_named = msgspec.json.Decoder(_Named)


def decode(text: object) -> AnyClientFrame:
    """Return the frame that `text` holds. Raises `FrameRefused` and nothing else."""
    if not isinstance(text, str):
        raise FrameRefused("A frame is a JSON text.", code="INVALID_REQUEST")
    try:
        frame = _decode(text)
    except msgspec.ValidationError as error:
        raise FrameRefused(
            f"The frame was not understood: {error}",
            code="INVALID_FIELD",
            client_message_id=_name_of(text),
        ) from error
    except (ValueError, RecursionError) as error:
        raise FrameRefused(
            "The frame is not a JSON object of sensible depth.", code="INVALID_REQUEST"
        ) from error
    if isinstance(frame, Message):
        _check(frame)
    return frame


def _decode(text: str) -> AnyClientFrame:
    try:
        return _client_frame.decode(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # Half an emoji (a lone surrogate) is a paste accident, not an attack: the gateway cleans
        # it. Only the standard library's parser lets one through.
        if "\\ud" not in text and "\\uD" not in text:
            raise
        frame: AnyClientFrame = msgspec.convert(json.loads(text), AnyClientFrame)
        return frame


def _check(frame: Message) -> None:
    if len(frame.content) > TEXT_LIMIT:
        problem = f"A message may have up to {TEXT_LIMIT:,} characters; send it in parts."
    elif not frame.content.strip() and not frame.attachments:
        problem = "A message needs some text."
    else:
        return
    raise FrameRefused(problem, code="INVALID_FIELD", client_message_id=frame.client_message_id)


def _name_of(text: str) -> str | None:
    try:
        return _named.decode(text).client_message_id
    except (ValueError, RecursionError):
        return None


class ServerFrame(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Anything the server may send."""


class FileLimits(msgspec.Struct, frozen=True):
    """Which files are taken here."""

    max_bytes: int
    max_per_message: int
    types: Sequence[str]


class Waits(msgspec.Struct, frozen=True):
    """One entry of `queue`: a message that no turn has taken up yet."""

    message_id: UUID
    client_message_id: str | None
    content: str
    at: datetime
    #: There only when it is so: it gave up its place, and the next turn reads a summary of it.
    overflowed: bool | msgspec.UnsetType = msgspec.UNSET
    files: Sequence[ShownFile] | msgspec.UnsetType = msgspec.UNSET


class Hello(ServerFrame, frozen=True):
    sender_id: str
    chat: str
    resume_token: str
    seq: int
    model: str
    demo: bool
    waiting: Sequence[Waits]
    #: There only where files are taken.
    files: FileLimits | msgspec.UnsetType = msgspec.UNSET


class Lines(ServerFrame, frozen=True, tag="history"):
    messages: Sequence[msgspec.Raw]
    more: bool


class Resumed(ServerFrame, frozen=True):
    seq: int


class Ack(ServerFrame, frozen=True):
    client_message_id: str | None
    message_id: UUID
    duplicate: bool
    #: There only when it is so: the message is kept, and nobody answers it.
    muted: bool | msgspec.UnsetType = msgspec.UNSET


class Queue(ServerFrame, frozen=True):
    waiting: Sequence[Waits]


class Said(ServerFrame, frozen=True):
    seq: int
    message_id: UUID
    client_message_id: str | None
    content: str
    run_id: UUID | None
    at: datetime
    #: There only when some came along.
    files: Sequence[ShownFile] | msgspec.UnsetType = msgspec.UNSET


class Spoken(ServerFrame, frozen=True, tag="message"):
    """What the assistant or the daemon says."""

    content: str
    html: str
    seq: int
    message_id: UUID
    run_id: UUID | None
    kind: Literal["reply", "notice"]
    tools: Sequence[str]
    interrupted: bool
    at: datetime
    #: There only as long as nobody has decided: what may be chosen.
    choice: Choice | msgspec.UnsetType = msgspec.UNSET


class Changed(ServerFrame, frozen=True):
    """A message of the assistant's says something else from now on, and asks nothing any more."""

    message_id: UUID
    content: str
    html: str


class Chosen(ServerFrame, frozen=True):
    """What came of a choice, for whoever made it."""

    choice_id: UUID
    ok: bool
    message: str


class Typing(ServerFrame, frozen=True):
    active: bool
    run_id: UUID


class Delta(ServerFrame, frozen=True):
    content: str
    offset: int
    run_id: UUID
    attempt: int


class Tool(ServerFrame, frozen=True):
    run_id: UUID
    call_id: str
    name: str
    state: str
    summary: str


class Withdrawn(ServerFrame, frozen=True):
    message_id: UUID
    ok: bool


class Error(ServerFrame, frozen=True):
    code: str
    message: str
    retryable: bool = False
    client_message_id: str | None = None


_encoder = msgspec.json.Encoder()


def encode(frame: ServerFrame) -> bytes:
    """Return the JSON text of a frame as bytes, ready for any number of sockets."""
    try:
        return _encoder.encode(frame)
    except UnicodeEncodeError:
        # A model's stream may be cut inside a surrogate pair; escaped, the halves meet again in
        # the browser.
        return json.dumps(msgspec.to_builtins(frame)).encode("ascii")


def dedupe_key(chat: str, client_message_id: str) -> str:
    """Return the key under which the gateway knows a client's own message."""
    return f"{chat}:{client_message_id}"


def client_message_id(chat: str, key: str) -> str | None:
    """Return the id a client of this chat chose, or None when the message has no such id."""
    prefix = f"{chat}:"
    return key[len(prefix) :] if key.startswith(prefix) else None


def waits(chat: str, waiting: Sequence[Waiting]) -> tuple[Waits, ...]:
    """Return what `queue` and `hello` say about the messages that wait."""
    return tuple(
        Waits(
            message_id=message.message_id,
            client_message_id=client_message_id(chat, message.dedupe_key),
            content=message.text[:WAITING_TEXT_LIMIT],
            at=message.at,
            overflowed=message.overflowed or msgspec.UNSET,
            files=message.files or msgspec.UNSET,
        )
        for message in waiting
    )


def said(chat: str, line: Line) -> Said:
    """Return the frame for a line that a person said."""
    return Said(
        seq=line.seq,
        message_id=line.message_id,
        client_message_id=client_message_id(chat, line.dedupe_key),
        content=line.text,
        run_id=line.turn_id,
        at=line.at,
        files=line.files or msgspec.UNSET,
    )


def attachments(frame: Message) -> tuple[Attachment, ...]:
    """The files that a message brings along. What they are is known where they are kept."""
    return tuple(Attachment("", "", source) for source in frame.attachments)


def spoken(line: Line, html: str) -> Spoken:
    """Return the frame for a line that the assistant or the daemon said."""
    return Spoken(
        content=line.text,
        html=html,
        seq=line.seq,
        message_id=line.message_id,
        run_id=line.turn_id,
        kind="notice" if line.kind == "notice" else "reply",
        tools=line.tools,
        interrupted=line.interrupted,
        at=line.at,
        choice=line.choice or msgspec.UNSET,
    )
