"""The composition root: opens what the daemon needs, runs it in one task group, lets go of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opencraw.app.datadir import held
from opencraw.config.secrets import secrets_of
from opencraw.hooks.opening import open_hooks
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.telemetry.logs import start_logs

if TYPE_CHECKING:
    from opencraw.app.daemon import Daemon
    from opencraw.config import Configuration

log = logging.getLogger(__name__)

MOST_FILES = 65_536
#: After the turns' time is over. What takes longer to stop is left to the next start.
LAST_SECONDS = 10.0


async def serve(configuration: Configuration, started: float) -> int:
    """Be the daemon until SIGTERM or SIGINT; return the process's exit code.

    `started` is the monotonic time at which the process began. Raises `CannotStart`.
    """
    data_dir = Path(configuration.runtime.data_dir)
    grace_seconds = configuration.runtime.shutdown_grace_seconds
    logs = start_logs(secrets=secrets_of(configuration))
    _allow_many_sockets()
    os.umask(0o077)  # whatever we write is nobody else's to read
    # Before anything is written: a daemon that must not start leaves no traces.
    hooks = open_hooks(configuration.hooks)
    with held(data_dir):
        stop = _Stop(grace_seconds)
        async with _database_url(configuration, data_dir) as url:
            # Importing the rest takes as long as the server's start: they overlap.
            await asyncio.to_thread(import_module, "opencraw.app.daemon")
            from opencraw.app.daemon import Daemon

            async with Daemon.open(configuration, data_dir, await url, hooks) as daemon:
                logs.redactor.add([daemon.token])
                await _until_stopped(daemon, started, stop, grace_seconds)
    return 0


class _Stop:
    """What the operator's signals ask for: the first a polite stop, the second a quick one. Either
    comes to an end: a frozen database, say, must not keep the process for ever."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        hurried = self.asked.is_set()
        (self.hurried if hurried else self.asked).set()
        limit = LAST_SECONDS if hurried else self._grace_seconds + LAST_SECONDS
        asyncio.get_running_loop().call_later(limit, _end_now)


def _end_now() -> None:
    """End without the rest of the manners: nothing durable depends on them."""
    log.error("not all parts have stopped in time; they are left as they are")
    os._exit(0)


async def _until_stopped(daemon: Daemon, started: float, stop: _Stop, grace_seconds: float) -> None:
    """Run until asked to stop; then let turns finish for a while and hand over the rest."""
    work = asyncio.ensure_future(daemon.run(started))
    waits: list[asyncio.Future[Any]] = [work, asyncio.ensure_future(stop.asked.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.info(
                "stopping: no more turns begin, and those that run have %.0f s to finish. Messages"
                " are still taken: they are answered elsewhere, or after the next start",
                grace_seconds,
            )
            ends = [
                asyncio.ensure_future(daemon.drain()),
                asyncio.ensure_future(stop.hurried.wait()),
            ]
            waits += ends
            await asyncio.wait(
                [work, *ends], timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        if not work.done():
            await daemon.hand_over()
    finally:
        for each in waits:
            each.cancel()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _allow_many_sockets() -> None:
    """Raise the limit of open files as far as we may: a daemon's sockets are files too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def _database_url(
    configuration: Configuration, data_dir: Path
) -> AsyncIterator[asyncio.Future[str]]:
    """The database's address, once it is there: the operator's server, or our own."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if configuration.database.url:
        ready.set_result(configuration.database.url.get_secret_value())
        yield ready
        return
    postgres = EmbeddedPostgres(data_dir, configuration.database)
    starting = asyncio.ensure_future(postgres.__aenter__())
    watching: asyncio.Task[None] | None = None

    async def address() -> str:
        nonlocal watching
        await starting
        watching = asyncio.ensure_future(postgres.watch())
        return postgres.url

    try:
        yield asyncio.ensure_future(address())
    finally:
        await asyncio.wait([starting])
        if watching is not None:
            watching.cancel()
        if starting.exception() is None:
            await postgres.__aexit__(*sys.exc_info())


def notify(state: str) -> None:
    """Tell the service manager, if there is one (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.suppress(OSError):
        manager.sendto(state.encode(), address.replace("@", "\0", 1))
