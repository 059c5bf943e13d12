"""What no file of the repository may be or say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
CAPPED = {".py", ".js", ".sql"}

#: Where packages come from and on whose machine something was written is nobody's business.
SECRETS_OF_THE_WORKSHOP = re.compile(
    r"""
    (?:index|registry|repository|files)[\w.-]*\.(?:org|io|com)/ \S* (?:simple|packages)
    | --(?:extra-)?index-url | --find[-]links
    | (?<![\w.~-])/(?:work|root)/\w
    | \.\./shared
    """,
    re.VERBOSE,
)
SKIPS = re.compile(r"pytest\.(?:skip|xfail|importorskip)|mark\.(?:skip|skipif|xfail)\b|Skip[T]est")


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {path: text.count("\n") for path, text in texts() if Path(path).suffix in CAPPED}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_nothing_tells_of_the_machine_it_was_written_on() -> None:
    found = {
        path: match[0] for path, text in texts() if (match := SECRETS_OF_THE_WORKSHOP.search(text))
    }
    assert found == {}


def test_no_test_can_be_skipped_or_expected_to_fail() -> None:
    found = {
        path: match[0]
        for path, text in texts()
        if path.startswith("tests/") and (match := SKIPS.search(text))
    }
    assert found == {}


def test_there_is_no_empty_folder_of_tests() -> None:
    names = {path for path, _ in texts()}
    assert any(re.fullmatch(r"tests/.*/test_\w+\.py", name) for name in names)


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that is in the repository or would be added to it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():  # and not deleted since
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
