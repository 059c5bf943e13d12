"""What a database must look like when everything has come to rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.fixtures.channel_ledger import Reports
from tests.fixtures.ledgers import names_in

PATIENCE = 60.0

_BUSY = """
SELECT (SELECT count(*) FROM inbox WHERE state <> 'done') AS messages,
       (SELECT count(*) FROM turn WHERE state = 'running') AS turns,
       (SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')) AS deliveries
"""

#: Each finds what must not be.
_NEVER = {
    "a session's lines have gaps": """
        SELECT session.id, last_seq, count(seq) AS lines, min(seq), max(seq)
          FROM session LEFT JOIN entry ON entry.session_id = session.id
         GROUP BY session.id
        HAVING count(seq) <> last_seq OR coalesce(max(seq), 0) <> last_seq""",
    "a message that was taken up is not in the transcript exactly once, or another one is": """
        SELECT inbox.id, outcome, count(entry.seq) AS lines
          FROM inbox
          LEFT JOIN entry ON entry.message_id = inbox.message_id AND entry.kind = 'user'
         GROUP BY inbox.id
        HAVING count(entry.seq) <> (outcome NOT IN
            ('withdrawn', 'command', 'summarized', 'dropped', 'muted'))::integer""",
    "messages are not in the transcript in the order in which they were accepted": """
        SELECT *
          FROM (SELECT inbox.id, lag(inbox.id) OVER (PARTITION BY entry.session_id ORDER BY seq)
                       AS before
                  FROM entry JOIN inbox USING (message_id)
                 WHERE entry.kind = 'user') AS line
         WHERE id < before""",
    "a turn answered nobody": """
        SELECT turn.id FROM turn
         WHERE NOT EXISTS (SELECT FROM inbox WHERE inbox.turn_id = turn.id)""",
    "a turn that is done has no delivery, or two": """
        SELECT turn.id, count(outbox.id) FROM turn
          LEFT JOIN outbox ON outbox.turn_id = turn.id
         WHERE turn.state IN ('done', 'failed')
         GROUP BY turn.id
        HAVING count(outbox.id) <> 1""",
    "a delivery shows a line that does not exist": """
        SELECT delivery_id FROM outbox
         WHERE NOT EXISTS (SELECT FROM entry
                            WHERE entry.session_id = outbox.session_id AND entry.seq = outbox.seq
                              AND entry.message_id = outbox.delivery_id)""",
    "a dead letter without a reason": """
        SELECT delivery_id FROM outbox WHERE state = 'dead' AND coalesce(failure, '') = ''""",
    "a tool call has no result, or two": """
        SELECT entry.turn_id, call ->> 'id' AS call, count(DISTINCT entry.seq) AS calls,
               count(DISTINCT result.seq) AS results
          FROM entry
         CROSS JOIN jsonb_array_elements(entry.tool_calls) AS call
          LEFT JOIN entry AS result ON result.turn_id = entry.turn_id
                AND result.kind = 'tool_result' AND result.call_id = call ->> 'id'
         GROUP BY entry.turn_id, call ->> 'id'
        HAVING count(DISTINCT entry.seq) <> count(DISTINCT result.seq)""",
    "a conversation was charged for something else than its turns": """
        SELECT session.id, session.prompt_tokens, sum(turn.prompt_tokens)
          FROM session JOIN turn ON turn.session_id = session.id
         WHERE session.reset_seq = 0
         GROUP BY session.id
        HAVING session.prompt_tokens <> sum(turn.prompt_tokens)
            OR session.completion_tokens <> sum(turn.completion_tokens)""",
}


_REPORTS = """
SELECT outbox.delivery_id::text, outbox.state, coalesce(string_agg(inbox.text, ' '), '') AS about
  FROM outbox
  LEFT JOIN inbox ON inbox.turn_id = outbox.turn_id
 WHERE outbox.channel = $1 AND (outbox.kind = 'notice' OR outbox.state = 'dead')
 GROUP BY outbox.id
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of our own, which no daemon knows of."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def at_rest(url: str) -> None:
    """Wait until nothing waits, runs or is on its way; then look for what must never be."""
    busy = await still_busy(url)
    assert not busy, f"after {PATIENCE:.0f} s there are still {busy}"
    found = await broken_promises(url)
    assert not found, "\n".join(found)


async def still_busy(url: str, patience: float = PATIENCE) -> dict[str, int]:
    """Wait until nothing waits, runs or is on its way; returns what still does after that time."""
    deadline = time.monotonic() + patience
    async with connected(url) as connection:
        while True:
            [row] = await connection.fetch(_BUSY)
            busy = {what: number for what, number in row.items() if number}
            if not busy or time.monotonic() > deadline:
                return busy
            await asyncio.sleep(0.01)


async def broken_promises(url: str) -> list[str]:
    """What must never be in a database at rest."""
    async with connected(url) as connection:
        return [
            f"{what}: {found[:5]}"
            for what, sql in _NEVER.items()
            if (found := await connection.fetch(sql))
        ]


async def reports(url: str, channel: str) -> Reports:
    """What the daemon itself says of deliveries that are no answers, and of dead letters."""
    async with connected(url) as connection:
        rows = await connection.fetch(_REPORTS, channel)
    return Reports(
        notices={row["delivery_id"]: names_in(row["about"]) for row in rows},
        dead=[name for row in rows if row["state"] == "dead" for name in names_in(row["about"])],
    )
