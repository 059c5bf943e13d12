"""`opencraw channels`: how each fares, who we are there, what happened, what nobody understood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click

from opencraw.cli import FAILED, Options
from opencraw.cli.client import call
from opencraw.cli.output import as_json, duration, in_line, pairs, table

PATH = "/api/v1/os/channels"
#: The daemon gives a platform 15.
_PROBE_SECONDS = 25.0
_LONGEST_CELL = 300
_NONE = "No channel is enabled. Set enabled = true under [channels.<name>] in the configuration."

_json = click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
_name = click.argument("name")


@click.group("channels", epilog="Example: opencraw channels list")
def command() -> None:
    """Show how the channels fare, and ask a platform who we are."""


@command.command("list", epilog="Example: opencraw channels list --json")
@_json
@click.pass_obj
def listed(options: Options, json_wanted: bool) -> None:
    """List the open channels: the state of each, and what came and went.

    Failed are attempts to send, and events that nobody understood. Refused are messages of people
    who were turned away, or were too fast; `opencraw channels logs` says whose.
    """
    answer = call(options.config, "GET", PATH)
    if json_wanted:
        as_json(answer)
        return
    if not answer["channels"]:
        click.echo(_NONE)
        return
    columns = [
        "channel",
        "state",
        "since",
        "last in",
        "last out",
        "taken",
        "sent",
        "failed",
        "refused",
    ]
    details = {each["name"]: each["detail"] for each in answer["channels"]}
    table(columns, [_row(each) for each in answer["channels"]], details)


@command.command("probe", epilog="Example: opencraw channels probe telegram")
@_name
@_json
@click.pass_obj
def probe(options: Options, name: str, json_wanted: bool) -> None:
    """Ask the platform who we are, and try again now what waits to be tried again.

    Ends with 0 when it answers, with 1 when it does not or refuses our account.
    """
    answer = call(options.config, "GET", f"{_of(name)}/probe", seconds=_PROBE_SECONDS)
    if json_wanted:
        as_json(answer)
    else:
        words = "answers" if answer["ok"] else "does not answer as it should"
        able = [key for key, value in answer.items() if key.startswith("supports_") and value]
        pairs(
            {
                "channel": f"{name} {words}",
                **({} if answer["ok"] else {"problem": answer["problem"]}),
                "state": _state(answer),
                **answer["account"],
                "can": ", ".join(each.removeprefix("supports_").replace("_", " ") for each in able)
                or "receive and send",
            }
        )
    if not answer["ok"]:
        click.get_current_context().exit(FAILED)


@command.command("logs", epilog="Example: opencraw channels logs telegram")
@_name
@click.option("--limit", type=click.IntRange(1, 200), default=200, show_default=True)
@_json
@click.pass_obj
def logs(options: Options, name: str, limit: int, json_wanted: bool) -> None:
    """Show what happened to a channel since the daemon began, oldest first."""
    answer = call(options.config, "GET", f"{_of(name)}/logs?limit={limit}")
    if json_wanted:
        as_json(answer)
        return
    if not answer["logs"]:
        click.echo("Nothing happened that is worth telling.")
        return
    table(
        ["when", "what", ""],
        [[_moment(each["at"]), each["kind"], each["text"]] for each in answer["logs"]],
    )


@command.command("quarantine", epilog="Example: opencraw channels quarantine telegram --json")
@_name
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@_json
@click.pass_obj
def quarantine(options: Options, name: str, limit: int, json_wanted: bool) -> None:
    """Show the events that a channel did not understand, newest first.

    --json shows them whole; they may hold what people wrote.
    """
    answer = call(options.config, "GET", f"{_of(name)}/quarantine?limit={limit}")
    if json_wanted:
        as_json(answer)
        return
    if not answer["quarantined"]:
        click.echo("Every event was understood.")
        return
    rows = [
        [_moment(each["received_at"]), each["problem"], _cut(each["payload"])]
        for each in answer["quarantined"]
    ]
    table(["when", "problem", "event"], rows)


def _state(answer: Mapping[str, Any]) -> str:
    """How it fared before it was asked; a platform that answers ends the wait."""
    if answer["ok"] and answer["state"] in ("refused", "failed", "silent"):
        return f"was {answer['state']}, and is being started now; `opencraw channels list` tells"
    if answer["state"] == "refused":
        return "refused"  # why, is told as the problem
    return " ".join(filter(None, (answer["state"], answer["detail"])))


def _of(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _row(channel: Mapping[str, Any]) -> list[object]:
    counts = channel["counts"]
    return [
        channel["name"],
        channel["state"],
        _ago(channel["since"]),
        _ago(channel["last_in"]),
        _ago(channel["last_out"]),
        counts["accepted"],
        counts["sent"],
        counts["failed"] + counts["quarantined"],
        sum(counts["refused"].values()),
    ]


def _ago(moment: str | None) -> str:
    if moment is None:
        return in_line(None)
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"{duration(max(0.0, seconds))} ago"


def _moment(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[:_LONGEST_CELL]}…"
