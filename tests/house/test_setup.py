"""The first minute on a new machine when something is missing, and no test skipped in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_an_old_python_is_named_with_the_way_out(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    old = program(tmp_path / "python3.9", '[ "$1" = -V ] && echo "Python 3.9.2" || exit 1')

    setup = run(tmp_path / "scripts" / "install", "run", PYTHON=str(old))

    assert setup.returncode == 1
    assert "needs Python 3.11 or newer" in setup.stderr
    assert "Python 3.9.2" in setup.stderr
    assert "make run PYTHON=" in setup.stderr


def test_a_python_without_pip_is_named_with_the_package_that_brings_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    program(tmp_path / "id", "echo 1000")  # nobody who may install system packages
    half = program(
        tmp_path / "half-python",
        '[ "$2" = venv ] && echo "ensurepip is not available" && exit 1\n'
        f'exec {sys.executable} "$@"',
    )

    setup = run(
        tmp_path / "scripts" / "install",
        "run",
        PYTHON=str(half),
        PATH=f"{tmp_path}:/usr/bin:/bin",
    )

    assert setup.returncode == 1
    major, minor, *_ = sys.version_info
    assert f"apt-get install python{major}.{minor}-venv" in setup.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_the_tests_need_is_named_when_it_cannot_be_installed(tmp_path: Path) -> None:
    program(tmp_path / "id", "echo 1000")
    for tool in ("dirname", "ls"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)

    checked = run(ROOT / "scripts" / "test-needs", PATH=str(tmp_path))

    assert checked.returncode == 1
    assert "chromium" in checked.stderr
    assert "redis-server" in checked.stderr
    assert "apt-get install" in checked.stderr


@pytest.mark.parametrize(
    "body",
    [
        "import pytest\ndef test_it(): pytest.{}('why')",
        "from pytest import {0}\n{0}('why', allow_module_level=True)",
    ],
    ids=["test", "module"],
)
@pytest.mark.parametrize(("ci", "failed"), [("true", True), ("", False)])
def test_in_ci_a_skip_is_a_failure(tmp_path: Path, body: str, ci: str, failed: bool) -> None:
    (tmp_path / "test_shy.py").write_text(body.format("skip"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    done = run(
        Path(sys.executable), "-m", "pytest", "-p", "tests.fixtures.no_skips", str(tmp_path), CI=ci
    )

    assert (done.returncode not in {0, 5}) == failed, done.stdout


def program(path: Path, shell: str) -> Path:
    path.write_text(f"#!/bin/sh\n{shell}\n")
    path.chmod(0o755)
    return path


def run(command: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )
