"""The daemon, put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import opencraw
from opencraw.access.admission import Admission, access_settings
from opencraw.access.pairing import Pairing
from opencraw.app import notify
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
from opencraw.context.assembly import Assembly
from opencraw.context.files import tokens_by
from opencraw.context.system import SystemPrompt
from opencraw.context.tokens import Tokens
from opencraw.context.workspace import Workspace
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
from opencraw.gateway.door import Door
from opencraw.gateway.entrance import Entrance
from opencraw.gateway.memories import Memories
from opencraw.gateway.reception import Reception, Records
from opencraw.gateway.screening import Screening
from opencraw.gateway.second_thoughts import SecondThoughts
from opencraw.hooks import Hooks, Point
from opencraw.outbox.letters import Letters
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
        self._attachments = attachments = open_attachments(self._host, database)
        tokens = Tokens()
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
        self._letters = Letters(database)
        self._records = Records.of(database)
        self._peers = Peers(node, bus, self._host, self._outbox)
        self._dispatcher = Dispatcher(
            Workshop(
                node=node,
                inbox=inbox,
                turns=Turns(database, node.id),
                sessions=self._sessions,
                keeping=Keeping(database),
                assembly=Assembly(
                    configuration.general,
                    configuration.context,
                    system=_system_prompt(configuration, data_dir),
                    tokens=tokens,
                    rooms=configuration.llm.rooms,
                    pictures={
                        label: tokens_by(provider)
                        for label, provider in configuration.llm.seeing.items()
                    },
                ),
                runtime=self._runtimes,
                show=self._peers.show,
                deliver=self._peers.deliver,
                patience=Patience(
                    model=configuration.queue.stuck_after_seconds,
                    tool=configuration.context.tool_max_runtime_seconds + TOOL_GRACE_SECONDS,
                ),
                purse=Purses(configuration, self._limits.spending),
                hooks=self._hooks,
                fetching=Fetching(attachments, self._host.channels),
                memory=self._memory,
                lives=Lives(database, ResetRules(configuration.sessions)),
            ),
            rules,
            default_model=lambda: self._runtimes.models.default,
        )
        self._peers.listen(self._dispatcher)
        self._housekeeper = open_housekeeper(configuration, database, self._memory, attachments)
        lanes = SharedLanes(self._dispatcher, self._peers)
        desk = Desk(
            inbox=inbox,
            sessions=self._sessions,
            lanes=lanes,
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
        self._entrance = Entrance.open(database, admission, self._host.channels, desk)
        self._door = Door(desk, self._entrance)
        self._reception = Reception(
            self._door,
            SecondThoughts(inbox, lanes, Screening(self._hooks), conversations, self._peers.show),
            self._records,
            attachments,
            self._host.traffics,
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
                door=self._door,
                limits=self._limits,
                tokens=tokens,
                memory=self._memory,
                letters=self._letters,
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
            tasks.create_task(self._host.run(self._reception, self._node), name="channels")
            tasks.create_task(self._entrance.run(), name="strangers")
            self._work = tasks.create_task(self._do_work(), name="work")
            tasks.create_task(self._tell(Point.GATEWAY_START), name="hooks")
            if self._memory is not None:
                tasks.create_task(self._memory.run(), name="memory")

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
            PairingApi(self._entrance.strangers),
            FilesApi(self._attachments),
            ChannelsApi(ChannelReports(self._host, self._records.quarantine)),
            DeliveriesApi(self._letters),
            Console(),
        )
        routes = [route for each in own for route in each.routes()]
        for channel in self._host.channels.values():
            if isinstance(channel, Webhook):
                routes.extend(channel.routes())
        return routes


def _system_prompt(configuration: Configuration, data_dir: Path) -> SystemPrompt:
    folder = data_dir / Path(configuration.general.workspace).expanduser()
    # The tools that it speaks of must be there.
    offered = {"memory_search", "memory_save"}.isdisjoint(configuration.tools.deny)
    return SystemPrompt(
        configuration.general,
        Workspace(folder),
        memory=configuration.memory.enabled and offered,
    )


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
