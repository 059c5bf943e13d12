"""`opencraw sessions`: the conversations that the daemon knows."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import click

from opencraw.cli import Options
from opencraw.cli.client import call, encoded
from opencraw.cli.exchange import clean
from opencraw.cli.output import as_json, confirm, in_line, pairs, table, word
from opencraw.errors import NotFound, Refused

PATH = "/api/v1/os/sessions"

#: What a person wants to know first, of what there is.
FIRST = ("id", "channel_id", "sender_id", "chat", "messages", "waiting", "running", "last_active")
#: So many lines are asked for at a time.
_MOST_LINES = 200
#: In bytes as they are sent: the daemon takes less than 1 MiB at a time.
_LARGEST_PART = 2**20 - 1

#: As `/memory` and `explain` take the beginning of an id.
_BEGINNING = re.compile(r"[0-9a-f]{4,32}")
#: What the daemon lists at most.
_MOST_SESSIONS = 1000
#: What the numbers say that a document keeps of what prompts show.
_MARKS = {
    "reset_seq": "begun anew after line",
    "begin_seq": "prompts begin after line",
    "checkpoint_seq": "summed up in line",
    "pruned_seq": "tools' results short up to line",
    "flushed_seq": "in memory up to line",
}
_WORDS = {"marks": "what prompts show", "last_seq": "last line", "forked_seq": "forked at line"}

_json = click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
_session = click.argument("session")


@click.group(
    "sessions",
    invoke_without_command=True,
    epilog="Example: opencraw sessions search 'green bicycle'",
)
@_json
@click.pass_context
def command(context: click.Context, json_wanted: bool) -> None:
    """List conversations, the most recent first."""
    if context.invoked_subcommand is None:
        _list(context.obj, PATH, json_wanted)


@command.command("list", epilog="Example: opencraw sessions list --archived --limit 20")
@click.option("--archived", is_flag=True, help="Those that are not listed any more.")
@click.option(
    "--limit", default=100, type=click.IntRange(1, _MOST_SESSIONS), help="How many at most."
)
@_json
@click.pass_obj
def list_sessions(options: Options, archived: bool, limit: int, json_wanted: bool) -> None:
    """List conversations, the most recent first."""
    _list(options, _listing(limit, archived=archived), json_wanted)


def _listing(limit: int, *, archived: bool) -> str:
    return f"{PATH}?limit={limit}{'&archived=true' if archived else ''}"


def _list(options: Options, path: str, json_wanted: bool) -> None:
    answer = call(options.config, "GET", path)
    if json_wanted:
        as_json(answer)
        return
    found = answer.get("sessions", []) if isinstance(answer, dict) else answer
    if not found:
        archived = "archived" in path
        begin = "There are no conversations yet. Begin one with: opencraw chat"
        click.echo("No conversation is archived." if archived else begin)
        return
    columns = [name for name in FIRST if name in found[0]] or list(found[0])
    rows = [[_cell(name, session.get(name)) for name in columns] for session in found]
    table([word(name) for name in columns], rows)


@command.command(epilog="Example: opencraw sessions show 6f1c2a9e-… --lines 50")
@_session
@click.option("--lines", default=20, type=click.IntRange(1, 1000), help="How many of the newest.")
@_json
@click.pass_obj
def show(options: Options, session: str, lines: int, json_wanted: bool) -> None:
    """Show a conversation and its newest lines."""
    document = call(options.config, "GET", f"{_path(options, session)}?limit={lines}")
    if json_wanted:
        as_json(document)
        return
    pairs(_facts(document))
    click.echo()
    for line in document["history"]:
        _print_line(line["kind"], line["seq"], line["at"], line["text"])


@command.command(epilog="Example: opencraw sessions search 'green bicycle' --limit 5")
@click.argument("text")
@click.option("--session", help="Only in this conversation.")
@click.option("--limit", default=20, type=click.IntRange(1, 100), help="How many at most.")
@_json
@click.pass_obj
def search(options: Options, text: str, session: str | None, limit: int, json_wanted: bool) -> None:
    """Find what people said and the assistant answered, newest first."""
    if not text.strip():
        raise click.UsageError("Say what to look for.")
    asked = {"q": text, "limit": str(limit)}
    if session:
        asked["session"] = _whole(options, session)
    answer = call(options.config, "GET", f"{PATH}/search?{urlencode(asked)}")
    if json_wanted:
        as_json(answer)
        return
    if not answer["found"]:
        click.echo("Nobody said that. Capitals do not matter, everything else does.")
    for found in answer["found"]:
        click.echo(clean(f"{found['session_id']}  {found['channel_id']} {found['chat']}"))
        _print_line(found["by"], found["seq"], found["at"], found["snippet"])


@command.command(epilog="Example: opencraw sessions fork 6f1c2a9e-… --at 12 --chat plan-b")
@_session
@click.option("--at", "at_seq", type=click.IntRange(0), help="The last line in common.")
@click.option("--chat", help="The name of the new chat; one is made up without it.")
@_json
@click.pass_obj
def fork(
    options: Options, session: str, at_seq: int | None, chat: str | None, json_wanted: bool
) -> None:
    """Go on from a line of a conversation in a new one."""
    body = {"at_seq": at_seq, "chat": chat}
    answer = call(options.config, "POST", f"{_path(options, session)}/fork", body)
    if json_wanted:
        as_json(answer)
        return
    click.echo(f"Line {answer['at_seq']} goes on in the chat {answer['chat']} ({answer['id']}).")


@command.command(epilog="Example: opencraw sessions export 6f1c2a9e-… > conversation.json")
@_session
@_json
@click.pass_obj
def export(options: Options, session: str, json_wanted: bool) -> None:
    """Write a whole conversation as one JSON document."""
    del json_wanted  # it is nothing else
    session = _whole(options, session)
    newest = document = _page(options, session, None)
    history: list[Any] = document["history"]
    # A page may hold fewer lines than were asked for, if they are long.
    while newest["history"] and history[0]["seq"] > 1:
        newest = _page(options, session, history[0]["seq"])
        history = [*newest["history"], *history]
    as_json({**document, "history": history})


@command.command("import", epilog="Example: opencraw sessions import conversation.json")
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)
)
@_json
@click.pass_obj
def import_session(options: Options, file: Path, json_wanted: bool) -> None:
    """Take in an exported conversation, unless it is there already."""
    answer: Mapping[str, Any] = {}
    for part, more in list(_parts(_read(file))):  # before anything is sent, all is known to fit
        answer = call(options.config, "POST", f"{PATH}{'?more=true' if more else ''}", part)
        if not answer["imported"]:
            break
    if json_wanted:
        as_json(answer)
    elif answer["imported"]:
        click.echo(f"Imported {answer['id']}.")
    else:
        click.echo(f"{answer['id']} is here already; nothing was changed.")


@command.command(epilog="Example: opencraw sessions delete 6f1c2a9e-… --yes")
@_session
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
@click.pass_obj
def delete(options: Options, session: str, yes: bool, json_wanted: bool) -> None:
    """Remove a conversation for good. What memory keeps of it stays."""
    session = _whole(options, session)
    if not yes:
        confirm(f"All that was said in {session} will be gone. Go on?")
    answer = call(options.config, "DELETE", _path(options, session))
    if json_wanted:
        as_json(answer)
    else:
        click.echo("It is gone.")


def _path(options: Options, session: str) -> str:
    return f"{PATH}/{_whole(options, session)}"


def _whole(options: Options, session: str) -> str:
    """The id of the conversation whose id begins so. Raises `Refused` unless one does."""
    digits = session.casefold().replace("-", "")
    if _BEGINNING.fullmatch(digits) is None:
        raise Refused(
            f"{session} is not the id of a conversation. Nothing was done.\n"
            "`opencraw sessions` shows ids; the first 8 characters of one are enough."
        )
    if len(digits) == 32:
        return str(UUID(digits))
    listings = [_listing(_MOST_SESSIONS, archived=archived) for archived in (False, True)]
    listed = [each for path in listings for each in call(options.config, "GET", path)["sessions"]]
    # A daemon of an earlier release lists the same twice.
    found = {each["id"] for each in listed if each["id"].replace("-", "").startswith(digits)}
    if not found:
        raise NotFound(
            f"No listed conversation has an id that begins with {session}. Nothing was done.\n"
            "`opencraw sessions list` shows ids, with --archived those of archived ones; of the"
            " oldest write the whole id."
        )
    if len(found) > 1:
        raise Refused(
            f"Several conversations begin with {session}. Nothing was done.\nWrite more of the id."
        )
    return str(found.pop())


def _facts(document: Mapping[str, Any]) -> dict[str, object]:
    """What is said of a conversation above its lines; what it does not have is left out."""
    marks = {_MARKS.get(name, name): seq for name, seq in document.get("marks", {}).items() if seq}
    shown = {**document, "marks": marks}
    return {
        _WORDS.get(name, word(name)): value
        for name, value in shown.items()
        if name != "history" and value is not None and in_line(value)
    }


def _page(options: Options, session: str, before: int | None) -> Any:
    end = "" if before is None else f"&before={before}"
    return call(options.config, "GET", f"{PATH}/{session}?whole=true&limit={_MOST_LINES}{end}")


def _read(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        document = json.loads(text)
    except ValueError as error:
        raise Refused(
            f"{file} is not JSON: {error}.\nNothing was imported.\n"
            "Name a file that `opencraw sessions export` wrote."
        ) from error
    if not isinstance(document, dict):
        raise Refused(
            f"{file} holds no conversation.\nNothing was imported.\n"
            "Name a file that `opencraw sessions export` wrote."
        )
    return document


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """The document in parts that the daemon takes, and whether more come behind each. Raises
    `Refused` for a line that is too long to be sent."""
    history = document.get("history")
    lines: Sequence[Any] = history if isinstance(history, list) else []
    if document.get("schema_version") == 1 or not lines:
        yield document, False  # numbers of lines come with version 2
        return
    part: list[Any] = []
    empty = size = len(encoded({**document, "history": []}))
    for line in lines:
        length = len(encoded(line)) + len(", ")
        if empty + length > _LARGEST_PART:
            raise _too_long(line, length)
        if size + length > _LARGEST_PART:
            yield {**document, "history": part}, True
            part, size = [], empty
        part.append(line)
        size += length
    yield {**document, "history": part}, False


def _too_long(line: object, length: int) -> Refused:
    seq = line.get("seq") if isinstance(line, dict) else None
    return Refused(
        f"Line {seq} of the conversation has {length:,} bytes, and the daemon takes at most"
        f" {_LARGEST_PART:,} at a time.\nNothing was imported.\n"
        "Shorten its text in the file, then try again."
    )


def _print_line(by: str, seq: int, at: str, text: str) -> None:
    click.echo(f"  {_moment(at)}  {seq:>5}  {by}: {clean(text)}")


def _cell(name: str, value: object) -> object:
    return _moment(value) if name == "last_active" else value


def _moment(value: object) -> str:
    """To the minute, in the time of this terminal."""
    return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
