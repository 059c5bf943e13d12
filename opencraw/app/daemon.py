"""The daemon, put together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import opencraw
from opencraw.app import notify
from opencraw.app.channels import ChannelHost
from opencraw.app.runtimes import Runtimes
from opencraw.config import Configuration
from opencraw.context.assembly import Assembly
from opencraw.contract import DEFAULT_TENANT, Reaches, Route, Webhook
from opencraw.control.api import Api
from opencraw.control.readiness import Check, run_checks
from opencraw.control.server import HttpServer
from opencraw.control.token import access_token, link
from opencraw.errors import NotFound, Refused, Unavailable
from opencraw.events import Event
from opencraw.gateway.door import Door, Outlets
from opencraw.outbox.sender import Outbox
from opencraw.queue.nodes import Node, home_of
from opencraw.queue.rules import QueueRules
from opencraw.queue.turns import Turn, Turns
from opencraw.sessions.transcript import Sessions
from opencraw.settings import HttpChannelSettings
from opencraw.store.database import Database
from opencraw.store.migrations import migrate
from opencraw.worker.dispatcher import Dispatcher
from opencraw.worker.running import Workshop

log = logging.getLogger(__name__)

_DEFAULT_PORT = 3000


class Daemon:
    """Everything that runs, wired; `open` makes one, `run` lives."""

    def __init__(
        self, configuration: Configuration, data_dir: Path, database: Database, node: Node
    ) -> None:
        queue = configuration.queue
        self._data_dir = data_dir
        self._stopping = False
        self._database = database
        self._node = node
        self._sessions = Sessions(database)
        self._runtimes = Runtimes(configuration)
        self._host = ChannelHost.open(configuration.channels)
        settings = {name: each.settings for name, each in self._host.hosted.items()}
        rules = QueueRules(
            queue.mode,
            queue.debounce_ms,
            queue.lane_buffer,
            {name: (each.mode, each.debounce_ms) for name, each in settings.items()},
        )
        turns = Turns(database, node.id)
        self._outbox = Outbox(database, node.id, self._host.channels)
        self._dispatcher = Dispatcher(
            Workshop(
                turns=turns,
                sessions=self._sessions,
                assembly=Assembly(configuration.general, configuration.context),
                runtime=self._runtimes,
                show=self._show,
                deliver=self._outbox.post,
            ),
            rules,
            max_concurrency=queue.max_concurrency,
            default_model=lambda: self._runtimes.models.default,
        )
        self._door = Door(
            turns,
            self._sessions,
            self._dispatcher,
            rules=rules,
            models=self._runtimes.models,
            outlets=Outlets(
                deliver=self._outbox.post,
                show=self._host.show,
                channels=lambda: tuple(self._host.channels),
            ),
        )
        ports = [each.port for each in settings.values() if isinstance(each, HttpChannelSettings)]
        self.token = access_token(data_dir)
        self._http = HttpServer(
            configuration.runtime,
            configuration.security,
            port=ports[0] if ports else _DEFAULT_PORT,
            routes=self._routes(),
            token=self.token,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, configuration: Configuration, data_dir: Path, url: str
    ) -> AsyncIterator[Daemon]:
        """Bring the database up to date, enter the cluster, and listen."""
        await migrate(url)
        async with AsyncExitStack() as opened:
            database = await opened.enter_async_context(await Database.open(url))
            node = Node(database, home_of(data_dir))
            await node.join()
            opened.push_async_callback(node.leave)
            daemon = cls(configuration, data_dir, database, node)
            opened.push_async_callback(daemon._runtimes.close)
            await daemon._http.start()
            opened.push_async_callback(daemon._http.stop)
            yield daemon

    def announce(self, seconds: float) -> None:
        """Say where we are: to people, to programs, to the service manager."""
        address = self._data_dir / "daemon.json"
        draft = address.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"pid": os.getpid(), "url": self._http.base_url}) + "\n")
        draft.replace(address)
        log.info("ready in %.2f s: %s", seconds, self._http.base_url)
        # The one line that a person waits for. A service manager would keep the token in its log.
        logged = "JOURNAL_STREAM" in os.environ or "NOTIFY_SOCKET" in os.environ
        page = f"{self._http.base_url}/" if logged else link(self._http.base_url, self.token)
        print(f"OpenCraw is ready. Talk to it at {page}", flush=True)  # noqa: T201
        notify("READY=1")

    async def run(self) -> None:
        """Run until cancelled. A part that ends by itself is a defect, and ends the daemon: the
        next start recovers."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._node.keep_lease(), name="lease")
            tasks.create_task(self._dispatcher.run(), name="dispatcher")
            tasks.create_task(self._outbox.run(), name="outbox")
            tasks.create_task(self._host.run(self._door), name="channels")

    async def drain(self) -> None:
        """Take nothing new; return when everything that runs has ended and was sent."""
        notify("STOPPING=1")
        self._stopping = True
        self._door.close()
        self._dispatcher.close()
        await self._dispatcher.drained()
        await self._outbox.drained()

    def _show(self, turn: Turn, event: Event) -> None:
        self._host.show(turn.address, event)

    def _routes(self) -> Sequence[Route]:
        routes = list(Api(self).routes())
        for channel in self._host.channels.values():
            if isinstance(channel, Webhook):
                routes.extend(channel.routes())
        return routes

    # What the control plane may ask (see `opencraw.control.api.Facts`).

    async def checks(self) -> Mapping[str, str | None]:
        """What has to be well for the daemon to be ready; a text says what is not."""
        own = {"database": self._database_problem, "daemon": self._daemon_problem}
        return await run_checks(own | dict(self._channel_checks))

    @property
    def _channel_checks(self) -> Mapping[str, Check]:
        return {f"channel {name}": each.problem for name, each in self._host.hosted.items()}

    async def _daemon_problem(self) -> str | None:
        return "it is stopping" if self._stopping else None

    async def _database_problem(self) -> str | None:
        try:
            await self._database.ping()
        except Unavailable as error:
            return str(error)
        return None

    async def status(self) -> Mapping[str, object]:
        """What an operator wants to see first."""
        checks = await self.checks()
        return {
            "version": opencraw.__version__,
            "pid": os.getpid(),
            "uptime_seconds": round(self._door.uptime_seconds, 1),
            "model": self._runtimes.models.default,
            "demo": self._runtimes.demo,
            "database": {"ok": checks["database"] is None, "problem": checks["database"]},
            "channels": [
                {"name": name, "state": each.state, "detail": each.detail}
                for name, each in self._host.hosted.items()
            ],
            "turns_running": self._dispatcher.turns_running,
            "waiting": self._dispatcher.messages_waiting,
        }

    async def sessions(self, limit: int) -> Sequence[Mapping[str, object]]:
        """The conversations that were active last."""
        return [
            {
                "id": str(record["id"]),
                "channel_id": record["channel"],
                "sender_id": record["opened_by"],
                "chat": record["chat"],
                "created_at": record["created_at"].isoformat(),
                "last_active": record["last_active_at"].isoformat(),
                "messages": record["messages"],
                "model_override": record["model"],
                "mode": record["mode"],
                "prompt_tokens": record["prompt_tokens"],
                "completion_tokens": record["completion_tokens"],
                "waiting": record["waiting"],
                "running": record["running"],
            }
            for record in await self._sessions.newest(limit)
        ]

    async def send(self, channel: str, recipient: str, message: str) -> UUID:
        """Say something to somebody, outside any turn."""
        if not recipient.strip():
            raise Refused("A message needs a recipient.", code="MISSING_FIELD")
        known = self._host.channels
        if channel not in known:
            raise NotFound(f"There is no channel {channel!r} here. Channels: {', '.join(known)}")
        open_channel = known[channel]
        if not isinstance(open_channel, Reaches):
            raise Refused(f"On {channel} nobody can be written to first.", code="INVALID_FIELD")
        return await self._door.post(open_channel.address(recipient), DEFAULT_TENANT, message)
