"""`opencraw init`: the files that a first start needs. Run again, it changes nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click

from opencraw.cli import Options
from opencraw.cli.client import data_dir, workspace_dir
from opencraw.cli.output import as_json
from opencraw.cli.serve import write_first
from opencraw.config.files import write_atomically
from opencraw.context.workspace import NAMES
from opencraw.errors import CannotStart
from opencraw.resources import prompt
from opencraw.store.placement import data_dir_mode


@click.command("init", epilog="Example: opencraw --config ~/.opencraw/config.toml init")
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.pass_obj
def command(options: Options, json_wanted: bool) -> None:
    """Write a first configuration, the data folder and its workspace.

    What is there already is left as it is: no file is ever overwritten.
    """
    config = options.config
    config_made = not config.exists()
    if config_made:
        _make_folder(config.parent)
        write_first(config)
    folder = data_dir(config, os.environ)
    folder_made = _make_folder(folder)
    workspace = workspace_dir(config, os.environ)
    _make_folder(workspace)
    written = _write_templates(workspace)
    if json_wanted:
        as_json(
            {
                "config": {"path": str(config), "written": config_made},
                "data_dir": {"path": str(folder), "made": folder_made},
                "workspace": {"path": str(workspace), "written": written},
            }
        )
        return
    if not config_made:
        click.echo(f"{config} is there already; it was not touched.")
    click.echo(f"{'Made' if folder_made else 'Kept'} the data folder {folder}.")
    if not folder_made and stat.S_IMODE(folder.stat().st_mode) & ~data_dir_mode():
        click.echo("Other users can look into it: `opencraw doctor --fix` closes it.", err=True)
    if written:
        click.echo(f"Wrote {len(written)} files into {workspace}: say there who your assistant is.")
    click.echo("Next: opencraw serve")


def _write_templates(workspace: Path) -> list[str]:
    """Put the files into the workspace that are not there; returns their names."""
    written = []
    for name in NAMES:
        if os.path.lexists(workspace / name):
            continue
        try:
            # For its owner alone: it is what people tell of themselves. It is there whole or not at
            # all, since what is there is never written again.
            write_atomically(workspace / name, prompt(f"workspace/{name}"))
        except OSError as error:
            raise CannotStart(
                f"{workspace / name} cannot be written: {error.strerror}.\n"
                f"Your assistant works without it, and knows less of you.\n"
                f"Make the folder writable, or name another in general.workspace."
            ) from error
        written.append(name)
    return written


def _make_folder(folder: Path) -> bool:
    """Make a folder that nobody else can look into. False when it is there already."""
    if folder.is_dir():
        return False
    try:
        folder.mkdir(parents=True, mode=data_dir_mode())
        folder.chmod(data_dir_mode())  # a mask may have taken the owner's rights
    except OSError as error:
        raise CannotStart(
            f"The folder {folder} cannot be made: {error.strerror}.\n"
            f"OpenCraw has nowhere to keep its files.\n"
            f"Make it yourself, or name another: --config PATH, or OPENCRAW_DATA_DIR=PATH."
        ) from error
    return True
