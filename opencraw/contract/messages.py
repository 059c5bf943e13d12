"""What travels between channels and the daemon, in nobody's dialect."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

DEFAULT_TENANT = "default"

#: In bytes, of all parts of an address together: more than that no index can hold.
LONGEST_ADDRESS = 512
#: In characters.
LONGEST_REPLY_CONTEXT = 4_000


class Address(msgspec.Struct, frozen=True):
    """Where a conversation happens. All parts are the platform's stable ids, never names."""

    channel: str
    #: Who we are on the platform, as it names us: what is kept for one account is nothing to
    #: another. Empty where a channel can only ever have one, or where no two accounts could have
    #: a chat of the same id, as at Linear: its ids are random, whatever the workspace.
    account: str
    chat: str
    thread: str = ""


class Rights(StrEnum):
    """What a sender may do. Envelopes of different rights never share a turn."""

    OWNER = "owner"
    GUEST = "guest"


class Sender(msgspec.Struct, frozen=True):
    """Who wrote. `id` is stable and decides; `name` is decoration.

    A channel whose settings are `PlatformSettings` says GUEST of everybody: what they may do is
    decided at the door.
    """

    id: str
    name: str
    rights: Rights
    #: A program wrote: another bot, or automatic mail.
    machine: bool = False


class Origin(StrEnum):
    """Which side of the product an envelope came from."""

    CHANNEL = "channel"
    API = "api"
    WEBHOOK = "webhook"
    CRON = "cron"
    TIMER = "timer"
    AUTOMATION = "automation"
    OPERATOR = "operator"


#: Sides on which people speak, and no machine for itself. Statements name them, too.
PEOPLE = frozenset({Origin.CHANNEL, Origin.API, Origin.OPERATOR})


class ChatType(StrEnum):
    """Who listens where a message was written."""

    DIRECT = "direct"
    GROUP = "group"
    CHANNEL = "channel"


class Listener(msgspec.Struct, frozen=True):
    """Who is at an address, as far as its channel can tell."""

    chat_type: ChatType
    #: Who writes there, if that is always the same person.
    sender: Sender | None = None


class Trigger(StrEnum):
    """What made an envelope."""

    MESSAGE = "message"
    COMMAND = "command"


class Attachment(msgspec.Struct, frozen=True):
    """A file that came with a message, as long as nobody has fetched it. Nothing of it is to be
    believed: a name is decoration, a type and a size are claims."""

    name: str
    content_type: str
    #: By what `Fetches.fetch` finds it, on any node and after a restart; what `Gateway.keep` gave.
    source: str
    #: In bytes, as the platform says; None is not known.
    size: int | None = None


class ShownFile(msgspec.Struct, frozen=True):
    """A file of a message as people are shown it. `problem` is why there is nothing of it."""

    id: UUID
    name: str
    content_type: str
    size: int | None = None
    problem: str = ""
    #: A picture that can be looked at.
    is_picture: bool = False


class Envelope(msgspec.Struct, frozen=True):
    """One inbound message, in nobody's dialect.

    `dedupe_key` is the platform's own id of the event: the same key from the same channel and
    account is the same message, however often it arrives.
    """

    address: Address
    sender: Sender
    text: str
    dedupe_key: str
    correlation_id: UUID
    origin: Origin = Origin.CHANNEL
    trigger_type: Trigger = Trigger.MESSAGE
    tenant: str = DEFAULT_TENANT
    chat_type: ChatType = ChatType.DIRECT
    attachments: tuple[Attachment, ...] = ()
    #: The assistant was spoken to. In a group that takes a mention, a reply to it, or a command.
    addressed: bool = True
    #: When it was written, in seconds since 1970, by the platform's clock and never its sender's;
    #: None is now. What we catch up on is not too fast because it comes at once.
    written_at: float | None = None
    #: By what the platform calls this message when somebody edits it or takes it back.
    platform_id: str = ""
    #: What the channel needs to answer just this message; it comes back with the delivery. Opaque
    #: to everybody else, and no longer than `LONGEST_REPLY_CONTEXT`.
    reply_context: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """The message is durable; a channel may now acknowledge it."""

    message_id: UUID
    #: The message had been accepted before; nothing new will happen.
    duplicate: bool
    #: The message is kept, and nobody answers it: the assistant may not speak there.
    muted: bool = False


class Option(msgspec.Struct, frozen=True):
    """One of the answers that a person may choose. `name` is what the asker knows it by."""

    name: str
    label: str


class Choice(msgspec.Struct, frozen=True):
    """A question that is answered by choosing. The text of its message says how to answer it where
    there are no buttons."""

    id: UUID
    options: tuple[Option, ...]


class Pick(msgspec.Struct, frozen=True):
    """Somebody pressed a button. `sender` is who pressed, as the platform says."""

    choice_id: UUID
    option: str
    address: Address
    sender: Sender
    chat_type: ChatType = ChatType.DIRECT


class Reaction(msgspec.Struct, frozen=True):
    """Somebody put an emoji to one of our messages, or took it away again."""

    address: Address
    sender: Sender
    #: The platform's id of the message that it is put to.
    platform_id: str
    emoji: str
    added: bool = True


class CommandHelp(msgspec.Struct, frozen=True):
    """A slash command, for platforms that list them."""

    name: str
    usage: str
    help: str
    takes_argument: bool


class Line(msgspec.Struct, frozen=True):
    """One line of a conversation as people see it. `seq` grows by time within a session."""

    seq: int
    kind: Literal["said", "reply", "notice"]
    text: str
    at: datetime
    message_id: UUID
    turn_id: UUID | None = None
    #: Names of the tools that a reply used, in order.
    tools: tuple[str, ...] = ()
    #: The reply was cut short on purpose.
    interrupted: bool = False
    #: The dedupe key of what was said, by which a client recognises its own message.
    dedupe_key: str = ""
    #: What came with what was said.
    files: tuple[ShownFile, ...] = ()
    #: What is asked there, as long as nobody has decided it.
    choice: Choice | None = None


class Waiting(msgspec.Struct, frozen=True):
    """An accepted message that no turn has taken up yet."""

    message_id: UUID
    text: str
    at: datetime
    dedupe_key: str
    #: It gave up its place in a full lane; the next turn reads a summary of it.
    overflowed: bool = False
    files: tuple[ShownFile, ...] = ()


class Draft(msgspec.Struct, frozen=True):
    """A running turn as far as it has come."""

    turn_id: UUID
    attempt: int
    text: str


class TurnShown(msgspec.Struct, frozen=True):
    """How a platform shows a turn."""

    #: The message that shows it, noted by an earlier attempt; empty is none. None: a first draft
    #: was on its way, and nobody knows whether it is there.
    platform_id: str | None = ""
    #: What the answer will come with, as `Delivery.reply_context`.
    reply_context: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """One outbound message. `delivery_id` is the same at every attempt: use it as the platform's
    idempotency key wherever there is one."""

    delivery_id: UUID
    address: Address
    line: Line
    #: An earlier attempt may have arrived. Where the platform has no key, say so in the message;
    #: where it forgets its keys, look whether it is there.
    recovered: bool = False
    #: `Envelope.reply_context` of the message that is answered; empty where none was.
    reply_context: str = ""
    #: The parts of it that are on the platform already, by their ids there, in order. What is sent
    #: begins behind them, and so does what `recovered` speaks of.
    parts: tuple[str, ...] = ()
    #: The platform's id of the message that showed the turn while it ran: becomes the first part.
    #: Empty is none. None: it may be there, and nobody knows its id. Whoever put it by a key of the
    #: turn (`ends`) has it again by the same; for all others this is `recovered`.
    draft: str | None = ""
    choice: Choice | None = None
    #: The turn whose last word this is: nothing of that turn is shown from here on.
    ends: UUID | None = None
    #: Whoever looks must not find one of these: the first thousand of our messages in this chat,
    #: since shortly before this one was written, that are known to be something else. Only told of
    #: what is `recovered`, where a channel is `idempotent`.
    others: tuple[str, ...] = ()
