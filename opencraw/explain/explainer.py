"""Reads stories: from the database, and from the process that runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from opencraw.errors import NotFound, Refused
from opencraw.explain.sentences import Explanation, explain
from opencraw.explain.story import (
    DeliveryFacts,
    DeliveryState,
    Hands,
    MessageFacts,
    Outcome,
    ReactionFacts,
    State,
    Story,
    TurnFacts,
    TurnState,
    Work,
)
from opencraw.explain.words import SHORT
from opencraw.queue.failures import Failure
from opencraw.queue.rules import QueueRules
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.keys import reply_id
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

SQL = load("opencraw.explain", "explain.sql")

#: Whoever asks would rather hear that the database is away.
PATIENCE_SECONDS = 8.0
_HEX_DIGITS = 32
_ID = re.compile(rf"[0-9a-f]{{{SHORT},{_HEX_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a turn in our hands is at, and for how many seconds it has shown no other sign of
    life."""

    turn_id: UUID
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Here:
    """What only the process that runs can tell."""

    node: UUID
    #: What the turn of a session is at, if it runs in this process.
    at_work: Callable[[UUID], AtWork | None]
    turns_running: Callable[[], int]
    #: The names of the open channels.
    channels: Callable[[], Sequence[str]]


class Explainer:
    """Tells what became of messages."""

    def __init__(self, database: Database, rules: QueueRules, here: Here) -> None:
        self._database = database
        self._rules = rules
        self._here = here

    async def explain(self, name: str) -> tuple[Story, Explanation]:
        """Explain the message that is called `name`: its id, that of its turn or of one of the
        deliveries of that turn, whole or by a beginning that no other id has.

        Raises `NotFound`, and `Refused` for what is no id.
        """
        stories = await self._stories([await self._find(name)])
        if not stories:
            raise _unknown(name)
        return stories[0], explain(stories[0])

    async def newest(self, limit: int) -> Sequence[tuple[Story, Explanation]]:
        """The messages that were accepted last, newest first."""
        records = await self._database.fetch(SQL.newest, limit, patience=PATIENCE_SECONDS)
        stories = await self._stories([record["message_id"] for record in records])
        return [(story, explain(story)) for story in stories]

    async def _find(self, name: str) -> UUID:
        digits = name.strip().casefold().replace("-", "")
        if _ID.fullmatch(digits) is None:
            raise Refused(
                f"{name[:80]!r} is no id: an id, or its beginning, has {SHORT} to {_HEX_DIGITS} of "
                "the characters 0-9 and a-f.",
                code="INVALID_FIELD",
            )
        ends = (UUID(digits.ljust(_HEX_DIGITS, end)) for end in "0f")
        found = await self._database.fetch(SQL.find, *ends, patience=PATIENCE_SECONDS)
        if not found:
            raise _unknown(name)
        meant = {record["message_id"] for record in found}
        if len(meant) > 1:
            ids = ", ".join(f"{record['kind']} {record['id']}" for record in found)
            raise Refused(
                f"More than one id begins with {name[:80]}: {ids}. Give more of it.",
                code="INVALID_FIELD",
            )
        message: UUID | None = meant.pop()
        if message is None:
            raise NotFound(
                f"The {found[0]['kind']} {found[0]['id']} answers no message: it is a word of the "
                "daemon or its operator. Name a message instead: `opencraw explain` lists them."
            )
        return message

    async def _stories(self, ids: Sequence[UUID]) -> Sequence[Story]:
        stories = await self._read(ids)
        if any(_is_given_up(story.turn) for story in stories):
            # Or it ended, or began, between our looks at the database and at the process.
            stories = await self._read(ids)
        return stories

    async def _read(self, ids: Sequence[UUID]) -> Sequence[Story]:
        records = await self._database.fetch(SQL.stories, ids, patience=PATIENCE_SECONDS)
        turns = [record["turn_id"] for record in records if record["turn_id"] is not None]
        commands = [reply_id(each) for each in ids]
        deliveries = await self._database.fetch(
            SQL.deliveries, turns, commands, patience=PATIENCE_SECONDS
        )
        reactions = await self._database.fetch(SQL.reactions, turns, patience=PATIENCE_SECONDS)
        return [self._story(record, deliveries, reactions) for record in records]

    def _story(
        self, record: Record, deliveries: Sequence[Record], reactions: Sequence[Record]
    ) -> Story:
        message = _message(record)
        turn = None if record["turn_id"] is None else self._turn(record)
        command = reply_id(message.id)
        taken = message.state in (State.TAKEN, State.DONE)
        channels = self._here.channels()
        choice = QueueChoice.of(record)
        return Story(
            now=record["now"],
            message=message,
            rules=self._rules.of(message.channel, choice),
            choice=choice,
            sends=record["sends"],
            ahead=record["ahead"],
            turn=turn,
            heard_at=record["heard_at"],
            superseded_by=record["superseded_by"],
            deliveries=tuple(
                _delivery(each, channels, command)
                for each in deliveries
                if each["delivery_id"] == command
                or (taken and turn is not None and each["turn_id"] == turn.id)
            ),
            nodes=record["nodes"],
            turns_running=self._here.turns_running(),
            reactions=tuple(
                ReactionFacts(each["emoji"], each["verdict"], each["at"])
                for each in reactions
                if taken and each["turn_id"] == record["turn_id"]
            ),
        )

    def _turn(self, record: Record) -> TurnFacts:
        failure = record["failure"]
        return TurnFacts(
            id=record["turn_id"],
            state=TurnState(record["turn_state"]),
            model=record["model"],
            pool=record["pool"],
            may_hear=record["turn_may_hear"],
            attempt=record["attempt"],
            deaths=record["deaths"],
            stop_requested=record["stop_requested"],
            started_at=record["started_at"],
            ended_at=record["ended_at"],
            failure=None if failure is None else Failure.parse(failure),
            owner=_owner(record),
            work=self._work(record),
            queue_collected_messages=record["queue_collected_messages"],
            queue_debounced_messages=record["queue_debounced_messages"],
            queue_dropped_messages=record["queue_dropped_messages"],
            prompt_tokens=record["prompt_tokens"],
            completion_tokens=record["completion_tokens"],
            cached_tokens=record["cached_tokens"],
        )

    def _work(self, record: Record) -> Work | None:
        if record["turn_state"] != TurnState.RUNNING:
            return None
        here = self._here.at_work(record["session_id"])
        if here is not None and here.turn_id == record["turn_id"]:
            return Work(Hands.WORKING, here.what, round(here.seconds, 1))
        # What a turn elsewhere is at, its last line tells.
        running_a_tool = record["step"] == "tool_started"
        what = (
            f"running the tool {record['tool_name']}" if running_a_tool else "waiting for the model"
        )
        seconds = (record["now"] - record["step_at"]).total_seconds()
        return Work(self._hands(record), what, round(seconds, 1))

    def _hands(self, record: Record) -> Hands:
        """In whose hands a turn is on which this process does not work."""
        if record["owner"] == self._here.node:
            return Hands.GIVEN_UP
        if record["owner_lives"]:
            return Hands.WORKING
        return Hands.HANDED_OVER if record["left_at"] is not None else Hands.DEAD


def _is_given_up(turn: TurnFacts | None) -> bool:
    return turn is not None and turn.work is not None and turn.work.hands is Hands.GIVEN_UP


def _message(record: Record) -> MessageFacts:
    outcome = record["outcome"]
    return MessageFacts(
        id=record["message_id"],
        session_id=record["session_id"],
        channel=record["channel"],
        account=record["account"],
        chat=record["chat"],
        thread=record["thread"],
        sender_id=record["sender_id"],
        sender_name=record["sender_name"],
        rights=record["rights"],
        origin=record["origin"],
        trigger_type=record["trigger_type"],
        correlation_id=record["correlation_id"],
        text=record["text"],
        accepted_at=record["accepted_at"],
        state=State(record["state"]),
        outcome=None if outcome is None else Outcome(outcome),
    )


def _owner(record: Record) -> str | None:
    return record["host"] and f"{record['host']}, process {record['pid']}"


def _delivery(record: Record, channels: Sequence[str], command: UUID) -> DeliveryFacts:
    return DeliveryFacts(
        id=record["delivery_id"],
        kind=record["kind"],
        state=DeliveryState(record["state"]),
        attempts=record["attempts"],
        unknown=record["unknown"],
        created_at=record["created_at"],
        not_before=record["not_before"],
        failure=record["failure"],
        is_open=record["channel"] in channels,
        is_summary=record["is_summary"],
        of_command=record["delivery_id"] == command,
    )


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"No message, turn or delivery has an id that begins with {name[:80]}. A message that was "
        "refused, or never reached this OpenCraw, has none. `opencraw explain` lists those that "
        "were accepted last."
    )
