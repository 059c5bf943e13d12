"""Has operator code look at what people say, before it is taken in.

Messages of one conversation are looked at side by side and taken in in the order in which they
came, as if nobody had looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from opencraw.contract import PATIENCE_SECONDS, Envelope, Receipt
from opencraw.errors import Refused, Unavailable
from opencraw.hooks import Denied, Hooks, Point, Verdict
from opencraw.hooks.points import GO
from opencraw.queue.inbox import Inbox
from opencraw.store.text import storable

#: For all hooks together: whoever offers a message does not wait much longer.
HOOK_SECONDS = 5.0
#: For the messages before it.
_LINE_SECONDS = 10.0


class Screening:
    """The hooks at the door."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        #: Is done when the message that came last in a conversation has been taken in, or not.
        self._last: dict[UUID, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def of(self, envelope: Envelope, session: UUID) -> AsyncIterator[Verdict]:
        """What the hooks say to a message, when it is its turn to be taken in."""
        if not self._hooks.at(Point.MESSAGE_RECEIVED):
            yield GO
            return
        before = self._last.get(session)
        mine = self._last[session] = asyncio.get_running_loop().create_future()
        try:
            facts = _facts(envelope, session)
            verdict = await self._hooks.ask(Point.MESSAGE_RECEIVED, facts, within=HOOK_SECONDS)
            if before is not None:
                await asyncio.wait([before], timeout=_LINE_SECONDS)
                if not before.done():
                    raise Unavailable("the messages before this one still wait; send it again")
            yield verdict
        finally:
            mine.set_result(None)
            if self._last[session] is mine:
                del self._last[session]


def said_no(verdict: Verdict) -> str | None:
    """What the sender is told, if the message is not taken."""
    return f"This message was not taken: {verdict.reason}" if isinstance(verdict, Denied) else None


async def refuse_denied(inbox: Inbox, envelope: Envelope, reason: str) -> Receipt:
    """Refuse what hooks said no to. What was taken in before stays so."""
    if known := await inbox.known(envelope, patience=PATIENCE_SECONDS):
        return known
    raise Refused(reason, code="FORBIDDEN")


def _facts(envelope: Envelope, session: UUID) -> dict[str, object]:
    address = envelope.address
    text = storable(envelope.text)
    return {
        "tenant": envelope.tenant,
        "session_id": session,
        "correlation_id": envelope.correlation_id,
        "dedupe_key": envelope.dedupe_key,
        "channel_id": address.channel,
        "account": address.account,
        "chat": address.chat,
        "thread": address.thread,
        "chat_type": envelope.chat_type,
        "sender_id": envelope.sender.id,
        "sender_name": storable(envelope.sender.name),
        "rights": envelope.sender.rights,
        "origin": envelope.origin,
        "size": len(text),
        "text": text,
    }
