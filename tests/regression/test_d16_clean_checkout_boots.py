"""What is in the repository is enough: copied elsewhere, it starts and answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import Tab

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """All files that are in the repository or would be added to it, and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="oc-", dir="/tmp"))
    folder.chmod(0o755)
    for name in _files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    yield folder
    shutil.rmtree(folder)


def _files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def run(checkout: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def test_d16_clean_checkout_boots(checkout: Path) -> None:
    where = "import opencraw, channels; print(opencraw.__file__, channels.__path__[0])"
    assert all(place.startswith(str(checkout)) for place in run(checkout, "-c", where).split())
    run(checkout, "-m", "opencraw", "init")
    (checkout / "data").chmod(0o755)  # or the database of a root daemon lives elsewhere

    written = (checkout / "config.toml").read_text()
    daemon = Daemon(checkout, written, {"OPENCRAW_CHANNELS__WEBCHAT__PORT": "0"})
    await daemon.start()
    try:
        async with Tab(daemon) as tab:
            answer = await tab.ask("count to 3")
            assert answer["kind"] == "reply"
            assert answer["content"].endswith("1 2 3")
        assert run(checkout, "-m", "opencraw", "status")
    finally:
        code = await daemon.stop()
    assert code == 0, daemon.log.read_text()
