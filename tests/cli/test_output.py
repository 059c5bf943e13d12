"""What is printed for people."""

from __future__ import annotations

import pytest

from opencraw.cli.output import table

NAME = "0b0c4a5e-1f4f-4e0e-9d6c-7a1f0b6f2c11"
LONG = "a server that takes no mail at the moment " * 5


def test_in_a_narrow_terminal_what_is_to_be_copied_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "45")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    table(["id", "what"], [[NAME, LONG]], {"next": LONG})
    lines = capsys.readouterr().out.splitlines()
    assert any(NAME in line for line in lines)
    assert lines[-1] == f"next: {LONG.strip()}"
    assert max(map(len, lines[1:-1])) <= 45


def test_what_programs_read_ends_where_its_words_do(capsys: pytest.CaptureFixture[str]) -> None:
    table(["id", "what"], [["1", LONG], ["2", "short"]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "2   short"
