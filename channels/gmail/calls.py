"""Blocking calls beside the event loop: a few at a time, each on a thread that ends with it.

A pool would keep its threads, and a call that nobody waits for any more would keep its place in it
unseen. Here a place is free again when the call is over, whoever still waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Calls:
    """At most so many at a time."""

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)

    async def make(self, call: Callable[[], T]) -> T:
        """What the call returns or raises. To stop waiting does not stop it."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, failure: Exception | None) -> None:
            self._places.release()
            if answer.done():
                return
            if failure is not None:
                answer.set_exception(failure)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # there is one, then

        def work() -> None:
            result, failure = None, None
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
                failure = error
            # Nobody waits any more where the loop is closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, failure)

        Thread(target=work, name="gmail", daemon=True).start()
        return await answer
