"""The channels that are installed, found by entry point so that nothing here names one."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from opencraw.contract import Channel, ChannelKind
from opencraw.errors import CannotStart, NotInstalled
from opencraw.settings import ChannelSettings

GROUP = "opencraw.channels"


@cache
def installed() -> dict[str, ChannelKind]:
    """Every installed channel by name. Loads their settings, not their vendors' libraries."""
    kinds: dict[str, ChannelKind] = {}
    for entry in entry_points(group=GROUP):
        try:
            kind = entry.load()()
        except (ImportError, AttributeError) as error:
            raise CannotStart(
                f"The channel {entry.name} cannot be loaded from {entry.value}: {error}.\n"
                f"OpenCraw does not start with a broken channel installed.\n"
                f"Repair or uninstall the package that brings it."
            ) from error
        if not isinstance(kind, ChannelKind) or not issubclass(kind.settings, ChannelSettings):
            raise CannotStart(
                f"The channel {entry.name}: {entry.value} returned no ChannelKind with "
                f"ChannelSettings. Repair or uninstall the package that brings it."
            )
        kinds[entry.name] = kind
    return dict(sorted(kinds.items()))


def open_channel(name: str, settings: ChannelSettings) -> Channel:
    """Open an enabled channel; nothing is asked of its platform yet. Raises `NotInstalled` where
    its library is missing, and what the channel raises for settings that it cannot work with."""
    try:
        return installed()[name].open(settings)
    except ImportError as error:
        raise NotInstalled(
            f"channels.{name} is enabled, and what it needs is not installed ({error.name}).\n"
            f"OpenCraw does not start without it.\n"
            f"Install it with `make extras EXTRAS={name}` in the clone's folder (a third party's "
            f"channel: as its package says), or set channels.{name}.enabled = false."
        ) from error
