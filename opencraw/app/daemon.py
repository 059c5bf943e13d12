"""The daemon, put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import opencraw
from opencraw.app import notify
from opencraw.app.channels import ChannelHost
from opencraw.app.limits import Purses, open_limits, spending_status
from opencraw.app.peers import Peers, SharedLanes
from opencraw.app.runtimes import Runtimes
from opencraw.bus.bus import Bus
from opencraw.bus.messages import Paced
from opencraw.config import Configuration
from opencraw.context.assembly import Assembly
from opencraw.contract import DEFAULT_TENANT, Reaches, Route, Webhook
from opencraw.control.api import Api
from opencraw.control.readiness import Check, run_checks
from opencraw.control.server import HttpServer
from opencraw.control.token import access_token, link
from opencraw.errors import CannotStart, NotFound, Refused, Unavailable
from opencraw.explain.answer import as_json
from opencraw.explain.explainer import AtWork, Explainer, Here
from opencraw.gateway.door import Door, Outlets
from opencraw.outbox.sender import Outbox
from opencraw.queue.inbox import Inbox
from opencraw.queue.nodes import Node, home_of
from opencraw.queue.rules import ChannelRules, QueueRules
from opencraw.queue.turns import Turns
from opencraw.sessions.transcript import Sessions
from opencraw.settings import HttpChannelSettings
from opencraw.store.database import Database
from opencraw.store.migrations import migrate
from opencraw.worker.dispatcher import Dispatcher
from opencraw.worker.workshop import TOOL_GRACE_SECONDS, Patience, Workshop

log = logging.getLogger(__name__)

_DEFAULT_PORT = 3000
#: Turns that are handed over may have something to tidy up.
HAND_OVER_SECONDS = 3.0
#: For the other nodes to hear that this one leaves; they would find out by themselves.
_LAST_WORD_SECONDS = 0.5


class Daemon:
    """Everything that runs, wired; `open` makes one, `run` lives."""

    def __init__(
        self,
        configuration: Configuration,
        data_dir: Path,
        database: Database,
        node: Node,
        bus: Bus,
    ) -> None:
        self._data_dir = data_dir
        self._stopping = False
        #: What this node does as a member of the cluster, while it is one.
        self._work: asyncio.Task[None] | None = None
        self._database = database
        self._node = node
        self._bus = bus
        self._sessions = Sessions(database)
        self._runtimes = Runtimes(configuration)
        self._host = ChannelHost.open(configuration.channels)
        settings = {name: each.settings for name, each in self._host.hosted.items()}
        rules = QueueRules(
            configuration.queue,
            {
                name: ChannelRules(each.settings, each.kind.splits_at)
                for name, each in self._host.hosted.items()
            },
        )
        inbox = Inbox(database)
        self._limits = open_limits(
            configuration,
            database,
            tell_others=lambda sender: self._peers.tell(Paced(sender)),
        )
        bus.on(Paced, lambda hint: self._limits.rates.others_took(hint.sender))
        self._outbox = Outbox(database, node.id, self._host.channels, self._limits.speech)
        self._peers = Peers(node, bus, self._host, self._outbox)
        self._dispatcher = Dispatcher(
            Workshop(
                node=node,
                inbox=inbox,
                turns=Turns(database, node.id),
                sessions=self._sessions,
                assembly=Assembly(configuration.general, configuration.context),
                runtime=self._runtimes,
                show=self._peers.show,
                deliver=self._peers.deliver,
                patience=Patience(
                    model=configuration.queue.stuck_after_seconds,
                    tool=configuration.context.tool_max_runtime_seconds + TOOL_GRACE_SECONDS,
                ),
                purse=Purses(configuration, self._limits.spending),
            ),
            rules,
            default_model=lambda: self._runtimes.models.default,
        )
        self._peers.listen(self._dispatcher)
        self._explainer = Explainer(
            database,
            rules,
            Here(
                node=node.id,
                at_work=self._at_work,
                turns_running=lambda: self._dispatcher.turns_running,
                channels=lambda: tuple(self._host.channels),
            ),
        )
        self._door = Door(
            inbox,
            self._sessions,
            SharedLanes(self._dispatcher, self._peers),
            rules=rules,
            models=self._runtimes.models,
            outlets=Outlets(
                deliver=self._peers.deliver,
                show=self._peers.show,
                channels=lambda: tuple(self._host.channels),
            ),
            limits=self._limits,
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
            daemon = cls(configuration, data_dir, database, node, _bus(configuration, node))
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
            tasks.create_task(self._bus.run(), name="bus")
            tasks.create_task(self._host.run(self._door, self._node), name="channels")
            self._work = tasks.create_task(self._do_work(), name="work")

    async def _do_work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._node.keep_lease(self._lapsed), name="lease")
            tasks.create_task(self._dispatcher.run(), name="dispatcher")
            tasks.create_task(self._outbox.run(), name="outbox")

    def _lapsed(self) -> None:
        self._dispatcher.hand_over()
        self._host.let_go()

    async def drain(self) -> None:
        """Begin no more turns; return when those that run have ended and were sent.

        Messages are taken all the time: they are rows, and another node, or the next process,
        answers them.
        """
        notify("STOPPING=1")
        self._stopping = True
        self._dispatcher.close()
        self._peers.let_go()
        await self._dispatcher.drained()
        await self._outbox.drained()

    async def hand_over(self) -> None:
        """Leave the cluster with all its work, then let nobody else in."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work], timeout=HAND_OVER_SECONDS)
        await self._node.leave()
        self._peers.let_go()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._bus.drained()
        self._http.close()

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

    def remarks(self) -> Mapping[str, str]:
        """What is not well, and yet no reason to send anybody away."""
        return {"redis": self._bus.problem} if self._bus.problem is not None else {}

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

    def _redis_status(self) -> Mapping[str, object]:
        """How Redis is, where there is one."""
        if not self._bus.reaches_others:
            return {}
        return {"redis": {"ok": self._bus.problem is None, "problem": self._bus.problem}}

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
            **self._redis_status(),
            "node": {"id": str(self._node.id), "others": self._node.others},
            "channels": [
                {"name": name, "state": each.state, "detail": each.detail}
                for name, each in self._host.hosted.items()
            ],
            "turns_running": self._dispatcher.turns_running,
            "waiting": self._dispatcher.messages_waiting,
            **await spending_status(self._limits.spending),
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

    async def messages(self, limit: int) -> Sequence[Mapping[str, object]]:
        """The messages that were accepted last, each with what became of it."""
        return [as_json(*each) for each in await self._explainer.newest(limit)]

    async def explain(self, name: str) -> Mapping[str, object]:
        """Why the message of this name was, or was not, answered."""
        return as_json(*await self._explainer.explain(name))

    def _at_work(self, session: UUID) -> AtWork | None:
        running = self._dispatcher.running(session)
        if running is None:
            return None
        doing = running.doing
        return AtWork(running.turn.id, doing.what, time.monotonic() - doing.since)

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


def _bus(configuration: Configuration, node: Node) -> Bus:
    redis = configuration.redis
    if redis.url is None:
        return Bus()
    try:
        from opencraw.bus.redis import RedisBus
    except ImportError as error:
        raise CannotStart(
            f"redis.url is set, and the library for Redis is not installed ({error.name}). Install"
            " opencraw[redis] (from a clone: make run EXTRAS=redis), or remove redis.url."
        ) from error
    return RedisBus(redis.url.get_secret_value(), redis.prefix, node.id)
