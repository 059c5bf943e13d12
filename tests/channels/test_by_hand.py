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
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.channels.by_hand", "telegram",
        stdin=pipe, stdout=pipe,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    yield Terminal(process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_a_channel_can_be_tried_without_an_account(
    terminal: Terminal, make_daemon: DaemonFactory
) -> None:
    said = await terminal.sees("Speak")
    section = said[said.index("[channels.telegram]") : said.index("Speak")]
    # What is printed is a part of any configuration.
    daemon = make_daemon(extra=f"\n{section}")
    await daemon.start()
    await terminal.type("Hello")
    await terminal.sees("a < assistant: .*Hello")
    await terminal.type("/as eve", "Let me in", "/as a")
    await terminal.sees("eve < assistant: .*this code", r"\[Reject\]")
    await terminal.type("/press Nobody", "/press Let in as guest")
    await terminal.sees(r"Buttons here: Let in as guest, Reject\..*\n.*a alone is told: .*let in")
    await terminal.type("/fail 500", "Later", "/in #den", "/aside Not heard", "Heard")
    await terminal.sees("a < assistant: .*Later", "#den < assistant: .*Heard")
    await terminal.type("/fail so", "/file nowhere", "/break", "/mend", "Still here")
    await terminal.sees("One of these: 429", "nowhere: No such file", "#den < .*Still here")
    await terminal.type("/quit")
    assert await terminal.ended() == 0
