from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from opencraw.context import workspace as module
from opencraw.context.workspace import LARGEST_BYTES, LONGEST, NAMES, File, Workspace


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float = module.LOOK_SECONDS) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(tmp_path: Path, clock: Clock) -> Workspace:
    return Workspace(tmp_path, clock)


def texts(workspace: Workspace) -> dict[str, str]:
    return {name: file.text for name, file in workspace.files().items()}


def test_files_come_in_their_order_whatever_the_folder_says(
    workspace: Workspace, tmp_path: Path
) -> None:
    for name in (*reversed(NAMES), "NOTES.md", "agents.md"):
        (tmp_path / name).write_text(f"This is {name}.")
    assert list(workspace.files()) == list(NAMES)
    assert texts(workspace)["SOUL.md"] == "This is SOUL.md."


def test_without_a_folder_there_are_no_files(tmp_path: Path) -> None:
    assert Workspace(tmp_path / "nowhere").files() == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n \n",
        "# Soul\n\n## Voice\n",
        "# Soul\n<!-- Write here\nhow I speak. -->\n",
        "<!-- one --><!-- two -->",
        "\ufeff# Soul\r\n\r\n",
    ],
)
def test_a_file_that_says_nothing_is_as_good_as_absent(
    text: str, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "SOUL.md").write_text(text, encoding="utf-8")
    assert workspace.files() == {}


def test_comments_are_for_people(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "SOUL.md").write_text("# Soul\n<!-- how I\nspeak -->\nBriefly.\n<!-- and so on")
    assert texts(workspace) == {"SOUL.md": "# Soul\nBriefly.\n<!-- and so on"}


@pytest.mark.timeout(20)
def test_a_large_file_of_comments_that_never_end_is_read_at_once(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "SOUL.md").write_text("<!--" * (LARGEST_BYTES // 4))
    assert texts(workspace) == {"SOUL.md": "<!--" * (LONGEST // 4)}


def test_a_file_that_nobody_wrote_for_this_is_not_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "SOUL.md").write_text("a" * LARGEST_BYTES)
    (tmp_path / "TOOLS.md").write_text("a" * (LARGEST_BYTES + 1))
    assert list(workspace.files()) == ["SOUL.md"]


def test_a_long_file_is_cut_and_says_by_how_much(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("ä" * (LONGEST + 7), encoding="utf-8")
    (tmp_path / "USER.md").write_text("u" * 4_001)
    assert workspace.files() == {
        "AGENTS.md": File("AGENTS.md", "ä" * LONGEST, 7),
        "USER.md": File("USER.md", "u" * 4_000, 1),
    }


def test_a_file_that_changes_is_read_again(
    workspace: Workspace, tmp_path: Path, clock: Clock
) -> None:
    assert workspace.files() == {}
    (tmp_path / "SOUL.md").write_text("Be kind.")
    assert workspace.files() == {}, "nobody looked yet"
    clock.passes()
    assert texts(workspace) == {"SOUL.md": "Be kind."}

    (tmp_path / "SOUL.md").write_text("Be brief.")
    (tmp_path / "TOOLS.md").write_text("Use them.")
    clock.passes()
    assert texts(workspace) == {"SOUL.md": "Be brief.", "TOOLS.md": "Use them."}

    (tmp_path / "SOUL.md").unlink()
    clock.passes()
    assert texts(workspace) == {"TOOLS.md": "Use them."}


def test_what_does_not_change_is_not_read_again(
    workspace: Workspace, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "SOUL.md").write_text("Be kind.")
    first = workspace.files()
    version = workspace.version
    monkeypatch.delattr(module, "_content")
    clock.passes(100)
    assert workspace.files() is first
    assert workspace.version == version


def test_files_are_looked_at_seldom(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(workspace, "_stamp", looked.append)
    for _ in range(10):
        workspace.files()
        clock.passes(module.LOOK_SECONDS / 5)
    assert len(looked) == 2 * len(NAMES)


def _link(path: Path) -> None:
    secret = path.parent / "secret"
    secret.write_text("the password")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_link, "it is a symbolic link"),
        (os.mkfifo, "it is no ordinary file"),
        (Path.mkdir, "it is no ordinary file"),
        (lambda path: path.write_bytes(b"\x7fELF\x00\x01"), "it is no text in UTF-8"),
        (lambda path: path.write_bytes(b"caf\xe9"), "it is no text in UTF-8"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 10**9), "1,000,000,000"),
    ],
    ids=["link", "pipe", "folder", "binary", "latin-1", "huge"],
)
def test_what_is_no_text_is_left_out_with_one_line(
    make: object,
    reason: str,
    workspace: Workspace,
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert callable(make)
    make(tmp_path / "SOUL.md")
    (tmp_path / "TOOLS.md").write_text("Use them.")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert texts(workspace) == {"TOOLS.md": "Use them."}
            clock.passes()
    [line] = caplog.messages
    assert "SOUL.md is left out of prompts: " in line
    assert reason in line


@pytest.mark.parametrize("content", [b"Be kind.", b"\xff", b""])
def test_files_are_closed_again(
    content: bytes, workspace: Workspace, tmp_path: Path, clock: Clock
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        (tmp_path / "SOUL.md").write_bytes(content + b" " * number)
        workspace.files()
        clock.passes()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_may_not_be_read_is_left_out(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is made here."""
    (tmp_path / "SOUL.md").write_text("Be kind.")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert workspace.files() == {}
