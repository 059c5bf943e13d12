"""The vendors' prompt caches: how much of a request they have seen before.

OpenAI finds the longest beginning that any earlier request had, from 1,024 tokens, in steps of 128.
Anthropic keeps what ends at a mark, from 1,024 tokens, and from each mark of a later request it
looks back over twenty blocks for something that it has kept. Both put tools first, then the system
prompt, then messages. Four bytes stand for a token here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

LEAST = 1_024
STEP = 128
LOOKS_BACK = 20
#: So many beginnings are remembered.
MOST = 100_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """Tokens of a request: all, those of them that were in the cache, and those that are now."""

    total: int = 0
    cached: int = 0
    written: int = 0


NOTHING_SEEN = Seen()


@dataclass(frozen=True)
class _Beginning:
    """A request up to the end of one of its blocks."""

    digest: bytes
    tokens: int
    marked: bool


class PromptCache:
    """What one vendor has seen, of all who ask it."""

    def __init__(self) -> None:
        self._known: dict[bytes, None] = {}

    def see(self, wire: str, body: Json) -> Seen:
        """How much of this request is known; from now on all of it is."""
        beginnings = list(_beginnings(wire, body))
        total = beginnings[-1].tokens if beginnings else 0
        if total < LEAST:
            return Seen(total)
        find = self._marked if wire == "messages" else self._longest
        cached, kept = find(beginnings)
        for each in kept:
            self._known.pop(each.digest, None)
            self._known[each.digest] = None
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        written = kept[-1].tokens - cached if wire == "messages" and kept else 0
        return Seen(total, cached, max(0, written))

    def _longest(self, beginnings: list[_Beginning]) -> tuple[int, list[_Beginning]]:
        known = [each.tokens for each in beginnings if each.digest in self._known]
        cached = max(known, default=0) // STEP * STEP
        return cached if cached >= LEAST else 0, beginnings

    def _marked(self, beginnings: list[_Beginning]) -> tuple[int, list[_Beginning]]:
        marks = [place for place, each in enumerate(beginnings) if each.marked]
        in_reach = {place for mark in marks for place in range(max(0, mark - LOOKS_BACK), mark + 1)}
        known = [
            beginnings[place].tokens
            for place in in_reach
            if beginnings[place].digest in self._known
        ]
        kept = [beginnings[mark] for mark in marks if beginnings[mark].tokens >= LEAST]
        return max(known, default=0), kept


def rendered(wire: str, body: Json) -> bytes:
    """All that a vendor's cache goes by, in its order."""
    return b"\n".join(orjson.dumps(block) for block, _ in _blocks(wire, body))


def _beginnings(wire: str, body: Json) -> Iterator[_Beginning]:
    digest = hashlib.sha256(f"{wire} {body['model']}".encode())
    size = 0
    for block, marked in _blocks(wire, body):
        content = orjson.dumps(block)
        digest.update(content)
        size += len(content)
        yield _Beginning(digest.copy().digest(), size // 4, marked)


def _blocks(wire: str, body: Json) -> Iterator[tuple[object, bool]]:
    """The parts of a request as vendors read them, one after the other, and which are marked."""
    for tool in body.get("tools") or []:
        yield tool, False
    if wire == "chat":
        for message in body["messages"]:
            yield message, False
    elif wire == "responses":
        yield body.get("instructions"), False
        items = body["input"]
        for item in items if isinstance(items, list) else [items]:
            yield item, False
    else:
        system = body.get("system") or []
        for part in system if isinstance(system, list) else [{"text": system}]:
            yield _unmarked("system", part)
        for message in body["messages"]:
            content = message["content"]
            for part in content if isinstance(content, list) else [{"text": content}]:
                yield _unmarked(message["role"], part)


def _unmarked(role: str, part: Json) -> tuple[object, bool]:
    bare = {name: value for name, value in part.items() if name != "cache_control"}
    return [role, bare], "cache_control" in part
