"""Where and when Markdown is rendered: never so that others have to wait for it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from html import escape

logger = logging.getLogger(__name__)

#: Longer texts, and texts with code, are rendered beside the event loop.
INLINE_LIMIT = 20_000
#: Longer texts are shown as they are: no parser is asked to be quick on them.
MARKDOWN_LIMIT = 500_000


class Renderer:
    """Renders one text at a time; what takes long, on a thread of its own."""

    def __init__(self) -> None:
        # One thread: rendering is pure Python, a second would only fight for the interpreter.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webchat-rendering")
        self._ready = False

    async def warm_up(self) -> None:
        """Load the parser, which takes longer than rendering with it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, render, "")
        self._ready = True

    async def html(self, text: str) -> str:
        """Return `text` as safe HTML without holding up the event loop for long."""
        quick = len(text) <= INLINE_LIMIT and "```" not in text and "~~~" not in text
        if self._ready and quick:
            return render(text)
        html = await asyncio.get_running_loop().run_in_executor(self._thread, render, text)
        self._ready = True
        return html


def render(text: str) -> str:
    """Return Markdown as safe HTML, or as it is when it is very long."""
    if len(text) > MARKDOWN_LIMIT:
        return f"<pre>{escape(text)}</pre>"
    # Not needed before somebody has said something.
    from channels.webchat import markdown

    try:
        return markdown.render(text)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # Three parsers read a text that anybody may have made up. If one of them stumbles, the
        # line is shown as it is: a line that nobody can show would stop every reader of the chat.
        logger.exception("a text could not be rendered and is shown as it is")
        return f"<pre>{escape(text)}</pre>"
