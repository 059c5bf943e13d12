"""What people write, from Linear's answers into the inbox.

A poll asks for every comment that changed since a little before the cursor, which moves when all of
them are durable. So the same comment comes again and again: what this process has dealt with it
knows, and of the rest the inbox does. Several nodes read side by side, from one cursor.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from channels.linear import queries
from channels.linear.api import Api
from channels.linear.comments import (
    CHANNEL,
    Comment,
    context_of,
    envelope,
    is_ours,
    quoted,
    reactions,
    read,
)
from channels.linear.outgoing import Pen
from channels.linear.settings import LinearSettings
from channels.receiving import offer, understood
from opencraw.contract import Envelope, Gateway
from opencraw.errors import AccountRefused, DeliveryFailure

log = logging.getLogger(__name__)

#: What was written on several of Linear's machines at once may appear in another order.
OVERLAP = timedelta(seconds=30)
_A_PAGE = 50
_MOST_PAGES = 100
_MOST_SEEN = 10_000
_LONGEST_DESCRIPTION = 4_000


class _Cursor(msgspec.Struct, frozen=True):
    """`began` is when the channel first ran: what was written before is not answered."""

    began: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class _Found:
    comment: Comment
    #: What it is now, apart from what it was before somebody changed it.
    mark: str


class Reader:
    """Reads for one account."""

    def __init__(self, api: Api, pen: Pen, settings: LinearSettings) -> None:
        self._api = api
        self._pen = pen
        self._teams = settings.team_ids
        self._uploads = settings.uploads_url
        self._opened_at = datetime.now(UTC)
        #: Comments as they were when they were dealt with.
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._me = ""

    async def me(self) -> str:
        """Our own id. Raises `AccountRefused` and a `DeliveryFailure`."""
        if not self._me:
            self._me = (await self._api.ask(queries.VIEWER))["viewer"]["id"]
        return self._me

    async def poll(self, gateway: Gateway) -> None:
        """Take in what is new. Raises `AccountRefused`, a `DeliveryFailure`, and `Unavailable`."""
        await self.me()
        cursor = await self._cursor(gateway)
        since = (cursor.at - OVERLAP).isoformat()
        found = await self._look(gateway, {"updatedAt": {"gte": since}, **self._ours()})
        await self._take_all(gateway, found, cursor.began)
        newest = max([cursor.at, *(each.comment.updatedAt for each in found)])
        if newest > cursor.at:
            await self._move(gateway, _Cursor(cursor.began, newest))

    async def look_at(self, gateway: Gateway, comment: str) -> None:
        """Take in one comment, of which something is new. Raises like `poll`."""
        await self.me()
        cursor = await self._cursor(gateway)
        found = await self._look(gateway, {"id": {"eq": comment}, **self._ours()})
        await self._take_all(gateway, found, cursor.began)

    async def prompted(self, gateway: Gateway, said: Envelope, issue: str) -> None:
        """Take in what somebody said in a session of Linear's. Returns when it is durable."""
        if not self._teams or said.address.chat in self._teams:
            await self._take(gateway, said, issue, edited=False)

    def _ours(self) -> dict[str, object]:
        issue: dict[str, object] = {"null": False}
        if self._teams:
            issue["team"] = {"id": {"in": self._teams}}
        return {"issue": issue}

    async def _cursor(self, gateway: Gateway) -> _Cursor:
        noted = await gateway.cursor(CHANNEL, "")
        if noted is not None:
            return msgspec.json.decode(noted, type=_Cursor)
        first = _Cursor(self._opened_at, self._opened_at)
        await self._move(gateway, first)
        return first

    async def _move(self, gateway: Gateway, cursor: _Cursor) -> None:
        await gateway.move_cursor(CHANNEL, "", msgspec.json.encode(cursor).decode())

    async def _look(self, gateway: Gateway, wanted: Mapping[str, object]) -> list[_Found]:
        """Comments that this process has not dealt with as they are now, in the order of their
        last change."""
        found: list[_Found] = []
        after: str | None = None
        for _ in range(_MOST_PAGES):
            answer = await self._api.ask(
                queries.COMMENTS, filter=wanted, first=_A_PAGE, after=after
            )
            page = answer["comments"]
            for node in page["nodes"]:
                found += await self._understood(gateway, node)
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        else:
            log.error(
                "more than %d comments changed at once; the oldest of them are not answered. "
                "Set channels.linear.team_ids to the teams that matter.",
                _A_PAGE * _MOST_PAGES,
            )
        return sorted(found, key=lambda each: each.comment.updatedAt)

    async def _understood(self, gateway: Gateway, node: dict[str, Any]) -> list[_Found]:
        mark = f"{node.get('id')} {node.get('updatedAt')} {node.get('reactions')}"
        if mark in self._seen:
            return []
        comment = await understood(gateway, CHANNEL, "", node, lambda: read(node))
        if comment is None:
            self._deal_with(mark)
            return []
        return [_Found(comment, mark)]

    async def _take_all(self, gateway: Gateway, found: Iterable[_Found], began: datetime) -> None:
        """Return when all are durable: in order within a thread, threads side by side."""
        threads: dict[str, list[_Found]] = {}
        for each in found:
            parent = each.comment.parent
            threads.setdefault(parent.id if parent else each.comment.id, []).append(each)

        async def in_order(thread: list[_Found]) -> None:
            for each in thread:
                await self._deal(gateway, each.comment, began)
                self._deal_with(each.mark)

        await asyncio.gather(*map(in_order, threads.values()))

    async def _deal(self, gateway: Gateway, comment: Comment, began: datetime) -> None:
        issue = comment.issue
        if issue is None:
            return
        if is_ours(comment, self._me):
            for reaction in reactions(comment, issue, self._me):
                await gateway.react(reaction)
        elif comment.createdAt >= began:
            said = envelope(comment, issue, self._me, self._uploads)
            await self._take(gateway, said, issue.id, edited=comment.editedAt is not None)

    def _deal_with(self, mark: str) -> None:
        self._seen[mark] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    async def _take(self, gateway: Gateway, said: Envelope, issue: str, *, edited: bool) -> None:
        session = context_of(said.reply_context).session
        self._pen.answers(said.address, session)
        said = await self._with_issue(gateway, said, issue)
        receipt = await offer(gateway, said)
        if receipt is None or receipt.muted:
            return
        if receipt.duplicate and edited:
            await gateway.amend(said)
        if session and not receipt.duplicate:
            await self._pen.think(session, receipt.message_id)

    async def _with_issue(self, gateway: Gateway, said: Envelope, issue: str) -> Envelope:
        """What somebody says first in a thread comes with what its issue is about. For strangers
        Linear is asked nothing."""
        if said.text.startswith("/") or not await gateway.admits(said):
            return said
        if await gateway.history(said.address, limit=1):
            return said
        try:
            about = (await self._api.ask(queries.ISSUE, id=issue))["issue"]
        except (DeliveryFailure, AccountRefused) as failure:
            log.warning("a message comes without its issue: %s", failure)
            return said
        quote = quoted(
            about["identifier"], about["title"], about["description"] or "", _LONGEST_DESCRIPTION
        )
        return msgspec.structs.replace(said, text=f"{quote}\n\n{said.text}".strip())
