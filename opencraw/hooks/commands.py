"""Operator commands: a program gets a question as JSON, and answers with JSON or with nothing.

Whatever the program does, it is over soon: its process group is killed when it has ended, when its
time is over, and when it says too much. So many run at once, and the others wait for a place.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from opencraw.hooks.points import AnswerInvalid, Denied, Facts, Go, HookFailed, Point, Verdict
from opencraw.telemetry.seldom import Seldom

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
#: What a program may say, and as much on its standard error.
MOST_BYTES = 65_536
#: What it has from us; nothing else in our environment is its business.
ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ")
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_LONGEST_COMPLAINT = 2_000
#: For a killed process to be gone, and for what it had said to be read.
_LAST_SECONDS = 1.0


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a program may say: that it denies, or what should be otherwise."""

    deny: str | None = None
    change: dict[str, Any] | None = None


_answers = msgspec.json.Decoder(Answer)


@dataclass(frozen=True, slots=True)
class Command:
    """A program as a hook."""

    name: str
    argv: Sequence[str]
    places: asyncio.Semaphore
    environ: Mapping[str, str]
    seldom: Seldom = field(default_factory=Seldom)

    async def __call__(self, point: Point, facts: Facts) -> Verdict | None:
        """Run the program, when there is a place for it. Raises `HookFailed`."""
        question = {"schema_version": SCHEMA_VERSION, "point": point, "facts": facts}
        environ = {name: self.environ[name] for name in ENVIRONMENT if name in self.environ}
        environ["OPENCRAW_HOOK_POINT"] = point
        async with self.places:
            output, complaint = await run(self.argv, msgspec.json.encode(question), environ)
        if complaint and self.seldom.may_be_told():
            said = " / ".join(complaint.decode(errors="replace").splitlines())
            log.warning("hook %s says: %s%s", self.name, said[:_LONGEST_COMPLAINT],
                        self.seldom.untold())  # fmt: skip
        return verdict(output)


def verdict(output: bytes) -> Verdict | None:
    """What a program's output means. Raises `AnswerInvalid`."""
    if not output.strip():
        return None
    try:
        answer = _answers.decode(output)
    except msgspec.ValidationError as error:
        raise AnswerInvalid(f"its output is no answer: {error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerInvalid(
            "its output is no answer, for it is not JSON: it may print nothing,"
            ' {"deny": "the reason"} or {"change": {…}}'
        ) from error
    if answer.deny is not None and answer.change is not None:
        raise AnswerInvalid("it denied and changed at once")
    return Denied(answer.deny) if answer.deny is not None else Go(answer.change or {})


async def run(
    argv: Sequence[str], question: bytes, environ: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """Run a program to its end, with `question` on its standard input; returns its output and its
    standard error. Raises `HookFailed` when it cannot run, fails, or says too much. However this
    ends, nothing of the program's process group is left."""
    try:
        transport, child = await _start(argv, environ)
    except OSError as error:
        raise HookFailed(f"it could not be started: {error.strerror or error}") from error
    try:
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(_STDIN))
        # uvloop says so when the program is gone already, or has closed its end.
        with suppress(RuntimeError):
            stdin.write(question)
        stdin.close()
        await child.ended
        # Whoever is left of the group holds the pipes, which would never end.
        _kill_group(transport)
        await asyncio.wait([child.silent], timeout=_LAST_SECONDS)
    finally:
        _kill_group(transport)
        if not child.gone.done():
            await asyncio.wait([child.gone], timeout=_LAST_SECONDS)
        transport.close()
    if child.said_too_much:
        raise HookFailed(f"it said more than {MOST_BYTES:,} bytes")
    status = transport.get_returncode()
    if status:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise HookFailed(f"it {how}: {_last_line(child.said[_STDERR])}".removesuffix(": "))
    return bytes(child.said[_STDOUT]), bytes(child.said[_STDERR])


_Started = tuple[asyncio.SubprocessTransport, "_Child"]


async def _start(argv: Sequence[str], environ: Mapping[str, str]) -> _Started:
    """Start a program. Cut off meanwhile, the loop would kill the program and wait for its children
    to end by themselves; so the start is left alone, and whoever was started is killed then."""
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(
        loop.subprocess_exec(_Child, *argv, env=environ, cwd="/", start_new_session=True)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_not_wanted)
        raise


def _not_wanted(started: asyncio.Task[_Started]) -> None:
    if not started.cancelled() and started.exception() is None:
        transport, _ = started.result()
        _kill_group(transport)
        transport.close()


class _Child(asyncio.SubprocessProtocol):
    """What is seen of a running program."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.said = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self.said_too_much = False
        #: It is gone, or it said too much.
        self.ended: asyncio.Future[None] = loop.create_future()
        #: The process is gone.
        self.gone: asyncio.Future[None] = loop.create_future()
        #: The process is gone, and nobody holds its pipes.
        self.silent: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        said = self.said[fd]
        room = MOST_BYTES - len(said)
        said += data[:room]
        if len(data) > room:
            self.said_too_much = True
            _done(self.ended)

    def process_exited(self) -> None:
        _done(self.gone)
        _done(self.ended)

    def connection_lost(self, exc: Exception | None) -> None:
        _done(self.silent)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _kill_group(transport: asyncio.SubprocessTransport) -> None:
    """Kill what is left of the process group, which the program leads. Only what left the group on
    purpose gets away."""
    # PermissionError: macOS says so of a group of which only the dead are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)


def _last_line(complaint: bytearray) -> str:
    lines = complaint.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:200]
