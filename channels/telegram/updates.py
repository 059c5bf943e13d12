"""What we read of the Bot API's updates, and nothing else of them.

Names are the platform's own. Whatever does not fit these types is not understood, and put aside.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: The updates that we ask for. Others are not even sent to us.
WANTED = ("message", "edited_message", "callback_query", "message_reaction", "my_chat_member")


class User(msgspec.Struct, frozen=True):
    """A person or a bot."""

    id: int
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    is_bot: bool = False

    @property
    def name(self) -> str:
        """As people see it."""
        return f"{self.first_name} {self.last_name}".strip() or self.username


class Chat(msgspec.Struct, frozen=True):
    """Where messages are."""

    id: int
    type: Literal["private", "group", "supergroup", "channel"]
    title: str = ""


class MessageEntity(msgspec.Struct, frozen=True):
    """Something about a stretch of text, counted in UTF-16 code units."""

    type: str
    offset: int
    length: int
    user: User | None = None


class PhotoSize(msgspec.Struct, frozen=True):
    """One of the sizes in which a photo is there."""

    file_id: str
    width: int = 0
    height: int = 0
    file_size: int | None = None


class File(msgspec.Struct, frozen=True):
    """A document, a recording or a film."""

    file_id: str
    file_name: str = ""
    mime_type: str = ""
    file_size: int | None = None


class Sticker(msgspec.Struct, frozen=True):
    """A picture that stands for an emoji."""

    emoji: str = ""


class Location(msgspec.Struct, frozen=True):
    """A place on Earth."""

    latitude: float
    longitude: float


class Venue(msgspec.Struct, frozen=True):
    """A place with a name."""

    location: Location
    title: str = ""
    address: str = ""


class Contact(msgspec.Struct, frozen=True):
    """Somebody's telephone number."""

    phone_number: str
    first_name: str = ""
    last_name: str = ""


class TextQuote(msgspec.Struct, frozen=True):
    """The part of a message that somebody marked before answering it."""

    text: str


class MessageOrigin(msgspec.Struct, frozen=True):
    """Where a forwarded message came from."""

    type: str = ""
    sender_user: User | None = None
    sender_user_name: str = ""
    sender_chat: Chat | None = None
    chat: Chat | None = None

    @property
    def name(self) -> str:
        """Who or what it was, as far as it is told."""
        if self.sender_user is not None:
            return self.sender_user.name
        chat = self.chat or self.sender_chat
        return self.sender_user_name or (chat.title if chat is not None else "")


class Quoted(msgspec.Struct, frozen=True):
    """The message that another one answers."""

    message_id: int
    sender: User | None = msgspec.field(default=None, name="from")
    text: str = ""
    caption: str = ""
    #: A topic's first message is answered by all others of it, which means nothing.
    forum_topic_created: dict[str, object] | None = None


class Message(msgspec.Struct, frozen=True):
    """One message in one chat."""

    message_id: int
    chat: Chat
    date: int
    sender: User | None = msgspec.field(default=None, name="from")
    #: Somebody hides behind a chat: an anonymous administrator, or a channel.
    sender_chat: Chat | None = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    media_group_id: str = ""
    text: str = ""
    entities: list[MessageEntity] = []
    caption: str = ""
    caption_entities: list[MessageEntity] = []
    reply_to_message: Quoted | None = None
    quote: TextQuote | None = None
    forward_origin: MessageOrigin | None = None
    photo: list[PhotoSize] = []
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    video_note: File | None = None
    animation: File | None = None
    document: File | None = None
    sticker: Sticker | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: Contact | None = None
    migrate_to_chat_id: int | None = None

    @property
    def thread(self) -> str:
        """The topic; the thread id of a reply in a chat without topics is none."""
        return str(self.message_thread_id) if self.is_topic_message else ""


class Shown(msgspec.Struct, frozen=True):
    """A message of ours under which somebody pressed a button. It may be too old to be told."""

    message_id: int
    chat: Chat
    message_thread_id: int | None = None
    is_topic_message: bool = False

    @property
    def thread(self) -> str:
        """The topic."""
        return str(self.message_thread_id) if self.is_topic_message else ""


class CallbackQuery(msgspec.Struct, frozen=True):
    """Somebody pressed a button."""

    id: str
    sender: User = msgspec.field(name="from")
    message: Shown | None = None
    data: str = ""


class ReactionType(msgspec.Struct, frozen=True):
    """What somebody put to a message; only plain emoji have a meaning."""

    type: str
    emoji: str = ""


class MessageReactionUpdated(msgspec.Struct, frozen=True):
    """Somebody changed what they think of a message."""

    chat: Chat
    message_id: int
    old_reaction: list[ReactionType]
    new_reaction: list[ReactionType]
    user: User | None = None


class ChatMember(msgspec.Struct, frozen=True):
    """What somebody is in a chat."""

    status: str


class ChatMemberUpdated(msgspec.Struct, frozen=True):
    """What we are in a chat has changed."""

    chat: Chat
    new_chat_member: ChatMember


class Update(msgspec.Struct, frozen=True):
    """One event; exactly one field says which."""

    update_id: int
    message: Message | None = None
    edited_message: Message | None = None
    callback_query: CallbackQuery | None = None
    message_reaction: MessageReactionUpdated | None = None
    my_chat_member: ChatMemberUpdated | None = None

    @property
    def album(self) -> tuple[int, str] | None:
        """The album that this is a part of."""
        message = self.message
        if message is None or not message.media_group_id:
            return None
        return message.chat.id, message.media_group_id

    @property
    def chat(self) -> int:
        """Where it happened: events of one chat are taken in order."""
        for event in (
            self.message, self.edited_message, self.message_reaction, self.my_chat_member
        ):  # fmt: skip
            if event is not None:
                return event.chat.id
        query = self.callback_query
        return query.message.chat.id if query is not None and query.message is not None else 0


def read(raw: object) -> Update:
    """One update, of which nothing is believed that the types do not say."""
    return msgspec.convert(raw, Update)
