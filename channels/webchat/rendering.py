"""Where and when Markdown is rendered: never so that others have to wait for it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from html import escape
from threading import Lock
from typing import NamedTuple
from uuid import UUID

logger = logging.getLogger(__name__)

#: Longer texts, and texts with code, are rendered beside the event loop.
INLINE_LIMIT = 5_000
#: Longer texts are shown as they are: no parser is asked to be quick on them.
MARKDOWN_LIMIT = 100_000
#: Characters of HTML that are kept for whoever asks for the same lines again.
REMEMBERED_LIMIT = 4_000_000


class Renderer:
    """Renders one text at a time, each once; what takes long, on a thread of its own."""

    def __init__(self) -> None:
        # One thread: rendering is pure Python, a second would only fight for the interpreter.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webchat-rendering")
        self._remembered = Remembered()
        self._ready = False
        self._closed = False

    async def warm_up(self) -> None:
        """Load the parser, which takes longer than rendering with it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, render, "")
        self._ready = True

    async def html(self, message_id: UUID, text: str, by: float) -> str:
        """Return `text` as safe HTML without holding up the event loop for long.

        What is not ready `by` then, on the loop's clock, is shown as it is.
        """
        name = Name(message_id, len(text))
        known = self._remembered.get(name)
        if known is not None:
            return known
        if self._ready and len(text) <= INLINE_LIMIT and "```" not in text and "~~~" not in text:
            return self._once(name, text)
        if self._closed:
            return as_it_is(text)
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._thread, self._once, name, text)
        try:
            await asyncio.wait([job], timeout=by - loop.time())
            if not job.done() or job.cancelled():
                return as_it_is(text)
            self._ready = True
            return job.result()
        finally:
            # One that has begun goes on, for the next who asks; one that has not is forgotten.
            job.cancel()

    def close(self) -> None:
        """Begin nothing more on the thread, and do not wait for what it does."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _once(self, name: Name, text: str) -> str:
        # Several tabs may have asked while the thread was busy: only the first of them costs.
        html = self._remembered.get(name)
        if html is None:
            html = render(text)
            self._remembered.put(name, html)
        return html


class Name(NamedTuple):
    """By what a line is remembered. One that changes, as a question that is decided, grows."""

    message_id: UUID
    size: int


class Remembered:
    """The HTML of the lines rendered last, for any thread."""

    def __init__(self) -> None:
        self._html: dict[Name, str] = {}
        self._size = 0
        self._lock = Lock()

    def get(self, name: Name) -> str | None:
        """The HTML of a line, if it is still known."""
        return self._html.get(name)

    def put(self, name: Name, html: str) -> None:
        """Remember the HTML of a line, and forget the oldest if that is too much."""
        with self._lock:
            self._size += len(html) - len(self._html.pop(name, ""))
            self._html[name] = html
            while self._size > REMEMBERED_LIMIT:
                self._size -= len(self._html.pop(next(iter(self._html))))


def render(text: str) -> str:
    """Return Markdown as safe HTML, or as it is when it is very long."""
    if len(text) > MARKDOWN_LIMIT:
        return as_it_is(text)
    # Not needed before somebody has said something.
    from channels.webchat import markdown

    try:
        return markdown.render(text)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # Three parsers read a text that anybody may have made up. If one of them stumbles, the
        # line is shown as it is: a line that nobody can show would stop every reader of the chat.
        logger.exception("a text could not be rendered and is shown as it is")
        return as_it_is(text)


def as_it_is(text: str) -> str:
    """Return any text as safe HTML at once."""
    return f"<pre>{escape(text)}</pre>"
