"""The lock files: exact, hashed, of one mind, and silent about where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))

PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9a-z.]+)(?: ; (?P<marker>[^\\\n]+))? \\\n"
    r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_hashed_pins_and_nothing_else(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert PIN.sub("", text) == "# Written by `make lock`.\n"


@pytest.mark.parametrize("lock", LOCKS)
def test_the_locks_agree(lock: str) -> None:
    everything = pins("dev")
    assert {name: everything[name] for name in pins(lock)} == pins(lock)


def test_every_extra_has_a_lock() -> None:
    assert set(LOCKS) == {"run", "dev", *PROJECT["project"]["optional-dependencies"]}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str) -> None:
    versions = pins("run") | pins(lock)
    for wanted in map(Requirement, asked_for(lock)):
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier


def asked_for(lock: str) -> list[str]:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    asked = {"run": project["dependencies"] + groups["build"], "dev": groups["dev"]}
    wanted: list[str] = (asked | project["optional-dependencies"])[lock]
    return wanted


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    return {pin["name"]: pin["version"] for pin in PIN.finditer(text)}
