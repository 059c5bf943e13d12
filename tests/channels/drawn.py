"""A page on which drafts are drawn, and a clock that jumps to whatever is waited for."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Self
from uuid import UUID, uuid4

import pytest

from channels.live import Live
from opencraw.contract import Address, TurnShown
from opencraw.errors import MaybeSent, NotSent
from opencraw.events import DraftGrew, Event, ToolShown, TurnEnded, TurnStarted

CHAT = Address("test", "", "a")
INTERVAL = 1.0


class _Jumping(selectors.DefaultSelector):
    """Never sleeps: the clock is put forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


def in_scripted_time(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story whose waits take no time."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    clock = pytest.MonkeyPatch()
    clock.setattr("channels.live.time.monotonic", lambda: selector.now)
    try:
        loop.run_until_complete(story())
        assert not asyncio.all_tasks(loop)
    finally:
        clock.undo()
        loop.close()


class Page:
    """One address of a platform that takes its time and has bad moments."""

    stays, idempotent = True, False

    def __init__(self, slow: float = 0.0, trouble: Callable[[], bool] = lambda: False) -> None:
        self.drawn: list[tuple[float, str, str]] = []
        self.typed: list[float] = []
        self.notes: dict[UUID, str | None] = {}
        self.replies: list[str] = []
        self.at_once = self.most_at_once = 0
        self._slow = slow
        self._trouble = trouble

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        self.replies.append(reply_context)
        await self._draw("put", text)
        return f"m{len(self.drawn)}"

    async def change(self, platform_id: str, text: str) -> None:
        await self._draw(platform_id, text)

    async def type(self) -> None:
        self.typed.append(asyncio.get_running_loop().time())

    async def _draw(self, what: str, text: str) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(self._slow)
            if self._trouble():
                raise NotSent("not now")
            self.drawn.append((began, what, text))
        finally:
            self.at_once -= 1

    async def shown(self, turn_id: UUID, platform_id: str | None) -> None:
        self.notes[turn_id] = platform_id

    async def known(self, turn_id: UUID) -> TurnShown:
        return TurnShown(self.notes.get(turn_id, ""), "the question")

    @property
    def texts(self) -> list[str]:
        return [text for _, _, text in self.drawn]


class Silent(Page):
    """What is put here is there, and nobody hears of it."""

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        await super().put(turn_id, text, reply_context)
        raise MaybeSent("no answer")


class SilentWithKeys(Silent):
    """… and stays the only one of its turn."""

    idempotent = True


class Ghostly(Page):
    """What is put here has no id."""

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        await super().put(turn_id, text, reply_context)
        return ""


class Native(Ghostly):
    """… and needs no word before it: it vanishes, whatever becomes of whoever put it."""

    stays = False


class Drawn:
    """A `Live` at work on one page, where drafts without an id vanish after a while."""

    def __init__(self, page: Page, *, typing: float = math.inf, interval: float = INTERVAL) -> None:
        self.page = page
        self.live = Live(
            lambda _: page,
            interval=lambda _: interval,
            typing_seconds=typing,
            shown=page.shown,
            known=page.known,
            fading_seconds=20.0,
        )

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.live.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def hear(self, *events: Event) -> None:
        for event in events:
            self.live.show(CHAT, event)


class Turn:
    """The events of one turn."""

    def __init__(self, attempt: int = 1, turn_id: UUID | None = None) -> None:
        self.id = turn_id or uuid4()
        self.attempt = attempt
        self._length = 0

    def starts(self) -> TurnStarted:
        return TurnStarted(self.id, self.attempt)

    def says(self, text: str) -> DraftGrew:
        offset, self._length = self._length, self._length + len(text)
        return DraftGrew(self.id, self.attempt, offset, text)

    def tool(self, state: Any, name: str = "web_search") -> Event:
        return ToolShown(self.id, self.attempt, name, name, state, "")

    def ends(self) -> TurnEnded:
        return TurnEnded(self.id, self.attempt, "done")


def words(count: int = 10) -> str:
    return "word " * count
