"""Markdown in each platform's dialect.

What the assistant writes is Markdown. `parsing` makes a small `tree` of it, `flow` a text with
marks beside it, and `cutting` finds where to cut that; each dialect writes the pieces down in its
own way. Platforms that read Markdown themselves get the `source`, cut.
"""

from __future__ import annotations

from channels.markdown.discord import discord_parts
from channels.markdown.letter import html
from channels.markdown.plain import plain
from channels.markdown.source import markdown_parts
from channels.markdown.telegram import Entity, EntityType, Formatted, telegram_parts

__all__ = [
    "Entity",
    "EntityType",
    "Formatted",
    "discord_parts",
    "html",
    "markdown_parts",
    "plain",
    "telegram_parts",
]
