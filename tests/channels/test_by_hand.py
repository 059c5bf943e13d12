"""A channel that somebody tries at the terminal."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.daemon import DaemonFactory

PATIENCE = 60.0


class Terminal:
    """The program, typed at and read through pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def type(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        await self._process.stdin.drain()

    async def sees(self, *patterns: str) -> str:
        """Read on until each of these is in what was read since the last time, and return that."""
        assert self._process.stdout is not None
        text = ""
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(re.search(each, text, re.DOTALL) for each in patterns):
                    line = await self._process.stdout.readline()
                    assert line, f"the program ended without {patterns}:\n{text}"
                    text += line.decode()
        except TimeoutError:
            raise AssertionError(f"in vain it was to say {patterns}:\n{text}") from None
        return text

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()


@pytest.fixture
def channel() -> str:
    return "telegram"


@pytest.fixture
async def terminal(tmp_path: Path, channel: str) -> AsyncIterator[Terminal]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.channels.by_hand", channel,
        stdin=pipe, stdout=pipe,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    yield Terminal(process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def start(terminal: Terminal, make_daemon: DaemonFactory) -> None:
    said = await terminal.sees("Speak")
    # What is printed is a part of any configuration.
    section = said[said.index("[channels.") : said.index("Speak")]
    await make_daemon(extra=f"\n{section}").start()


async def test_a_channel_can_be_tried_without_an_account(
    terminal: Terminal, make_daemon: DaemonFactory
) -> None:
    await start(terminal, make_daemon)
    await terminal.type("Hello")
    await terminal.sees("a < assistant: .*Hello")
    await terminal.type("/as eve", "Let me in", "/as a")
    await terminal.sees("eve < assistant: .*this code", "a < assistant: .*eve", r"\[Reject\]")
    await terminal.type("/press Nobody", "/press Let in as guest")
    await terminal.sees(r"Buttons here: Let in as guest, Reject\..*\n.*a alone is told: .*let in")
    await terminal.type("/fail 500", "Later", "/in #den", "/aside Not heard", "Heard")
    await terminal.sees("a < assistant: .*Later", "#den < assistant: .*Heard")
    await terminal.type("/whoami")
    await terminal.sees("#den < assistant: .*your id here", "id of this chat: -1001")
    await terminal.type("/fail so", "/file nowhere", "/break", "/mend", "Still here")
    await terminal.sees("One of these: 429", "nowhere: No such file", "#den < .*Still here")
    await terminal.type("/quit")
    assert await terminal.ended() == 0


@pytest.mark.parametrize("channel", ["http"])
async def test_an_answer_in_parts_and_a_place_that_is_not_there_end_nothing(
    terminal: Terminal, make_daemon: DaemonFactory
) -> None:
    await start(terminal, make_daemon)
    await terminal.type("count to 500")
    await terminal.sees(r"a < assistant: .*a < assistant: .*\b500\b")
    await terminal.type("/in #alley", r"Two\nlines")
    await terminal.sees("There are #den and #street", "You said: Two\nlines")
    await terminal.type("/quit")
    assert await terminal.ended() == 0
