"""Two nodes on one database, what may happen to them, and when they have done all they can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import asyncpg

from tests.fixtures.core import Core, running, session_of, until
from tests.fixtures.mailbox import Mailbox
from tests.machines.held_model import HeldModel, Step

#: Turns that a node may run at once: less than there are conversations.
BUDGET = 1
PATIENCE = 10.0

_SWEEP = "TRUNCATE node, session, receiver RESTART IDENTITY CASCADE"
_BREAK = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'opencraw'
"""
_END_LEASES = "UPDATE node SET lease_until = now() - interval '1 second' WHERE id = ANY($1::uuid[])"
_SESSIONS = """
SELECT session.id, session.chat, turn.id AS turn, turn.owner, turn.stop_requested, turn.rights,
       node.lease_until >= now() AS leased,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id AND inbox.state = 'waiting') AS waiting,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id AND inbox.state = 'overflowed') AS overflowed,
       (SELECT count(*) FROM outbox
          LEFT JOIN node AS sender ON sender.id = outbox.owner
         WHERE outbox.session_id = session.id AND outbox.state IN ('pending', 'sending')
           AND (sender.id IS NULL OR sender.lease_until < now()
                OR sender.id = ANY($1::uuid[]))) AS outgoing
  FROM session
  LEFT JOIN turn ON turn.session_id = session.id AND turn.state = 'running'
  LEFT JOIN node ON node.id = turn.owner
 ORDER BY session.chat
"""
_CHATS_OF = """
SELECT session.chat FROM turn JOIN session ON session.id = turn.session_id
 WHERE turn.state = 'running' AND turn.owner = $1
"""
_TURNS_PER_SESSION = """
SELECT session_id, count(*) FROM turn WHERE state = 'running' GROUP BY session_id
HAVING count(*) > 1
"""


class Cluster:
    """Node 0 and node 1, each with a data directory of its own. Some of them live."""

    def __init__(self, url: str, model: HeldModel, channel: Mailbox) -> None:
        self._url = url
        self._model = model
        self._channel = channel
        self._homes = (uuid4(), uuid4())
        self._nodes: list[tuple[Core, AsyncExitStack] | None] = [None, None]
        self._dead: set[UUID] = set()
        self._witness: asyncpg.Connection[asyncpg.Record]

    async def open(self) -> None:
        self._witness = await asyncpg.connect(self._url)
        await self._witness.execute(_SWEEP)

    async def close(self) -> None:
        for place in range(len(self._nodes)):
            await self.kill(place)
        await self._witness.close()

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """What the database says to somebody who is not of the daemon."""
        return await self._witness.fetch(sql, *arguments)

    @property
    def living(self) -> list[Core]:
        return [node[0] for node in self._nodes if node is not None]

    def some(self, place: int) -> Core | None:
        """The living node nearest to this place."""
        node = self._nodes[place]
        return node[0] if node is not None else next(iter(self.living), None)

    async def start(self, place: int) -> None:
        if self._nodes[place] is None:
            stack = AsyncExitStack()
            node = running(
                self._url,
                provider=self._model,
                channel=self._channel,
                home=self._homes[place],
                max_concurrency=BUDGET,
                tools=self._model.tools,
            )
            self._nodes[place] = (await stack.enter_async_context(node), stack)

    async def kill(self, place: int) -> None:
        """The process ends at once: it writes nothing more and says goodbye to nobody."""
        if (node := self._nodes[place]) is not None:
            core, stack = node
            core.dies = True
            core.database._flusher.cancel()
            await self._close(place, core, stack)
            self._dead.add(core.node.id)

    async def leave(self, place: int) -> None:
        """The process ends politely: it hands over what it has."""
        if (node := self._nodes[place]) is not None:
            await self._close(place, *node)

    async def _close(self, place: int, core: Core, stack: AsyncExitStack) -> None:
        for task in core.running:
            task.cancel()
        await asyncio.gather(*core.running, return_exceptions=True)
        core.running.clear()
        await stack.aclose()
        self._nodes[place] = None

    async def leases_end(self) -> None:
        """So much time passes that those who died are known to be dead."""
        await self.fetch(_END_LEASES, list(self._dead))

    async def sleep_through_lease(self, place: int) -> None:
        """A node stands still until its lease is over, and wakes up. It is not alone."""
        core = self.some(place)
        if core is None or len(self.living) < 2:
            return
        async with self._renewing_nothing(core):
            core.node.others = 1
            core.node._held_until = 0.0
            core.dispatcher.hand_over()
            await core.dispatcher.drained()
            await self.fetch(_END_LEASES, [core.node.id])

    async def work_on_without_lease(self, place: int, step: Step) -> None:
        """A node believes itself alone and goes on with a turn that another one has taken over."""
        await self.calm()
        core = self.some(place)
        heirs = [each for each in self.living if each is not core]
        if core is None or not heirs or heirs[0].dispatcher.turns_running:
            return
        async with self._renewing_nothing(core):
            core.node.others = 0
            lost = [row["chat"] for row in await self.fetch(_CHATS_OF, core.node.id)]
            turns = {chat: core.dispatcher.running(session_of(chat)) for chat in lost}
            for chat in lost:
                self._model.leave_behind(chat)
            await self.fetch(_END_LEASES, [core.node.id])
            await self.calm()
            before = self._model.effects.total()
            self._model.release_left_behind(step)
            await until(
                lambda: (
                    self._model.faults
                    or all(
                        core.dispatcher.running(session_of(chat)) is not turns[chat]
                        for chat in lost
                    )
                ),
                "the end of a turn of somebody else",
            )
            assert self._model.effects.total() == before, "a tool ran for a turn of somebody else"

    @asynccontextmanager
    async def _renewing_nothing(self, core: Core) -> AsyncIterator[None]:
        """Its lease is not renewed meanwhile."""
        renewing = core.running[0]
        renewing.cancel()
        await asyncio.wait([renewing])
        yield
        await core.node.join()
        core.running[0] = asyncio.create_task(core.node.keep_lease(core.dispatcher.hand_over))

    async def let_go(self, place: int) -> None:
        """A node lets go of its turns and lives on: nobody else may take them."""
        if (core := self.some(place)) is not None:
            core.dispatcher.hand_over()

    async def break_connections(self) -> None:
        await self.fetch(_BREAK)

    async def calm(self) -> None:
        """Return when the living have done all that can be done, and wait for somebody else."""
        left: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while left := await self._left():
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"nobody goes on with: {left}") from None

    async def _left(self) -> list[str]:
        if not self.living:
            return []
        living = {core.node.id for core in self.living}
        rows = await self.fetch(_SESSIONS, list(living))
        return [f"{what} {dict(row)}" for row in rows if (what := self._left_in(row, living))]

    def _left_in(self, row: asyncpg.Record, living: set[UUID]) -> str:
        """What could be done in a conversation, and is not."""
        if row["outgoing"]:
            return "a delivery"
        if row["turn"] is None:
            has_work = row["waiting"] or row["overflowed"]
            return "an idle lane" if has_work and self._has_room(self.living) else ""
        if row["owner"] not in living:
            return "" if row["leased"] or not self._has_room(self.living) else "a turn of the dead"
        owner = [core for core in self.living if core.node.id == row["owner"]]
        if row["stop_requested"] or not self._model.is_held(row["chat"]):
            # One that was let go of may have to wait for a slot of its node.
            at_work = owner[0].dispatcher.works_on(row["id"])
            return "a running turn" if at_work or self._has_room(owner) else ""
        lane = owner[0].dispatcher._lanes.find(row["id"])
        is_full = lane and lane.waiting > lane.rules.cap
        return "a full lane" if lane and is_full and lane.rules.drop != "block" else ""

    def _has_room(self, nodes: Sequence[Core]) -> bool:
        # Where the model holds nothing, there is room soon.
        return self._model.is_free or any(core.dispatcher.turns_running < BUDGET for core in nodes)

    async def one_turn_each(self) -> None:
        assert not await self.fetch(_TURNS_PER_SESSION), "two turns of one conversation run"
