"""What the daemon tells the control plane of itself, and does for it (see `control.api.Facts`)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import opencraw
from opencraw.app.channels import ChannelHost
from opencraw.app.limits import spending_status
from opencraw.app.runtimes import Runtimes
from opencraw.bus.bus import Bus
from opencraw.context.tokens import Tokens
from opencraw.contract import DEFAULT_TENANT, Reaches
from opencraw.control.readiness import Check, run_checks
from opencraw.errors import NotFound, Refused, Unavailable
from opencraw.explain.answer import as_json
from opencraw.explain.explainer import AtWork, Explainer, Here
from opencraw.gateway.limits import Limits
from opencraw.gateway.opening import OpenGateway
from opencraw.memory.memory import Memory
from opencraw.outbox.deliveries import Deliveries, Undelivered
from opencraw.queue.nodes import Node
from opencraw.queue.rules import QueueRules
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from opencraw.worker.dispatcher import Dispatcher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts of a running daemon that are asked."""

    database: Database
    node: Node
    bus: Bus
    host: ChannelHost
    runtimes: Runtimes
    sessions: Sessions
    rules: QueueRules
    dispatcher: Dispatcher
    gateway: OpenGateway
    limits: Limits
    tokens: Tokens
    memory: Memory | None
    deliveries: Deliveries
    stopping: Callable[[], bool]


class DaemonFacts:
    """The facts of one daemon."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: As of the last look.
        self._undelivered = Undelivered()
        self._explainer = Explainer(
            parts.database,
            parts.rules,
            Here(
                node=parts.node.id,
                at_work=self._at_work,
                turns_running=lambda: parts.dispatcher.turns_running,
                channels=lambda: tuple(parts.host.channels),
            ),
        )

    async def checks(self) -> Mapping[str, str | None]:
        """What has to be well for the daemon to be ready; a text says what is not."""
        own: Mapping[str, Check] = {
            "database": self._database_problem,
            "daemon": self._daemon_problem,
        }
        found = await run_checks(own)
        if found["database"] is None:
            await self._count_undelivered()
        return found

    async def _count_undelivered(self) -> None:
        try:
            self._undelivered = await self._parts.deliveries.undelivered()
        except Unavailable as error:
            log.warning("counting what was not delivered: %s", error)

    def remarks(self) -> Mapping[str, str]:
        """What is not well, and yet no reason to send anybody away."""
        parts = self._parts
        found = {
            "redis": parts.bus.problem,
            "tokens": parts.tokens.problem,
            "memory": parts.memory.problem if parts.memory is not None else None,
            **parts.host.problems(),
            "deliveries": self._undelivered.problem,
            **parts.limits.hooks.problems(),
        }
        return {name: problem for name, problem in found.items() if problem is not None}

    async def _daemon_problem(self) -> str | None:
        return "it is stopping" if self._parts.stopping() else None

    async def _database_problem(self) -> str | None:
        try:
            await self._parts.database.ping()
        except Unavailable as error:
            return str(error)
        return None

    def _redis_status(self) -> Mapping[str, object]:
        """How Redis is, where there is one."""
        bus = self._parts.bus
        if not bus.reaches_others:
            return {}
        return {"redis": {"ok": bus.problem is None, "problem": bus.problem}}

    async def status(self) -> Mapping[str, object]:
        """What an operator wants to see first."""
        checks = await self.checks()
        parts = self._parts
        return {
            "version": opencraw.__version__,
            "pid": os.getpid(),
            "uptime_seconds": round(parts.gateway.door.uptime_seconds, 1),
            "model": parts.runtimes.models.default,
            "demo": parts.runtimes.demo,
            "database": {"ok": checks["database"] is None, "problem": checks["database"]},
            **self._redis_status(),
            "node": {"id": str(parts.node.id), "others": parts.node.others},
            "channels": [
                {"name": name, "state": each.state, "detail": each.detail}
                for name, each in parts.host.hosted.items()
            ],
            "dead_letters": self._undelivered.dead,
            "late_deliveries": self._undelivered.late,
            "turns_running": parts.dispatcher.turns_running,
            "waiting": parts.dispatcher.messages_waiting,
            "hooks": parts.limits.hooks.status(),
            **await spending_status(parts.limits.spending),
        }

    async def messages(self, limit: int) -> Sequence[Mapping[str, object]]:
        """The messages that were accepted last, each with what became of it."""
        return [as_json(*each) for each in await self._explainer.newest(limit)]

    async def explain(self, name: str) -> Mapping[str, object]:
        """Why the message of this name was, or was not, answered."""
        return as_json(*await self._explainer.explain(name))

    def _at_work(self, session: UUID) -> AtWork | None:
        running = self._parts.dispatcher.running(session)
        if running is None:
            return None
        doing = running.doing
        return AtWork(running.turn.id, doing.what, time.monotonic() - doing.since)

    async def send(self, channel: str, recipient: str, message: str) -> UUID:
        """Say something to somebody, outside any turn."""
        if not recipient.strip():
            raise Refused("A message needs a recipient.", code="MISSING_FIELD")
        known = self._parts.host.channels
        if channel not in known:
            raise NotFound(f"There is no channel {channel!r} here. Channels: {', '.join(known)}")
        open_channel = known[channel]
        if not isinstance(open_channel, Reaches):
            raise Refused(f"On {channel} nobody can be written to first.", code="INVALID_FIELD")
        address = open_channel.address(recipient)
        return await self._parts.gateway.notices.post(address, DEFAULT_TENANT, message)
