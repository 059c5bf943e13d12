"""`opencraw sessions`: the conversations that the daemon knows."""

from __future__ import annotations

from datetime import datetime

import click

from opencraw.cli import Options
from opencraw.cli.client import call
from opencraw.cli.output import as_json, table, word

PATH = "/api/v1/os/sessions"

#: What a person wants to know first, of what there is.
FIRST = ("channel_id", "sender_id", "chat", "messages", "waiting", "running", "last_active")


@click.command("sessions", epilog="Example: opencraw sessions --json")
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.pass_obj
def command(options: Options, json_wanted: bool) -> None:
    """List conversations, the most recent first."""
    answer = call(options.config, "GET", PATH)
    if json_wanted:
        as_json(answer)
        return
    found = answer.get("sessions", []) if isinstance(answer, dict) else answer
    if not found:
        click.echo("There are no conversations yet. Begin one with: opencraw chat")
        return
    columns = [name for name in FIRST if name in found[0]] or list(found[0])
    rows = [[_cell(name, session.get(name)) for name in columns] for session in found]
    table([word(name) for name in columns], rows)


def _cell(name: str, value: object) -> object:
    """A moment to the minute, in the time of this terminal; anything else as it is."""
    if name != "last_active":
        return value
    return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
