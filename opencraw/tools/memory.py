"""Tools by which a model looks things up in memory, and puts them there.

They work for whoever asked: which scopes are open follows from that, and no argument of the model
names one. What they bring back was said by people and read from pages: it is shown as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from opencraw.errors import Refused
from opencraw.memory.items import Item, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes, may_learn, scopes_of
from opencraw.memory.summary import MOST_LISTED, by_day, since
from opencraw.memory.words import LONGEST_QUESTION
from opencraw.sessions.asker import Asker
from opencraw.tools.registry import ArgumentsInvalid, Risk, Tool, tool

MOST_FOUND = 20
NAMES = ("memory_search", "memory_get", "memory_summarize", "memory_save")


class NotForYou(Exception):
    """This turn has no memory, or may not write it. The text is for the model."""


def memory_tools(memory: Memory) -> Sequence[Tool]:
    """The tools of one memory."""
    return (_search(memory), _get(memory), _summarize(memory), _save(memory))


def _search(memory: Memory) -> Tool:
    @tool(risk=Risk.READ, outside=True)
    async def memory_search(query: str, limit: int = 5, *, asker: Asker) -> str:
        """Search what you remember from before, by words and meaning. Returns up to `limit` (1 to
        20) memories with their ids and dates, the best first."""
        _within("limit", limit, 1, MOST_FOUND)
        if not query.strip() or len(query) > LONGEST_QUESTION:
            raise ArgumentsInvalid(f"query has 1 to {LONGEST_QUESTION:,} characters")
        hits = await memory.search(_scopes(memory, asker), query, limit=limit)
        return "\n".join(_line(hit.item) for hit in hits) or "Nothing is remembered about this."

    return memory_search


def _get(memory: Memory) -> Tool:
    @tool(risk=Risk.READ, outside=True)
    async def memory_get(id: str, *, asker: Asker) -> str:  # noqa: A002 - what the model is told
        """Read one memory in full by its id."""
        try:
            item = UUID(id)
        except ValueError as error:
            raise ArgumentsInvalid("id is not one that memory_search gave") from error
        found = await memory.get(_scopes(memory, asker), item)
        return _line(found) if found is not None else "There is no such memory."

    return memory_get


def _summarize(memory: Memory) -> Tool:
    @tool(risk=Risk.READ, outside=True)
    async def memory_summarize(horizon: str = "30d", *, asker: Asker) -> str:
        """List the most important things remembered within `horizon`, such as 12h, 30d or 6w, day
        by day in the words in which they were kept."""
        try:
            begin = since(horizon, datetime.now(UTC))
        except ValueError as error:
            raise ArgumentsInvalid(str(error)) from error
        items = await memory.most_important(_scopes(memory, asker), begin, limit=MOST_LISTED)
        return by_day(items) or "Nothing is remembered from that time."

    return memory_summarize


def _save(memory: Memory) -> Tool:
    @tool(risk=Risk.EFFECT)
    async def memory_save(text: str, importance: float = 0.5, *, asker: Asker) -> str:
        """Remember one thing for later conversations: a sentence that can be understood by itself,
        with names and dates. `importance` is from 0 to 1. Never save passwords or keys."""
        _within("importance", importance, 0, 1)
        scopes = _scopes(memory, asker)
        if not may_learn(asker):
            raise NotForYou("only what a person says is remembered, and no person began this turn")
        try:
            item = await memory.save(scopes, Note(text, importance), session_id=asker.session_id)
        except Refused as error:
            raise ArgumentsInvalid(str(error)) from error
        return f"Remembered as {item.id}."

    return memory_save


def _scopes(memory: Memory, asker: Asker) -> Scopes:
    scopes = scopes_of(asker, memory.links)
    if scopes is None:
        raise NotForYou("it is not known for whom this turn works, so nothing is remembered here")
    return scopes


def _line(item: Item) -> str:
    corrected = f", corrected {item.corrected_at:%Y-%m-%d}" if item.corrected_at else ""
    return f"- {item.id} ({item.said_at:%Y-%m-%d}{corrected}) {item.text}"


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ArgumentsInvalid(f"{name} is from {least} to {most}")
