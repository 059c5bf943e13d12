"""The commands that ask a running daemon, and what they say when there is none."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root
from opencraw.cli.client import data_dir
from opencraw.config import load
from tests.cli.daemons import TOKEN, announce, answering, holding

STATUS = {
    "version": "1.2.3",
    "pid": 4711,
    "uptime_seconds": 7300.0,
    "model": "demo/assistant",
    "demo": True,
    "database": {"ok": True, "problem": None},
    "channels": [{"name": "webchat", "state": "running", "detail": ""}],
    "turns_running": 1,
    "waiting": 2,
}
WELL = {
    "/health": (200, {"status": "ok"}),
    "/ready": (200, {"ready": True}),
    "/api/v1/os/status": (200, STATUS),
}


def opencraw(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["--config", str(folder / "config.toml"), *arguments])


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["status", "--link"], ["sessions"], ["send", "a", "b", "c"], ["chat", "hello"]],
)
def test_without_a_daemon_the_cause_and_the_next_step_are_told(
    tmp_path: Path, arguments: list[str]
) -> None:
    result = opencraw(tmp_path, *arguments)
    assert result.exit_code == 69
    assert result.stdout == ""
    assert "No daemon is running" in result.stderr
    assert "opencraw serve" in result.stderr


def test_a_command_that_is_named_works_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # as in a clone, where the program is on no PATH
    found = re.search(r"`(\S+) serve`", opencraw(tmp_path, "status").stderr)
    assert found is not None
    assert subprocess.run([found[1], "--version"], check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["status"], ["sessions"], ["chat", "hello"]])
def test_a_daemon_that_died_is_told_from_one_that_never_was(
    tmp_path: Path, arguments: list[str]
) -> None:
    announce(tmp_path, "http://127.0.0.1:1")
    result = opencraw(tmp_path, *arguments)
    assert result.exit_code == 69
    assert "process 4711, which served http://127.0.0.1:1, has ended" in result.stderr


def test_a_daemon_that_does_not_answer_is_told_from_one_that_ended(tmp_path: Path) -> None:
    announce(tmp_path, "http://127.0.0.1:1")
    with holding(tmp_path):
        result = opencraw(tmp_path, "status")
    assert result.exit_code == 69
    assert "does not answer at http://127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("arguments", [["status"], ["sessions"], ["send", "a", "b", "c"]])
def test_the_token_is_shown_to_nobody_who_merely_listens_where_a_daemon_was(
    tmp_path: Path, arguments: list[str]
) -> None:
    with answering(tmp_path, {}) as somebody:
        (tmp_path / "data" / "daemon.lock").unlink()
        result = opencraw(tmp_path, *arguments)
    assert result.exit_code == 69
    assert somebody.asked == []


def test_an_address_file_that_was_damaged_is_no_traceback(tmp_path: Path) -> None:
    announce(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "data" / "daemon.json").write_text("{")
    assert opencraw(tmp_path, "status").exit_code == 69


def test_status_is_tidy_and_shows_the_token_to_the_daemon_only(tmp_path: Path) -> None:
    with answering(tmp_path, WELL) as standin:
        result = opencraw(tmp_path, "status")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == (f"OpenCraw 1.2.3 runs for 2 hours as process 4711 at {standin.url}: ready")
    assert "model     demo/assistant (a demonstration, no real model)" in lines
    assert "turns     1 turn running, 2 waiting" in lines
    assert "database  ok" in lines
    assert "channels  webchat, running" in lines
    assert TOKEN not in result.output
    assert {asked[2] for asked in standin.asked} == {f"Bearer {TOKEN}"}


def test_status_says_what_is_not_well_though_it_is_ready(tmp_path: Path) -> None:
    remarks = {"channel telegram": "refused: The token was revoked. Put a new one into TOKEN."}
    told = {"name": "telegram", "state": "refused", "detail": "The token was revoked."}
    answers = WELL | {
        "/ready": (200, {"ready": True, "failing": [], "remarks": remarks}),
        "/api/v1/os/status": (200, STATUS | {"channels": [told, {"name": "http", "state": "x"}]}),
    }
    with answering(tmp_path, answers) as standin:
        result = opencraw(tmp_path, "status")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].endswith(f"at {standin.url}: ready, degraded")
    assert f"channel telegram  {remarks['channel telegram']}" in lines
    assert "channels          telegram, refused; http, x" in lines


def test_status_for_programs(tmp_path: Path) -> None:
    with answering(tmp_path, WELL) as standin:
        result = opencraw(tmp_path, "status", "--json")
    assert json.loads(result.output) == {
        "url": standin.url,
        "pid": 4711,
        "ready": True,
        "remarks": {},
        "status": STATUS,
    }


def test_status_gives_the_link_and_nothing_else(tmp_path: Path) -> None:
    with answering(tmp_path, WELL) as standin:
        result = opencraw(tmp_path, "status", "--link")
    assert result.output == f"{standin.url}/#token={TOKEN}\n"


def test_a_daemon_that_is_not_ready_is_told_apart(tmp_path: Path) -> None:
    answers = WELL | {"/ready": (503, {"database": "away"})}
    with answering(tmp_path, answers):
        result = opencraw(tmp_path, "status")
    assert result.exit_code == 1
    assert "not ready (database away)" in result.output


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((401, {"error": {"code": "UNAUTHORISED", "message": "No."}}), 1, "No."),
        ((503, {"error": {"message": "Come back."}}), 69, "Come back."),
        ((500, "<html>"), 1, "status 500"),
    ],
)
def test_a_refusal_is_told_in_the_daemons_words(
    tmp_path: Path, answer: tuple[int, Any], code: int, words: str
) -> None:
    with answering(tmp_path, {"/api/v1/os/sessions": answer}):
        result = opencraw(tmp_path, "sessions")
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""


SESSION = {
    "id": "1",
    "channel_id": "webchat",
    "sender_id": "owner",
    "chat": "[bold]main",
    "messages": 3,
    "waiting": 0,
    "running": False,
    "last_active": "2026-11-21T03:00:00+00:00",
}


def test_sessions_are_a_table_in_which_nothing_is_markup(tmp_path: Path) -> None:
    with answering(tmp_path, {"/api/v1/os/sessions": (200, {"sessions": [SESSION]})}):
        shown = opencraw(tmp_path, "sessions").output
        for_programs = opencraw(tmp_path, "sessions", "--json").output
    assert "webchat" in shown
    assert "[bold]main" in shown
    assert json.loads(for_programs) == {"sessions": [SESSION]}


def test_no_sessions_is_a_sentence(tmp_path: Path) -> None:
    with answering(tmp_path, {"/api/v1/os/sessions": (200, {"sessions": []})}):
        assert "opencraw chat" in opencraw(tmp_path, "sessions").output


def test_send_hands_over_what_was_said(tmp_path: Path) -> None:
    path = "/api/v1/os/messages/send"
    with answering(tmp_path, {path: (200, {"message_id": "m"})}) as standin:
        result = opencraw(tmp_path, "send", "pigeon", "roof", "coo ö")
        for_programs = opencraw(tmp_path, "send", "pigeon", "roof", "coo", "--json")
    assert result.output == "The message to roof is on its way through pigeon.\n"
    assert json.loads(for_programs.output) == {"message_id": "m"}
    body = {"channel": "pigeon", "recipient": "roof", "message": "coo ö"}
    assert standin.asked[0] == ("POST", path, f"Bearer {TOKEN}", body)


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {}),
        ('[runtime]\ndata_dir = "elsewhere"', {}),
        ('[runtime]\ndata_dir = "/srv/x"', {}),
        ('[runtime]\ndata_dir = "~/x"', {}),
        ('[runtime]\ndata_dir = "elsewhere"', {"OPENCRAW_DATA_DIR": "there"}),
        ("", {"OPENCRAW_RUNTIME__DATA_DIR": "there"}),
        ("", {"OPENSHELL_DATA_DIR": "there"}),
        ("", {"OPENSHELL_DATA_DIR": "there", "OPENCRAW_DATA_DIR": "here"}),
        ("", {"OPENCRAW_DATA_DIR": ""}),
    ],
)
def test_the_client_looks_where_the_daemon_is(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    configuration = load(path, {"OPENCRAW_MODEL": "demo/assistant"} | environ).configuration
    assert str(data_dir(path, environ)) == configuration.runtime.data_dir


def test_a_broken_configuration_does_not_hide_a_daemon_that_runs(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("= broken")
    with answering(tmp_path, WELL):
        assert opencraw(tmp_path, "status").exit_code == 0
