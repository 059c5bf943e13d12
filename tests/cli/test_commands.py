"""The command line as a whole: help, version, errors in words, and nothing imported in vain."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import opencraw
from opencraw.cli import COMMANDS, exit_code, root
from opencraw.errors import (
    CannotStart,
    ConfigInvalid,
    ConfigProblem,
    OpenCrawError,
    Refused,
    Unavailable,
)

HEAVY = {"pydantic", "aiohttp", "asyncpg", "uvloop", "rich", "prompt_toolkit", "tomlkit"}
DAEMON = {"opencraw.app", "opencraw.gateway", "opencraw.worker", "opencraw.control.server"}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_version_and_help_import_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    program = f"""
import atexit, sys
from opencraw.cli import main

@atexit.register
def tell():
    print(*sorted({HEAVY | DAEMON} & set(sys.modules)), file=sys.stderr)

sys.argv = {["opencraw", *arguments]}
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "opencraw" in done.stdout + done.stderr
    assert not HEAVY & set(done.stderr.split())
    assert not DAEMON & set(done.stderr.split())


@pytest.mark.parametrize("name", ["status", "sessions", "send", "memory"])
def test_a_command_that_asks_the_daemon_reads_no_settings(tmp_path: Path, name: str) -> None:
    program = (
        f"import sys, opencraw.cli.{name}\n"
        "from pathlib import Path\n"
        "from opencraw.cli.client import find\n"
        "from opencraw.errors import Unavailable\n"
        "try: find(Path('config.toml'))\n"
        "except Unavailable: pass\n"
        f"print(*sorted({HEAVY | DAEMON | {'opencraw.config'}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["chat", "doctor", "init"])
def test_a_command_of_the_client_imports_no_daemon(tmp_path: Path, name: str) -> None:
    program = f"import sys, opencraw.cli.{name}; print(*sorted({DAEMON} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command: click.Command = importlib.import_module(f"opencraw.cli.{name}").command
    assert command.name == name
    assert command.get_short_help_str(limit=100) == COMMANDS[name]

    shown = CliRunner().invoke(root, [name, "--help"])
    assert shown.exit_code == 0
    assert "Example: " in shown.output
    assert f"opencraw {name}" in shown.output or f"{name}" in shown.output.split("Example: ")[1]


def test_the_list_of_commands_is_complete() -> None:
    folder = Path(opencraw.__file__).parent / "cli"
    modules = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.iterdir() if (path / "__init__.py").exists()
    }
    assert set(COMMANDS) <= modules
    shown = CliRunner().invoke(root, ["--help"]).output
    for name, words in COMMANDS.items():
        assert name in shown
        assert words in shown


def test_the_version_is_the_packages() -> None:
    shown = CliRunner().invoke(root, ["--version"])
    assert shown.output == f"opencraw {opencraw.__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    shown = CliRunner().invoke(root, [])
    assert "Commands:" in shown.stdout
    assert shown.exit_code == 0


def test_an_unknown_command_is_a_mistake_of_usage() -> None:
    assert CliRunner().invoke(root, ["frobnicate"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigInvalid([ConfigProblem("a", "b", "c", "d")]), 78),
        (Unavailable("away"), 69),
        (CannotStart("no"), 1),
        (Refused("no"), 1),
    ],
)
def test_exit_codes_tell_what_to_do_next(error: OpenCrawError, code: int) -> None:
    assert exit_code(error) == code


def test_the_module_is_the_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "opencraw", "--config", "no/where.toml", "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69
    assert "Traceback" not in done.stderr
    assert "opencraw serve" in done.stderr


def test_the_option_wins_over_the_variable_and_that_over_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    monkeypatch.delenv("OPENCRAW_CONFIG", raising=False)
    assert "for config.toml" in runner.invoke(root, ["status"]).output
    monkeypatch.setenv("OPENCRAW_CONFIG", "a.toml")
    assert "for a.toml" in runner.invoke(root, ["status"]).output
    assert "for b.toml" in runner.invoke(root, ["--config", "b.toml", "status"]).output
