"""From what Discord sends to what the gateway takes. Pure: values in, values out.

The chat of a direct message is the person (`@` and their id), so that everything about one person
has one address, whoever speaks first. A thread belongs to the channel in which it was begun: that
channel is the chat, so it is listed once for all its threads; each has its own conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

from channels.discord import wire
from opencraw.contract import (
    Address,
    Attachment,
    ChatType,
    Envelope,
    Pick,
    Reaction,
    Rights,
    Sender,
    Trigger,
)

NAME = "discord"
#: How the ids of our buttons begin.
BUTTON = "oc:"

_MOST_CHARACTERS = 20_000
_QUOTED_CHARACTERS = 500
_MOST_FILES = 50
_MENTION = re.compile(r"<@!?([0-9]{1,20})>")
_EMOJI = re.compile(r"<a?(:[A-Za-z0-9_]{1,64}:)[0-9]{1,20}>")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of Discord's channels is in our words."""

    chat: str
    thread: str = ""
    chat_type: ChatType = ChatType.GROUP

    @property
    def group(self) -> bool:
        return self.chat_type is not ChatType.DIRECT


@dataclass(frozen=True, slots=True)
class Us:
    """Who we are there."""

    bot_id: str
    #: Roles that Discord made for us: mentioning one of them means us.
    roles: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()


def place_of(channel: wire.Channel) -> Place:
    """Where `channel` is. Raises `ValueError` for one in which nobody writes to us."""
    if channel.type == wire.DIRECT and channel.recipients:
        return Place(f"@{channel.recipients[0].id}", chat_type=ChatType.DIRECT)
    if channel.type in (wire.DIRECT, wire.GROUP_DIRECT):
        raise ValueError("a direct message without the person")
    if channel.type in wire.THREADS:
        if channel.parent_id is None:
            raise ValueError("a thread without its channel")
        return Place(channel.parent_id, channel.id)
    kind = ChatType.CHANNEL if channel.type == wire.ANNOUNCEMENT else ChatType.GROUP
    return Place(channel.id, chat_type=kind)


def address_of(place: Place, me: Us) -> Address:
    return Address(NAME, me.bot_id, place.chat, place.thread)


def channel_in(address: Address) -> str | None:
    """Discord's channel behind an address; None for a person, whose channel only Discord knows."""
    return None if address.chat.startswith("@") else address.thread or address.chat


def envelope_of(message: wire.Message, place: Place, me: Us) -> Envelope | None:
    """What a person (or another program) said; None for what is no message to anybody."""
    if message.author.id == me.bot_id or message.type not in (wire.DEFAULT_MESSAGE, wire.REPLY):
        return None
    said = _readable(message.content, message.mentions, me)
    files = [*message.attachments]
    for snapshot in message.message_snapshots:
        files += snapshot.message.attachments
    return Envelope(
        address=address_of(place, me),
        sender=_sender(message.author, message.member, machine=message.webhook_id is not None),
        text="\n\n".join(filter(None, (said, *_beside(message, me))))[:_MOST_CHARACTERS],
        dedupe_key=message.id,
        correlation_id=uuid4(),
        chat_type=place.chat_type,
        attachments=tuple(_claims(message, files)),
        addressed=not place.group or _is_meant(message, said, me),
        written_at=wire.moment_of(message.id),
        platform_id=message.id,
        reply_context=message.id if place.group else "",
    )


def reaction_of(reacted: wire.Reacted, place: Place, me: Us, *, added: bool) -> Reaction | None:
    """What somebody thinks of a message of ours; None if it is not ours, or we did it ourselves."""
    if reacted.user_id == me.bot_id or reacted.message_author_id not in (None, me.bot_id):
        return None
    member = reacted.member
    user = (member and member.user) or wire.User(reacted.user_id)
    return Reaction(
        address_of(place, me),
        _sender(user, member),
        reacted.message_id,
        reacted.emoji.name or "",
        added,
    )


def command_of(interaction: wire.Interaction, place: Place, me: Us) -> Envelope:
    """A slash command that was chosen from Discord's list, as if it had been typed."""
    values = (str(option.value) for option in interaction.data.options if option.value is not None)
    return Envelope(
        address=address_of(place, me),
        sender=presser(interaction),
        text=" ".join((f"/{interaction.data.name}", *values)),
        dedupe_key=f"interaction:{interaction.id}",
        correlation_id=uuid4(),
        trigger_type=Trigger.COMMAND,
        chat_type=place.chat_type,
    )


def pick_of(interaction: wire.Interaction, place: Place, me: Us) -> Pick | None:
    """What somebody chose by a button; None for a button that is not ours."""
    if not interaction.data.custom_id.startswith(BUTTON):
        return None
    option, _, choice = interaction.data.custom_id.removeprefix(BUTTON).rpartition(":")
    return Pick(UUID(choice), option, address_of(place, me), presser(interaction), place.chat_type)


def presser(interaction: wire.Interaction) -> Sender:
    """Who caused an interaction. Raises `ValueError` if Discord does not say."""
    member = interaction.member
    user = member.user if member is not None else interaction.user
    if user is None:
        raise ValueError("an interaction of nobody")
    return _sender(user, member)


def _sender(user: wire.User, member: wire.Member | None, *, machine: bool = False) -> Sender:
    nick = member.nick if member is not None else None
    name = nick or user.global_name or user.username or user.id
    return Sender(user.id, name[:64], Rights.GUEST, machine=machine or user.bot)


def _is_meant(message: wire.Message, said: str, me: Us) -> bool:
    if any(user.id == me.bot_id for user in message.mentions):
        return True
    if not me.roles.isdisjoint(message.mention_roles):
        return True
    quoted = message.referenced_message
    if quoted is not None and quoted.author.id == me.bot_id:
        return True
    return (
        said.startswith("/")
        and said[1:].split(maxsplit=1)[:1] != []
        and (said[1:].split(maxsplit=1)[0] in me.commands)
    )


def _readable(text: str, mentions: Iterable[wire.User], me: Us) -> str:
    """A text as a person reads it: names instead of ids, and without calling us first."""
    names = {user.id: user.global_name or user.username for user in mentions}
    calls = [rf"<@!?{me.bot_id}>", *(rf"<@&{role}>" for role in me.roles)]
    text = re.sub(rf"^(?:\s*(?:{'|'.join(calls)}))+[\s,:]*", "", text)
    text = _MENTION.sub(lambda found: f"@{names.get(found[1]) or found[1]}", text)
    return _EMOJI.sub(r"\1", text).strip()


def _beside(message: wire.Message, me: Us) -> Iterator[str]:
    """What a message brings beside its own words."""
    quoted = message.referenced_message
    if quoted is not None and quoted.author.id != me.bot_id and quoted.content:
        who = quoted.author.global_name or quoted.author.username or quoted.author.id
        yield f"(In reply to {who}:)\n{_as_quote(quoted.content[:_QUOTED_CHARACTERS])}"
    yield from _shown(message)
    for snapshot in message.message_snapshots:
        inside = snapshot.message
        words = _readable(inside.content, inside.mentions, me)
        yield "(Forwarded:)\n" + _as_quote("\n\n".join(filter(None, (words, *_shown(inside)))))


def _shown(content: wire.Content) -> Iterator[str]:
    for sticker in content.sticker_items:
        yield f"[sticker: {sticker.name}]"
    if content.poll is not None:
        answers = (f"* {answer.poll_media.text or ''}" for answer in content.poll.answers)
        yield "\n".join((f"[poll: {content.poll.question.text or ''}]", *answers))
    for embed in content.embeds:
        # Every other kind is what Discord made of a link that the text has anyway.
        if embed.type == "rich":
            fields = (f"{field.name}: {field.value}" for field in embed.fields)
            yield "\n".join(filter(None, (embed.title, embed.description, *fields, embed.url)))


def _as_quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _claims(message: wire.Message, files: list[wire.File]) -> Iterator[Attachment]:
    # Links to files expire within a day: what stays is in which message they are.
    for file in files[:_MOST_FILES]:
        kind = (file.content_type or "application/octet-stream").partition(";")[0].strip()
        source = f"{message.channel_id}/{message.id}/{file.id}"
        yield Attachment(file.filename, kind, source, file.size)
