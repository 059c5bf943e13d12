"""One lane and the verbs that tests speak to it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from opencraw.contract import Receipt, Rights
from opencraw.model import ToolCall, Usage
from opencraw.queue.inbox import Inbox, Lane, Message
from opencraw.queue.modes import Start
from opencraw.queue.turns import Marks, Settlement, TranscriptLine, Turn, Turns
from opencraw.store.database import Database, Record
from tests.fixtures.core import MODEL, accept, address, envelope, session_of

STEP = TranscriptLine("assistant", "thinking aloud", (ToolCall("c1", "calculate", "{}"),))
RESULT = TranscriptLine("tool_result", "42", call_id="c1", tool_name="calculate")
DONE = Settlement(
    "done", (TranscriptLine("assistant", "the end"),), "the end", usage=Usage(9, 8, 7)
)


async def say(inbox: Inbox, *texts: str, chat: str = "a") -> list[Receipt]:
    return [await accept(inbox, envelope(text, chat)) for text in texts]


async def lane_of(inbox: Inbox, chat: str = "a") -> Lane:
    [lane] = await inbox.waiting([session_of(chat)])
    return lane


def turn_for(turns: Turns, chat: str = "a") -> Turn:
    return Turn(
        id=uuid4(),
        session_id=session_of(chat),
        address=address(chat),
        owner=turns.node,
        model=MODEL,
        correlation_id=uuid4(),
        rights=Rights.OWNER,
    )


async def begin(turns: Turns, *texts: str, chat: str = "a") -> Turn:
    """Say these texts and start a turn that takes what waits."""
    inbox = Inbox(turns._database)
    await say(inbox, *texts, chat=chat)
    lane = await lane_of(inbox, chat)
    turn = turn_for(turns, chat)
    assert await start(turns, turn, lane, Start(takes=ids(lane.messages)))
    return turn


async def start(turns: Turns, turn: Turn, lane: Lane, decision: Start) -> bool:
    """Begin the turn; it answers the newest message that it takes."""
    [asked] = [each for each in lane.messages if each.id == decision.takes[-1]]
    return await turns.start(turn, asked, decision) is not None


async def write(turns: Turns, turn: Turn, verb: str) -> object:
    """Advance the turn by a step, move its conversation's marks, or settle it."""
    if verb == "settle":
        return await turns.settle(turn, DONE)
    if verb == "move":
        await turns.move(turn, Marks(1, 1, "a summary"), Usage(9, 8, 7))
        return None
    waiting = await Inbox(turns._database).waiting([turn.session_id])
    hears = ids(waiting[0].messages) if waiting else (2,)
    return await turns.advance(turn, [STEP], usage=Usage(9, 8, 7), hears=hears)


def ids(messages: Sequence[Message]) -> tuple[int, ...]:
    return tuple(message.id for message in messages)


async def one(database: Database, sql: str, *arguments: object) -> Record:
    [row] = await database.fetch(sql, *arguments)
    return row


async def lines(database: Database, chat: str = "a") -> list[tuple[int, str, str]]:
    rows = await database.fetch(
        "SELECT seq, kind, text FROM entry WHERE session_id = $1 ORDER BY seq", session_of(chat)
    )
    return [(row["seq"], row["kind"], row["text"]) for row in rows]


async def states(database: Database) -> list[tuple[str, str, str | None]]:
    rows = await database.fetch("SELECT text, state, outcome FROM inbox ORDER BY id")
    return [(row["text"], row["state"], row["outcome"]) for row in rows]


async def count(database: Database, table: str) -> int:
    row = await one(database, f"SELECT count(*) AS many FROM {table}")
    return int(row["many"])


def same_turn(turn: Turn, **changes: object) -> Turn:
    """The turn as somebody else holds it."""
    copy = Turn(**{name: getattr(turn, name) for name in Turn.__slots__ if name != "pending"})
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


NOBODY = UUID(int=0)
