"""From Telegram's updates to what they mean here: a function from values to values.

Mentions are told by Telegram's own marks on the text and never by looking for our name in it,
people by their ids. Whoever writes in the name of a chat (an anonymous administrator, a channel) is
nobody who could be let in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from channels.telegram.files import attachments
from channels.telegram.updates import (
    CallbackQuery,
    Chat,
    ChatMemberUpdated,
    Message,
    MessageEntity,
    MessageReactionUpdated,
    Update,
    User,
)
from opencraw.contract import (
    Address,
    ChatType,
    Choice,
    Envelope,
    Option,
    Pick,
    Reaction,
    Rights,
    Sender,
)

CHANNEL = "telegram"
#: How much of the message that is answered is repeated for the model, in characters.
QUOTED = 200
_BUTTON_BYTES = 64
_GONE = {"left", "kicked"}


@dataclass(frozen=True)
class Us:
    """The bot's own account."""

    id: int
    username: str

    @property
    def account(self) -> str:
        """As addresses name it."""
        return str(self.id)


@dataclass(frozen=True)
class Said:
    """Somebody wrote to us."""

    envelope: Envelope


@dataclass(frozen=True)
class Greeted:
    """Somebody opened a chat with us, which makes their client say /start."""

    envelope: Envelope


@dataclass(frozen=True)
class Edited:
    """Somebody changed what they had written."""

    envelope: Envelope


@dataclass(frozen=True)
class Pressed:
    """Somebody pressed a button, and waits for it to be acknowledged. `pick` is None for a button
    that is none of ours."""

    query_id: str
    pick: Pick | None


@dataclass(frozen=True)
class Reacted:
    """Somebody put emoji to a message, or took them away."""

    reactions: tuple[Reaction, ...]


@dataclass(frozen=True)
class Noted:
    """Something that only whoever runs the bot wants to know."""

    sentence: str


Happening = Said | Greeted | Edited | Pressed | Reacted | Noted


def translate(updates: Sequence[Update], us: Us, most_bytes: int) -> Happening | None:
    """What one update means, or all those of one album; None is nothing. Files larger than
    `most_bytes` will not be taken."""
    first = updates[0]
    if first.message is not None:
        rest = [each.message for each in updates[1:] if each.message is not None]
        return _message(first.message, rest, us, most_bytes)
    if first.edited_message is not None:
        envelope = _envelope(first.edited_message, [], us, most_bytes)
        return Edited(envelope) if envelope is not None else None
    if first.callback_query is not None:
        return _pressed(first.callback_query, us)
    if first.message_reaction is not None:
        return _reacted(first.message_reaction, us)
    if first.my_chat_member is not None:
        return _noted(first.my_chat_member)
    return None


def button(choice: Choice, option: Option) -> str:
    """What a button says of itself when it is pressed. Raises `ValueError` for an option with a
    name that is too long for that."""
    said = f"oc:{option.name}:{choice.id.hex}"
    if len(said.encode()) > _BUTTON_BYTES:
        raise ValueError(f"the option {option.name!r} is too long for a button")
    return said


def _message(message: Message, rest: list[Message], us: Us, most_bytes: int) -> Happening | None:
    if message.migrate_to_chat_id is not None:
        return Noted(
            f"the group {message.chat.id} has become {message.migrate_to_chat_id}: if it stands in "
            "access.groups, put the new number there"
        )
    envelope = _envelope(message, rest, us, most_bytes)
    if envelope is None:
        return None
    if message.chat.type == "private" and _command(message, us) == "start":
        return Greeted(envelope)
    return Said(envelope)


def _envelope(message: Message, rest: list[Message], us: Us, most_bytes: int) -> Envelope | None:
    """The message, and all others of its album, as one; None for what is not said to us."""
    if message.chat.type == "channel" or message.sender_chat is not None:
        return None
    if message.sender is None or message.sender.id == us.id:
        return None
    command = _command(message, us)
    if command is None:
        return None
    album = [message, *rest]
    files = [file for each in album for file in attachments(each, most_bytes)]
    text = "\n".join(said for each in album if (said := _text(each, us)))
    if not text and not files:
        return None
    if not command:
        text = "\n\n".join(part for part in (_quote(message), _marked(message, text)) if part)
    direct = message.chat.type == "private"
    return Envelope(
        address=Address(CHANNEL, us.account, str(message.chat.id), message.thread),
        sender=_sender(message.sender),
        text=text,
        dedupe_key=f"{message.chat.id}:{message.message_id}",
        correlation_id=uuid4(),
        chat_type=ChatType.DIRECT if direct else ChatType.GROUP,
        attachments=tuple(files),
        addressed=direct or bool(command) or any(_is_addressed(each, us) for each in album),
        written_at=message.date,
        platform_id=str(message.message_id),
        reply_context=str(message.message_id),
    )


def _sender(user: User) -> Sender:
    return Sender(str(user.id), user.name, Rights.GUEST, machine=user.is_bot)


def _text(message: Message, us: Us) -> str:
    """What a message says, as text; a command without the name that it is addressed to."""
    if message.text:
        entity = _leading_command(message, us)
        if entity is None:
            return message.text
        name, _, _ = _marked_by(entity, message.text).partition("@")
        return name + _between(message.text, entity.offset + entity.length)
    if message.caption:
        return message.caption
    if message.sticker is not None:
        return message.sticker.emoji
    if message.venue is not None:
        place = message.venue.location
        named = ", ".join(part for part in (message.venue.title, message.venue.address) if part)
        return f"Location: {named} ({place.latitude}, {place.longitude})"
    if message.location is not None:
        return f"Location: {message.location.latitude}, {message.location.longitude}"
    if message.contact is not None:
        contact = message.contact
        name = f"{contact.first_name} {contact.last_name}".strip()
        return f"Contact: {name}, {contact.phone_number}"
    return ""


def _quote(message: Message) -> str:
    """A short line of what is answered, so that the model knows what it is about."""
    answered = message.reply_to_message
    if answered is None:
        return ""
    said = message.quote.text if message.quote is not None else answered.text or answered.caption
    line = " ".join(said.split())
    if not line:
        return ""
    return f"> {line if len(line) <= QUOTED else line[:QUOTED] + '…'}"


def _marked(message: Message, text: str) -> str:
    """Somebody else's words are marked as such."""
    if message.forward_origin is None or not text:
        return text
    quoted = "\n".join(f"> {line}" for line in text.splitlines())
    return f"Forwarded from {message.forward_origin.name or 'somebody'}:\n{quoted}"


def _leading_command(message: Message, us: Us) -> MessageEntity | None:
    """The command that a message begins with; our name may stand before it."""
    begin = 0
    for entity in message.entities:
        if entity.offset == 0 and _names_us(entity, message.text, us):
            begin = entity.length
        if (
            entity.type == "bot_command"
            and not _between(message.text, begin, entity.offset).strip()
        ):
            return entity
    return None


def _command(message: Message, us: Us) -> str | None:
    """The command that a message is, empty if it is none; None for one of another bot."""
    entity = _leading_command(message, us)
    if entity is None or message.forward_origin is not None:
        return ""
    name, _, addressee = _marked_by(entity, message.text).partition("@")
    if addressee and addressee.casefold() != us.username.casefold():
        return None
    return name.removeprefix("/").casefold()


def _is_addressed(message: Message, us: Us) -> bool:
    """Whether it mentions us, or answers us."""
    answered = message.reply_to_message
    if answered is not None and answered.sender is not None and answered.sender.id == us.id:
        # In a topic that we opened everything answers its first message.
        return answered.forum_topic_created is None
    marked = [(each, message.text) for each in message.entities]
    marked += [(each, message.caption) for each in message.caption_entities]
    return any(_names_us(entity, text, us) for entity, text in marked)


def _names_us(entity: MessageEntity, text: str, us: Us) -> bool:
    if entity.type == "text_mention":
        return entity.user is not None and entity.user.id == us.id
    name = f"@{us.username}".casefold()
    return entity.type == "mention" and _marked_by(entity, text).casefold() == name


def _marked_by(entity: MessageEntity, text: str) -> str:
    """The stretch of text that an entity is about."""
    return _between(text, entity.offset, entity.offset + entity.length)


def _between(text: str, begin: int, end: int | None = None) -> str:
    """A stretch of text, as Telegram counts: in units of UTF-16."""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * begin : None if end is None else 2 * end].decode("utf-16-le", "surrogatepass")


def _pressed(query: CallbackQuery, us: Us) -> Pressed:
    shown = query.message
    mark, _, said = query.data.partition(":")
    option, _, asked = said.rpartition(":")
    if shown is None or mark != "oc":
        return Pressed(query.id, None)
    try:
        choice = UUID(hex=asked)
    except ValueError:
        return Pressed(query.id, None)
    address = Address(CHANNEL, us.account, str(shown.chat.id), shown.thread)
    pick = Pick(choice, option, address, _sender(query.sender), _chat_type(shown.chat))
    return Pressed(query.id, pick)


def _reacted(change: MessageReactionUpdated, us: Us) -> Reacted | None:
    if change.user is None:
        return None  # somebody without a face, in the name of a chat
    before = [each.emoji for each in change.old_reaction if each.type == "emoji"]
    after = [each.emoji for each in change.new_reaction if each.type == "emoji"]
    address = Address(CHANNEL, us.account, str(change.chat.id))
    sender = _sender(change.user)
    number = str(change.message_id)
    changes = [(emoji, False) for emoji in before if emoji not in after]
    changes += [(emoji, True) for emoji in after if emoji not in before]
    reactions = tuple(Reaction(address, sender, number, emoji, added) for emoji, added in changes)
    return Reacted(reactions) if reactions else None


def _noted(change: ChatMemberUpdated) -> Noted:
    chat, status = change.chat, change.new_chat_member.status
    if chat.type == "private":
        did = "blocked us" if status in _GONE else "unblocked us"
        return Noted(f"the person {chat.id} has {did}")
    return Noted(f'we are now "{status}" of the {chat.type} {chat.id}')


def _chat_type(chat: Chat) -> ChatType:
    return ChatType.DIRECT if chat.type == "private" else ChatType.GROUP
