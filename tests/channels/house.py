"""One whole daemon in this process, between a platform and a fake model, on a real database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import tomlkit

from opencraw.app import daemon as app
from opencraw.config.loading import load
from opencraw.hooks import Hooks
from opencraw.store.database import Database
from tests.channels.platform import LISTED_GROUP, OWNERS, Platform
from tests.fakes.model_server import ModelServer
from tests.fixtures.core import until
from tests.fixtures.daemon import Daemon

CONFIG = """\
[llm]
active_profile = "test"

[llm.profiles.test]
provider = "openai"
model = "fake"
base_url = "{model}/v1"

[runtime]
data_dir = {data_dir}

[database]
url = {database}

[queue]
debounce_ms = 0
mode = "followup"

[limits]
messages_per_minute = 0

[security]
allowed_hosts = ["assistant.example"]

[channels.webchat]
port = 0
"""


def section(platform: Platform, **more: object) -> str:
    """The channel's part of the configuration; `more` overrides single settings."""
    access: dict[str, object] = {"owners": [platform.person(name) for name in OWNERS]}
    if type(platform).group is not Platform.group:
        access["groups"] = [platform.group(LISTED_GROUP)]
    settings = {"enabled": True, **platform.settings(), **more}
    own = settings.pop("access", {})
    assert isinstance(own, Mapping)
    settings["access"] = {**access, **own}
    return tomlkit.dumps({"channels": {platform.channel: settings}})


class House:
    """The daemon, and ways to look into it."""

    def __init__(self, platform: Platform, model: ModelServer, folder: Path, url: str) -> None:
        self.platform = platform
        self.model = model
        #: Whose channels are enabled as well.
        self.beside: Sequence[Platform] = ()
        #: Variables for the process, beside those of the platforms.
        self.environ: Mapping[str, str] = {}
        self._folder = folder
        self._database_url = url
        self._settings: dict[str, object] = {}
        self._opened: AsyncExitStack | None = None
        self._database: Database | None = None
        self._running: asyncio.Task[None] | None = None
        self._process: Daemon | None = None

    async def open(self, **settings: object) -> None:
        """Start the daemon; `settings` override single ones of the channel's, from now on."""
        self._settings |= settings
        self._data_dir.mkdir(exist_ok=True)
        path = self._folder / "config.toml"
        path.write_text(self._config())
        configuration = load(path, self._environ()).configuration
        async with AsyncExitStack() as opened:
            daemon = await opened.enter_async_context(
                app.Daemon.open(configuration, self._data_dir, self._database_url, Hooks())
            )
            self._database = await opened.enter_async_context(
                await Database.open(self._database_url)
            )
            address = self._data_dir / "daemon.json"
            address.unlink(missing_ok=True)
            self._running = asyncio.create_task(daemon.run(time.monotonic()), name="daemon")
            opened.push_async_callback(self._end, daemon)
            await until(address.exists)
            await self.platform.reach(self.url)
            self._opened = opened.pop_all()
        await self.platform.listened()

    def _config(self) -> str:
        return CONFIG.format(
            model=self.model.url,
            data_dir=json.dumps(str(self._data_dir)),
            database=json.dumps(self._database_url),
        ) + "\n".join(
            [section(self.platform, **self._settings), *(section(each) for each in self.beside)]
        )

    def _environ(self) -> Mapping[str, str]:
        environ = {"OPENAI_API_KEY": "sk-of-a-test", **self.environ}
        for platform in (self.platform, *self.beside):
            environ |= platform.environ
        return environ

    async def begin(self, crashpoint: str = "", **settings: object) -> None:
        """Start the daemon as a process of its own, which dies at a crash point."""
        self._settings |= settings
        if self._process is None:
            self._process = Daemon(self._folder, self._config(), self._environ())
            self._database = await Database.open(self._database_url)
        await self._process.start(**({"OPENCRAW_CRASHPOINT": crashpoint} if crashpoint else {}))
        await self.platform.reach(self.url)
        if self._settings.get("enabled", True):
            await self.platform.listened()

    @property
    def log(self) -> str:
        """What the process that `begin` started has said so far."""
        assert self._process is not None
        return self._process.log.read_text()

    @property
    def pid(self) -> int:
        """The id of the process that `begin` started."""
        assert self._process is not None
        assert self._process.process is not None
        return self._process.process.pid

    async def died(self) -> None:
        """Wait until the process is dead."""
        assert self._process is not None
        await self._process.died()

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        await self._process.kill()

    async def _end(self, daemon: app.Daemon) -> None:
        assert self._running is not None
        await daemon.hand_over()
        self._running.cancel()
        [ended] = await asyncio.gather(self._running, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), f"the daemon ended: {ended!r}"

    async def close(self) -> None:
        """Stop the daemon as an operator does who is in a hurry."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()
        process, self._process = self._process, None
        if process is not None:
            await process.stop()
            await self.database.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        address: str = json.loads((self._data_dir / "daemon.json").read_text())["url"]
        return address

    @property
    def _data_dir(self) -> Path:
        # Where a daemon of the fixtures looks for it.
        return self._folder / "data"

    @property
    def database(self) -> Database:
        assert self._database is not None
        return self._database

    async def asks(self, path: str) -> Any:
        """What the control plane answers."""
        token = (self._data_dir / "access-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.request("GET", f"{self.url}{path}", headers=headers) as response:
            return await response.json()

    async def channels(self) -> Sequence[Mapping[str, Any]]:
        """What the control plane says of all channels."""
        answer: Mapping[str, Any] = await self.asks("/api/v1/os/channels")
        found: Sequence[Mapping[str, Any]] = answer["channels"]
        return found

    async def channel(self) -> Mapping[str, Any]:
        """What the control plane says of the platform's channel."""
        channels = await self.channels()
        [found] = [each for each in channels if each["name"] == self.platform.channel]
        return found

    # What people see, and what is on record.

    async def sees(self, *texts: str, chat: str = "a") -> None:
        """Wait until each of these texts is part of what people see, in this order."""

        def found() -> bool:
            rest = iter(self.platform.shown(chat))
            return all(any(text in shown for shown in rest) for text in texts)

        await until(found, f"{texts} in {chat}: {self.platform.shown(chat)}")

    async def answers(self, text: str) -> None:
        """What the model says next, whatever it is asked."""
        self.model.planner.script.append(f"[[say {text}]]")

    async def becomes(self, *states: str) -> None:
        """Wait until the channel is in one of these states."""
        began = time.monotonic()
        while (state := (await self.channel())["state"]) not in states:
            late = time.monotonic() - began > self.platform.patience + 15
            assert not late, f"the channel is {state}, and in vain it was to become {states}"
            await asyncio.sleep(0.02)

    async def at_rest(self) -> None:
        """Wait until nothing waits, runs, or is on its way."""

        async def rests() -> bool:
            return not await self.count(
                "(SELECT state FROM inbox WHERE state <> 'done'"
                " UNION ALL SELECT state FROM turn WHERE state = 'running'"
                " UNION ALL SELECT state FROM outbox WHERE state NOT IN ('sent', 'dead')) AS open"
            )

        await until(rests, "rest")

    async def count(self, of: str, *values: object) -> int:
        """How many rows there are, as in `count("inbox WHERE text = $1", "Hello")`."""
        [row] = await self.database.fetch(f"SELECT count(*) AS n FROM {of}", *values)
        number: int = row["n"]
        return number


@asynccontextmanager
async def housed(platform: Platform, folder: Path, url: str) -> AsyncIterator[House]:
    """A house whose daemon is not started yet."""
    async with ModelServer() as model:
        house = House(platform, model, folder, url)
        try:
            yield house
        finally:
            await house.close()
