"""What commands may know, for tests of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from opencraw.gateway.commands import Situation
from opencraw.gateway.models import Models
from opencraw.queue.rules import LaneRules
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.transcript import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = Models(
    "openai/gpt-5",
    {"openai/gpt-5": "main", "local/Qwen3": "home", "openai/mini": "mini", "vllm/mini": "other"},
)
SESSION = Session(
    id=UUID(int=1),
    key="key",
    created_at=NOW,
    last_active_at=NOW,
    choice=QueueChoice(),
    chat_type="direct",
    sends=None,
    model=None,
    prompt_tokens=12_345,
    completion_tokens=678,
    cached_tokens=90,
    waiting=0,
    running=False,
)
RULES = LaneRules("steer", 250)
SITUATION = Situation(SESSION, MODELS, RULES, ("webchat", "telegram"), 90_061.0)


def situation(**session: object) -> Situation:
    return replace(SITUATION, session=replace(SESSION, **session))  # type: ignore[arg-type]
