"""Finds the hooks that the configuration names."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points

from opencraw.errors import NotInstalled
from opencraw.hooks.commands import Command
from opencraw.hooks.hook import Hook
from opencraw.hooks.hooks import Hooks
from opencraw.hooks.points import Point
from opencraw.hooks.settings import HooksSettings

GROUP = "opencraw.hooks"


def open_hooks(settings: HooksSettings, environ: Mapping[str, str] = os.environ) -> Hooks:
    """The installed hooks that are allowed, then the commands. Raises `NotInstalled` for what is
    not there: a check that nobody makes must not look like one."""
    return Hooks(dict([*_installed(settings), *_commands(settings, environ)]))


def _installed(settings: HooksSettings) -> Iterator[tuple[str, Hook]]:
    known = {point.name: point for point in entry_points(group=GROUP)}
    for name in settings.allow:
        if name not in known:
            raise NotInstalled(
                f"hooks.allow names {name!r}, but no installed hook has that name. Remove it, or"
                f" install what provides it. Known: {', '.join(sorted(known)) or 'none'}."
            )
        where = known[name].value
        try:
            hook = known[name].load()
        except (ImportError, AttributeError) as error:
            raise NotInstalled(
                f"The hook {name} cannot be loaded from {where}: {error}. OpenCraw does not start"
                " without a check that was asked for. Repair the package that brings it, or remove"
                " the name from hooks.allow."
            ) from error
        if not isinstance(hook, Hook) or not hook.points:
            raise NotInstalled(
                f"The hook {name}: {where} is no function under @opencraw.hooks.hook with a point."
                " Repair the package that brings it, or remove the name from hooks.allow."
            )
        yield name, hook


def _commands(settings: HooksSettings, environ: Mapping[str, str]) -> Iterator[tuple[str, Hook]]:
    places = asyncio.Semaphore(settings.commands_at_once)
    for position, each in enumerate(settings.commands):
        key = f"hooks.commands[{position}]"
        program = shutil.which(each.command[0], path=environ.get("PATH", os.defpath))
        if program is None:
            raise NotInstalled(
                f"{key}: there is no program {each.command[0]!r} that this user may run. What it"
                f" checks at {each.point} would not be checked. Correct the path, make the file"
                " executable, or remove the hook."
            )
        argv = [program, *each.command[1:]]
        command = Command(f"{key} ({each.command[0]})", argv, places, environ)
        hook = Hook(frozenset({Point(each.point)}), command, each.timeout_seconds, each.on_failure)
        yield command.name, hook
