"""What one storm plays on: daemons, a model, a platform and people, and the count afterwards.

Nothing here believes the daemon. It is asked in two matters only: whether it is at rest, and what
it reported instead of answering.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from opencraw.store.embedded import EmbeddedPostgres
from tests.faults.proxy import Proxy
from tests.fixtures.channel_ledger import ChannelAccount, count_channel, first_after
from tests.fixtures.daemon import Daemon
from tests.fixtures.ledgers import Damage, Pause, count, is_question, read_model_calls
from tests.fixtures.redis import RedisServer
from tests.scenarios.at_rest import broken_promises, connected, reports, still_busy
from tests.scenarios.platform import Platform, running_platform
from tests.scenarios.storm import ONE_BY_ONE
from tests.scenarios.world import TOOLS, Model, World

#: A lane that is not free after this is stuck.
STUCK_SECONDS = 90.0
#: A model that says nothing for so long is asked again.
PROFILE = "idle_timeout_seconds = 5"


@dataclass
class Outcome:
    """What one storm did, and what that cost."""

    name: str
    seconds: float = 0.0
    said: int = 0
    damage: Damage = field(default_factory=Damage)
    #: What must not be, in words; empty when all promises were kept.
    broken: list[str] = field(default_factory=list)
    kills: int = 0
    crashes: int = 0
    pauses: int = 0
    starts: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    #: What people were told instead of an answer, and how often.
    notices: Counter[str] = field(default_factory=Counter)
    #: How long others waited for an answer, by what else was going on.
    waits: dict[str, list[float]] = field(default_factory=dict)
    memory: float = 0.0


class Scene:
    """One storm as it goes."""

    def __init__(
        self, name: str, seed: int, world: World, platform: Platform, server: EmbeddedPostgres
    ) -> None:
        self.name = name
        self.seed = seed
        self.dice = random.Random(f"{seed} {name}")
        self.world = world
        self.platform = platform
        self.server = server
        self.daemons: list[Daemon] = []
        #: Between the daemons, if the storm wants one.
        self.redis: RedisServer | None = None
        #: On the lines to the model and to the platform.
        self.proxies: list[Proxy] = []
        self.over = asyncio.Event()
        #: When daemons were killed, by the clock of the ledgers, and how long each took to be back.
        self.killed_at: list[float] = []
        self.starts: list[float] = []
        self.crashes = 0
        self.pauses: list[Pause] = []
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.memory = 0.0
        #: In these chats a newer message may take the place of an answer.
        self.interrupted: set[str] = set()

    async def open(self, daemons: int) -> None:
        """Start everything."""
        for number in range(daemons):
            daemon = self.world.daemon(
                f"node{number}",
                profile=_through(self.proxies[0], self.world.model).profile(more=PROFILE),
                queue=ONE_BY_ONE,
                environ={"OPENCRAW_REDIS__URL": self.redis.url if self.redis else ""},
                extra=TOOLS + self.platform.section(f"http://127.0.0.1:{self.proxies[1].port}"),
            )
            self.daemons.append(daemon)
        await asyncio.gather(*(daemon.start() for daemon in self.daemons))

    async def pause(self, seconds: float) -> None:
        """Return after so long, or at the storm's end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)

    async def kill(self, daemon: Daemon, *, twice: bool = False) -> None:
        """kill -9, and sometimes again while it is just starting; then wait until it is ready."""
        moment = time.time()
        self.killed_at.append(moment)
        await daemon.kill()
        if twice:
            await daemon.spawn()
            await asyncio.sleep(self.dice.uniform(0.0, 0.5))
            await daemon.kill()
            self.killed_at.append(time.time())
        await daemon.start()
        self.starts.append(time.time() - self.killed_at[-1])

    async def calm(self) -> None:
        """Every storm ends with lines that pass everything and daemons that live."""
        for proxy in self.proxies:
            proxy.release()
            proxy.delay = proxy.bytes_per_second = 0.0
        for daemon in self.daemons:
            assert daemon.process is not None
            with suppress(ProcessLookupError):
                daemon.process.send_signal(signal.SIGCONT)
            if daemon.process.returncode is not None:
                await daemon.start()

    async def count(self, began: float) -> Outcome:
        """Wait for rest, then count what the ledgers say."""
        broken = [trouble for trouble in await self._drained() if trouble]
        url = self.world.database_url
        busy = await still_busy(url, STUCK_SECONDS)
        if not busy:
            broken += await broken_promises(url)
        if len(self.daemons) > 1:
            self._forget_half_drafts()
        account = self.platform.account()
        calls = read_model_calls(self.world.model.ledger, self.world.prefix)
        damage = count_channel(account, await reports(url, "ledger"))
        damage += count(
            self.world.tabs,
            calls,
            self.world.effects(),
            newest_counts=self.interrupted,
            pauses=self.pauses,
        )
        damage += Damage(stuck=sum(busy.values()))
        if broken or not damage.none:
            await self._keep_tables(url)
        if not damage.none:
            broken.append(f"the ledgers do not agree:\n{damage.table()}")
            broken += [f"{tab.chat}: {fault}" for tab in self.world.tabs for fault in tab.faults]
        typed = sum(len([*filter(is_question, tab.typed)]) for tab in self.world.tabs)
        return Outcome(
            self.name,
            seconds=time.monotonic() - began,
            said=len(account.said) + typed,
            damage=damage,
            broken=broken,
            kills=len(self.killed_at),
            crashes=self.crashes,
            pauses=len(self.pauses),
            starts=self.starts,
            firsts=first_after(self.killed_at, account),
            notices=self._notices(account),
            waits=dict(self.waits),
            memory=self.memory,
        )

    def _forget_half_drafts(self) -> None:
        """Where an answer ends at another daemon than the tab's, the draft stays as far as it came;
        the answer replaces it."""
        for tab in self.world.tabs:
            tab.faults = [fault for fault in tab.faults if not fault.startswith("draft")]

    def _notices(self, account: ChannelAccount) -> Counter[str]:
        told = [each.text for each in account.shown if not each.names]
        for tab in self.world.tabs:
            answers = filter(None, map(tab.answer, filter(is_question, tab.typed)))
            # One answer may be that of many messages.
            lines = {answer["seq"]: answer for answer in answers if answer["kind"] == "notice"}
            told += [line["content"] for line in lines.values()]
        return Counter(text[:100] for text in told)

    async def _drained(self) -> Sequence[str]:
        """Wait for what the people wait for; what never comes is said in words."""

        async def platform() -> str:
            try:
                async with asyncio.timeout(STUCK_SECONDS):
                    await self.platform.all_confirmed()
            except TimeoutError:
                return (
                    f"the platform was never confirmed everything: {await self.platform.counts()}"
                )
            return ""

        async def tabs() -> str:
            try:
                for tab in self.world.tabs:
                    names = [name for name in tab.typed if name not in tab.refused]
                    await tab.acknowledged(*names)
                    if tab.chat not in self.interrupted:
                        await tab.answered(*filter(is_question, names))
                    await self.world.has_seen_all(tab)
            except AssertionError as trouble:
                return str(trouble)
            return ""

        return await asyncio.gather(platform(), tabs())

    async def _keep_tables(self, url: str) -> None:
        """Leave what the daemon believes beside the ledgers that contradict it."""
        async with connected(url) as database:
            for name in ("node", "session", "turn", "inbox", "entry", "outbox"):
                output = self.platform.ledger.with_name(f"{name}.csv")
                await database.copy_from_table(name, output=output, format="csv", header=True)

    async def watch_memory(self) -> None:
        """Note the most memory that any daemon had."""
        while not self.over.is_set():
            for daemon in self.daemons:
                with suppress(OSError, StopIteration, AttributeError):
                    status = Path(f"/proc/{daemon.process.pid}/status").read_text()  # type: ignore[union-attr]
                    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                    self.memory = max(self.memory, int(line.split()[1]) / 1024)
            await self.pause(0.5)


def _through(proxy: Proxy, model: Model) -> Model:
    return Model(f"http://127.0.0.1:{proxy.port}", model.ledger)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


@asynccontextmanager
async def scene(
    name: str,
    seed: int,
    folder: Path,
    *,
    model: Model,
    server: EmbeddedPostgres,
    url: str,
    with_redis: bool,
) -> AsyncIterator[Scene]:
    """Everything around the daemons of one storm, on the database at `url`."""
    folder.mkdir()
    folder.chmod(0o755)
    async with (
        running_platform(folder, seed=seed) as platform,
        World(folder, model, url) as world,
        Proxy(_place(model.url)) as to_model,
        Proxy(_place(platform.url)) as to_platform,
    ):
        platform.prefix = world.prefix
        made = Scene(name, seed, world, platform, server)
        made.proxies = [to_model, to_platform]
        if with_redis:
            made.redis = RedisServer(folder)
            await made.redis.start()
        try:
            yield made
        finally:
            if made.redis is not None:
                await made.redis.kill()
