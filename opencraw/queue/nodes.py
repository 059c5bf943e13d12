"""This process as the others see it: a row with a lease.

A lease is a promise to finish or be replaced. Whoever finds it over may take this node's turns; the
fence on every turn makes that safe even when this process still lives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from uuid import UUID, uuid4

from opencraw import crashpoints
from opencraw.errors import Unavailable
from opencraw.queue.turns import SQL
from opencraw.store.database import Database

log = logging.getLogger(__name__)

LEASE_SECONDS = 4.0


class Node:
    """One incarnation of the daemon. Its id is never used again."""

    def __init__(self, database: Database, home: UUID) -> None:
        self.id = uuid4()
        self._home = home
        self._database = database

    async def join(self) -> None:
        """Enter. Predecessors that held the same data directory are dead: we hold it now."""
        crashpoints.reach("recovery_step")
        row = (self.id, self._home, socket.gethostname(), os.getpid(), LEASE_SECONDS)
        await self._database.commit(SQL.join_cluster, row)

    async def keep_lease(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            await self._database.commit(SQL.renew_lease, (self.id, LEASE_SECONDS))

    async def leave(self) -> None:
        """Hand everything over at once. A database that is away learns it when the lease ends."""
        try:
            await self._database.commit(SQL.renew_lease, (self.id, -1.0), patience=2.0)
        except Unavailable as error:
            log.warning("left without telling the others: %s", error)


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
