"""`opencraw sessions …`: what it asks of the daemon, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root, sessions
from opencraw.control.bodies import LARGEST_BODY
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
    nothing: tuple[int, Any] = (200, {"sessions": []})
    with answering(tmp_path, {BASE: nothing, f"{BASE}?limit=100": nothing}):
        assert opencraw(tmp_path, "list").output == opencraw(tmp_path).output


def test_archived_ones_are_listed_when_asked_for(tmp_path: Path) -> None:
    of_old = {"sessions": [{"id": ID, "messages": 3}]}
    with answering(tmp_path, {f"{BASE}?limit=7&archived=true": (200, of_old)}):
        assert ID in opencraw(tmp_path, "list", "--archived", "--limit", "7").output
    with answering(tmp_path, {f"{BASE}?limit=100&archived=true": (200, {"sessions": []})}):
        shown = opencraw(tmp_path, "list", "--archived").output
    assert shown == "No conversation is archived.\n"


TWIN = ID[:-1] + "2"
ARCHIVED = "77777777-0000-5000-8000-000000000001"


def test_the_beginning_of_an_id_is_enough(tmp_path: Path) -> None:
    answers = {
        f"{BASE}?limit=1000": (200, {"sessions": [{"id": ID}]}),
        f"{BASE}?limit=1000&archived=true": (200, {"sessions": [{"id": ARCHIVED}]}),
        f"{BASE}/{ID}?limit=20": (200, DOCUMENT),
        f"{BASE}/{ARCHIVED}?whole=true&limit=200": (200, DOCUMENT),
        f"{BASE}/{ID}": (200, {"status": "ok"}),
    }
    with answering(tmp_path, answers) as daemon:
        assert opencraw(tmp_path, "show", ID[:8]).exit_code == 0
        assert opencraw(tmp_path, "export", "7777-7777").exit_code == 0
        asked = opencraw(tmp_path, "delete", ID[:8], said="y\n")
        assert f"All that was said in {ID}" in asked.output
        assert daemon.asked[-1][:2] == ("DELETE", f"{BASE}/{ID}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zebra", "is not the id of a conversation"),
        ("0000", "No listed conversation"),
        (ID[:8], "Write more of the id"),
    ],
)
def test_an_id_that_means_nothing_or_too_much_does_nothing(
    tmp_path: Path, name: str, words: str
) -> None:
    answers = {
        f"{BASE}?limit=1000": (200, {"sessions": [{"id": ID}]}),
        f"{BASE}?limit=1000&archived=true": (200, {"sessions": [{"id": TWIN}]}),
    }
    with answering(tmp_path, answers) as daemon:
        done = opencraw(tmp_path, "delete", name, "--yes")
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Nothing was done." in done.stderr
    assert {each[0] for each in daemon.asked} <= {"GET"}


def test_show_says_what_there_is_in_words(tmp_path: Path) -> None:
    marks = {"reset_seq": 0, "begin_seq": 4, "pruned_seq": 9}
    queue = {"mode": None, "cap": None}
    document = DOCUMENT | {"marks": marks, "queue": queue, "last_seq": 12, "forked_from": None}
    with answering(tmp_path, {f"{BASE}/{ID}?limit=20": (200, document)}):
        shown = opencraw(tmp_path, "show", ID).output
    assert "prompts begin after line 4, tools' results short up to line 9" in shown
    assert "last line" in shown
    for absent in ("seq", "queue", "forked", "begun anew"):
        assert absent not in shown


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


def test_looking_for_nothing_is_no_search(tmp_path: Path) -> None:
    done = opencraw(tmp_path, "search", " ")
    assert done.exit_code == 2
    assert "Say what to look for." in done.stderr


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
        f"{path}&before=4": (200, history(3)),
        f"{path}&before=3": (200, history(1, 2)),
    }
    with answering(tmp_path, answers):
        written = opencraw(tmp_path, "export", ID)
    assert [line["seq"] for line in json.loads(written.output)["history"]] == [1, 2, 3, 4, 5]


def test_import_sends_a_long_document_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_LARGEST_PART", len(json.dumps(history(1, 2))) + 2)
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(history(1, 2, 3, 4, 5)))
    done = (201, {"status": "ok", "id": ID, "imported": True})
    with answering(tmp_path, {BASE: done, f"{BASE}?more=true": done}) as daemon:
        assert opencraw(tmp_path, "import", str(file)).output == f"Imported {ID}.\n"
    sent = [([line["seq"] for line in body["history"]], path) for _, path, _, body in daemon.asked]
    assert sent == [([1, 2], f"{BASE}?more=true"), ([3, 4], f"{BASE}?more=true"), ([5], BASE)]


@pytest.mark.parametrize("text", ["x", "\u00e4", "\u3042", "\U0001f6b2", "\\", "\x01"])
def test_no_part_is_larger_than_what_the_daemon_takes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "talk.json"
    lines = [LINE | {"seq": seq, "text": text * 100_000} for seq in range(1, 12)]
    file.write_text(json.dumps(DOCUMENT | {"history": lines, "key": "k" * 200_000}))
    done = (201, {"status": "ok", "id": ID, "imported": True})
    with answering(tmp_path, {BASE: done, f"{BASE}?more=true": done}) as daemon:
        assert opencraw(tmp_path, "import", str(file)).exit_code == 0
    sent = [body for _, _, _, body in daemon.asked]
    assert [line for body in sent for line in body["history"]] == lines
    assert max(daemon.sizes) < LARGEST_BODY
    assert min(daemon.sizes[:-1], default=0) > LARGEST_BODY // 4, "and none is small for nothing"


def test_a_line_that_no_part_can_hold_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    sizes = (LARGEST_BODY // 2, LARGEST_BODY // 2, LARGEST_BODY)
    lines = [LINE | {"seq": seq, "text": "x" * size} for seq, size in enumerate(sizes, 1)]
    file.write_text(json.dumps(DOCUMENT | {"history": lines}))
    with answering(tmp_path, {}) as daemon:
        done = opencraw(tmp_path, "import", str(file))
        assert daemon.asked == []
    assert done.exit_code == 1
    assert "Line 3 of the conversation has 1,048," in done.stderr
    assert "Nothing was imported." in done.stderr


def test_half_a_character_is_sent_as_it_is_written(tmp_path: Path) -> None:
    done = (201, {"status": "ok", "id": ID, "imported": True})
    document = DOCUMENT | {"history": [LINE | {"text": "\ud800"}]}
    with answering(tmp_path, {BASE: done}) as daemon:
        assert opencraw(tmp_path, "import", "-", said=json.dumps(document)).exit_code == 0
    assert daemon.asked[0][3] == document


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
        nobody = opencraw(tmp_path, "delete", ID)
        assert nobody.exit_code == 2
        assert "nothing was done. Add --yes" in nobody.stderr
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
