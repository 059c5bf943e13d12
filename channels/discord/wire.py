"""What Discord sends, as far as we read it. Unknown fields are ignored; one that is missing or of
another type than documented makes the whole event one that cannot be understood."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

#: An id: the time in milliseconds since 2015, then 22 bits that tell it from others.
Snowflake = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}$")]

_EPOCH_MS = 1_420_070_400_000

DEFAULT_MESSAGE, REPLY = 0, 19
DIRECT, GROUP_DIRECT, ANNOUNCEMENT, THREADS = 1, 3, 5, frozenset({10, 11, 12})
COMMAND, COMPONENT = 2, 3
#: For whom an answer to an interaction is: only the person who caused it.
EPHEMERAL = 64


class Frame(msgspec.Struct, frozen=True):
    """One frame of the gateway."""

    op: int
    t: str | None = None
    d: msgspec.Raw = msgspec.Raw(b"null")


class User(msgspec.Struct, frozen=True):
    id: Snowflake
    username: str = ""
    global_name: str | None = None
    bot: bool = False


class Member(msgspec.Struct, frozen=True):
    nick: str | None = None
    user: User | None = None


class File(msgspec.Struct, frozen=True):
    id: Snowflake
    filename: str = ""
    content_type: str | None = None
    size: int | None = None
    url: str = ""


class EmbedField(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class Embed(msgspec.Struct, frozen=True):
    type: str = "rich"
    title: str | None = None
    description: str | None = None
    url: str | None = None
    fields: tuple[EmbedField, ...] = ()


class Sticker(msgspec.Struct, frozen=True):
    name: str = ""


class PollText(msgspec.Struct, frozen=True):
    text: str | None = None


class PollAnswer(msgspec.Struct, frozen=True):
    poll_media: PollText = PollText()


class Poll(msgspec.Struct, frozen=True):
    question: PollText = PollText()
    answers: tuple[PollAnswer, ...] = ()


class Content(msgspec.Struct, frozen=True):
    """What a message says; also all that is known of a forwarded one."""

    content: str = ""
    attachments: tuple[File, ...] = ()
    embeds: tuple[Embed, ...] = ()
    sticker_items: tuple[Sticker, ...] = ()
    mentions: tuple[User, ...] = ()
    poll: Poll | None = None


class Snapshot(msgspec.Struct, frozen=True):
    message: Content


class Quoted(msgspec.Struct, frozen=True):
    """The message that another one is a reply to."""

    id: Snowflake
    author: User
    content: str = ""


class Message(Content, frozen=True, kw_only=True):
    id: Snowflake
    channel_id: Snowflake
    author: User
    type: int = DEFAULT_MESSAGE
    guild_id: Snowflake | None = None
    member: Member | None = None
    webhook_id: Snowflake | None = None
    mention_roles: tuple[Snowflake, ...] = ()
    message_snapshots: tuple[Snapshot, ...] = ()
    referenced_message: Quoted | None = None
    edited_timestamp: str | None = None
    nonce: str | int | None = None


class Update(msgspec.Struct, frozen=True):
    """What tells an edit by a person from a link that got its picture."""

    edited_timestamp: str | None = None
    author: User | None = None


class Deleted(msgspec.Struct, frozen=True):
    channel_id: Snowflake
    id: Snowflake | None = None
    ids: tuple[Snowflake, ...] = ()


class Emoji(msgspec.Struct, frozen=True):
    name: str | None = None


class Reacted(msgspec.Struct, frozen=True):
    user_id: Snowflake
    channel_id: Snowflake
    message_id: Snowflake
    emoji: Emoji
    message_author_id: Snowflake | None = None
    member: Member | None = None


class Channel(msgspec.Struct, frozen=True):
    id: Snowflake
    type: int
    parent_id: Snowflake | None = None
    last_message_id: Snowflake | None = None
    recipients: tuple[User, ...] = ()


class RoleTags(msgspec.Struct, frozen=True):
    bot_id: Snowflake | None = None


class Role(msgspec.Struct, frozen=True):
    id: Snowflake
    tags: RoleTags = RoleTags()


class Guild(msgspec.Struct, frozen=True):
    id: Snowflake
    channels: tuple[Channel, ...] = ()
    threads: tuple[Channel, ...] = ()
    roles: tuple[Role, ...] = ()


class CommandOption(msgspec.Struct, frozen=True):
    name: str
    value: str | int | float | bool | None = None


class InteractionData(msgspec.Struct, frozen=True):
    name: str = ""
    custom_id: str = ""
    options: tuple[CommandOption, ...] = ()


class Interaction(msgspec.Struct, frozen=True):
    id: Snowflake
    application_id: Snowflake
    type: int
    token: str
    data: InteractionData = InteractionData()
    channel_id: Snowflake | None = None
    channel: Channel | None = None
    member: Member | None = None
    user: User | None = None


def moment_of(snowflake: str) -> float:
    """When what has this id was made, in seconds since 1970."""
    return ((int(snowflake) >> 22) + _EPOCH_MS) / 1000


def snowflake_at(moment: datetime) -> int:
    """The smallest id that something of this moment may have."""
    return max(0, int(moment.timestamp() * 1000) - _EPOCH_MS) << 22
