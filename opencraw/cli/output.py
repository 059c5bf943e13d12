"""Values as people like to read them in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

EMPTY: tuple[object, ...] = (None, "")
#: Programs and files take lines as long as they come.
_NO_EDGE = 1_000


def as_json(value: object) -> None:
    """Print what a program will read."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def confirm(question: str) -> None:
    """Go on after a yes only. Where nobody can be asked that is an error, which names --yes."""
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise click.UsageError(
            "Nobody is there to say yes, so nothing was done. Add --yes if it is meant."
        ) from None
    if not sure:
        raise click.Abort


def duration(seconds: float) -> str:
    """About how long: `3 minutes`, `2 days`."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return plural(int(seconds // length), unit)
    return plural(int(seconds), "second")


def plural(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def in_line(value: object) -> str:
    """Any JSON value in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(_entry(key, inner) for key, inner in value.items() if inner not in EMPTY)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(in_line, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _entry(key: object, value: object) -> str:
    if key in {"name", "state"}:  # these speak for themselves
        return in_line(value)
    if key == "ok":
        return "ok" if value else "not ok"
    return f"{word(key)} {in_line(value)}"


def word(key: object) -> str:
    return str(key).replace("_", " ")


def pairs(rows: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {in_line(value)}")


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Print a table that fits the terminal, if there is one, and below it what is too long for a
    cell: a line for each name, which only the terminal breaks, so that it can be copied."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        # A path that is cut helps nobody, and the first column is what other commands are given.
        drawn.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        # Text, so that what a user wrote is never read as markup.
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(in_line(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = _NO_EDGE
    with console.capture() as printed:
        console.print(drawn)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())
    told = {name: " ".join(text.split()) for name, text in (remarks or {}).items() if text}
    if told:
        click.echo()
    for name, text in told.items():
        click.echo(f"{name}: {text}")
