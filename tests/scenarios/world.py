"""The world of one scenario: daemons that die, a model and tools as witnesses, people in tabs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote
from uuid import uuid4

import aiohttp

from opencraw.settings import Mode
from tests.fixtures.daemon import CONFIG, NO_LIMITS, Daemon
from tests.fixtures.ledgers import (
    Damage,
    ModelCall,
    count,
    is_question,
    name_of,
    read_effects,
    read_model_calls,
)
from tests.fixtures.webchat_client import PATIENCE, Frame, Place, Tab
from tests.scenarios.at_rest import at_rest

ROOT = Path(__file__).parents[2]
#: What third parties would install.
PLUGINS = [ROOT / "tests" / "fixtures" / f"{name}_plugin" for name in ("tools", "channel", "hooks")]
TOOLS = """
[tools]
allow = ["current_time", "calculate", "append_line", "look_slowly"]
"""


@dataclass(frozen=True)
class Model:
    """The fake model server as a process of its own: it outlives every daemon."""

    url: str
    ledger: Path

    def profile(self, wire: str = "openai", more: str = "") -> str:
        path = "" if wire == "anthropic" else "/v1"
        return f'provider = "{wire}"\nmodel = "fake"\nbase_url = "{self.url}{path}"\n{more}'


@asynccontextmanager
async def running_model(folder: Path) -> AsyncIterator[Model]:
    """Start a fake model server; its ledger lies in `folder`."""
    ledger = folder / "model.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.model_server", "--port", "0", "--ledger", str(ledger),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    port = (await process.stdout.readline()).decode().strip()
    ledger.touch()
    try:
        yield Model(f"http://127.0.0.1:{port}", ledger)
    finally:
        process.kill()
        await process.wait()


class World:
    """Makes daemons and tabs, and ends them. `all_is_well` is how every scenario ends."""

    def __init__(self, folder: Path, model: Model, database_url: str | None) -> None:
        self.model = model
        self.daemons: list[Daemon] = []
        self.tabs: list[Tab] = []
        #: Begins the names of this world's chats, so that ledgers can be shared.
        self.prefix = uuid4().hex[:8]
        self._folder = folder
        self._database_url = database_url
        self._numbers: Counter[str] = Counter()
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()
        for daemon in self.daemons:
            if daemon.process is not None:
                await daemon.kill()
            kill_postgres(daemon)

    # Daemons.

    def daemon(
        self,
        name: str = "one",
        *,
        mode: Mode = "followup",
        profile: str | None = None,
        queue: str = "",
        extra: str = TOOLS,
        environ: Mapping[str, str] | None = None,
    ) -> Daemon:
        """A daemon that is not started yet; without a database URL it runs its own Postgres."""
        folder = self._folder / name
        # As root the database runs as somebody else, who must be able to pass through.
        (folder / "data").mkdir(parents=True, mode=0o755, exist_ok=True)
        url = self._database_url
        config = CONFIG.format(
            profile=profile or self.model.profile(),
            database="" if url is None else f"url = {json.dumps(url)}",
            queue=f'debounce_ms = 0\nmode = "{mode}"\n{queue}',
            limits=NO_LIMITS,
        )
        given = {
            # By its key the model's ledger tells a daemon from others.
            "OPENAI_API_KEY": f"sk-of-{name}",
            "ANTHROPIC_API_KEY": "sk-of-a-test",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *PLUGINS))),
            "EFFECTS_LEDGER": str(self.effects_ledger),
        }
        daemon = Daemon(folder, config + extra, {**given, **(environ or {})})
        self.daemons.append(daemon)
        return daemon

    @property
    def database_url(self) -> str:
        """Where a test looks at the database itself; needs a running server."""
        return self._database_url or embedded_url(self.daemons[0])

    # People.

    async def tab(self, chat: str = "main", *places: Place) -> Tab:
        """Open a tab on a chat of this world; at the first daemon if nobody says where."""
        chat, one_node = f"{self.prefix}-{chat}", len(self.daemons) == 1
        tab = Tab(*(places or self.daemons[:1]), chat=chat, one_node=one_node)
        self.tabs.append(tab)
        self._opened.push_async_callback(tab.leave)
        await tab.open()
        return tab

    def next_name(self, tab: Tab) -> str:
        """What the next message of this tab's chat will be called."""
        return name_of(tab.chat, self._numbers[tab.chat])

    def say(self, tab: Tab, words: str = "") -> str:
        """Say the chat's next message: its nonce and `words`. Returns its name."""
        name = self.next_name(tab)
        self._numbers[tab.chat] += 1
        return tab.say(f"<<{name}>> {words}".strip(), name)

    # Witnesses.

    @property
    def effects_ledger(self) -> Path:
        return self._folder / "effects"

    def effects(self) -> Counter[str]:
        return read_effects(self.effects_ledger)

    def model_calls(self) -> list[ModelCall]:
        return read_model_calls(self.model.ledger, self.prefix)

    async def all_is_well(
        self, *, newest_counts: Collection[str] = (), paused: bool = False
    ) -> Damage:
        """Wait for all answers and for rest, then count: nothing lost, nothing doubled.

        `newest_counts`: in these chats, messages that were interrupted need no answer. `paused`: a
        daemon was stopped in the middle of a model call, which then overlapped with the one of its
        successor.
        """
        for tab in self.tabs:
            names = [name for name in tab.typed if name not in tab.refused]
            await tab.acknowledged(*names)
            if tab.chat not in newest_counts:
                await tab.answered(*filter(is_question, names))
        await at_rest(self.database_url)
        for tab in self.tabs:
            await self.has_seen_all(tab)
        calls = [] if paused else self.model_calls()
        damage = count(self.tabs, calls, self.effects(), newest_counts=newest_counts)
        faults = [fault for tab in self.tabs for fault in tab.faults]
        assert damage.none, f"{damage.table()}\n{faults}\n{self.logs()}"
        return damage

    async def has_seen_all(self, tab: Tab) -> None:
        """Return when all that the daemon has told this tab has been read."""
        told = len(tab.frames)
        await tab.until(lambda: tab.connected, "a connection")
        await tab.send({"type": "history", "limit": 1})
        await tab.until(
            lambda: any(frame["type"] == "history" for frame in tab.frames[told:]), "a history"
        )

    def logs(self) -> str:
        """The end of what the daemons had to say."""
        return "\n".join(
            f"--- {daemon.folder.name}\n{daemon.log.read_text()[-4000:]}"
            for daemon in self.daemons
            if daemon.log.exists()
        )


async def until(look: Callable[[], object]) -> None:
    """Wait until a witness that cannot call us has something to tell."""
    async with asyncio.timeout(PATIENCE):
        while not look():
            await asyncio.sleep(0.01)


async def readiness(daemon: Daemon) -> tuple[int, Frame]:
    """What `/ready` says to the owner: the status, and the body."""
    headers = {"Authorization": f"Bearer {daemon.token}"}
    async with aiohttp.request("GET", f"{daemon.url}/ready", headers=headers) as response:
        body: Frame = await response.json()
        return response.status, body


async def until_ready(daemon: Daemon, *, status: int = 200) -> Frame:
    """Wait until `/ready` answers with `status`; returns the body."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(aiohttp.ClientError):
                found, body = await readiness(daemon)
                if found == status:
                    return body
            await asyncio.sleep(0.05)


# The daemon's own Postgres, as somebody sees it who has power over its processes.


def _cluster(daemon: Daemon) -> Path:
    return daemon.data_dir / "postgres" / "cluster"


def embedded_url(daemon: Daemon) -> str:
    """Where the daemon's own database listens."""
    password = (_cluster(daemon) / "password").read_text().strip()
    lock_file = (_cluster(daemon) / "data" / "postmaster.pid").read_text().splitlines()
    return f"postgresql://opencraw:{password}@/opencraw?host={quote(lock_file[4], safe='')}"


def postmaster(daemon: Daemon) -> int:
    """The process id of the daemon's own Postgres."""
    return int((_cluster(daemon) / "data" / "postmaster.pid").read_text().split()[0])


def postgres_processes(daemon: Daemon) -> list[int]:
    """The server and all its children: whatever works in the cluster's folder."""
    data = _cluster(daemon) / "data"
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and (process / "cwd").samefile(data):
                found.append(int(process.name))
    return found


def kill_postgres(daemon: Daemon) -> None:
    """Leave nothing behind that a killed daemon has left running."""
    if (_cluster(daemon) / "data").exists():
        for pid in postgres_processes(daemon):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
