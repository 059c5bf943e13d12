"""Lanes in which more messages wait than may: who gives up a place, and what everybody is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from opencraw.context.notes import note
from opencraw.contract import Address
from opencraw.errors import Unavailable
from opencraw.events import QueueChanged
from opencraw.queue.inbox import Lane as StoredLane
from opencraw.queue.inbox import Message
from opencraw.queue.modes import Overflow, overflow
from opencraw.queue.rules import LaneRules, QueueRules
from opencraw.queue.turns import Summary
from opencraw.sessions.voice import Voice
from opencraw.worker.lanes import Lane
from opencraw.worker.workshop import Workshop

log = logging.getLogger(__name__)

#: A flood is seen to this often, not at every message, and not so seldom that one write about it
#: would hold up everybody's.
PAUSE_SECONDS = 0.1
#: People are told of what was dropped no more often than this.
NOTICE_SECONDS = 1.0


class FullLanes:
    """Sees to it that no lane grows beyond its cap."""

    def __init__(self, workshop: Workshop, rules: QueueRules) -> None:
        self._workshop = workshop
        self._rules = rules
        self._most_quotes = rules.settings.overflow_summary_max_messages

    def is_due(self, lane: Lane) -> bool:
        """Whether too many wait there and it is time to see to that; asking counts as doing so."""
        if lane.waiting <= lane.rules.cap or lane.rules.drop == "block":
            return False
        now = asyncio.get_running_loop().time()
        pause = PAUSE_SECONDS if lane.rules.drop == "summarize" else NOTICE_SECONDS
        if now - lane.relieved_at < pause:
            return False
        lane.relieved_at = now
        return True

    def watch(self, lane: Lane, tasks: asyncio.TaskGroup) -> None:
        """Relieve a lane whose turn runs, if too many wait there. Returns at once."""
        if lane.relief is None and self.is_due(lane):
            lane.relief = tasks.create_task(self._relieve(lane), name=f"relief {lane.session}")

    async def _relieve(self, lane: Lane) -> None:
        try:
            for stored in await self._workshop.inbox.waiting([lane.session]):
                lane.rules = self._rules.of(stored.channel, stored.choice)
                rest = await self.relieved(stored, lane.rules)
                lane.overflowed = rest.overflowed > 0
                lane.took(len(stored.messages) - len(rest.messages))
        except Unavailable as error:
            log.warning("relieving a full lane, the poll will do it again: %s", error)
        except Exception:
            # One lane's trouble must not end the others.
            log.exception("the full lane of session %s could not be relieved", lane.session)
        finally:
            lane.relief = None

    async def relieved(self, stored: StoredLane, rules: LaneRules) -> StoredLane:
        """The lane without those for whom there was no room; people have been told."""
        leaving = overflow(rules, stored.arrivals)
        if leaving is None:
            return stored
        ids = frozenset(leaving.ids)
        gone: dict[Address, list[Message]] = {}
        for message in stored.messages:
            if message.id in ids:
                gone.setdefault(message.address, []).append(message)
        moved = 0
        for address, messages in gone.items():
            leaving = Overflow(tuple(each.id for each in messages), leaving.summarized)
            moved += await self._let_go(stored.session_id, rules, leaving, address, messages)
        return replace(
            stored,
            overflowed=stored.overflowed + (moved if leaving.summarized else 0),
            messages=tuple(each for each in stored.messages if each.id not in ids),
        )

    async def _let_go(
        self,
        session: UUID,
        rules: LaneRules,
        leaving: Overflow,
        address: Address,
        gone: Sequence[Message],
    ) -> int:
        """Have messages of one address give up their places; returns how many did."""
        notice = self._notice(rules, leaving, gone)
        inbox = self._workshop.inbox
        moved, delivery = await inbox.give_up_places(session, leaving, address, notice)
        if delivery is not None:
            self._workshop.deliver(delivery)
        self._workshop.show(address, QueueChanged())
        return moved

    async def summary(
        self, stored: StoredLane, rules: LaneRules, voice: Voice | None
    ) -> Summary | None:
        """What a turn of this voice (None: that of the newest) reads of those who gave up their
        places, if somebody did."""
        if not stored.overflowed:
            return None
        count, newest = await self._workshop.inbox.overflowed(
            stored.session_id, voice, self._most_quotes
        )
        if not newest:
            return None
        quotes = _quotes(newest, count)
        text = note("overflow_summary", messages=_messages(count), cap=rules.cap, quotes=quotes)
        return Summary(text, count, newest[-1])

    def _notice(self, rules: LaneRules, leaving: Overflow, gone: Sequence[Message]) -> str:
        if not leaving.summarized:
            said = _quotes(gone[-self._most_quotes :], len(gone))
            return (
                f"{_messages(len(gone))} dropped, because more than {rules.cap} wait here:\n"
                f"{said}\n\nSay again what still matters. `/queue drop:summarize` keeps a summary "
                "instead, `/stop` takes back all that wait."
            )
        return (
            f"More than {rules.cap} messages wait here. The oldest will be answered together, from "
            "a summary. `/stop` takes back all that wait."
        )


def _messages(count: int) -> str:
    return "1 message was" if count == 1 else f"{count:,} messages were"


def _quotes(newest: Sequence[Message], count: int) -> str:
    lines = [f"- {_quote(message)}" for message in newest]
    if count > len(newest):
        lines.insert(0, f"- ({count - len(newest):,} before these)")
    return "\n".join(lines)


def _quote(message: Message) -> str:
    # As code: it is not the daemon who says this, and nothing in it becomes a link.
    flat = " ".join(message.beginning.split()).replace("`", "'")
    return f"`{flat}`" if message.size <= len(message.beginning) else f"`{flat}…`"
