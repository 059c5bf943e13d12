"""`opencraw deliveries`: what could not be delivered, and what an operator does about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import click

from opencraw.cli import Options, channels
from opencraw.cli.client import call
from opencraw.cli.output import as_json, confirm, table

PATH = "/api/v1/os/deliveries"
_LONGEST_CELL = 80
#: As much of an id as the other commands need.
_SHORT = 8
_NOTHING = {
    "dead": "Everything was delivered, or is on its way.",
    "dropped": "Nothing was dropped.",
    "open": "Nothing is on its way.",
    "sent": "Nothing was sent yet.",
}

_json = click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
_names = click.argument("names", metavar="ID...", nargs=-1, required=True)


@click.group("deliveries", epilog="Example: opencraw deliveries list")
def command() -> None:
    """List what could not be delivered; try it again, or drop it."""


@command.command("list", epilog="Example: opencraw deliveries list --state open --channel telegram")
@click.option(
    "--state",
    type=click.Choice(list(_NOTHING)),
    default="dead",
    show_default=True,
    help="Which ones.",
)
@click.option("--channel", help="Only those of one channel.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@_json
@click.pass_obj
def listed(
    options: Options, *, state: str, channel: str | None, limit: int, json_wanted: bool
) -> None:
    """List deliveries, the newest first."""
    asked = {"state": state, "limit": str(limit)} | ({"channel": channel} if channel else {})
    answer = call(options.config, "GET", f"{PATH}?{urlencode(asked)}")
    if json_wanted:
        as_json(answer)
        return
    if not answer["deliveries"]:
        if channel is not None:  # one that is not there is an error
            call(options.config, "GET", f"{channels.PATH}/{quote(channel, safe='')}/logs?limit=1")
        click.echo(_NOTHING[state])
        return
    found = answer["deliveries"]
    columns = ["id", "when", "channel", "chat", "tried", "parts there", "text"]
    table(columns, [_row(each) for each in found], {_short(each): _why(each) for each in found})


@command.command("retry", epilog="Example: opencraw deliveries retry 0b0c4a5e")
@_names
@_json
@click.pass_obj
def retry(options: Options, names: tuple[str, ...], json_wanted: bool) -> None:
    """Try dead letters again. What is there of them already is not sent a second time.

    ID is the id of a delivery, or its first 8 characters.
    """
    _do(options, "retry", names, json_wanted, "Tried again")


@command.command("drop", epilog="Example: opencraw deliveries drop 0b0c4a5e")
@_names
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@_json
@click.pass_obj
def drop(options: Options, names: tuple[str, ...], yes: bool, json_wanted: bool) -> None:
    """Give deliveries up. Their texts stay in their conversations.

    ID is the id of a delivery, or its first 8 characters.
    """
    if not yes:
        count = "this delivery" if len(names) == 1 else f"{len(names)} deliveries"
        confirm(f"Drop {count}?")
    _do(options, "drop", names, json_wanted, "Dropped")


def _do(options: Options, what: str, names: tuple[str, ...], json_wanted: bool, words: str) -> None:
    done = [
        call(options.config, "POST", f"{PATH}/{quote(name, safe='')}/{what}")["delivery_id"]
        for name in dict.fromkeys(names)
    ]
    if json_wanted:
        as_json({"status": "ok", "delivery_ids": done})
    else:
        for each in done:
            click.echo(f"{words}: {each}")


def _row(delivery: Mapping[str, Any]) -> list[object]:
    text = " ".join(delivery["text"].split())
    return [
        _short(delivery),
        datetime.fromisoformat(delivery["created_at"]).astimezone().strftime("%Y-%m-%d %H:%M"),
        delivery["channel"],
        delivery["chat"],
        delivery["attempts"],
        delivery["parts"],
        text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…",
    ]


def _short(delivery: Mapping[str, Any]) -> str:
    name: str = delivery["delivery_id"]
    return name[:_SHORT]


def _why(delivery: Mapping[str, Any]) -> str:
    """Why it is not there, or how far it is."""
    return delivery["failure"] or ": ".join(filter(None, (delivery["state"], delivery["trouble"])))
