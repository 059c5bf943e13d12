"""What people write on issues, and what it means.

A team is a chat, and each thread of comments in it a conversation: so `access.groups` lists teams,
and what was said below one issue is not told below another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from mimetypes import guess_type
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import msgspec

from opencraw.contract import (
    Address,
    Attachment,
    ChatType,
    Envelope,
    Reaction,
    Rights,
    Sender,
)

CHANNEL = "linear"
_MENTION = "suggestion_userMentions"
_MOST_FILES = 20
_DEEPEST = 100
_LONGEST_DESCRIPTION = 4_000
#: Linear writes emojis by their names; these are the ones that say what somebody thinks.
_EMOJIS = {
    "+1": "👍",
    "thumbsup": "👍",
    "-1": "👎",
    "thumbsdown": "👎",
    "heart": "❤️",
    "white_check_mark": "✅",
    "heavy_check_mark": "✔️",
}


class Person(msgspec.Struct, frozen=True):
    id: str
    name: str = ""
    displayName: str = ""  # noqa: N815 - Linear's name
    app: bool = False


class Bot(msgspec.Struct, frozen=True):
    id: str | None = None
    name: str | None = None
    type: str = ""


class _Ref(msgspec.Struct, frozen=True):
    id: str


class _Parent(msgspec.Struct, frozen=True):
    id: str
    user: _Ref | None = None


class _Liked(msgspec.Struct, frozen=True):
    emoji: str
    user: Person | None = None


class Issue(msgspec.Struct, frozen=True):
    """Where a comment is. Who it is assigned to are the people who are meant by every comment."""

    id: str
    identifier: str
    title: str
    team: _Ref
    description: str | None = None
    assignee: _Ref | None = None
    delegate: _Ref | None = None


#: A moment that can be compared with others.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Comment(msgspec.Struct, frozen=True):
    """One comment, as `queries.COMMENTS` asks for it."""

    id: str
    body: str
    createdAt: Moment  # noqa: N815
    updatedAt: Moment  # noqa: N815
    bodyData: str = ""  # noqa: N815
    editedAt: datetime | None = None  # noqa: N815
    #: Somebody deleted it.
    archivedAt: datetime | None = None  # noqa: N815
    user: Person | None = None
    externalUser: Person | None = None  # noqa: N815
    botActor: Bot | None = None  # noqa: N815
    parent: _Parent | None = None
    agentSession: _Ref | None = None  # noqa: N815
    reactions: tuple[_Liked, ...] = ()
    #: What is not below an issue is nothing of ours.
    issue: Issue | None = None

    @property
    def root(self) -> str:
        """The comment that began its thread."""
        return self.parent.id if self.parent is not None else self.id


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer has to know of the message that it answers; travels as a text."""

    #: The agent session that Linear opened for it.
    session: str = ""


def read(node: object) -> Comment:
    """One comment. Raises `msgspec.ValidationError`."""
    return msgspec.convert(node, Comment)


def is_ours(comment: Comment, me: str) -> bool:
    """Whether the assistant wrote it: such a comment is never answered."""
    if comment.user is not None:
        return comment.user.id == me
    return comment.botActor is not None and comment.botActor.id == me


def envelope(comment: Comment, issue: Issue, me: str, uploads: str) -> Envelope:
    """What somebody else wrote, as everybody else understands it."""
    context = Context(comment.agentSession.id if comment.agentSession is not None else "")
    return Envelope(
        address=thread(comment, issue),
        sender=_sender(comment),
        text=_without_mention(comment, me),
        dedupe_key=comment.id,
        correlation_id=uuid4(),
        chat_type=ChatType.GROUP,
        attachments=tuple(_files(comment.body, uploads)),
        addressed=_is_meant(comment, issue, me),
        written_at=comment.createdAt.timestamp(),
        platform_id=comment.id,
        reply_context=written(context),
    )


def thread(comment: Comment, issue: Issue) -> Address:
    """Where a comment is, and all that are below the same one."""
    return Address(CHANNEL, "", issue.team.id, f"{issue.id}/{comment.root}")


def place(address: Address) -> tuple[str, str | None]:
    """The issue of an address, and the comment below which it is, if any."""
    issue, _, root = address.thread.partition("/")
    # Whoever speaks first names an issue, and begins a thread there.
    return (issue, root or None) if issue else (address.chat, None)


def reactions(comment: Comment, issue: Issue, me: str) -> Iterator[Reaction]:
    """What people think of a comment of ours."""
    where = thread(comment, issue)
    for liked in comment.reactions:
        if liked.user is not None and liked.user.id != me:
            yield Reaction(where, person(liked.user), comment.id, emoji(liked.emoji))


def emoji(name: str) -> str:
    """An emoji as people see it."""
    return _EMOJIS.get(name.strip(":"), name)


def person(user: Person) -> Sender:
    """Somebody with an account in the workspace; an application has one, too."""
    return Sender(user.id, user.displayName or user.name, Rights.GUEST, machine=user.app)


def quoted(issue: Issue) -> str:
    """What an issue is about, marked off line by line as somebody else's words."""
    description = issue.description or ""
    about = f"{issue.identifier}: {issue.title}\n\n{description[:_LONGEST_DESCRIPTION]}".strip()
    if len(description) > _LONGEST_DESCRIPTION:
        about += " …"
    return "\n".join(f"> {line}".rstrip() for line in about.splitlines())


def derived(source: UUID, part: object) -> str:
    """The id under which Linear knows a part of something of ours, at every attempt the same: it
    takes only what looks like a random one."""
    digest = hashlib.sha256(f"{source}:{part}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def written(context: Context) -> str:
    return msgspec.json.encode(context).decode() if context.session else ""


def context_of(text: str) -> Context:
    """What `written` wrote."""
    return msgspec.json.decode(text, type=Context) if text else Context()


def _sender(comment: Comment) -> Sender:
    if comment.user is not None:
        return person(comment.user)
    if comment.externalUser is not None:
        # From a chat or a tracker that is connected to Linear; nobody of the workspace.
        stranger = comment.externalUser
        return Sender(
            f"external:{stranger.id}", stranger.displayName or stranger.name, Rights.GUEST
        )
    bot = comment.botActor or Bot()
    return Sender(f"bot:{bot.id or bot.type}", bot.name or "", Rights.GUEST, machine=True)


def _is_meant(comment: Comment, issue: Issue, me: str) -> bool:
    began = comment.parent.user if comment.parent is not None else None
    responsible = (issue.assignee, issue.delegate, began)
    if comment.agentSession is not None or me in mentioned(comment.bodyData):
        return True
    return any(each is not None and each.id == me for each in responsible)


def mentioned(document: str) -> dict[str, str]:
    """Whom a text mentions: names by ids. A name in the text itself is nobody's mention."""
    try:
        tree = json.loads(document or "{}")
    except (ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, Mapping) or depth > _DEEPEST:
            continue
        attributes = node.get("attrs")
        if node.get("type") == _MENTION and isinstance(attributes, Mapping):
            found[str(attributes.get("id"))] = str(attributes.get("label", ""))
        inner = node.get("content")
        waiting += [(each, depth + 1) for each in inner] if isinstance(inner, list) else []
    return found


def _without_mention(comment: Comment, me: str) -> str:
    """The text without the mention of us that it begins with, so that commands are commands."""
    name = mentioned(comment.bodyData).get(me)
    text = comment.body.strip()
    if name:
        text = re.sub(
            rf"^(\[@?{re.escape(name)}\]\([^)\s]*\)|@{re.escape(name)}\b)[:,]?\s*", "", text
        )
    return text


def _files(body: str, uploads: str) -> Iterator[Attachment]:
    pattern = rf"!?\[([^\]\n]{{0,256}})\]\(({re.escape(uploads.rstrip('/'))}/[^)\s]{{1,2000}})\)"
    for number, found in enumerate(re.finditer(pattern, body)):
        if number == _MOST_FILES:
            return
        name = found[1] or unquote(found[2].rsplit("/", 1)[-1])
        kind = guess_type(name)[0] or ("image/png" if found[0].startswith("!") else "")
        yield Attachment(name, kind or "application/octet-stream", found[2])
