"""`opencraw sessions …`: what it asks of the daemon, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root, sessions
from tests.cli.daemons import answering

BASE = "/api/v1/os/sessions"
ID = "6f1c2a9e-0000-5000-8000-000000000001"
LINE = {"seq": 1, "kind": "user", "text": "a \x1b[31mred\x1b[0m line", "at": "2026-01-05T08:00:00Z"}
DOCUMENT = {"schema_version": 2, "id": ID, "messages": 1, "history": [LINE]}


def opencraw(folder: Path, *arguments: str, said: str | None = None) -> Result:
    config = str(folder / "config.toml")
    return CliRunner().invoke(root, ["--config", config, "sessions", *arguments], input=said)


def history(*seqs: int) -> dict[str, Any]:
    return DOCUMENT | {"history": [LINE | {"seq": seq} for seq in seqs]}


def test_list_is_what_the_bare_command_shows(tmp_path: Path) -> None:
    with answering(tmp_path, {BASE: (200, {"sessions": []})}):
        assert opencraw(tmp_path, "list").output == opencraw(tmp_path).output


def test_show_prints_the_newest_lines_and_obeys_none(tmp_path: Path) -> None:
    with answering(tmp_path, {f"{BASE}/{ID}?limit=20": (200, DOCUMENT)}):
        shown = opencraw(tmp_path, "show", ID)
        for_programs = opencraw(tmp_path, "show", ID, "--json")
    assert shown.exit_code == 0
    assert "user: a [31mred[0m line" in shown.output
    assert json.loads(for_programs.output) == DOCUMENT


def test_search_asks_for_the_words_as_they_are(tmp_path: Path) -> None:
    found = {
        "session_id": ID, "channel_id": "webchat", "chat": "main", "seq": 7, "by": "user",
        "at": "2026-01-05T08:00:00Z", "message_id": None, "snippet": "…100% & more…",
    }  # fmt: skip
    path = f"{BASE}/search?q=100%25+%26+more&limit=20&session={ID}"
    with answering(tmp_path, {path: (200, {"found": [found]})}):
        shown = opencraw(tmp_path, "search", "100% & more", "--session", ID)
        for_programs = opencraw(tmp_path, "search", "100% & more", "--session", ID, "--json")
    assert "user: …100% & more…" in shown.output
    assert json.loads(for_programs.output) == {"found": [found]}


def test_finding_nothing_is_a_sentence(tmp_path: Path) -> None:
    with answering(tmp_path, {f"{BASE}/search?q=x&limit=20": (200, {"found": []})}):
        assert "Nobody said that" in opencraw(tmp_path, "search", "x").output


def test_fork_says_where_the_talk_goes_on(tmp_path: Path) -> None:
    answer = {"status": "ok", "id": ID, "chat": "plan-b", "at_seq": 11}
    with answering(tmp_path, {f"{BASE}/{ID}/fork": (201, answer)}) as daemon:
        shown = opencraw(tmp_path, "fork", ID, "--at", "12", "--chat", "plan-b")
        for_programs = opencraw(tmp_path, "fork", ID, "--json")
    assert shown.output == f"Line 11 goes on in the chat plan-b ({ID}).\n"
    assert [asked[3] for asked in daemon.asked] == [
        {"at_seq": 12, "chat": "plan-b"}, {"at_seq": None, "chat": None}
    ]  # fmt: skip
    assert json.loads(for_programs.output) == answer


def test_export_writes_all_lines_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_MOST_LINES", 2)
    path = f"{BASE}/{ID}?whole=true&limit=2"
    answers = {
        path: (200, history(4, 5)),
        f"{path}&before=4": (200, history(2, 3)),
        f"{path}&before=2": (200, history(1)),
    }
    with answering(tmp_path, answers):
        written = opencraw(tmp_path, "export", ID)
    assert [line["seq"] for line in json.loads(written.output)["history"]] == [1, 2, 3, 4, 5]


def test_import_sends_a_long_document_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_LARGEST_PART", 2 * len(json.dumps(LINE)))
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(history(1, 2, 3, 4, 5)))
    done = (201, {"status": "ok", "id": ID, "imported": True})
    with answering(tmp_path, {BASE: done, f"{BASE}?more=true": done}) as daemon:
        assert opencraw(tmp_path, "import", str(file)).output == f"Imported {ID}.\n"
    sent = [([line["seq"] for line in body["history"]], path) for _, path, _, body in daemon.asked]
    assert sent == [([1, 2], f"{BASE}?more=true"), ([3, 4], f"{BASE}?more=true"), ([5], BASE)]


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    there = (200, {"status": "ok", "id": ID, "imported": False})
    with answering(tmp_path, {BASE: there}) as daemon:
        said = json.dumps(history(1))
        assert "here already" in opencraw(tmp_path, "import", "-", said=said).output
        assert len(daemon.asked) == 1


@pytest.mark.parametrize("text", ["{", "[]", '"text"'])
def test_a_file_that_holds_no_conversation_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "talk.json"
    file.write_text(text)
    done = opencraw(tmp_path, "import", str(file))
    assert done.exit_code == 1
    assert "Nothing was imported." in done.stderr


def test_delete_asks_first(tmp_path: Path) -> None:
    with answering(tmp_path, {f"{BASE}/{ID}": (200, {"status": "ok"})}) as daemon:
        assert opencraw(tmp_path, "delete", ID, said="n\n").exit_code == 1
        assert daemon.asked == []
        assert "It is gone." in opencraw(tmp_path, "delete", ID, said="y\n").output
        assert json.loads(opencraw(tmp_path, "delete", ID, "--yes", "--json").stdout) == {
            "status": "ok"
        }
    assert [asked[0] for asked in daemon.asked] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("name", ["list", "show", "search", "fork", "export", "import", "delete"])
def test_each_explains_itself_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(root, ["sessions", name, "--help"]).output
    assert f"Example: opencraw sessions {name}" in shown
    assert "--json" in shown
