from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opencraw.control.token import FILE_NAME, access_token, link
from opencraw.errors import CannotStart


def test_the_first_start_makes_a_token_that_later_starts_find(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    made = access_token(data)
    assert len(made) >= 43
    assert access_token(data) == made
    assert [path.name for path in data.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((data / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert access_token(tmp_path / "other") != made


def test_two_starts_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(lambda _: access_token(tmp_path), range(16)))
    assert len(tokens) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_token_that_others_can_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    access_token(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(CannotStart, match=r"Other users can read .* chmod 600"):
        access_token(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"undefined", b"\xff" * 50, b"a b" * 20])
def test_a_blank_or_weak_token_is_refused_with_the_fix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CannotStart, match="delete it"):
        access_token(tmp_path)


def test_a_link_in_place_of_the_token_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    access_token(elsewhere)
    (tmp_path / FILE_NAME).symlink_to(elsewhere / FILE_NAME)
    with pytest.raises(CannotStart, match="plain file"):
        access_token(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotStart, match=r"runtime\.data_dir"):
        access_token(tmp_path / "file" / "data")


def test_the_token_travels_in_the_part_that_browsers_keep() -> None:
    assert link("http://127.0.0.1:3000", "abc") == "http://127.0.0.1:3000/#token=abc"
