"""What people write, from Linear's answers into the inbox.

A poll asks for every comment that changed since a little before the cursor, which moves when all of
them are durable. So the same comment comes again and again: what this process has dealt with it
knows, and of the rest the inbox does. Several nodes read side by side, from one cursor.

Linear hands out the newest first, and what is older comes first in a conversation. So of many
comments windows are made, each as large as is dealt with at once. The oldest is dealt with first,
and the cursor moves behind each: whatever ends a catch-up, the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from channels.linear import queries
from channels.linear.api import Api
from channels.linear.comments import (
    CHANNEL,
    Comment,
    Issue,
    Moment,
    context_of,
    envelope,
    is_ours,
    quoted,
    reactions,
    read,
    thread,
)
from channels.linear.outgoing import Pen
from channels.linear.settings import LinearSettings
from channels.receiving import offer, side_by_side, understood
from opencraw.contract import Envelope, Gateway

log = logging.getLogger(__name__)

#: What was written on several of Linear's machines at once may appear in another order.
OVERLAP = timedelta(seconds=30)
#: Each comment comes with the whole description of its issue.
_A_PAGE = 20
#: Of comments that nobody has dealt with, about.
_A_WINDOW = 200
_MOST_WINDOWS = 50
#: Of one window, in which all may have changed in the same moment.
_MOST_PAGES = 250
_MOST_SEEN = 10_000


class _Cursor(msgspec.Struct, frozen=True):
    """`began` is when the channel first ran: what was written before is not answered."""

    began: datetime
    at: datetime


class _State(NamedTuple):
    """What changes of a comment when somebody does something to it."""

    updated: str
    archived: str
    reactions: str


@dataclass(frozen=True, slots=True)
class _Found:
    comment: Comment
    state: _State


class _Looked(NamedTuple):
    """How far a look went."""

    #: When the newest comment changed.
    newest: datetime | None
    #: When the oldest changed of as many as are dealt with at once, where there are more. Nothing
    #: was done about them yet: what is older comes first.
    too_many_from: datetime | None = None


class Reader:
    """Reads for one account."""

    def __init__(
        self, api: Api, pen: Pen, settings: LinearSettings, heard: Callable[[], None]
    ) -> None:
        """`heard` is told whenever Linear has answered."""
        self._heard = heard
        self._api = api
        self._pen = pen
        self._teams = settings.team_ids
        self._uploads = settings.uploads_url
        self._opened_at = datetime.now(UTC)
        #: Comments by their ids, as they were when they were dealt with.
        self._seen: OrderedDict[str, _State] = OrderedDict()
        #: Held while somebody looks at a comment.
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._me = ""
        self._workspace = ""

    async def me(self) -> str:
        """Our own id. Raises `AccountRefused` and a `DeliveryFailure`."""
        if not self._me:
            answer = await self._api.ask(queries.VIEWER)
            self._workspace = answer["organization"]["id"]
            self._me = answer["viewer"]["id"]
        return self._me

    async def poll(self, gateway: Gateway) -> None:
        """Take in what is new. Raises `AccountRefused`, a `DeliveryFailure`, and `Unavailable`."""
        await self.me()
        cursor = await self._cursor(gateway)
        since = cursor.at - OVERLAP
        # Where the windows begin that come after this one, the newest first.
        later: list[datetime] = []
        while True:
            changed = {"gte": since.isoformat()}
            if later:
                changed["lt"] = later[-1].isoformat()
            wanted = {"updatedAt": changed, **self._ours()}
            newest, too_many_from = await self._look(gateway, wanted, cursor.began, since)
            if too_many_from is not None:
                if len(later) < _MOST_WINDOWS:
                    later.append(too_many_from)
                    continue
                _left_out()
            if newest is not None and newest > cursor.at:
                cursor = _Cursor(cursor.began, newest)
                await self._move(gateway, cursor)
            if not later:
                return
            since = later.pop()

    async def look_at(self, gateway: Gateway, comment: str, updated: str = "") -> None:
        """Take in one comment, of which something is new since it was `updated`. However often we
        are told, Linear is asked once. Raises like `poll`."""
        await self.me()
        async with self._looking.setdefault(comment, asyncio.Lock()):
            known = self._seen.get(comment)
            if known is not None and known.updated == updated:
                return
            cursor = await self._cursor(gateway)
            wanted = {"id": {"eq": comment}, **self._ours()}
            await self._look(gateway, wanted, cursor.began, cursor.at)

    async def prompted(self, gateway: Gateway, said: Envelope, issue: Issue) -> None:
        """Take in what somebody said in a session of Linear's. Returns when it is durable."""
        if not self._teams or said.address.chat in self._teams:
            await self._take(gateway, said, issue, edited=False)

    def _ours(self) -> dict[str, object]:
        issue: dict[str, object] = {"null": False}
        if self._teams:
            issue["team"] = {"id": {"in": self._teams}}
        return {"issue": issue}

    async def _cursor(self, gateway: Gateway) -> _Cursor:
        noted = await gateway.cursor(CHANNEL, self._workspace)
        if noted is not None:
            return msgspec.json.decode(noted, type=_Cursor)
        first = _Cursor(self._opened_at, self._opened_at)
        await self._move(gateway, first)
        return first

    async def _move(self, gateway: Gateway, cursor: _Cursor) -> None:
        await gateway.move_cursor(CHANNEL, self._workspace, msgspec.json.encode(cursor).decode())

    async def _look(
        self, gateway: Gateway, wanted: Mapping[str, object], began: datetime, since: datetime
    ) -> _Looked:
        """Take in the comments that this process has not dealt with as they are now, in the order
        of their last change, if they are not too many. None of them changed before `since`."""
        deal = partial(self._deal, gateway, began)
        found: list[_Found] = []
        newest: datetime | None = None
        after: str | None = None
        for pages_left in reversed(range(_MOST_PAGES)):
            answer = await self._api.ask(
                queries.COMMENTS, filter=wanted, first=_A_PAGE, after=after
            )
            self._heard()
            page = answer["comments"]
            newest = max(filter(None, [newest, *map(_changed_at, page["nodes"])]), default=None)
            new = [
                node
                for node in page["nodes"]
                if self._seen.get(str(node.get("id"))) != _state(node)
            ]
            found += [each for node in new for each in await self._understood(gateway, node)]
            more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
            if more and len(found) >= _A_WINDOW:
                oldest = min(each.comment.updatedAt for each in found)
                if oldest > since:
                    return _Looked(newest, too_many_from=oldest)
            if more and not pages_left:
                _left_out()
                more = False
            # The newest come first. Behind one that we know there are stragglers at most, for which
            # nobody is to wait.
            if not more or len(new) < len(page["nodes"]):
                found.sort(key=lambda each: each.comment.updatedAt)
                await side_by_side(found, lambda each: each.comment.root, deal)
                found = []
            if not more:
                break
        return _Looked(newest)

    async def _understood(self, gateway: Gateway, node: dict[str, Any]) -> list[_Found]:
        comment = await understood(gateway, CHANNEL, "", node, lambda: read(node))
        if comment is None:
            self._deal_with(str(node.get("id")), _state(node))
            return []
        return [_Found(comment, _state(node))]

    async def _deal(self, gateway: Gateway, began: datetime, found: _Found) -> None:
        """Return when it is durable."""
        comment, issue = found.comment, found.comment.issue
        if issue is None:
            pass
        elif is_ours(comment, self._me):
            for reaction in reactions(comment, issue, self._me):
                await gateway.react(reaction)
        elif comment.archivedAt is not None:
            await gateway.retract(thread(comment, issue), comment.id)
        elif comment.createdAt >= began:
            said = envelope(comment, issue, self._me, self._uploads)
            await self._take(gateway, said, issue, edited=comment.editedAt is not None)
        self._deal_with(comment.id, found.state)
        # Nobody asks Linear for more before what it said is dealt with: that is no silence.
        self._heard()

    def _deal_with(self, comment: str, state: _State) -> None:
        self._seen[comment] = state
        self._seen.move_to_end(comment)
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    async def _take(self, gateway: Gateway, said: Envelope, issue: Issue, *, edited: bool) -> None:
        said = await _with_issue(gateway, said, issue)
        receipt = await offer(gateway, said)
        if receipt is None or receipt.muted:
            return
        if receipt.duplicate and edited:
            await gateway.amend(said)
        session = context_of(said.reply_context).session
        if session and not receipt.duplicate:
            await self._pen.think(session, receipt.message_id)


async def _with_issue(gateway: Gateway, said: Envelope, issue: Issue) -> Envelope:
    """What somebody says first in a thread comes with what its issue is about."""
    if said.text.startswith("/") or await gateway.reader.history(said.address, limit=1):
        return said
    return msgspec.structs.replace(said, text=f"{quoted(issue)}\n\n{said.text}".strip())


def _left_out() -> None:
    log.error(
        "too many comments changed at once; the oldest of them are not answered. "
        "Set channels.linear.team_ids to the teams that matter."
    )


def _changed_at(node: Mapping[str, object]) -> datetime | None:
    """When a comment changed, whatever else is wrong with it."""
    try:
        return msgspec.convert(node.get("updatedAt"), Moment)
    except msgspec.ValidationError:
        return None


def _state(node: Mapping[str, object]) -> _State:
    return _State(*(str(node.get(name)) for name in ("updatedAt", "archivedAt", "reactions")))
