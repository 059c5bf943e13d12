"""The page about bridges, run as it stands."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.bridge import SECRET
from tests.fixtures.daemon import Daemon, DaemonFactory

PAGE = (Path(__file__).parents[3] / "docs" / "http-channel.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
async def bridged(make_daemon: DaemonFactory, port: int) -> Daemon:
    settings = "\n" + blocks("toml")[0].replace("8100", str(port))
    daemon = make_daemon(extra=settings, environ={"HTTP_CHANNEL_SECRET": SECRET})
    await daemon.start()
    return daemon


@asynccontextmanager
async def running(*command: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    environ = {"HTTP_CHANNEL_SECRET": SECRET, "PATH": "/usr/local/bin:/usr/bin:/bin", **environ}
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environ)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_bridge_of_the_page_is_a_chat(bridged: Daemon, port: int, tmp_path: Path) -> None:
    script = tmp_path / "bridge.py"
    script.write_text(blocks("python")[0])
    async with running(sys.executable, str(script), bridged.url, str(port)) as bridge:
        assert bridge.stdin is not None
        assert bridge.stdout is not None
        bridge.stdin.write(b"/status\n")
        async with asyncio.timeout(30):
            answer = await bridge.stdout.readline()
    assert answer.strip()


async def test_the_first_word_by_hand_is_taken_once(bridged: Daemon) -> None:
    answers = []
    for _ in range(2):
        async with running("sh", "-c", blocks("sh")[1], DAEMON=bridged.url) as shell:
            said, _ = await shell.communicate()
            answers.append(json.loads(said))
    assert answers == [
        {"results": [{"id": "first", "status": "taken"}]},
        {"results": [{"id": "first", "status": "duplicate"}]},
    ]
