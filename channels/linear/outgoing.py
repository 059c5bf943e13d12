"""What we write below issues: comments under ids of our own, so that none appears twice."""

from __future__ import annotations

import logging
from uuid import UUID

from channels.linear import queries
from channels.linear.api import Api, Rejected
from channels.linear.comments import context_of, derived, place
from channels.markdown import markdown_parts
from channels.pacing import Pace
from opencraw.contract import Address, Delivery, PartSent
from opencraw.errors import AccountRefused, DeliveryFailure, NotSent

log = logging.getLogger(__name__)

#: Of 5,000 requests an hour drafts take no more than these, after a burst.
_DRAFTS_PER_SECOND = 0.5
_DRAFTS_AT_ONCE = 60
_REFUSED_SECONDS = 60.0


class Pen:
    """Writes for one account."""

    def __init__(self, api: Api, longest: int) -> None:
        self._api = api
        self._longest = longest
        self._pace = Pace(_DRAFTS_PER_SECOND, _DRAFTS_AT_ONCE)

    async def think(self, session: str, message: UUID) -> None:
        """Show in a session that somebody was heard: Linear gives up on agents that say nothing for
        ten seconds."""
        try:
            await self._activity(session, "thought", "Thinking…", derived(message, "thought"))
        except (DeliveryFailure, AccountRefused) as failure:
            log.warning("an agent session does not show that somebody was heard: %s", failure)

    async def deliver(self, delivery: Delivery, sent: PartSent) -> None:
        """Write the parts that are not there yet. Raises a `DeliveryFailure`."""
        try:
            await self._deliver(delivery, sent)
        except AccountRefused as refused:
            # The account may be let in again; the message is not to blame.
            raise NotSent(str(refused), retry_after=_REFUSED_SECONDS) from refused

    async def _deliver(self, delivery: Delivery, sent: PartSent) -> None:
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
            elif number == 1 and (draft := await self._drafted(delivery, text)):
                name = draft
            else:
                await self._comment(name, issue, root, text)
            await sent(name)

    async def change(self, comment: str, text: str) -> None:
        """Have a comment say something else. Raises a `DeliveryFailure` and `AccountRefused`."""
        await self._api.ask(queries.CHANGE_COMMENT, id=comment, input={"body": text})

    async def draft(self, turn: UUID, address: Address, text: str, session: str) -> str:
        """Draw the beginning of an answer, in a session of Linear's if there is one; returns the
        comment that shows it, empty where none remains. Raises like `draw`."""
        body = self._drawn(text)
        if session:
            await self._activity(session, "thought", body, "", ephemeral=True)
            return ""
        # Known before it is there: a draft is found again by whoever takes up its turn.
        return await self._show(turn, address, body)

    async def draw(self, comment: str, text: str) -> None:
        """Have a draft show more. Raises a `DeliveryFailure`, where there is no time for drafts,
        too, and `AccountRefused`."""
        await self.change(comment, self._drawn(text))

    def _drawn(self, text: str) -> str:
        if not self._pace.ready():
            raise NotSent("there is no time for drafts")
        # The beginning is what the first part of the answer will be.
        return "".join(markdown_parts(text, self._longest)[:1])

    async def _drafted(self, delivery: Delivery, text: str) -> str:
        """Have the draft of a delivery say this; empty if there is none."""
        draft = delivery.draft
        try:
            if draft:
                await self.change(draft, text)
            elif draft is None and delivery.ends is not None:
                draft = await self._show(delivery.ends, delivery.address, text)
        except Rejected as rejected:
            log.info("the draft is gone, so its answer is a comment of its own: %s", rejected)
            return ""
        return draft or ""

    async def _show(self, turn: UUID, address: Address, body: str) -> str:
        """Have the comment that shows a turn say this, whether it is there or not."""
        comment = derived(turn, "draft")
        if not await self._comment(comment, *place(address), body):
            await self.change(comment, body)
        return comment

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
