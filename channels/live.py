"""How a turn is shown while it runs, on platforms where a message can grow.

One task per address draws the newest text at the pace that the platform allows, so a slow platform
misses drafts and never queues them. What is drawn may be lost; the answer itself is a delivery, and
once that is on its way (`finish`) nothing is drawn any more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable
from uuid import UUID

import msgspec

from channels.drafts import Drawing, Put, Type, Wait, next_step
from opencraw.contract import Address, Delivery, TurnShown
from opencraw.errors import NeverSendable, NotSent, OpenCrawError, is_word_to_end
from opencraw.events import Event, LinesAdded, QueueChanged

log = logging.getLogger(__name__)

#: More turns than these at once are not shown.
MOST_TURNS = 1_000
#: A draw that takes so long is given up, so that the answer need not wait for it.
DRAW_SECONDS = 20.0


class Surface(Protocol):
    """One address, as an adapter draws on it. Texts are the Markdown of the draft so far, which the
    adapter renders. Of one that is too long for a message it shows the first part that there would
    be: that is what the draft becomes, so nothing jumps when it does. What fails is dropped."""

    @property
    def stays(self) -> bool:
        """What is put is a message, which its answer becomes; else it vanishes by itself."""
        ...

    @property
    def idempotent(self) -> bool:
        """What is put again for the same turn is there once, whichever process does it. Where that
        is not so, a turn of which nobody knows whether its first draft is there is drawn no
        more."""
        ...

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        """Show the first draft of a turn; its platform id, empty if nothing is to be remembered.
        `reply_context` is what the answer will come with. Raises `NotSent` or `NeverSendable` only
        for what certainly is not there."""
        ...

    async def change(self, platform_id: str, text: str) -> None:
        """Have the message show this draft instead; `platform_id` is what `put` gave."""
        ...


@runtime_checkable
class Types(Protocol):
    """A surface on which somebody can be seen typing."""

    async def type(self) -> None:
        """Show once that somebody is typing."""
        ...


class Live:
    """The turns that one channel shows in this process."""

    def __init__(
        self,
        surface: Callable[[Address], Surface],
        *,
        interval: Callable[[Address], float],
        typing_seconds: float = math.inf,
        shown: Callable[[UUID, str | None], Awaitable[None]],
        known: Callable[[UUID], Awaitable[TurnShown]],
        fading_seconds: float = math.inf,
    ) -> None:
        """Drafts of an address are `interval` seconds apart (`math.inf`: it shows none), and typing
        is shown again every `typing_seconds` (`math.inf`: never) where a surface `Types`. `shown`
        and `known` are the gateway's `draft_shown` and `draft_of`. What was put without an id is
        put again every `fading_seconds`, before it vanishes by itself."""
        self._surface = surface
        self._interval = interval
        self._typing_seconds = typing_seconds
        self._shown = shown
        self._known = known
        self._fading_seconds = fading_seconds
        self._running = False
        self._current: dict[Address, _Current] = {}
        #: Turns by id, those that are over too for a while: their deliveries are still to come.
        self._drawings: dict[UUID, Drawing] = {}
        self._begun: asyncio.Queue[_Current] = asyncio.Queue()

    def show(self, address: Address, event: Event) -> None:
        """Take note of one event: the body of `Channel.draft`. Never blocks, never raises."""
        if isinstance(event, QueueChanged | LinesAdded):
            return
        if not self._running:
            return
        drawing = self._drawing(event.turn_id)
        drawing.note(event, time.monotonic())
        if not drawing.over:
            self._stage(address, drawing)

    def _drawing(self, turn_id: UUID) -> Drawing:
        drawing = self._drawings.get(turn_id)
        if drawing is None:
            drawing = self._drawings[turn_id] = Drawing(turn_id)
            if len(self._drawings) > 2 * MOST_TURNS:
                self._forget_one()
        return drawing

    def _forget_one(self) -> None:
        """Let go of the oldest turn that is over, or else of the oldest."""
        over = (turn_id for turn_id, drawing in self._drawings.items() if drawing.over)
        del self._drawings[next(over, next(iter(self._drawings)))]

    def _stage(self, address: Address, drawing: Drawing) -> None:
        """Have this turn drawn at its address."""
        current = self._current.get(address)
        if current is None:
            if len(self._current) >= MOST_TURNS:
                return
            current = self._current[address] = _Current(address)
            self._begun.put_nowait(current)
        if current.drawing is not drawing:
            # A session has one turn at a time: the one before is over, whatever was heard of it.
            if current.drawing is not None:
                current.drawing.over = True
            current.drawing = drawing
        current.news.set()

    async def run(self) -> None:
        """Draw until cancelled."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as drawn:
                while True:
                    current = await self._begun.get()
                    drawn.create_task(self._play(current), name="drafts")
        finally:
            self._running = False
            self._current.clear()

    async def last(self, delivery: Delivery) -> Delivery:
        """Draw nothing more of the turn that a delivery ends. Returns the delivery, with what this
        process knows of the draft that it becomes."""
        drawn = await self.finish(delivery.ends)
        drawing = self._drawings.get(delivery.ends) if delivery.ends is not None else None
        if delivery.parts or drawing is None or drawing.reply_context is None:
            return delivery
        # What was drawn here may have been put while the delivery began.
        if drawn is None and not delivery.draft:
            return msgspec.structs.replace(delivery, draft=None, recovered=True)
        recovered = delivery.recovered and delivery.draft is not None
        return msgspec.structs.replace(
            delivery, draft=drawn or delivery.draft or "", recovered=recovered
        )

    async def finish(self, turn_id: UUID | None) -> str | None:
        """Draw nothing more of this turn. Returns when what was being drawn is on the platform or
        failed, with the platform id of the turn's draft: empty if this process put none, None if
        nobody knows whether it is there."""
        if turn_id is None:
            return ""
        # Of one that is not known, too: events that come late must find that it is over.
        drawing = self._drawing(turn_id)
        drawing.finish()
        async with drawing.drawn:
            return drawing.platform_id

    async def _play(self, current: _Current) -> None:
        """Draw the turns of one address, one after the other, until there is none."""
        surface, interval = self._surface(current.address), self._interval(current.address)
        while current.drawing is not None:
            drawing = current.drawing
            step = next_step(
                drawing, time.monotonic(), interval, self._typing_seconds, self._fading_seconds
            )
            if isinstance(step, Wait):
                await current.changed(step.seconds)
            elif step is None:
                if current.drawing is drawing:
                    current.drawing = None
            else:
                await self._take(step, drawing, surface)
        del self._current[current.address]

    async def _take(self, step: Put | Type, drawing: Drawing, surface: Surface) -> None:
        """Carry out one step. Whatever goes wrong, the next one may do better."""
        async with drawing.drawn:
            if drawing.over:
                return
            try:
                async with asyncio.timeout(DRAW_SECONDS):
                    if isinstance(step, Put):
                        await self._draw(step.text, drawing, surface)
                    elif isinstance(surface, Types):
                        await surface.type()
            except (OpenCrawError, OSError, TimeoutError) as error:
                log.debug("a draft was not drawn: %s", error)
            except (Exception, asyncio.CancelledError) as error:
                if is_word_to_end(error):
                    raise
                # A draft is not worth a channel; what is wrong with it should be known.
                log.exception("a draft was not drawn")
            drawing.stepped(step, time.monotonic())

    async def _draw(self, text: str, drawing: Drawing, surface: Surface) -> None:
        if drawing.reply_context is None:
            known = await self._known(drawing.turn_id)
            drawing.platform_id, drawing.reply_context = known.platform_id, known.reply_context
        if drawing.platform_id:
            await surface.change(drawing.platform_id, text)
        elif drawing.fleeting or not surface.stays:
            await surface.put(drawing.turn_id, text, drawing.reply_context)
        elif drawing.platform_id == "" or surface.idempotent:
            await self._put(text, drawing, surface, drawing.reply_context)
        else:
            # It may be there: a second one would stay beside it for ever.
            drawing.finish()

    async def _put(self, text: str, drawing: Drawing, surface: Surface, reply_context: str) -> None:
        """Put the first draft. Whoever dies over it leaves word that it may be there."""
        before = drawing.platform_id
        if before is not None:
            await self._shown(drawing.turn_id, None)
            drawing.platform_id = None
        try:
            there = await surface.put(drawing.turn_id, text, reply_context)
        except (NotSent, NeverSendable):
            if before is not None:
                await self._shown(drawing.turn_id, before)
                drawing.platform_id = before
            raise
        drawing.platform_id, drawing.fleeting = there, not there
        await self._shown(drawing.turn_id, there)


class _Current:
    """What is drawn at one address: the newest turn there."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.drawing: Drawing | None = None
        self.news = asyncio.Event()

    async def changed(self, seconds: float) -> None:
        """Return when something was noted, or after so many seconds."""
        self.news.clear()
        if math.isinf(seconds):
            await self.news.wait()
            return
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            pass
