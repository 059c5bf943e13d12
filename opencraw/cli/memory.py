"""`opencraw memory`: what the assistant remembers, to look at, correct, forget and take along."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

import click

from opencraw.cli import Options
from opencraw.cli.client import call, pieces
from opencraw.cli.output import as_json, confirm, table
from opencraw.errors import NotFound, Refused

PATH = "/api/v1/os/memory"
#: A terminal shows the beginning of a long memory; --json has all of it.
_LONGEST_CELL = 300
_MOST_SHOWN = 20
#: As `/memory` takes it.
_BEGINNING = re.compile(r"[0-9a-f]{4,32}")
_NOTHING = (
    "Nothing is remembered yet. Memories come when a conversation grows long or begins anew, and"
    " when somebody says: “Remember that …”"
)

_scope = click.option(
    "--scope",
    help="Whose memories; `opencraw memory scopes` lists them. Default: those of the only person.",
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
        click.echo(_NOTHING)
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
    named = _one(options, scope)
    if named is None:
        _show({"items": [], "next": None}, json_wanted, _NOTHING)
        return
    asked = {"scope": named, "limit": str(limit)}
    if before is not None:
        asked["before"] = before
    answer = call(options.config, "GET", f"{PATH}/items?{urlencode(asked)}")
    _show(answer, json_wanted, "There is nothing.")


@command.command("search", epilog='Example: opencraw memory search "birthday" --limit 3')
@click.argument("query")
@_scope
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True)
@_json
@click.pass_obj
def search(options: Options, query: str, scope: str | None, limit: int, json_wanted: bool) -> None:
    """Find memories by what they say, the best first."""
    if not query.strip():
        raise click.UsageError("Say what to look for.")
    named = _one(options, scope)
    if named is None:
        _show({"items": []}, json_wanted, _NOTHING)
        return
    asked = {"scope": named, "query": query, "limit": limit}
    _show(call(options.config, "POST", f"{PATH}/search", asked), json_wanted, "Nothing was found.")


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
    named = "os.assistant" if everybody else scope or _one(options, None)
    if named is None:
        raise click.UsageError("Nothing is remembered yet, so say whose it is: --scope.")
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
    answer = call(options.config, "PATCH", _item(options, name, scope), {"text": text})
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
    if everything:
        answer = _forget_all(options, _one(options, scope), yes)
    else:
        # All are looked up first, so that a slip of the pen leaves all of them.
        found = dict.fromkeys(_item(options, name, scope) for name in names)
        for each in found:
            call(options.config, "DELETE", each)
        answer = {"status": "ok", "forgotten": len(found)}
    _say(answer, json_wanted, f"Forgotten: {_memories(answer['forgotten'])}.")


def _forget_all(options: Options, scope: str | None, yes: bool) -> Any:
    if scope is None:
        return {"status": "ok", "forgotten": 0}
    if not yes:
        confirm(f"Forget everything in {scope} for good?")
    return call(options.config, "POST", f"{PATH}/forget", {"scope": scope, "confirm": scope})


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
    if named is None:
        raise NotFound(f"{_NOTHING}\nNothing was exported.")
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
    try:
        opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(opened, "wb") as file:
                yield file
            draft.replace(to)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(
            f"{to} cannot be written: {error.strerror}.\nNothing was exported.\n"
            "Name another file with --to, or none to print it."
        ) from error


def _progress(words: str) -> None:
    """Say it in place of what was said before, where somebody is watching."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{words}", nl=False, err=True)


def _one(options: Options, scope: str | None) -> str | None:
    """The scope that was named, the only one there is, or that of the only person; None where
    nothing is remembered at all."""
    known = _known(options)
    people = [name for name, kind in known.items() if kind == "person"]
    if not known:
        return None
    if scope in known:
        return scope
    if scope is not None:
        raise NotFound(
            f"Nothing is remembered in {scope}; `opencraw memory scopes` lists where something is."
        )
    for names in (list(known), people):
        if len(names) == 1:
            return names[0]
    shown = "\n".join(f"  {each}" for each in list(known)[:_MOST_SHOWN])
    raise click.UsageError(
        f"{len(known)} scopes hold memories. Say which one with --scope:\n{shown}"
    )


def _known(options: Options) -> dict[str, str]:
    """The scopes in which something is remembered, and the kind of each."""
    answer = call(options.config, "GET", f"{PATH}/scopes")
    return {str(each["scope"]): str(each["kind"]) for each in answer["scopes"]}


def _item(options: Options, name: str, scope: str | None) -> str:
    """Where the memory is whose id begins so: in the scope that was named, or else in any."""
    digits = name.casefold().replace("-", "")
    if _BEGINNING.fullmatch(digits) is None:
        raise Refused(
            f"{name} is not the id of a memory. Nothing was changed.\n"
            "`opencraw memory list` shows ids; the first 8 characters of one are enough."
        )
    found = []
    for each in [scope] if scope is not None else _known(options):
        asked = urlencode({"scope": each, "id": digits})
        items = call(options.config, "GET", f"{PATH}/items?{asked}")["items"]
        # A daemon of an earlier release does not know what is asked for.
        found += [item for item in items if item["id"].replace("-", "").startswith(digits)]
    match found:
        case [item]:
            return f"{PATH}/items/{item['id']}?{urlencode({'scope': item['scope']})}"
        case []:
            where = f"in {scope}" if scope is not None else "in any scope"
            raise NotFound(
                f"There is no such memory {where}: {name}. Nothing was changed.\n"
                "It may have been forgotten; `opencraw memory list` shows what there is."
            )
        case _:
            raise Refused(
                f"Several memories begin with {name}. Nothing was changed.\nWrite more of the id."
            )


def _show(answer: Any, json_wanted: bool, nothing: str) -> None:
    if json_wanted:
        as_json(answer)
        return
    if not answer["items"]:
        click.echo(nothing)
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
