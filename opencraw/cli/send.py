"""`opencraw send`: say something through a channel, as the operator."""

from __future__ import annotations

import click

from opencraw.cli import Options
from opencraw.cli.client import call
from opencraw.cli.output import as_json

PATH = "/api/v1/os/messages/send"


@click.command("send", epilog='Example: opencraw send webchat main "The backup is done."')
@click.argument("channel")
@click.argument("recipient")
@click.argument("message")
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.pass_obj
def command(
    options: Options, channel: str, recipient: str, message: str, json_wanted: bool
) -> None:
    """Send a message through a channel.

    RECIPIENT is the channel's own id of a chat. The daemon answers once the message is kept; it is
    then delivered even if the daemon restarts.
    """
    body = {"channel": channel, "recipient": recipient, "message": message}
    answer = call(options.config, "POST", PATH, body)
    if json_wanted:
        as_json(answer)
    else:
        click.echo(f"The message to {recipient} is on its way through {channel}.")
