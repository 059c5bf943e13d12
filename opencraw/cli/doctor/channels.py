"""Whether the channels that are enabled can be opened."""

from __future__ import annotations

from opencraw.cli.doctor.finding import Finding, State
from opencraw.config import Configuration
from opencraw.config.channels import open_channel
from opencraw.errors import NotInstalled, OpenCrawError


def enabled(configuration: Configuration) -> list[Finding]:
    """One line for each: its library is there, and its settings are enough to work with. What its
    platform says of them, `opencraw channels probe` asks the running daemon."""
    found = []
    for name, settings in configuration.channels.items():
        if not settings.enabled:
            continue
        try:
            open_channel(name, settings)
        except NotInstalled as error:
            fix = f"in the clone's folder: make extras EXTRAS={name}"
            found.append(Finding(f"channel {name}", State.PROBLEM, _first(error), fix))
        except OpenCrawError as error:
            fix = "do what it says, or disable the channel"
            found.append(Finding(f"channel {name}", State.PROBLEM, str(error), fix))
        else:
            found.append(Finding(f"channel {name}", State.OK, "can be opened"))
    return found


def _first(error: OpenCrawError) -> str:
    return str(error).partition("\n")[0]
