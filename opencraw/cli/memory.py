"""`opencraw memory`: what the assistant remembers, to look at, correct, forget and take along."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import click

from opencraw.cli import Options
from opencraw.cli.client import call, pieces
from opencraw.cli.output import as_json, table

PATH = "/api/v1/os/memory"
#: A terminal shows the beginning of a long memory; --json has all of it.
_LONGEST_CELL = 300
_MOST_SHOWN = 20

_scope = click.option(
    "--scope", help="Whose memories; `opencraw memory scopes` lists them. Not needed with one."
)
_json = click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")


@click.group("memory", epilog='Example: opencraw memory search "birthday"')
def command() -> None:
    """Look at what is remembered, correct it, forget it."""


@command.command("scopes", epilog="Example: opencraw memory scopes --json")
@_json
@click.pass_obj
def scopes(options: Options, json_wanted: bool) -> None:
    """List about whom something is remembered, and how much."""
    answer = call(options.config, "GET", f"{PATH}/scopes")
    if json_wanted:
        as_json(answer)
        return
    if not answer["scopes"]:
        click.echo("Nothing is remembered yet. Memories come when conversations grow long.")
        return
    rows = [
        [each["scope"], each["kind"], each["items"], _day(each["newest"])]
        for each in answer["scopes"]
    ]
    table(["scope", "kind", "memories", "newest"], rows)


@command.command("list", epilog="Example: opencraw memory list --limit 20")
@_scope
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--before", help="What an earlier --json answer gave as `next`: older memories.")
@_json
@click.pass_obj
def listed(
    options: Options, scope: str | None, limit: int, before: str | None, json_wanted: bool
) -> None:
    """List memories, the newest first."""
    asked = {"scope": _one(options, scope), "limit": str(limit)}
    if before is not None:
        asked["before"] = before
    _show(call(options.config, "GET", f"{PATH}/items?{urlencode(asked)}"), json_wanted)


@command.command("search", epilog='Example: opencraw memory search "birthday" --limit 3')
@click.argument("query")
@_scope
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True)
@_json
@click.pass_obj
def search(options: Options, query: str, scope: str | None, limit: int, json_wanted: bool) -> None:
    """Find memories by what they say, the best first."""
    asked = {"scope": _one(options, scope), "query": query, "limit": limit}
    _show(call(options.config, "POST", f"{PATH}/search", asked), json_wanted)


@command.command(
    "add", epilog='Example: opencraw memory add "The office moves in June" --everybody'
)
@click.argument("text")
@_scope
@click.option("--everybody", is_flag=True, help="The assistant knows it wherever it talks.")
@click.option("--importance", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@_json
@click.pass_obj
def add(
    options: Options,
    *,
    text: str,
    scope: str | None,
    everybody: bool,
    importance: float,
    json_wanted: bool,
) -> None:
    """Have something remembered."""
    named = "os.assistant" if everybody else _one(options, scope)
    body = {"text": text, "importance": importance}
    answer = call(options.config, "POST", f"{PATH}/items?{urlencode({'scope': named})}", body)
    _say(answer, json_wanted, f"Remembered as {answer['item']['id']}.")


@command.command("correct", epilog='Example: opencraw memory correct 0b0c… "Anna is 42"')
@click.argument("name", metavar="ID")
@click.argument("text")
@_scope
@_json
@click.pass_obj
def correct(options: Options, name: str, text: str, scope: str | None, json_wanted: bool) -> None:
    """Say what it is instead."""
    where = _item(name, _one(options, scope))
    answer = call(options.config, "PATCH", where, {"text": text})
    _say(answer, json_wanted, "Corrected.")


@command.command("forget", epilog="Example: opencraw memory forget 0b0c…")
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is in the scope.")
@click.option("--yes", is_flag=True, help="Do not ask whether --all is meant.")
@_scope
@_json
@click.pass_obj
def forget(
    options: Options,
    *,
    names: tuple[str, ...],
    everything: bool,
    yes: bool,
    scope: str | None,
    json_wanted: bool,
) -> None:
    """Delete memories for good."""
    if everything == bool(names):
        raise click.UsageError("Name the ids of memories, or else --all.")
    named = _one(options, scope)
    if not everything:
        for name in names:
            call(options.config, "DELETE", _item(name, named))
        _say(
            {"status": "ok", "forgotten": len(names)},
            json_wanted,
            f"Forgotten: {_memories(len(names))}.",
        )
        return
    if not yes:
        click.confirm(f"Forget everything in {named} for good?", abort=True, err=True)
    answer = call(options.config, "POST", f"{PATH}/forget", {"scope": named, "confirm": named})
    _say(answer, json_wanted, f"Forgotten: {_memories(answer['forgotten'])}.")


@command.command("export", epilog="Example: opencraw memory export --to memory.jsonl")
@_scope
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="A file. Default: print it."
)
@click.option("--json", "_json_wanted", is_flag=True, help="It is JSON, a line each, in any case.")
@click.pass_obj
def export(options: Options, scope: str | None, to: Path | None, _json_wanted: bool) -> None:
    """Write all memories of a scope as JSON, one in a line."""
    named = _one(options, scope)
    written = -1  # the first line is about the file
    with _into(to) as file:
        for piece in pieces(options.config, f"{PATH}/export?{urlencode({'scope': named})}"):
            file.write(piece)
            written += piece.count(b"\n")
            if to is not None:
                _progress(f"{_memories(written)} …")
    if to is not None:
        _progress("")
        click.echo(f"{_memories(written)} in {to}")


@contextmanager
def _into(to: Path | None) -> Iterator[BinaryIO]:
    """Where lines go. A file is there when it is whole, and only its owner reads it."""
    if to is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = to.with_name(f"{to.name}.part")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(opened, "wb") as file:
            yield file
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)


def _progress(words: str) -> None:
    """Say it in place of what was said before, where somebody is watching."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{words}", nl=False, err=True)


def _one(options: Options, scope: str | None) -> str:
    """The scope that was named, or the only one there is."""
    if scope is not None:
        return scope
    known = [str(each["scope"]) for each in call(options.config, "GET", f"{PATH}/scopes")["scopes"]]
    match known:
        case [only]:
            return only
        case []:
            raise click.UsageError(
                "Nothing is remembered yet; with --scope you may say about whom."
            )
        case _:
            shown = "\n".join(f"  {each}" for each in known[:_MOST_SHOWN])
            raise click.UsageError(
                f"{len(known)} scopes hold memories. Say which one with --scope:\n{shown}"
            )


def _item(name: str, scope: str) -> str:
    return f"{PATH}/items/{quote(name, safe='')}?{urlencode({'scope': scope})}"


def _show(answer: Any, json_wanted: bool) -> None:
    if json_wanted:
        as_json(answer)
        return
    if not answer["items"]:
        click.echo("There is nothing.")
        return
    table(["id", "when", "memory"], [_row(item) for item in answer["items"]])


def _row(item: Mapping[str, Any]) -> list[object]:
    text = " ".join(item["text"].split())
    shown = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return [item["id"], _day(item["corrected_at"] or item["said_at"]), shown]


def _say(answer: Any, json_wanted: bool, words: str) -> None:
    if json_wanted:
        as_json(answer)
    else:
        click.echo(words)


def _day(moment: object) -> str:
    return datetime.fromisoformat(str(moment)).astimezone().strftime("%Y-%m-%d")


def _memories(count: int) -> str:
    return "1 memory" if count == 1 else f"{count:,} memories"
