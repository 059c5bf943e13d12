"""What the doctor finds in set-ups that are broken one by one."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from opencraw.cli import root
from opencraw.cli.doctor.finding import State
from opencraw.cli.doctor.services import database
from opencraw.config.starter import starter
from opencraw.store.placement import data_dir_mode
from opencraw.store.settings import DatabaseSettings
from tests.cli.daemons import announce, answering, holding

SECRET = '\n[keys]\nanthropic_api_key = "sk-x"\n'


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("OPENCRAW_", "OPENSHELL_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OPENCRAW_CHANNELS__WEBCHAT__PORT", "0")
    (tmp_path / "config.toml").write_text(starter({}))
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "data").mkdir(mode=0o700)


def examined(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(root, ["doctor", "--json", *arguments])
    said = json.loads(result.stdout)
    assert said["ok"] is (result.exit_code == 0)
    for finding in said["findings"]:
        assert finding["state"] == "ok" or finding["fix"], finding
    return result.exit_code, {each["check"]: each for each in said["findings"]}


def test_a_healthy_set_up_has_no_problem() -> None:
    code, found = examined()
    assert code == 0
    states = {name: finding["state"] for name, finding in found.items()}
    assert states.pop("model") == "warning"  # the demo is no real model
    assert set(states.values()) == {"ok"}
    assert {"Python", "configuration", "data folder", "disk", "daemon", "database"} <= set(states)


def test_for_people_it_is_a_line_for_each_with_a_next_step_and_a_last_word() -> None:
    result = CliRunner().invoke(root, ["doctor"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    [model] = [number for number, line in enumerate(lines) if line.startswith("warning  model: ")]
    assert lines[model + 1].startswith("         → ")
    assert all(line == line.rstrip() for line in lines), "nothing is filled up with blanks"
    assert lines[-1] == "0 problems, 1 warning."


def test_all_problems_of_the_configuration_are_listed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[queue]\nmode = "stear"\nmax = 1\n')
    result = CliRunner().invoke(root, ["doctor", "--json"])
    findings = json.loads(result.stdout)["findings"]
    wrong = [each for each in findings if each["check"] == "configuration"]
    assert result.exit_code == 1
    assert len(wrong) == 4
    assert {each["state"] for each in wrong} == {"problem"}
    assert wrong[-1]["fix"] or wrong[0]["fix"]


def test_a_missing_configuration_is_only_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config.toml").unlink()
    code, found = examined()
    assert code == 0
    assert found["configuration"]["state"] == "warning"


def test_a_model_without_its_key_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(starter({"ANTHROPIC_API_KEY": "x"}))
    code, found = examined()
    assert code == 1
    assert "ANTHROPIC_API_KEY is not set" in found["configuration"]["detail"]


@pytest.mark.parametrize(
    ("path", "check", "mode"),
    [
        ("data", "data folder", data_dir_mode()),
        ("data/access-token", "access token", 0o600),
        ("config.toml", "configuration file", 0o600),
    ],
)
def test_what_others_can_open_is_found_and_closed_on_demand(
    tmp_path: Path, path: str, check: str, mode: int
) -> None:
    announce(tmp_path, "http://127.0.0.1:1")
    with (tmp_path / "config.toml").open("a") as file:
        file.write(SECRET)
    target = tmp_path / path
    target.chmod(mode | 0o044)

    code, found = examined()
    assert code == 1
    assert found[check]["state"] == "problem"
    assert found[check]["fix"].startswith(f"chmod {mode:o} ")
    assert stat.S_IMODE(target.stat().st_mode) == mode | 0o044

    code, found = examined("--fix")
    assert code == 0
    assert found[check]["state"] == "ok"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_file_without_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    (tmp_path / "config.toml").chmod(0o644)
    assert examined()[0] == 0


def test_a_file_in_place_of_the_data_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").rmdir()
    (tmp_path / "data").write_text("")
    code, found = examined()
    assert code == 1
    assert "is not a folder" in found["data folder"]["detail"]


def test_a_port_that_somebody_else_has_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        monkeypatch.setenv("OPENCRAW_CHANNELS__WEBCHAT__PORT", str(number))
        code, found = examined()
    assert code == 1
    assert "Address already in use" in found[f"port {number}"]["detail"]


@pytest.mark.parametrize(
    ("health", "ready", "state", "words"),
    [
        (200, 200, "ok", "is ready"),
        (200, 503, "problem", "not ready: database away"),
        (500, 200, "problem", "answers 500"),
    ],
)
def test_a_running_daemon_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    health: int,
    ready: int,
    state: str,
    words: str,
) -> None:
    answers = {"/health": (health, {}), "/ready": (ready, {"database": "away"})}
    with answering(tmp_path, answers) as standin:
        port = standin.url.rpartition(":")[2]
        monkeypatch.setenv("OPENCRAW_CHANNELS__WEBCHAT__PORT", port)
        _, found = examined()
    assert found["daemon"]["state"] == state
    assert words in found["daemon"]["detail"]
    assert f"port {port}" not in found  # our own daemon has it


def test_what_is_not_well_in_a_running_daemon_is_found(tmp_path: Path) -> None:
    remarks = {"channel telegram": "refused: The token was revoked.", "redis": "it is away"}
    answers = {"/health": (200, {}), "/ready": (200, {"ready": True, "remarks": remarks})}
    with answering(tmp_path, answers):
        result = CliRunner().invoke(root, ["doctor", "--json"])
    found = [each for each in json.loads(result.stdout)["findings"] if each["check"] == "daemon"]
    assert result.exit_code == 1
    assert [each["state"] for each in found] == ["ok", "problem", "warning"]
    assert found[1]["detail"] == "channel telegram is refused: The token was revoked."
    assert "opencraw channels probe telegram" in found[1]["fix"]
    assert found[2]["detail"] == "redis: it is away"


def test_a_daemon_that_died_is_no_problem_and_one_that_is_silent_is_a_warning(
    tmp_path: Path,
) -> None:
    announce(tmp_path, "http://127.0.0.1:1")
    code, found = examined()
    assert (code, found["daemon"]["state"]) == (0, "ok")
    with holding(tmp_path):
        code, found = examined()
    assert (code, found["daemon"]["state"]) == (0, "warning")


def test_a_database_server_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    settings = DatabaseSettings(url=SecretStr("postgres://me:hunter2@127.0.0.1:1/x"))
    (finding,) = database(settings, tmp_path)
    assert finding.state is State.PROBLEM
    assert "127.0.0.1:1" in finding.detail
    assert "hunter2" not in str(finding)


def test_missing_programs_of_the_database_are_a_problem(tmp_path: Path) -> None:
    (finding,) = database(DatabaseSettings(bin_dir=str(tmp_path)), tmp_path)
    assert finding.state is State.PROBLEM
    assert finding.fix


def test_a_cluster_of_another_version_is_a_problem(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "cluster" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    (finding,) = database(DatabaseSettings(), tmp_path)
    assert finding.state is State.PROBLEM
    assert "Postgres 9" in finding.detail
