"""The processes that are measured: the daemon, the floors, the fake model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0

CONFIG = """\
[llm]
active_profile = "bench"
[llm.profiles.bench]
provider = "openai"
model = "fake"
base_url = "{model}/v1"
[context]
max_prompt_tokens = {window}
{context}
[queue]
mode = "{mode}"
# Deliberate waiting is not overhead.
debounce_ms = 0
max_concurrency = 50
[limits]
# A flood is what is measured.
messages_per_minute = 0
[channels.webchat]
port = 0
"""


class Process:
    """A child process with a log, killed when its block ends."""

    def __init__(self, process: asyncio.subprocess.Process, started: float, log: Path) -> None:
        self.process = process
        self.started = started
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_seconds(self) -> float:
        """CPU time that the process has used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_megabytes(self) -> float:
        return _kilobytes(self.pid, "status", "VmRSS:") / 1024

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await self.process.wait()


async def spawn(arguments: Sequence[str], log: Path, folder: Path = ROOT) -> Process:
    """Start a Python process from the repository."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENCRAW_") and not name.endswith("_API_KEY")
    }
    environ["PYTHONPATH"] = str(ROOT)
    with log.open("wb") as output:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=folder, env=environ, stdout=output, stderr=output
        )
    return Process(process, started, log)


async def printed(process: Process) -> str:
    """The first line that a process prints."""
    while True:
        text = process.log.read_text()
        if "\n" in text:
            return text.partition("\n")[0]
        if process.process.returncode is not None:
            raise RuntimeError(f"{process.log} ended: {text}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def model_server(folder: Path, *, words: int) -> AsyncIterator[str]:
    """A model without latency that answers with `words` words; yields its URL."""
    arguments = ["-m", "tests.fakes.model_server", "--port", "0", "--words", str(words)]
    process = await spawn(arguments, folder / f"model-{words}.log")
    try:
        line = await printed(process)
        yield f"http://127.0.0.1:{line.rpartition(':')[2].strip().rstrip('/')}"
    finally:
        await process.kill()


class Daemon:
    """A data directory and the daemon on it."""

    def __init__(
        self,
        folder: Path,
        model: str,
        *,
        mode: str = "steer",
        database: str | None = None,
        remembers: bool = False,
        window: int = 8000,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        # The window of so many tokens, and a summary when it is nearly full.
        compacts = f"compaction_enabled = true\ncompaction_trigger_tokens = {window * 4 // 5}"
        config = CONFIG.format(
            model=model, mode=mode, window=window, context=compacts if remembers else ""
        )
        if remembers:
            config += "[memory]\nenabled = true\n"
        if database is not None:
            config += f'[database]\nurl = "{database}"\n'
        (folder / "config.toml").write_text(config)

    async def start(self) -> tuple[Process, float]:
        """Start it; returns the process, and the seconds until it was ready."""
        arguments = ["-m", "opencraw", "--config", str(self.folder / "config.toml"), "serve"]
        process = await spawn(arguments, self.folder / "daemon.log", self.folder)
        address = self.folder / "data" / "daemon.json"
        while True:
            if address.exists() and json.loads(address.read_text())["pid"] == process.pid:
                return process, time.monotonic() - process.started
            if process.process.returncode is not None:
                raise RuntimeError(process.log.read_text())
            if time.monotonic() - process.started > _PATIENCE:
                raise RuntimeError(f"not ready: {process.log.read_text()}")
            await asyncio.sleep(0.002)

    @property
    def url(self) -> str:
        return str(json.loads((self.folder / "data" / "daemon.json").read_text())["url"])

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    @property
    def token(self) -> str:
        return (self.folder / "data" / "access-token").read_text().strip()

    def postgres_megabytes(self) -> float:
        """Memory of the database server and its children; what they share is counted once."""
        total = 0.0
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and _is_postgres_of(entry, self.folder):
                total += _kilobytes(int(entry.name), "smaps_rollup", "Pss:") / 1024
        return total

    async def stop_postgres(self) -> None:
        """Stop the server that a killed daemon left behind."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and _is_postmaster_of(entry, self.folder):
                os.kill(int(entry.name), signal.SIGINT)
                while entry.exists():
                    await asyncio.sleep(0.01)


def _is_postgres_of(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder) and (
            (process / "exe").readlink().name == "postgres"
        )
    except OSError:
        return False


def _is_postmaster_of(process: Path, folder: Path) -> bool:
    if not _is_postgres_of(process, folder):
        return False
    try:
        return b"\0-D" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def _kilobytes(pid: int, file: str, key: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key):
            return float(line.split()[1])
    return 0.0
