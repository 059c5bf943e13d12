"""Rules about who may talk on a channel, which no field of its section can know alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from opencraw.access.policy import LONGEST_ID, is_identity
from opencraw.settings import AccessSettings, PlatformSettings

#: A key below `access`, what is wrong with it, and how to mend that.
Found = tuple[str, str, str]


def problems_of(name: str, settings: PlatformSettings) -> Iterator[Found]:
    """What is wrong with who may talk on the channel called `name`."""
    access = settings.access
    for key in ("owners", "allowed_senders", "groups"):
        yield from _entries(key, getattr(access, key))
    anybody = access.owners or access.allowed_senders
    if settings.enabled and access.mode == "allowlist" and not anybody:
        problem = f"nobody could talk on {name}: allowlist lets in who is listed, and nobody is"
        yield "mode", problem, f"list your own id under owners{_otherwise(access)}"


def _otherwise(access: AccessSettings) -> str:
    """Not everywhere could somebody ask for a code."""
    modes = get_args(type(access).model_fields["mode"].annotation)
    return ', or set mode = "pairing"' if "pairing" in modes else ""


def _entries(key: str, entries: Sequence[str]) -> Iterator[Found]:
    for entry in entries:
        if not is_identity(entry):
            problem = (
                f"{entry[:80]!a} is nobody's id: it is empty, longer than {LONGEST_ID} characters, "
                "or has blanks around it or characters that nobody sees"
            )
            yield key, problem, "write the id as the platform shows it, or remove it"
    for entry in sorted({each for each in entries if entries.count(each) > 1}):
        yield key, f"{entry[:80]!a} is listed twice", "list it once"
