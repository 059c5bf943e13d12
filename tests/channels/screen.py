"""What people see on a platform, on the terminal of somebody who tries it by hand."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import click

from tests.channels.platform import OWNERS, Platform

#: What has not changed for so long is shown as it is.
_SETTLED_SECONDS = 0.7
_LOOK_SECONDS = 0.1


@dataclass
class _Message:
    text: str = ""
    since: float = 0.0
    told: str = ""


class Screen:
    """Shows each message on one line while it grows, and whole when it has settled."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._messages: dict[tuple[str, int], _Message] = {}
        self._drawn_at: dict[str, float] = {}
        #: Who is looked at, in this order.
        self.chats: dict[str, None] = dict.fromkeys(OWNERS)

    async def watch(self) -> None:
        """Go on until cancelled."""
        while True:
            for chat in tuple(self.chats):
                self._look(chat, time.monotonic())
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, chat: str, now: float) -> None:
        shown = self._platform.shown(chat)
        for place, text in enumerate(shown):
            message = self._messages.setdefault((chat, place), _Message())
            if message.text != text:
                message.text, message.since = text, now
                self._grows(chat, text)
            elif message.told != text and now - message.since > _SETTLED_SECONDS:
                again = " (changed)" if message.told else ""
                message.told = text
                self._put(f"{chat} < assistant{again}: {text.strip()}\n")
                if place == len(shown) - 1:
                    self._buttons(chat)
        with suppress(NotImplementedError):  # the platform has none
            drafts = self._platform.drafts(chat)
            if drafts and drafts[-1].at > self._drawn_at.get(chat, 0.0):
                self._drawn_at[chat] = drafts[-1].at
                self._grows(chat, drafts[-1].text)

    def _buttons(self, chat: str) -> None:
        with suppress(NotImplementedError):
            for label in self._platform.buttons(chat):
                self._put(f"    [{label}]\n")

    def _grows(self, chat: str, text: str) -> None:
        if sys.stdout.isatty():  # in a file it would be a line for each look
            width = shutil.get_terminal_size().columns - len(chat) - 5
            self._put(f"{chat} … {' '.join(text.split())[-width:]}")

    def _put(self, text: str) -> None:
        click.echo(f"\r\033[K{text}" if sys.stdout.isatty() else text, nl=False)
