"""This process as the others see it: a row with a lease.

A lease is a promise to finish or be replaced. Whoever finds it over may take this node's turns; the
fence on every turn makes that safe even when this process still lives.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from uuid import UUID, uuid4

from opencraw import crashpoints
from opencraw.queue.turns import SQL
from opencraw.store.database import Database

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
        await self._database.commit(SQL.renew_lease, (self.id, -1.0), patience=2.0)


def home_of(data_dir: Path) -> UUID:
    """The identity of a data directory, made at its first use and kept in it."""
    file = data_dir / "home"
    if not file.exists():
        draft = data_dir / f"home.{os.getpid()}"
        draft.write_text(f"{uuid4()}\n")
        draft.replace(file)
    return UUID(file.read_text().strip())
