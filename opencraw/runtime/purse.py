"""Who pays for model calls: asked before each call is made, told afterwards what it cost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelEvent, ModelReply, Prompt, Usage

#: Is told how many tokens a call had in the end.
Pay = Callable[[Usage], Awaitable[None]]


class Purse(Protocol):
    """Pays for the model calls of one turn."""

    async def admit(self, prompt: Prompt) -> Pay:
        """Put down the most that asking this may cost; it is asked only when this returns. What is
        never paid has cost the most. Raises `ModelFailure` when the call may not be made."""
        ...


#: Told before the first word, these say that the vendor did no work.
_TURNED_AWAY = frozenset(
    {
        FailureKind.BILLING,
        FailureKind.AUTH,
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.CONTEXT_OVERFLOW,
    }
)


async def paid(events: AsyncGenerator[ModelEvent], pay: Pay) -> AsyncGenerator[ModelEvent]:
    """The events of a call, which is paid for before its reply is passed on. One that broke off, or
    whose provider counts nothing that can be believed, is not paid: nobody knows what it cost."""
    silent = True
    try:
        async with aclosing(events):
            async for event in events:
                silent = False
                if isinstance(event, ModelReply) and event.usage.is_credible:
                    await pay(event.usage)
                yield event
    except ModelFailure as failure:
        if silent and failure.kind in _TURNED_AWAY:
            await pay(Usage())
        raise
