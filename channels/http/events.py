"""What a bridge tells us, and what it means. Every shape is closed: an unknown field is refused."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

import msgspec

from opencraw.contract import (
    Address,
    Attachment,
    ChatType,
    Envelope,
    Pick,
    Reaction,
    Rights,
    Sender,
)

CHANNEL = "http"
MOST_EVENTS = 100
#: Raised by what is not the JSON that it should be: of another shape, no text, or endlessly deep.
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_MOST_FILES = 50

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Label = Annotated[str, msgspec.Meta(max_length=256)]


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Who(_Shape, frozen=True, kw_only=True):
    """Somebody on the platform. `id` never changes; `name` is decoration."""

    id: Key
    name: Label = ""
    bot: bool = False

    @property
    def sender(self) -> Sender:
        # What they may do is decided at the door.
        return Sender(self.id, self.name, Rights.GUEST, machine=self.bot)


class File(_Shape, frozen=True, kw_only=True):
    """A file of a message: at an address of the bridge, or right here in Base64."""

    name: Label
    content_type: Label = "application/octet-stream"
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    url: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    data: bytes | None = None

    def __post_init__(self) -> None:
        if bool(self.url) == (self.data is not None):
            raise ValueError("a file has either a url or data")

    @property
    def claim(self) -> Attachment:
        size = self.size if self.data is None else len(self.data)
        return Attachment(self.name, self.content_type, self.url, size)


class _Event(_Shape, frozen=True, kw_only=True, tag_field="kind"):
    #: The same id is the same event, however often it is sent.
    id: Key
    chat: Name
    thread: Annotated[str, msgspec.Meta(max_length=128)] = ""
    chat_type: ChatType = ChatType.DIRECT

    @property
    def address(self) -> Address:
        return Address(CHANNEL, "", self.chat, self.thread)


class Message(_Event, frozen=True, kw_only=True, tag="message"):
    """Somebody said something. Its `id` is by what later events call it."""

    sender: Who
    text: str = ""
    #: In a group: the assistant was meant. Left out, it was not; elsewhere it always is.
    addressed: bool | None = None
    attachments: Annotated[tuple[File, ...], msgspec.Meta(max_length=_MOST_FILES)] = ()

    def envelope(self) -> Envelope:
        """Files are claims: what is in `data` has to be kept by whoever offers this."""
        return _envelope(self, self.id, tuple(file.claim for file in self.attachments))


class Edit(_Event, frozen=True, kw_only=True, tag="edit"):
    """Somebody changed the text of `message`."""

    message: Key
    sender: Who
    text: str
    addressed: bool | None = None

    def envelope(self) -> Envelope:
        return _envelope(self, self.message, ())


class Delete(_Event, frozen=True, kw_only=True, tag="delete"):
    """`message` was taken back."""

    message: Key
    sender: Who | None = None


class React(_Event, frozen=True, kw_only=True, tag="reaction"):
    """Somebody put an emoji to `message`, one of ours, or took it away."""

    message: Key
    sender: Who
    emoji: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    added: bool = True

    def reaction(self) -> Reaction:
        return Reaction(self.address, self.sender.sender, self.message, self.emoji, self.added)


class Choose(_Event, frozen=True, kw_only=True, tag="choice"):
    """Somebody pressed a button of ours."""

    choice: UUID
    option: Name
    sender: Who

    def pick(self) -> Pick:
        return Pick(self.choice, self.option, self.address, self.sender.sender, self.chat_type)


Event = Message | Edit | Delete | React | Choose


class Polled(msgspec.Struct, frozen=True):
    """What a poll brings: events, and by which word to ask for those after them."""

    cursor: Annotated[str, msgspec.Meta(max_length=1_000)]
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_EVENTS)]


_Batch = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_EVENTS)]
_batch = msgspec.json.Decoder(_Batch)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def batch(body: bytes) -> list[bytes]:
    """The events of a request, unread. Raises what is `UNREADABLE`."""
    if body.lstrip()[:1] == b"[":
        return [bytes(raw) for raw in _batch.decode(body)]
    return [body]


def read(raw: bytes) -> Event:
    """One event. Raises what is `UNREADABLE`."""
    return _event.decode(raw)


def _envelope(said: Message | Edit, message: str, files: tuple[Attachment, ...]) -> Envelope:
    addressed = said.addressed
    if addressed is None:
        addressed = said.chat_type is ChatType.DIRECT
    return Envelope(
        address=said.address,
        sender=said.sender.sender,
        text=said.text,
        dedupe_key=said.id,
        correlation_id=uuid4(),
        chat_type=said.chat_type,
        attachments=files,
        addressed=addressed,
        platform_id=message,
        reply_context=message,
    )
