"""What we write below issues: comments under ids of our own, so that none appears twice."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Generic, TypeVar
from uuid import UUID

from channels.linear import queries
from channels.linear.api import Api, Rejected
from channels.linear.comments import context_of, derived, place
from channels.markdown import markdown_parts
from channels.pacing import Pace
from opencraw.contract import Address, Delivery, PartSent
from opencraw.errors import AccountRefused, DeliveryFailure, NotSent

log = logging.getLogger(__name__)

_MOST_ADDRESSES = 1_000
#: Of 5,000 requests an hour drafts take no more than these, after a burst.
_DRAFTS_PER_SECOND = 0.5
_DRAFTS_AT_ONCE = 60
_REFUSED_SECONDS = 60.0


V = TypeVar("V")


class _Latest(Generic[V]):
    """Something about each address that was in use lately."""

    def __init__(self) -> None:
        self._known: OrderedDict[Address, V] = OrderedDict()

    def note(self, address: Address, value: V) -> None:
        self._known[address] = value
        self._known.move_to_end(address)
        if len(self._known) > _MOST_ADDRESSES:
            self._known.popitem(last=False)

    def get(self, address: Address) -> V | None:
        return self._known.get(address)


class Pen:
    """Writes for one account."""

    def __init__(self, api: Api, longest: int) -> None:
        self._api = api
        self._longest = longest
        self._pace = Pace(_DRAFTS_PER_SECOND, _DRAFTS_AT_ONCE)
        #: The turn that is shown at an address, and the session that it answers.
        self._turns: _Latest[UUID] = _Latest()
        self._sessions: _Latest[str] = _Latest()

    def turn_begins(self, address: Address, turn: UUID) -> None:
        """What is drawn at this address from now on is the draft of `turn`."""
        self._turns.note(address, turn)

    def answers(self, address: Address, session: str) -> None:
        """What is drawn at this address is for a session of Linear's; empty is for none."""
        self._sessions.note(address, session)

    async def think(self, session: str, message: UUID) -> None:
        """Show in a session that somebody was heard: Linear gives up on agents that say nothing for
        ten seconds."""
        try:
            await self._activity(session, "thought", "Thinking…", derived(message, "thought"))
        except (DeliveryFailure, AccountRefused) as failure:
            log.warning("an agent session does not show that somebody was heard: %s", failure)

    async def deliver(self, delivery: Delivery, draft: str, sent: PartSent) -> None:
        """Write the parts that are not there yet. Raises a `DeliveryFailure`."""
        try:
            await self._deliver(delivery, draft, sent)
        except AccountRefused as refused:
            # The account may be let in again; the message is not to blame.
            raise NotSent(str(refused), retry_after=_REFUSED_SECONDS) from refused

    async def _deliver(self, delivery: Delivery, draft: str, sent: PartSent) -> None:
        session = context_of(delivery.reply_context).session
        issue, root = place(delivery.address)
        parts = markdown_parts(delivery.line.text, self._longest)
        for number, text in enumerate(parts, start=1):
            if number <= len(delivery.parts):
                continue
            name = derived(delivery.delivery_id, number)
            if session:
                # An answer ends what a session waits for, so only the last part is one.
                kind = "response" if number == len(parts) else "thought"
                await self._activity(session, kind, text, name)
            elif number == 1 and draft and await self._becomes(draft, text):
                name = draft
            else:
                await self._comment(name, issue, root, text)
            await sent(name)

    async def change(self, comment: str, text: str) -> None:
        """Have a comment say something else. Raises a `DeliveryFailure` and `AccountRefused`."""
        await self._api.ask(queries.CHANGE_COMMENT, id=comment, input={"body": text})

    async def draft(self, address: Address, text: str, comment: str) -> str:
        """Draw the beginning of an answer; returns the comment that shows it, empty where none
        remains. Raises a `DeliveryFailure` when there is no time for drafts."""
        turn = self._turns.get(address)
        if turn is None or not self._pace.ready():
            raise NotSent("there is no time for drafts")
        body = "".join(markdown_parts(text, self._longest)[:1])
        if session := self._sessions.get(address):
            await self._activity(session, "thought", body, "", ephemeral=True)
            return ""
        if not comment:
            # Known before it is there: a draft is found again by whoever takes up its turn.
            comment = derived(turn, "draft")
            if await self._comment(comment, *place(address), body):
                return comment
        await self.change(comment, body)
        return comment

    async def _becomes(self, draft: str, text: str) -> bool:
        try:
            await self.change(draft, text)
        except Rejected as rejected:
            log.info("the draft is gone, so its answer is a comment of its own: %s", rejected)
            return False
        return True

    async def _comment(self, name: str, issue: str, root: str | None, text: str) -> bool:
        """Write a comment; False when it was there already."""
        written = {"id": name, "issueId": issue, "parentId": root, "body": text}
        try:
            await self._api.ask(queries.CREATE_COMMENT, input=written)
        except Rejected as rejected:
            if not await self._is_there(queries.COMMENT, name, rejected):
                raise
            return False
        return True

    async def _activity(
        self, session: str, kind: str, text: str, name: str, *, ephemeral: bool = False
    ) -> None:
        activity: dict[str, object] = {
            "agentSessionId": session,
            "content": {"type": kind, "body": text},
            "ephemeral": ephemeral,
        }
        if name:
            activity["id"] = name
        try:
            await self._api.ask(queries.CREATE_ACTIVITY, input=activity)
        except Rejected as rejected:
            if not (name and await self._is_there(queries.ACTIVITY, name, rejected)):
                raise

    async def _is_there(self, question: str, name: str, rejected: Rejected) -> bool:
        """Whether an earlier attempt brought it. Linear says of an id that is taken only that the
        input is wrong."""
        if rejected.code not in {"INPUT_ERROR", "INVALID_INPUT", "GRAPHQL_INPUT_ERROR"}:
            return False
        try:
            await self._api.ask(question, id=name)
        except Rejected:
            return False
        return True
