"""`opencraw explain`: why a message was, or was not, answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import click

from opencraw.cli import Options
from opencraw.cli.client import call
from opencraw.cli.output import as_json, duration, in_line, table

PATH = "/api/v1/os/messages"
#: Such a beginning of an id is enough to ask for it.
_SHORT = 8
_LONGEST_QUOTE = 48


@click.command("explain", epilog="Example: opencraw explain 1b2c3d4e")
@click.argument("name", metavar="[ID]", required=False)
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.pass_obj
def command(options: Options, name: str | None, json_wanted: bool) -> None:
    """Say why a message was, or was not, answered.

    ID is the id of the message, of the turn that took it up, or of a delivery; its first 8
    characters are enough. Without an ID: the last 20 messages and what became of each.
    """
    answer = call(options.config, "GET", f"{PATH}/{quote(name, safe='')}" if name else PATH)
    if json_wanted:
        as_json(answer)
    elif name:
        _tell(answer)
    else:
        _list(answer["messages"])


def _tell(said: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    # What goes into a file or a program has no edge at which to break lines.
    whole = not console.is_terminal
    console.print(Text(said["headline"], style="bold"), soft_wrap=whole)
    if said["next_step"]:
        console.print(Text(f"What to do: {said['next_step']}"), soft_wrap=whole)
    for rows in (_history(said), _facts(said)):
        console.print()
        if whole:
            _columns(list(rows))
            continue
        drawn = Table.grid(padding=(0, 2))
        for name, value in rows:
            drawn.add_row(Text(name, style="dim", no_wrap=True), Text(value, overflow="fold"))
        console.print(drawn)


def _columns(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _history(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for moment in said["history"]:
        yield _clock(moment["at"]) if moment["at"] else "", moment["what"]


def _facts(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    message, lane, turn = said["message"], said["lane"], said["turn"]
    yield "message", f"{said['message_id']}, {message['outcome'] or message['state']}"
    yield "said", f"{_quote(message['text'])} by {message['sender_id']} ({message['rights']})"
    yield "accepted", f"{_day(message['accepted_at'])}, {duration(message['age_seconds'])} ago"
    yield "chat", _chat(message)
    rules = f"{lane['mode']}, debounce {lane['debounce_ms']} ms ({lane['debounce_window']}), "
    yield "queue", f"{rules}cap {lane['cap']}, drop {lane['drop']}"
    if turn is not None:
        yield "turn", f"{turn['id']}, {turn['state']}, attempt {turn['attempt']}"
        yield "by", ", ".join(filter(None, (turn["model"], turn["pool"], turn["owner"])))
        if marks := _marks(said):
            yield "marks", ", ".join(f"{name} {value}" for name, value in marks.items())
        yield "tokens", in_line({name: turn[f"{name}_tokens"] for name in _TOKENS})
    yield "log", f"correlation_id {message['correlation_id']}"


_TOKENS = ("prompt", "completion", "cached")
_MARKS = ("queue_collected_messages", "queue_debounced_messages", "queue_dropped_messages")


def _marks(said: dict[str, Any]) -> dict[str, object]:
    """The queue's own names for how the turn came to its messages."""
    marks = {name: said["turn"][name] for name in _MARKS}
    marks["queue_steer_outcome"] = said["message"]["queue_steer_outcome"]
    return {name: value for name, value in marks.items() if value}


def _list(messages: list[dict[str, Any]]) -> None:
    if not messages:
        click.echo("No message has been accepted yet. Say something with: opencraw chat")
        return
    rows = [
        [
            each["message_id"][:_SHORT],
            duration(each["message"]["age_seconds"]),
            _chat(each["message"]),
            _quote(each["message"]["text"]),
            each["brief"],
        ]
        for each in messages
    ]
    table(["id", "age", "chat", "message", "what became of it"], rows)


def _chat(message: dict[str, Any]) -> str:
    return "/".join(filter(None, (message["channel"], message["chat"], message["thread"])))


def _quote(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_QUOTE else f"{flat[:_LONGEST_QUOTE]}…"


def _clock(at: str) -> str:
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _day(at: str) -> str:
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
