"""Programs that an operator might hang in, written for one test each."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from opencraw.hooks import Hook, Hooks, Point
from opencraw.hooks.commands import Command
from opencraw.hooks.hook import OnFailure


def program(folder: Path, text: str) -> list[str]:
    """How to call a Python program of this text, which costs a tenth of an interpreter's start."""
    path = folder / f"program{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    return [sys.executable, "-I", "-S", str(path)]


def command(
    argv: Sequence[str], *, at_once: int = 4, environ: Mapping[str, str] = os.environ
) -> Command:
    """A program as a hook's call."""
    return Command("a check", argv, asyncio.Semaphore(at_once), environ)


def hooks(
    argv: Sequence[str],
    point: Point = Point.BEFORE_TOOL_CALL,
    *,
    seconds: float = 10.0,
    on_failure: OnFailure | None = None,
) -> Hooks:
    """Hooks of which this program is the only one."""
    return Hooks({"a check": Hook(frozenset({point}), command(argv), seconds, on_failure)})


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
