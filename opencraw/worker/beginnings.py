"""How a lane gets its next turn: who gives up a place, what the mode decides, what is written."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from opencraw import crashpoints
from opencraw.events import QueueChanged
from opencraw.queue.inbox import Lane as StoredLane
from opencraw.queue.inbox import Message
from opencraw.queue.modes import Start, Wait, next_turn
from opencraw.queue.pools import Pool
from opencraw.queue.rules import QueueRules
from opencraw.queue.turns import Turn
from opencraw.sessions.lives import Checked
from opencraw.sessions.reset import Kind
from opencraw.worker.full_lanes import FullLanes
from opencraw.worker.lanes import Claiming, Lane
from opencraw.worker.workshop import Workshop

#: A lane whose claim failed, because another turn of it runs or somebody took its messages.
_LOST_CLAIM = Wait(0.25)


class Beginnings:
    """Begins turns in lanes that were claimed for them."""

    def __init__(
        self,
        workshop: Workshop,
        rules: QueueRules,
        full_lanes: FullLanes,
        default_model: Callable[[], str],
    ) -> None:
        self._workshop = workshop
        self._rules = rules
        self._full_lanes = full_lanes
        self._default_model = default_model

    async def begin(self, lane: Lane, stored: StoredLane | None) -> Turn | Wait | None:
        """Begin a turn in this lane, of which the database says `stored`, if it is time for one.

        None when there is nothing to do, or not in this pool (see `Lane.wants`).
        """
        if stored is None:
            lane.overflowed = False
            lane.counts(0)
            return None
        lane.rules = self._rules.of(stored.channel, stored.choice)
        stored = await self._full_lanes.relieved(stored, lane.rules)
        _remember(lane, stored.messages, stored.overflowed)
        if stored.messages and lane.wants is not lane.pool:
            return None
        decision = next_turn(lane.rules, stored.arrivals)
        if decision is None and stored.overflowed:
            # All that is left of the lane is its summary: that is what is asked.
            decision = Start(takes=())
        return (
            await self._start(lane, stored, decision) if isinstance(decision, Start) else decision
        )

    async def _start(self, lane: Lane, stored: StoredLane, start: Start) -> Turn | Wait | None:
        assert isinstance(lane.state, Claiming)
        asked = next((each for each in stored.messages if each.id in start.takes[-1:]), None)
        voice = asked.voice if asked is not None else None
        summary = await self._full_lanes.summary(stored, lane.rules, voice)
        if asked is None:
            if summary is None:
                return None  # taken back meanwhile
            asked = summary.newest
        checked = await self._ended_in_time(stored, asked)
        if checked is None:
            return _LOST_CLAIM
        if checked.told is not None:
            self._workshop.deliver(checked.told)
        turn = Turn(
            id=uuid4(),
            session_id=lane.session,
            address=asked.address,
            owner=self._workshop.node.id,
            model=stored.model or self._default_model(),
            correlation_id=asked.correlation_id,
            rights=asked.rights,
            tenant=stored.tenant,
            asked_by=asked.sender_id,
            origin=asked.origin,
            chat_type=stored.chat_type,
            pool=lane.pool,
        )
        lane.state.turn = turn.id
        started = await self._workshop.turns.start(turn, asked, start, summary)
        if started is None:
            return _LOST_CLAIM
        crashpoints.reach("claimed_before_run")
        taken = {*start.takes, *start.supersedes}
        left = tuple(each for each in stored.messages if each.id not in taken)
        _remember(lane, left, stored.overflowed - (summary.count if summary is not None else 0))
        if started.told is not None:
            self._workshop.deliver(started.told)
        self._workshop.show(turn.address, QueueChanged())
        return turn

    async def _ended_in_time(self, stored: StoredLane, asked: Message) -> Checked | None:
        """See to it that a conversation that is over has ended: what is asked belongs to the next
        one. None: look again."""
        lives = self._workshop.lives
        if lives is None:
            return Checked()
        kind = Kind(asked.address.channel, stored.chat_type, bool(asked.address.thread))
        waited = max(each.age for each in (asked, *stored.messages[:1]))
        return await lives.ended_in_time(stored.session_id, asked.address, kind, waited)


def _remember(lane: Lane, waiting: tuple[Message, ...], overflowed: int) -> None:
    """Note what is left in the lane."""
    lane.overflowed = overflowed > 0
    lane.counts(len(waiting))
    if waiting:
        lane.wants = Pool.of(*(each.origin for each in waiting))
