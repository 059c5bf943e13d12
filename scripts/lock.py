"""Writes requirements/*.txt: exact versions with hashes, for every system and Python we support.

dev.txt is resolved first and holds everything; the others are cut to its versions, so that any of
them installed together agree. run.txt stands alone, an extra's file holds what it adds to run.txt.
Neither addresses of indexes nor paths are written: where packages come from is the installer's
business.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
COMPILE = [
    *("uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version=3.11"),
    *("--generate-hashes", "--no-header", "--no-annotate", "--no-config"),
    *("--no-emit-index-url", "--no-emit-find-links"),
]
#: Extra places to find packages, where somebody has configured them, must not colour the lock.
FOREIGN = re.compile(r"(UV|PIP)_.*(INDEX|FIND_LINKS)")


def compile_lock(*options: str) -> dict[str, str]:
    """The pinned packages of one selection, by name, each with its marker and hashes."""
    environment = {k: v for k, v in os.environ.items() if not FOREIGN.fullmatch(k)}
    done = subprocess.run(
        [*COMPILE, *options], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    pins = re.split(r"^(?=\S)", done.stdout, flags=re.MULTILINE)
    return {pin.partition("==")[0]: pin for pin in pins if pin}


def write(name: str, pins: dict[str, str]) -> None:
    text = "# Written by `make lock`.\n" + "".join(pins.values())
    (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
    print(f"{name}.txt: {len(pins)} packages")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Without --upgrade the versions already written are kept wherever they still satisfy.
    kept = (
        []
        if "--upgrade" in sys.argv or not (FOLDER / "dev.txt").exists()
        else ["-c", "requirements/dev.txt"]
    )
    write("dev", compile_lock("--all-extras", "--group=dev", "--group=build", *kept))
    same = ["-c", "requirements/dev.txt"]
    run = compile_lock("--group=build", *same)
    write("run", run)
    for extra in project["optional-dependencies"]:
        pins = compile_lock(f"--extra={extra}", *same)
        write(extra, {name: pin for name, pin in pins.items() if name not in run})


if __name__ == "__main__":
    main()
