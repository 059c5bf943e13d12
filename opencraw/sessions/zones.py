"""Time zones by name, as people write them and as the machine has them."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

_MACHINE = Path("/etc/localtime")


def find_zone(wanted: str) -> str | None:
    """The time zone that somebody means, in any case; None when there is none of this name."""
    spellings = (wanted, wanted.replace(" ", "_").title(), wanted.upper())
    return next((each for each in spellings if zone_named(each) is not None), None)


@cache
def machine_zone() -> tzinfo:
    """The clock of this machine; UTC where it has none."""
    named = zone_named(os.environ.get("TZ", "").removeprefix(":"))
    if named is not None:
        return named
    try:
        with _MACHINE.open("rb") as file:
            return ZoneInfo.from_file(file, "machine")
    except (OSError, ValueError):
        return UTC


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of this name, if there is one."""
    if not 0 < len(name) <= 64:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # what no file system has as a name, too
        return None
