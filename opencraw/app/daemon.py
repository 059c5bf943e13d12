"""The daemon, put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import opencraw
from opencraw.access.admission import Admission, access_settings
from opencraw.access.pairing import Pairing
from opencraw.app import notify
from opencraw.app.assembly import open_assembly
from opencraw.app.attachments import open_attachments
from opencraw.app.channels import ChannelHost
from opencraw.app.facts import DaemonFacts, Parts
from opencraw.app.limits import Purses, open_limits
from opencraw.app.memory import open_memory
from opencraw.app.peers import Peers, SharedLanes
from opencraw.app.reports import ChannelReports
from opencraw.app.runtimes import Runtimes
from opencraw.app.sessions import DaemonSessions, Shelf, open_housekeeper
from opencraw.bus.bus import Bus
from opencraw.bus.messages import Paced
from opencraw.config import Configuration
from opencraw.console import Console
from opencraw.context.tokens import Tokens
from opencraw.contract import Route, Webhook
from opencraw.control.api import Api
from opencraw.control.channels import ChannelsApi
from opencraw.control.deliveries import DeliveriesApi
from opencraw.control.files import FilesApi
from opencraw.control.memory import MemoryApi
from opencraw.control.pairing import PairingApi
from opencraw.control.server import HttpServer
from opencraw.control.sessions import SessionsApi
from opencraw.control.token import access_token, link
from opencraw.errors import NotInstalled
from opencraw.gateway.commands import Powers
from opencraw.gateway.desk import Desk, Outlets
from opencraw.gateway.memories import Memories
from opencraw.gateway.opening import open_gateway
from opencraw.hooks import Hooks, Point
from opencraw.outbox.deliveries import Deliveries
from opencraw.outbox.sender import Outbox
from opencraw.queue.inbox import Inbox
from opencraw.queue.nodes import Node, home_of
from opencraw.queue.rules import ChannelRules, QueueRules
from opencraw.queue.turns import Turns
from opencraw.sessions.keeping import Keeping
from opencraw.sessions.keys import Conversations
from opencraw.sessions.lives import Lives
from opencraw.sessions.reset import ResetRules
from opencraw.sessions.transcript import Sessions
from opencraw.settings import PageSettings
from opencraw.store.database import Database
from opencraw.store.migrations import migrate
from opencraw.worker.dispatcher import Dispatcher
from opencraw.worker.fetching import Fetching
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
        *,
        hooks: Hooks,
    ) -> None:
        self._data_dir = data_dir
        self._stopping = False
        #: What this node does as a member of the cluster, while it is one.
        self._work: asyncio.Task[None] | None = None
        self._database = database
        self._node = node
        self._bus = bus
        self._sessions = Sessions(database, hooks)
        self._hooks = hooks
        self._memory = open_memory(configuration, database)
        self._runtimes = Runtimes(configuration, self._hooks, self._memory)
        self._host = ChannelHost.open(configuration.channels)
        settings = {name: each.settings for name, each in self._host.hosted.items()}
        rules = QueueRules(
            configuration.queue,
            {
                name: ChannelRules(each.settings, each.kind.splits_at)
                for name, each in self._host.hosted.items()
            },
        )
        admission = Admission(access_settings(settings), Pairing(database))
        conversations = Conversations(
            configuration.sessions.dm_scope,
            configuration.sessions.links,
            lambda address: admission.listed(self._host.listener(address), address),
        )
        inbox = Inbox(database)
        self._attachments = open_attachments(self._host, database)
        self._tokens = Tokens()
        self._assembly = open_assembly(configuration, data_dir, self._tokens)
        self._limits = open_limits(
            configuration,
            database,
            self._hooks,
            tell_others=lambda sender: self._peers.tell(Paced(sender)),
        )
        bus.on(Paced, lambda hint: self._limits.rates.others_took(hint.sender))
        self._outbox = Outbox(
            database, node.id, self._host.outgoing, self._limits.speech, self._hooks
        )
        self._deliveries = Deliveries(database)
        self._peers = Peers(node, bus, self._host, self._outbox)
        self._dispatcher = Dispatcher(
            self._workshop(configuration, inbox),
            rules,
            default_model=lambda: self._runtimes.models.default,
        )
        self._peers.listen(self._dispatcher)
        self._housekeeper = open_housekeeper(
            configuration, database, self._memory, self._attachments
        )
        self._gateway = open_gateway(
            database,
            self._desk(configuration, inbox, rules, conversations),
            admission,
            self._host.channels,
            attachments=self._attachments,
            traffics=self._host.traffics,
        )
        self._facts = DaemonFacts(
            Parts(
                database=database,
                node=node,
                bus=bus,
                host=self._host,
                runtimes=self._runtimes,
                sessions=self._sessions,
                rules=rules,
                dispatcher=self._dispatcher,
                gateway=self._gateway,
                limits=self._limits,
                tokens=self._tokens,
                memory=self._memory,
                deliveries=self._deliveries,
                stopping=lambda: self._stopping,
            )
        )
        self._shelf = DaemonSessions(
            Shelf(
                database=database,
                sessions=self._sessions,
                host=self._host,
                conversations=conversations,
                models=lambda: self._runtimes.models,
            )
        )
        ports = [each.port for each in settings.values() if isinstance(each, PageSettings)]
        self.token = access_token(data_dir)
        self._http = HttpServer(
            configuration.runtime,
            configuration.security,
            port=ports[0] if ports else _DEFAULT_PORT,
            routes=self._routes(),
            token=self.token,
        )

    def _workshop(self, configuration: Configuration, inbox: Inbox) -> Workshop:
        """What turns are done with."""
        database = self._database
        return Workshop(
            node=self._node,
            inbox=inbox,
            turns=Turns(database, self._node.id),
            sessions=self._sessions,
            keeping=Keeping(database),
            assembly=self._assembly,
            runtime=self._runtimes,
            show=self._peers.show,
            deliver=self._peers.deliver,
            patience=Patience(
                model=configuration.queue.stuck_after_seconds,
                tool=configuration.context.tool_max_runtime_seconds + TOOL_GRACE_SECONDS,
            ),
            purse=Purses(configuration, self._limits.spending),
            hooks=self._hooks,
            fetching=Fetching(self._attachments, self._host.channels),
            memory=self._memory,
            lives=Lives(database, ResetRules(configuration.sessions)),
        )

    def _desk(
        self,
        configuration: Configuration,
        inbox: Inbox,
        rules: QueueRules,
        conversations: Conversations,
    ) -> Desk:
        """What the door works with."""
        return Desk(
            inbox=inbox,
            sessions=self._sessions,
            lanes=SharedLanes(self._dispatcher, self._peers),
            rules=rules,
            models=self._runtimes.models,
            outlets=Outlets(
                deliver=self._peers.deliver,
                show=self._peers.show,
                channels=lambda: tuple(self._host.channels),
                conversations=conversations,
                memories=Memories(self._memory) if self._memory is not None else None,
            ),
            limits=self._limits,
            powers=Powers(
                compacts=configuration.context.compaction_enabled,
                remembers=configuration.memory.enabled,
            ),
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, configuration: Configuration, data_dir: Path, url: str, hooks: Hooks
    ) -> AsyncIterator[Daemon]:
        """Bring the database up to date, enter the cluster, and listen."""
        await migrate(url)
        async with AsyncExitStack() as opened:
            database = await opened.enter_async_context(await Database.open(url))
            node = Node(database, home_of(data_dir))
            await node.join()
            opened.push_async_callback(node.leave)
            daemon = cls(
                configuration, data_dir, database, node, _bus(configuration, node), hooks=hooks
            )
            opened.push_async_callback(daemon._runtimes.close)
            if daemon._memory is not None:
                opened.push_async_callback(daemon._memory.close)
            await daemon._http.start()
            opened.push_async_callback(daemon._http.stop)
            yield daemon

    async def run(self, started: float) -> None:
        """Run until cancelled, and announce it; `started` is the monotonic time at which the
        process began. A part that ends by itself is a defect, and ends the daemon: the next start
        recovers."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run(), name="bus")
            tasks.create_task(self._host.run(self._gateway.reception, self._node), name="channels")
            tasks.create_task(self._gateway.entrance.run(), name="strangers")
            self._work = tasks.create_task(self._do_work(), name="work")
            tasks.create_task(self._tell(Point.GATEWAY_START), name="hooks")
            if self._memory is not None:
                tasks.create_task(self._memory.run(), name="memory")
            await self._host.begun()
            self._announce(time.monotonic() - started)

    def _announce(self, seconds: float) -> None:
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

    async def _do_work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._node.keep_lease(self._lapsed), name="lease")
            tasks.create_task(self._dispatcher.run(), name="dispatcher")
            tasks.create_task(self._outbox.run(), name="outbox")
            tasks.create_task(self._housekeeper.run(), name="housekeeper")

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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._tell(Point.GATEWAY_STOP)
        self._http.close()

    async def _tell(self, point: Point) -> None:
        """Tell hooks that the daemon is here, or is not any more."""
        if self._hooks.at(point):
            facts = {
                "node_id": self._node.id,
                "pid": os.getpid(),
                "version": opencraw.__version__,
                "url": self._http.base_url,
            }
            await self._hooks.tell(point, facts)

    def _routes(self) -> Sequence[Route]:
        own = (
            Api(self._facts),
            SessionsApi(self._shelf),
            MemoryApi(self._memory),
            PairingApi(self._gateway.entrance.strangers),
            FilesApi(self._attachments),
            ChannelsApi(ChannelReports(self._host, self._gateway.records.quarantine)),
            DeliveriesApi(self._deliveries),
            Console(),
        )
        routes = [route for each in own for route in each.routes()]
        for channel in self._host.channels.values():
            if isinstance(channel, Webhook):
                routes.extend(channel.routes())
        return routes


def _bus(configuration: Configuration, node: Node) -> Bus:
    redis = configuration.redis
    if redis.url is None:
        return Bus()
    try:
        from opencraw.bus.redis import RedisBus
    except ImportError as error:
        raise NotInstalled(
            f"redis.url is set, and the library for Redis is not installed ({error.name}). Install"
            " it with `make extras EXTRAS=redis` in the clone's folder, or remove redis.url."
        ) from error
    return RedisBus(redis.url.get_secret_value(), redis.prefix, node.id)
