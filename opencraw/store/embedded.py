"""A Postgres of our own: started with the daemon, on a private socket, durable as any other.

    async with EmbeddedPostgres(data_dir, settings) as postgres:
        database = await Database.open(postgres.url)

A server that a killed daemon left behind is taken over. Two daemons on one data directory are kept
apart by their caller; should it fail to, both end up with the same server and the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from opencraw.errors import CannotStart
from opencraw.store.backoff import pauses
from opencraw.store.binaries import Binaries, copy_binaries, find_binaries
from opencraw.store.cluster import USER, Cluster, ensure_cluster
from opencraw.store.connection import FAILURES, in_words, is_transient
from opencraw.store.placement import (
    SYSTEM_DIR,
    Place,
    choose_place,
    choose_socket_dir,
    reachable,
)
from opencraw.store.postmaster import (
    Postmaster,
    find,
    read_pid_file,
    remove_stale_lock_files,
    spawn,
)
from opencraw.store.server_log import ServerLog
from opencraw.store.settings import DatabaseSettings

log = logging.getLogger(__name__)

DATABASE = "opencraw"

#: A server that says nothing at all for this long is not coming up any more.
_SILENT_SECONDS = 60.0

#: One that says that it is starting may be replaying what was not yet in its files.
_RECOVERY_SECONDS = 600.0

#: For what is left of a dead server to disappear, or for one that another daemon starts to answer.
_IN_THE_WAY_SECONDS = 30.0

#: How Postgres says that a server, or a child of a dead one, still works on the files.
_IN_THE_WAY = ('lock file "', "is still in use")


class EmbeddedPostgres:
    """The server below `data_dir`; `url` is valid inside the `async with` block.

    `stop=False` leaves the server running at the end of the block.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: DatabaseSettings,
        *,
        stop: bool = True,
        system_dir: Path = SYSTEM_DIR,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        self._stop = stop
        self._system_dir = system_dir
        self._stopping = False

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._prepare)
        self._server = await self._bring_up()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        if self._stop:
            await self._server.stop()
        self._server.let_go()

    @property
    def url(self) -> str:
        """Where `asyncpg` finds the database. Holds the password."""
        return self._url(DATABASE)

    @property
    def pid(self) -> int:
        """The process id of the server at this moment."""
        return self._server.pid

    async def watch(self) -> None:
        """Bring the server back whenever it dies; runs until cancelled."""
        for pause in pauses(longest=10.0):
            started = time.monotonic()
            await self._server.gone()
            if self._stopping:
                return
            log.warning("the database server has died (see %s), starting it", self._log.path)
            # One that had run for a while comes back at once, one that keeps dying more slowly.
            if time.monotonic() - started < pause * 10:
                await asyncio.sleep(pause)
            await self._bring_back()

    async def _bring_back(self) -> None:
        for pause in pauses(longest=10.0):
            try:
                self._server = await self._bring_up()
            except CannotStart as error:
                log.warning("the database server does not come back, trying again: %s", error)
                await asyncio.sleep(pause)
            else:
                log.info("the database server is back")
                return

    def _prepare(self) -> None:
        """Everything that must be on disk before a server can start."""
        try:
            self._place = choose_place(self._data_dir, system_dir=self._system_dir)
            binaries = find_binaries(self._settings.bin_dir)
            self._binaries = _runnable(binaries, self._place, self._system_dir)
            self._cluster: Cluster = ensure_cluster(self._place, self._binaries)
            self._socket_dir = choose_socket_dir(self._place)
            self._log = ServerLog(self._place)
        except OSError as error:
            raise CannotStart(
                f"The files of the database below {self._data_dir} are not as they were left:"
                f" {error}. Without them no message can be kept. Restore what is missing from a"
                " backup, or choose another data directory."
            ) from error

    async def _bring_up(self) -> Postmaster:
        """Take over the server that runs, or start one; returns when it answers."""
        deadline = time.monotonic() + _IN_THE_WAY_SECONDS
        for pause in pauses(0.005, 0.5):
            server = find(self._cluster.data)
            found = server is not None
            if server is None:
                server = self._spawn()
            try:
                if await self._answers(server):
                    return self._that_answers(server)
            except BaseException:
                if not found and self._stop:
                    await server.stop()
                server.let_go()
                raise
            in_the_way = found or any(words in self._log.last_words() for words in _IN_THE_WAY)
            if not in_the_way or time.monotonic() > deadline:
                raise CannotStart(self._failure("ended while it was starting"))
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _that_answers(self, server: Postmaster) -> Postmaster:
        """Who answers: another one that started at the same time, where ours has yet to find that
        it is in the way."""
        noted = read_pid_file(self._cluster.data)
        if noted is None or noted.pid == server.pid:
            return server
        faster = find(self._cluster.data)
        if faster is None:
            return server
        server.let_go()
        return faster

    def _spawn(self) -> Postmaster:
        data = self._cluster.data
        try:
            remove_stale_lock_files(data, self._socket_dir)
            with self._log.open() as file:
                return spawn(data, self._socket_dir, self._place, self._binaries, file)
        except OSError as error:
            raise CannotStart(self._failure(f"could not be started: {error}")) from error

    async def _answers(self, server: Postmaster) -> bool:
        """True once it takes queries; False if it ended. Readiness is an answer, not a file."""
        started = time.monotonic()
        patience = _SILENT_SECONDS
        for pause in pauses(0.005, 0.25):
            try:
                await self._greet(server)
            except asyncpg.CannotConnectNowError:
                patience = _RECOVERY_SECONDS
            except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
                raise CannotStart(
                    f"The database at {self._cluster.data} does not accept the password beside it."
                    " Somebody has changed one of the two. Restore both from the same backup."
                ) from None
            except FAILURES as error:
                if not is_transient(error):
                    raise CannotStart(self._failure(f"refused: {in_words(error)}")) from error
                log.debug("the database server is not there yet: %s", in_words(error))
            else:
                return True
            if not server.alive():
                return False
            if time.monotonic() - started > patience:
                raise CannotStart(self._failure(f"did not answer for {patience:.0f} s"))
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    async def _greet(self, server: Postmaster) -> None:
        """Check that it is the right server, and that our database is there."""
        noted = read_pid_file(self._cluster.data)
        if noted is not None and noted.pid == server.pid and noted.socket_dir is not None:
            # A server that was started with other folders in the environment listens elsewhere.
            self._socket_dir = noted.socket_dir
        try:
            connection = await asyncpg.connect(self.url, timeout=5, command_timeout=10)
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            return
        try:
            folder = await connection.fetchval("SHOW data_directory")
        finally:
            await connection.close()
        if not self._is_our_folder(folder):
            raise CannotStart(
                f"The server at {self._socket_dir} works in {folder} and not in"
                f" {self._cluster.data}: another database has taken our place. Stop it."
            )

    def _is_our_folder(self, folder: str) -> bool:
        return Path(folder).samefile(self._cluster.data)

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self._url("postgres"), timeout=5, command_timeout=60)
        try:
            # Another daemon that starts at the same time may be faster.
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _url(self, database: str) -> str:
        socket_dir = quote(str(self._socket_dir), safe="")
        return f"postgresql://{USER}:{self._cluster.password}@/{database}?host={socket_dir}"

    def _failure(self, what: str) -> str:
        return (
            f"The database server {what}; without it no message can be kept. Its last words:"
            f" {self._log.last_words() or 'none'}. Mend what they name (the whole log is"
            f" {self._log.path}), then start again."
        )


def _runnable(binaries: Binaries, place: Place, system_dir: Path) -> Binaries:
    """Programs that the user of this place may run: the installed ones, or a copy."""
    if place.account is None or reachable(binaries.folder.resolve(), place.account):
        return binaries
    return copy_binaries(binaries, system_dir)
