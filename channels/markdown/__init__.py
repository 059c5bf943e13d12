"""Markdown for platforms.

What the assistant writes is Markdown. `parsing` makes a small `tree` of it, `flow` a text with
marks beside it, and `cutting` finds where to cut that; the `dialect` of a channel writes the pieces
down in its platform's way. Platforms that read Markdown themselves get the `source`, cut.
"""

from __future__ import annotations

from channels.markdown.letter import html
from channels.markdown.plain import plain
from channels.markdown.source import markdown_parts

__all__ = ["html", "markdown_parts", "plain"]
