"""A file is the old one or the new one, and nobody else's to read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opencraw.config import write_atomically


def test_it_replaces_the_content_and_closes_the_file_to_others(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    path.chmod(0o644)
    write_atomically(path, "neu: ü\n")
    assert path.read_text(encoding="utf-8") == "neu: ü\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "config.toml", tmp_path / "config.toml"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    program = (
        "import sys, pathlib; from opencraw.config.files import write_atomically;"
        "write_atomically(pathlib.Path(sys.argv[1]), 'new')"
    )
    environ = os.environ | {"OPENCRAW_CRASHPOINT": "config_rename"}
    ended = subprocess.run([sys.executable, "-c", program, path], env=environ, check=False)
    assert ended.returncode == -9
    assert path.read_text() == "old"


def test_root_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    owner = 65_534 if os.geteuid() == 0 else os.geteuid()
    os.chown(path, owner, -1)
    write_atomically(path, "new")
    assert path.stat().st_uid == owner
