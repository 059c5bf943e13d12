"""SQL lives in `.sql` files beside the module that runs it; this reads them.

A file holds named statements, each under a line `-- name: claim_turns`. Load it once, at import,
under a name in capitals:

    SQL = load("opencraw.queue", "queue.sql")
    ... await database.fetch(SQL.claim_turns, node)

One test prepares every statement of every file against the migrated schema, and another checks
that every name which a module uses exists.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import NamedTuple

_HEADER = re.compile(r"^--\s*name:\s*(\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one file, by name: `queries.claim_turns` or `queries["claim_turns"]`."""

    def __init__(self, file: str, statements: dict[str, str]) -> None:
        self._file = file
        self._statements = statements

    def __getitem__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise KeyError(f"{self._file} has no statement named {name}") from None

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._file} has no statement named {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)


class Query(NamedTuple):
    """One statement, and where it stands."""

    file: str
    name: str
    sql: str


def load(package: str, file: str) -> Queries:
    """The statements of `file` beside the modules of `package`."""
    return Queries(file, parse(importlib.resources.files(package).joinpath(file).read_text()))


def parse(text: str) -> dict[str, str]:
    """Split a file at its headers. Comments stay: they show up in the server's views too."""
    preamble, *parts = _HEADER.split(text)
    if any(line and not line.startswith("--") for line in preamble.splitlines()):
        raise ValueError("SQL stands before the first `-- name:` line")
    names = parts[::2]
    if len(set(names)) < len(names):
        raise ValueError(f"a name is used twice among {', '.join(names)}")
    return dict(zip(names, map(str.strip, parts[1::2]), strict=True))


def all_queries() -> Iterator[Query]:
    """Every statement of every file in OpenCraw, migrations aside."""
    root = importlib.resources.files("opencraw")
    for path, file in _sql_files(root, "opencraw"):
        for name, sql in parse(file.read_text()).items():
            yield Query(path, name, sql)


def _sql_files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        entry_path = f"{path}/{entry.name}"
        if entry.is_dir() and entry_path != "opencraw/store/migrations":
            yield from _sql_files(entry, entry_path)
        elif entry.name.endswith(".sql"):
            yield entry_path, entry
