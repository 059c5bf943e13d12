"""What Linear tells us by itself, sooner than the next poll would. Whatever gets lost here, a poll
finds; only the sessions that Linear opens for agents are told of nowhere else."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec

from channels.linear.comments import CHANNEL, Context, Issue, Person, emoji, person, written
from opencraw.contract import Address, ChatType, Envelope, Reaction
from opencraw.errors import Unauthorised

SIGNATURE = "Linear-Signature"
FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """Something is new about a comment."""

    comment: str
    updated: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A comment was deleted."""

    address: Address
    comment: str


@dataclass(frozen=True, slots=True)
class Prompted:
    """Somebody speaks to us in a session that Linear opened, on this issue."""

    envelope: Envelope
    issue: Issue


@dataclass(frozen=True, slots=True)
class Liked:
    """Somebody put an emoji to a comment, or took it away."""

    reaction: Reaction


class _Said(msgspec.Struct, frozen=True):
    id: str
    body: str = ""


class _Session(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    app_user_id: str
    issue: Issue | None = None
    comment: _Said | None = None
    source_comment_id: str | None = None
    creator: Person | None = None


class _Content(msgspec.Struct, frozen=True):
    type: str
    body: str = ""


class _Activity(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    user: Person
    content: _Content
    source_comment_id: str | None = None


class _Comment(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    issue: Issue | None = None
    parent_id: str | None = None
    updated_at: str = ""


class _Reaction(msgspec.Struct, frozen=True, rename="camel"):
    emoji: str
    comment_id: str | None = None
    issue: Issue | None = None
    user: Person | None = None


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    action: str
    webhook_timestamp: float
    data: dict[str, Any] = {}
    agent_session: _Session | None = None
    agent_activity: _Activity | None = None


Told = Look | Gone | Liked | Prompted


def check(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `Unauthorised` for what Linear has not signed."""
    expected = hmac.new(secret.encode(), body, "sha256").hexdigest().encode()
    if not hmac.compare_digest(expected, headers.get(SIGNATURE, "").encode("utf-8", "replace")):
        raise Unauthorised(
            "This is not signed with the secret of our webhook.", code="invalid_signature"
        )


def read(body: bytes, me: str, now: float) -> Told | None:
    """What an event means for the account `me`; None is nothing. Raises `Unauthorised` for one that
    was signed long ago, and `msgspec.MsgspecError`."""
    event = msgspec.json.decode(body, type=_Event)
    if abs(now - event.webhook_timestamp / 1000) > FRESH_SECONDS:
        raise Unauthorised("This was signed long ago.", code="invalid_signature")
    match event.type:
        case "Comment":
            return _comment(msgspec.convert(event.data, _Comment), event.action)
        case "Reaction":
            return _liked(msgspec.convert(event.data, _Reaction), event.action, me)
        case "AgentSessionEvent" if event.agent_session is not None:
            return _prompted(event, event.agent_session, me)
        case _:
            return None


def _comment(comment: _Comment, action: str) -> Told | None:
    if comment.issue is None:
        return None
    if action != "remove":
        return Look(comment.id, comment.updated_at)
    thread = f"{comment.issue.id}/{comment.parent_id or comment.id}"
    return Gone(Address(CHANNEL, "", comment.issue.team.id, thread), comment.id)


def _liked(given: _Reaction, action: str, me: str) -> Told | None:
    if given.comment_id is None:
        return None
    if given.issue is None or given.user is None:
        return Look(given.comment_id)
    if given.user.id == me:
        return None
    return Liked(
        Reaction(
            Address(CHANNEL, "", given.issue.team.id),
            person(given.user),
            given.comment_id,
            emoji(given.emoji),
            added=action != "remove",
        )
    )


def _prompted(event: _Event, session: _Session, me: str) -> Prompted | None:
    if session.app_user_id != me or session.issue is None:
        return None
    root = session.comment.id if session.comment is not None else session.id
    if event.agent_activity is not None:
        said = event.agent_activity
        who, text, key = said.user, said.content.body, said.source_comment_id or said.id
    elif session.creator is not None:
        who = session.creator
        text = session.comment.body if session.comment is not None else ""
        key = session.source_comment_id or root
    else:
        return None
    if who.id == me:
        return None
    envelope = Envelope(
        address=Address(CHANNEL, "", session.issue.team.id, f"{session.issue.id}/{root}"),
        sender=person(who),
        text=text,
        # The comment behind it is found by a poll, too.
        dedupe_key=key,
        correlation_id=uuid4(),
        chat_type=ChatType.GROUP,
        platform_id=key,
        reply_context=written(Context(session.id)),
    )
    return Prompted(envelope, session.issue)
