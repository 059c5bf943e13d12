"""The platform of the test channel as a process of its own: it outlives every daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from tests.fixtures.channel_ledger import ChannelAccount, count_channel, read_channel
from tests.fixtures.ledgers import Damage, name_of
from tests.scenarios.at_rest import PATIENCE, at_rest, reports
from tests.scenarios.world import ROOT, World

SECTION = """
[channels.ledger]
enabled = true
url = "{url}"
poll_seconds = {poll_seconds}
send_seconds = {send_seconds}
"""


class Platform:
    """People write and read here. `settled` is how every scenario on it ends."""

    def __init__(self, url: str, ledger: Path) -> None:
        self.url = url
        self.ledger = ledger
        #: Begins the names of all chats, so that the ledgers can be shared.
        self.prefix = uuid4().hex[:8]
        self._numbers: Counter[str] = Counter()

    def section(
        self, url: str = "", *, poll_seconds: float = 2.0, send_seconds: float = 1.5
    ) -> str:
        """The configuration of the channel; `url` is where a proxy stands before the platform."""
        return SECTION.format(
            url=url or self.url, poll_seconds=poll_seconds, send_seconds=send_seconds
        )

    def chat(self, chat: str) -> str:
        return f"{self.prefix}-{chat}"

    def next_name(self, chat: str) -> str:
        """What the next message of a chat will be called."""
        return name_of(self.chat(chat), self._numbers[chat])

    async def say(self, chat: str, *texts: str) -> list[str]:
        """People write messages, one after the other: nonce and text. Returns their names."""
        names, messages = [], []
        for text in texts or ("",):
            name = self.next_name(chat)
            self._numbers[chat] += 1
            names.append(name)
            messages.append({"chat": self.chat(chat), "text": f"<<{name}>> {text}".strip()})
        await self._post("/_say", {"messages": messages})
        return names

    async def control(self, **orders: object) -> Mapping[str, Any]:
        """Change what goes wrong (see `tests.fakes.channel_server`); returns the counts."""
        return await self._post("/_control", orders)

    async def counts(self) -> Mapping[str, int]:
        """How many messages were said, confirmed and shown so far."""
        async with aiohttp.request("GET", f"{self.url}/_control") as response:
            answer: Mapping[str, int] = await response.json()
            return answer

    async def _post(self, path: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        async with aiohttp.request("POST", f"{self.url}{path}", json=body) as response:
            answer: Mapping[str, Any] = await response.json()
            return answer

    def account(self) -> ChannelAccount:
        return read_channel(self.ledger, self.prefix)

    async def answered(self, *names: str) -> None:
        """Wait until people were shown an answer to each."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not set(names) <= self.account().answered:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            missing = set(names) - self.account().answered
            raise AssertionError(f"never answered: {sorted(missing)}") from None

    async def all_confirmed(self) -> None:
        """Wait until the client confirmed everything that people wrote."""
        async with asyncio.timeout(PATIENCE):
            while (state := await self.counts())["confirmed"] < state["said"]:
                await asyncio.sleep(0.02)

    async def settled(self, world: World) -> Damage:
        """Wait until everything was confirmed and is at rest, then count; nothing may be lost."""
        await self.all_confirmed()
        await at_rest(world.database_url)
        found = count_channel(self.account(), await reports(world.database_url, "ledger"))
        assert found.none, f"{found.table()}\n{self.ledger.read_text()[-4000:]}\n{world.logs()}"
        return found


@asynccontextmanager
async def running_platform(folder: Path, *, seed: int = 0) -> AsyncIterator[Platform]:
    """Start the fake platform; its ledger lies in `folder`."""
    ledger = folder / "channel.jsonl"
    ledger.touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.channel_server", "--port", "0",
        "--ledger", str(ledger), "--seed", str(seed),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    port = json.loads(await process.stdout.readline())
    try:
        yield Platform(f"http://127.0.0.1:{port}", ledger)
    finally:
        process.kill()
        await process.wait()
