"""`opencraw pairing`: who may talk to the assistant, and who asks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from opencraw.cli import Options
from opencraw.cli.client import call
from opencraw.cli.output import as_json, table

PATH = "/api/v1/os/pairing"
_NOBODY = (
    "Nobody was let in by a code, and nobody asks for it. Whoever writes to the assistant for the"
    ' first time, on a channel with access.mode = "pairing", gets a code to show to you.'
)

_json = click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
_note = click.option("--note", default="", help="Kept with the request; at most 512 characters.")


@click.group("pairing", epilog="Example: opencraw pairing list")
def command() -> None:
    """Say who may talk to the assistant."""


@command.command("list", epilog="Example: opencraw pairing list --json")
@_json
@click.pass_obj
def listed(options: Options, json_wanted: bool) -> None:
    """List who asks to be let in, and who was."""
    answer = call(options.config, "GET", PATH)
    if json_wanted:
        as_json(answer)
        return
    if not answer["requests"]:
        click.echo(_NOBODY)
        return
    rows = [
        [each["code"] if each["status"] == "pending" else "", each["status"], each["channel_id"],
         each["sender_id"], each["sender_name"], each["rights"], _until(each)]
        for each in answer["requests"]
    ]  # fmt: skip
    table(["code", "status", "channel", "sender", "name", "rights", "until"], rows)


@command.command("approve", epilog="Example: opencraw pairing approve ABCD2345")
@click.argument("code")
@click.option("--owner", is_flag=True, help="With all rights, instead of those of a guest.")
@_note
@_json
@click.pass_obj
def approve(options: Options, *, code: str, owner: bool, note: str, json_wanted: bool) -> None:
    """Let somebody in who showed you this code."""
    body = {"code": code, "rights": "owner" if owner else "guest", "note": note}
    answer = call(options.config, "POST", f"{PATH}/approve", body)
    if json_wanted:
        as_json(answer)
        return
    request = answer["request"]
    role = "the owner" if request["rights"] == "owner" else "a guest"
    click.echo(f"{_person(request)} is let in as {role}.")
    if not answer["has_owner"]:
        channel = request["channel_id"]
        click.echo(
            f"Nobody is the owner on {channel} yet. If this is you: write"
            f' owners = ["{request["sender_id"]}"] under [channels.{channel}.access] in the'
            " configuration and start the daemon again. Or, while the code is good:"
            f" opencraw pairing approve {request['code']} --owner"
        )


@command.command("reject", epilog="Example: opencraw pairing reject ABCD2345")
@click.argument("code")
@_note
@_json
@click.pass_obj
def reject(options: Options, *, code: str, note: str, json_wanted: bool) -> None:
    """Do not let somebody in. They are not told, and may ask again an hour later."""
    answer = call(options.config, "POST", f"{PATH}/reject", {"code": code, "note": note})
    if json_wanted:
        as_json(answer)
        return
    click.echo(f"{_person(answer['request'])} is not let in.")


@command.command("revoke", epilog="Example: opencraw pairing revoke telegram 123456789")
@click.argument("channel")
@click.argument("sender")
@click.option("--account", help="Only with this account of ours.")
@_json
@click.pass_obj
def revoke(
    options: Options, *, channel: str, sender: str, account: str | None, json_wanted: bool
) -> None:
    """Send somebody away again who was let in. It holds from the next message on."""
    body: dict[str, Any] = {"channel": channel, "sender": sender}
    if account is not None:
        body["account"] = account
    answer = call(options.config, "POST", f"{PATH}/revoke", body)
    if json_wanted:
        as_json(answer)
        return
    click.echo(f"{sender} may talk on {channel} no more.")


def _person(request: dict[str, Any]) -> str:
    name = f"{request['sender_name']}, " if request["sender_name"] else ""
    return f"{name}{request['channel_id']} id {request['sender_id']}"


def _until(request: dict[str, Any]) -> str:
    if request["status"] != "pending":
        return ""
    return f"{datetime.fromisoformat(request['expires_at']).astimezone():%H:%M %Z}"
