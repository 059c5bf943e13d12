"""The command line. One file per command; a command's code is imported when it is called."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

import opencraw
from opencraw.errors import ConfigInvalid, NotInstalled, OpenCrawError, Unavailable

FAILED = 1
UNAVAILABLE = 69
CONFIGURATION = 78

#: Each command and the line that `opencraw --help` shows for it, without importing the command.
COMMANDS = {
    "serve": "Start the daemon.",
    "init": "Write a first configuration, the data folder and its workspace.",
    "chat": "Talk to the assistant in this terminal.",
    "send": "Send a message through a channel.",
    "status": "Show what the running daemon is doing.",
    "sessions": "List conversations, the most recent first.",
    "channels": "Show how the channels fare, and ask a platform who we are.",
    "deliveries": "List what could not be delivered; try it again, or drop it.",
    "memory": "Look at what is remembered, correct it, forget it.",
    "pairing": "Say who may talk to the assistant.",
    "explain": "Say why a message was, or was not, answered.",
    "doctor": "Look for what is wrong and say how to mend it.",
}

#: When this process began to work; the daemon reports how long it took to be ready.
STARTED = time.monotonic()


@dataclass(frozen=True)
class Options:
    """What was said before the command."""

    config: Path


class Commands(click.Group):
    """Knows every command by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"opencraw.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Expected errors end in words and an exit code, never in a traceback."""
        try:
            return super().invoke(ctx)
        except OpenCrawError as error:
            click.echo(f"opencraw: {as_typed(str(error))}", err=True)
            ctx.exit(exit_code(error))


def as_typed(words: str) -> str:
    """Words whose commands work as they stand: in a clone the program is on no PATH."""
    if shutil.which("opencraw") is not None:
        return words
    return words.replace("`opencraw ", f"`{Path(sys.executable).with_name('opencraw')} ")


def exit_code(error: OpenCrawError) -> int:
    """What scripts and systemd go by: sysexits' numbers where it has one."""
    match error:
        case ConfigInvalid() | NotInstalled():
            return CONFIGURATION
        case Unavailable():
            return UNAVAILABLE
        case _:
            return FAILED


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: opencraw serve",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Default: $OPENCRAW_CONFIG, else ./config.toml.",
)
@click.version_option(opencraw.__version__, prog_name="opencraw", message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context, config: Path | None) -> None:
    """OpenCraw: a personal assistant that lives where people already talk."""
    named = config or Path(os.environ.get("OPENCRAW_CONFIG") or "config.toml")
    context.obj = Options(named)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """The `opencraw` program."""
    root(prog_name="opencraw")
