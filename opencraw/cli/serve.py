"""`opencraw serve`: the daemon, in the foreground."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from opencraw.cli import STARTED, Options
from opencraw.config import Loaded, load, write_atomically
from opencraw.config.starter import choose, starter
from opencraw.errors import CannotStart


@click.command("serve", epilog="Example: opencraw --config /etc/opencraw/config.toml serve")
@click.pass_obj
def command(options: Options) -> None:
    """Start the daemon.

    Runs until SIGTERM or Ctrl-C. Where there is no configuration file a first one is written.
    """
    if not options.config.exists():
        write_first(options.config)
    loaded = load(options.config, os.environ)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    raise SystemExit(run(loaded))


def write_first(path: Path) -> None:
    """Write the starter configuration and tell which model it names, and why."""
    choice = choose(os.environ)
    try:
        write_atomically(path, starter(os.environ))
    except OSError as error:
        raise CannotStart(
            f"There is no configuration and {path} cannot be written: {error.strerror}.\n"
            f"OpenCraw does not start without one.\n"
            f"Make the folder writable, or name another file with --config."
        ) from error
    click.echo(
        f"Wrote {path}. Model: {choice.provider}/{choice.model}, because {choice.reason}.", err=True
    )
    if choice.provider == "demo":
        click.echo("The demo is no real model; the file tells how to use one.", err=True)


def run(loaded: Loaded) -> int:
    """Be the daemon; return its exit code."""
    # Only now, so that a refused configuration is refused at once.
    from opencraw.app import serve

    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(serve(loaded.configuration, STARTED))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not built for every system
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
