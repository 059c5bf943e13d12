"""A TOML file as it lies on disk: its values, its digest, and the line of every key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli

from opencraw.config.schema import Key
from opencraw.errors import ConfigProblem

Document = dict[str, Any]


@dataclass
class Source:
    """What was read, or why it could not be."""

    path: Path | None
    text: str = ""
    document: Document = field(default_factory=dict)
    sha256: str | None = None
    problem: ConfigProblem | None = None
    #: Where values came from that are not in the file under their own key.
    origins: dict[Key, str] = field(default_factory=dict)

    @cached_property
    def lines(self) -> Mapping[Key, int]:
        return lines(self.text)

    def where(self, key: Key) -> str:
        """The place to change for this key: a variable, `file:line`, or the file."""
        for length in range(len(key), 0, -1):
            if origin := self.origins.get(key[:length]):
                return origin
            if line := self.lines.get(key[:length]):
                return f"{self.path}:{line}"
        return str(self.path) if self.path else "environment"


def read(path: Path | None) -> Source:
    """The file's content; a file that cannot be used comes back empty, with its problem."""
    if path is None:
        return Source(None)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
        return Source(path, text, tomli.loads(text), hashlib.sha256(content).hexdigest())
    except FileNotFoundError:
        trouble = ("there is no such file", "create it with `opencraw init`")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        trouble = (f"cannot be read: {reason}", "let the user that runs OpenCraw read this file")
    except UnicodeDecodeError:
        trouble = ("is not UTF-8 text", "save the file as UTF-8")
    except RecursionError:
        trouble = ("is nested too deeply to be read", "no setting needs more than four levels")
    except tomli.TOMLDecodeError as error:
        place = f"{path}:{error.lineno}"
        problem = f"is not TOML: {error.msg} (column {error.colno})"
        fix = "text stands in quotes, and each key in one line: key = value"
        return Source(path, problem=ConfigProblem(place, "syntax", problem, fix))
    return Source(path, problem=ConfigProblem(str(path), "file", *trouble))


def lines(text: str) -> dict[Key, int]:
    """The line of every key of a valid document.

    A statement of TOML is a valid document by itself, so the shortest run of lines that parses is
    one statement. Slow, and called only when something is wrong.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    tables: dict[Key, int] = {}
    begun, statement = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not statement:
            begun = number
        statement += line
        try:
            part = tomli.loads(statement)
        except tomli.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _header(part, tables)
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], begun)
        else:
            for key in _keys(part):
                found.setdefault(table + key, begun)
        statement = ""
    return found


def _header(part: Document, tables: dict[Key, int]) -> Key:
    """The key that a `[header]` or `[[header]]` opens; `tables` counts the latter."""
    key: Key = ()
    value: Any = part
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        key += (name,)
        if key in tables and isinstance(value, dict):
            key += (tables[key],)  # a table inside the newest element of a list of tables
    if isinstance(value, list):
        tables[key] = tables.get(key, -1) + 1
        key += (tables[key],)
    return key


def _keys(value: Any, key: Key = ()) -> list[Key]:
    found = [key] if key else []
    if isinstance(value, dict):
        parts: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        parts = []
    for part, inner in parts:
        found += _keys(inner, (*key, part))
    return found
