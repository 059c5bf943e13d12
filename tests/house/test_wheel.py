"""What people install: the wheel, in an empty environment, away from the working tree."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import opencraw

ROOT = Path(__file__).parents[2]

# Making an environment is quick on a quiet machine only.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: the database of a root daemon runs as somebody else, and
    where that user cannot go it would be put elsewhere and stay there."""
    with tempfile.TemporaryDirectory(prefix="opencraw-wheel-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, open_folder: Path) -> Path:
    """The programs of an environment that has the run lock and the wheel, and nothing else."""
    home = open_folder / "installed"
    home.mkdir()
    call(sys.executable, "-m", "venv", home, cwd=home)
    pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "install", "-qq", "--no-deps"]
    call(*pip, "--require-hashes", "-r", ROOT / "requirements" / "run.txt", cwd=home)
    call(*pip, wheel, cwd=home)
    return home / "bin"


def test_the_wheel_carries_every_file_that_the_code_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    needed = {
        path.relative_to(ROOT).as_posix()
        for package in ("opencraw", "channels")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    prompts = {
        f"opencraw/_prompts/{path.relative_to(ROOT / 'prompts').as_posix()}"
        for path in (ROOT / "prompts").rglob("*.*")
    }
    assert needed | prompts <= packed
    assert not any(name.startswith(("tests/", "bench/", "prompts/")) for name in packed)


def test_its_dependencies_are_what_the_lock_installs(installed: Path) -> None:
    call(installed / "python", "-m", "pip", "check", cwd=installed)


def test_it_says_its_version(installed: Path, tmp_path: Path) -> None:
    assert opencraw.__version__ in call(installed / "opencraw", "--version", cwd=tmp_path)


def test_it_finds_the_prompts(installed: Path, tmp_path: Path) -> None:
    words = "import opencraw.resources as r; print(r.prompt('system.md'), end='')"
    said = call(installed / "python", "-c", words, cwd=tmp_path)
    assert said == (ROOT / "prompts" / "system.md").read_text(encoding="utf-8")


async def test_a_chat_begins_in_an_empty_folder(installed: Path, open_folder: Path) -> None:
    folder = open_folder / "chat"
    folder.mkdir()
    async with serving(installed / "opencraw", folder) as (url, token):
        frames = await talk(url, token, "hello")

    # The answer came in pieces, and together they are what was written down.
    deltas = [frame for frame in frames if frame["type"] == "delta"]
    assert len(deltas) > 1
    assert "".join(frame["content"] for frame in deltas) == frames[-1]["content"]
    assert (folder / "config.toml").exists()


@asynccontextmanager
async def serving(program: Path, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """`opencraw serve` as somebody without any model's key starts it, on a port of its own."""
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    log = folder / "log"
    with log.open("wb") as out:
        daemon = await asyncio.create_subprocess_exec(
            program,
            "serve",
            cwd=folder,
            env={**environment, "OPENCRAW_CHANNELS__WEBCHAT__PORT": "0"},
            stdout=out,
            stderr=out,
        )
    try:
        address = folder / "data" / "daemon.json"
        async with asyncio.timeout(30):
            while not address.exists():
                assert daemon.returncode is None, log.read_text()
                await asyncio.sleep(0.02)
        token = (folder / "data" / "access-token").read_text().strip()
        yield json.loads(address.read_text())["url"], token
    finally:
        if daemon.returncode is None:
            daemon.terminate()
        ended = await daemon.wait()
    assert ended == 0, log.read_text()


async def talk(url: str, token: str, text: str) -> list[dict[str, Any]]:
    """Say something; all that the daemon sends, up to its reply."""
    frames: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.ws_connect(f"{url}/ws") as socket,
    ):
        await socket.send_json({"type": "message", "content": text, "client_message_id": "1"})
        while not frames or (frames[-1]["type"], frames[-1].get("kind")) != ("message", "reply"):
            frames.append(await socket.receive_json())
    return frames


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
