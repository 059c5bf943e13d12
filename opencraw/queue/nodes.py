"""This process as the others see it: a row with a lease.

A lease is a promise to finish or be replaced. Whoever finds it over may take this node's turns; the
fence on every turn makes that safe even when this process still lives. It would still be talking to
models and people in vain, so a node whose lease is over lets go of its work by itself, unless it is
alone: then nobody can have taken it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from opencraw import crashpoints
from opencraw.errors import Unavailable
from opencraw.store.database import Database
from opencraw.store.queries import load

log = logging.getLogger(__name__)

SQL = load("opencraw.queue", "nodes.sql")
#: With the poll that finds its turns, a dead node's work moves within five seconds.
LEASE_SECONDS = 3.0
_RENEWALS_PER_LEASE = 4
_PATIENCE_SECONDS = 2.0

# Counts the time that the machine slept, too; where there is no such clock, sleep goes unnoticed
# until the first write is refused.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class Node:
    """One incarnation of the daemon. Its id is never used again."""

    def __init__(self, database: Database, home: UUID) -> None:
        self.id = uuid4()
        self._home = home
        self._database = database
        #: How many other nodes lived when this one last asked.
        self.others = 0
        # The database begins to count when it gets a renewal, so counting from before it was sent
        # is on the safe side.
        self._held_until = 0.0
        #: Since the lease was over, until it is renewed.
        self._let_go_of_all = False

    @property
    def holds_lease(self) -> bool:
        """Whether nobody else can have taken this node's work, as far as it has heard of others."""
        return self.others == 0 or _now() < self._held_until

    @property
    def in_touch(self) -> bool:
        """Whether the database took our last renewals: it is asked several times in each lease."""
        return _now() < self._held_until

    async def join(self) -> None:
        """Enter. Predecessors that held the same data directory are dead: we hold it now."""
        crashpoints.reach("recovery_step")
        asked = _now()
        row = (self.id, self._home, socket.gethostname(), os.getpid(), LEASE_SECONDS)
        record = await self._database.commit(SQL.join_cluster, row)
        self.others = record["others"] if record is not None else 0
        self._held_until = asked + LEASE_SECONDS

    async def keep_lease(self, lapsed: Callable[[], None]) -> None:
        """Renew until cancelled. `lapsed` is called whenever the lease is over while others live:
        whatever runs here may by then run elsewhere."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(lapsed))
            tasks.create_task(self._watch(lapsed))

    async def leave(self) -> None:
        """Hand everything over at once. A database that is away learns it when the lease ends."""
        try:
            await self._database.commit(SQL.leave_cluster, (self.id,), patience=_PATIENCE_SECONDS)
        except Unavailable as error:
            log.warning("left without telling the others: %s", error)

    async def receive_for(self, channel: str, account: str) -> bool:
        """Become, or stay, the one process that receives for this account of a channel."""
        row = (channel, account, self.id)
        return await self._database.commit(SQL.receive_for, row) is not None

    async def _renew(self, lapsed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS_PER_LEASE)
            asked = _now()
            record = await self._database.commit(SQL.renew_lease, (self.id, LEASE_SECONDS))
            over = _now() >= self._held_until
            if record is not None and record["known"]:
                self.others = record["others"]
                until = asked + LEASE_SECONDS
            else:
                # Long gone and forgotten by the others: enter anew.
                await self.join()
                until = self._held_until
            if over and self.others:
                # A new lease does not bring back what was taken under the old one. Whoever wakes
                # from a long sleep may renew before anybody has noticed, and whoever was alone when
                # last heard of has to be told that it is not any more.
                self._let_go(lapsed)
            self._held_until = until
            self._let_go_of_all = False

    async def _watch(self, lapsed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(max(self._held_until - _now(), LEASE_SECONDS / 8))
            if not self.holds_lease:
                self._let_go(lapsed)

    def _let_go(self, lapsed: Callable[[], None]) -> None:
        if not self._let_go_of_all:
            log.warning("the lease of this node is over; its turns are handed over")
            self._let_go_of_all = True
            lapsed()


def home_of(data_dir: Path) -> UUID:
    """The identity of a data directory, made at its first use and kept in it. A file that was
    damaged is made anew: then the dead of this directory are found when their leases end."""
    file = data_dir / "home"
    try:
        return UUID(file.read_text().strip())
    except (FileNotFoundError, ValueError, UnicodeDecodeError):
        home = uuid4()
    draft = data_dir / f"home.{os.getpid()}"
    with draft.open("w") as written:
        written.write(f"{home}\n")
        written.flush()
        os.fsync(written.fileno())
    draft.replace(file)
    return home
