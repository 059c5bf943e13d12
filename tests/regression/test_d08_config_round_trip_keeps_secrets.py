"""D8: a configuration document must never lose its secrets or be left half-written."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from opencraw.config import load, write_atomically

OLD = """\
# Mine; do not touch.
[llm]
active_profile = "main"
[llm.profiles.main]
provider = "demo"
model = "assistant"
[keys]
anthropic_api_key = "sk-of-the-operator"
"""

#: Writes two documents in turn, each too long for one block, as fast as it can.
WRITER = """
import pathlib, sys
from opencraw.config.files import write_atomically
path, old = pathlib.Path(sys.argv[1]), sys.stdin.read()
print("ready", flush=True)
while True:
    for mark in "ab":
        write_atomically(path, old + f"# {mark}" * 20_000 + "\\n")
"""


def test_d08_config_round_trip_keeps_secrets(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_atomically(path, OLD)

    # `init` finds a document and leaves every byte of it, the secret included.
    environ = os.environ | {"ANTHROPIC_API_KEY": "sk-of-somebody-else"}
    for _ in range(2):
        command = [sys.executable, "-m", "opencraw", "--config", str(path), "init"]
        subprocess.run(command, env=environ, check=True, capture_output=True)
    assert path.read_text(encoding="utf-8") == OLD
    assert private(path)

    # What is written back is what was read, and the secret is in it but shows nowhere.
    configuration = load(path, {}).configuration
    assert configuration.keys.anthropic_api_key == SecretStr("sk-of-the-operator")
    assert "sk-of-the-operator" not in repr(configuration) + configuration.model_dump_json()
    write_atomically(path, path.read_text(encoding="utf-8"))
    assert load(path, {}).configuration == configuration
    assert private(path)

    # Killed before the rename: the old document. Killed anywhere: one whole document.
    killed_at_the_rename(path)
    assert path.read_text(encoding="utf-8") == OLD
    moments = random.Random(8)
    for _ in range(10):
        killed_while_writing(path, after_seconds=moments.uniform(0, 0.05))
        text = path.read_text(encoding="utf-8")
        assert text.startswith(OLD)
        assert text == OLD or text.endswith(("# a" * 20_000 + "\n", "# b" * 20_000 + "\n"))
        assert load(path, {}).configuration == configuration
        assert private(path)


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == 0o600


def killed_at_the_rename(path: Path) -> None:
    environ = os.environ | {"OPENCRAW_CRASHPOINT": "config_rename"}
    command = [sys.executable, "-c", WRITER, str(path)]
    ended = subprocess.run(
        command, env=environ, input=OLD, text=True, stdout=subprocess.DEVNULL, check=False
    )
    assert ended.returncode == -signal.SIGKILL


def killed_while_writing(path: Path, *, after_seconds: float) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(OLD)
        writer.stdin.close()
        assert writer.stdout.readline() == "ready\n"
        time.sleep(after_seconds)  # the moment is what is tested
        writer.kill()
