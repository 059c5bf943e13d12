"""Conversations that grow until something has to leave the prompts."""

from __future__ import annotations

from typing import Any

from opencraw.context.settings import ContextSettings
from tests.fixtures.core import Core, session_of
from tests.fixtures.scribe import Scribe

#: About a hundred tokens, and as many in the answer that repeats them.
WORDS = "well now let me tell you about it " * 12
CONTEXT = ContextSettings(
    max_prompt_tokens=1_200,
    min_recent_messages=2,
    compaction_enabled=True,
    compaction_trigger_tokens=900,
    compaction_retain_messages=2,
)


async def marks(core: Core, chat: str = "a") -> dict[str, Any]:
    [row] = await core.fetch("SELECT * FROM session WHERE id = $1", session_of(chat))
    return dict(row)


async def talk(core: Core, times: int = 4, chat: str = "a") -> None:
    for number in range(times):
        await core.asked(f"{'abcdefgh'[number]} {WORDS}", chat)


async def memories(core: Core) -> list[tuple[str, str, str]]:
    rows = await core.fetch("SELECT kind, scope, text FROM memory ORDER BY created_at")
    return [(row["kind"], row["scope"], row["text"]) for row in rows]


def texts(core: Core) -> list[str]:
    """What the model was shown for its newest answer."""
    assert isinstance(core.script, Scribe)
    return [each.text for each in core.script.asked["answer"][-1].messages]
