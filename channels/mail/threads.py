"""Which conversation a mail goes on, and what its answer must say to stay in it.

A conversation is a correspondent and a thread: whoever begins a new mail begins anew, as people
expect of mail, and nobody but its correspondent gets into one, whatever he quotes. A thread is
known by the mail that began it. Programs lose that one from References sooner or later, so every
Message-ID of ours carries the thread along: whoever answers us names it.
"""

from __future__ import annotations

import re
from hashlib import sha256
from uuid import UUID

import msgspec

from channels.mail.headers import Headers, one_line
from opencraw.contract import LONGEST_REPLY_CONTEXT

#: References that an answer carries: the first, and the newest.
MOST_REFERENCES = 12
_LONGEST_SUBJECT = 200
_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f]{3,250}>")
_OURS = re.compile(r"<oc\.[0-9a-f]{32}\.([A-Za-z0-9_-]{0,64})@([^<>@\s]+)>")
_ANSWERS = re.compile(
    r"\s*(?:re|aw|sv|antw|vs|odp|res|ynt|回复|答复)\s*(?:\[\d+\])?\s*[:\uff1a]\s*", re.I
)


class ReplyContext(msgspec.Struct, frozen=True):
    """What an answer to one mail needs to know of it."""

    message_id: str
    references: tuple[str, ...]
    subject: str

    def written(self) -> str:
        return msgspec.json.encode(self).decode()

    @staticmethod
    def read(written: str) -> ReplyContext | None:
        """What `written` gave; None for a delivery that answers no mail."""
        if not written:
            return None
        try:
            return msgspec.json.decode(written, type=ReplyContext)
        except msgspec.MsgspecError:
            return None


def message_ids(value: str) -> list[str]:
    """The ids in a header, in order."""
    return _ID.findall(value)


def message_id(headers: Headers) -> str:
    """A mail's own id; empty if it has none that could be quoted."""
    return next(iter(message_ids(headers.first("message-id"))), "")


def references(headers: Headers) -> list[str]:
    """The mails that a mail follows, the oldest first."""
    found = message_ids(headers.first("references"))
    before = message_ids(headers.first("in-reply-to"))[:1]
    return found + [each for each in before if each not in found]


def thread(headers: Headers, domain: str) -> str:
    """The thread that a mail belongs to, as we know it. `domain` is the one of our own ids."""
    followed = references(headers)
    for each in reversed(followed):
        ours = _OURS.fullmatch(each)
        if ours is not None and ours[2] == domain:
            return ours[1]
    root = followed[0] if followed else message_id(headers)
    # One without any id has no thread that anybody could go on with.
    return sha256(root.encode()).hexdigest()[:24] if root else ""


def own_message_id(delivery: UUID, thread: str, domain: str) -> str:
    """The Message-ID of a delivery: the same at every attempt."""
    return f"<oc.{delivery.hex}.{thread}@{domain}>"


def reply_context(headers: Headers) -> ReplyContext:
    """What is kept of a mail until it is answered."""
    own = message_id(headers)
    chain = [*references(headers), own] if own else references(headers)
    if len(chain) > MOST_REFERENCES:
        chain = [chain[0], *chain[1 - MOST_REFERENCES :]]
    subject = headers.words("subject", _LONGEST_SUBJECT)
    context = ReplyContext(own, tuple(chain), subject)
    while len(context.written()) > LONGEST_REPLY_CONTEXT:
        del chain[1]
        context = ReplyContext(own, tuple(chain), subject)
    return context


def answered_subject(subject: str) -> str:
    """The subject of an answer: `Re:` once, however often people's programs wrote it."""
    bare = one_line(subject, _LONGEST_SUBJECT)
    while (found := _ANSWERS.match(bare)) is not None:
        bare = bare[found.end() :]
    return f"Re: {bare}" if bare else "Re: your mail"
