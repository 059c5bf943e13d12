"""Rules about who may talk on a channel, which no field of its section can know alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import ValidationError

from opencraw.access.policy import LONGEST_ID, is_identity
from opencraw.contract import ChannelKind
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
        otherwise = ', or set mode = "pairing"' if _has_direct_chats(access) else ""
        yield "mode", problem, f"list your own id under owners{otherwise}"
    if settings.enabled and not access.groups and not _has_direct_chats(access):
        problem = f"nobody could be heard on {name}: it listens in groups that are listed only"
        yield "groups", problem, f"list their ids; runbooks/channel-{name}.md tells where they are"


def unheard_of(link: str, kinds: Mapping[str, ChannelKind]) -> Iterator[tuple[str, str]]:
    """Why no message ever comes from the person called `channel:sender`, and how to mend that. What
    a channel makes of the id of an owner tells how it spells a sender."""
    channel, _, sender = link.partition(":")
    nobody = f"{link[:80]!a} is nobody"
    kind = kinds.get(channel)
    if kind is None:
        near = get_close_matches(channel, kinds, n=1)
        fix = f'write "{near[0]}:{sender}"' if near else "remove it"
        yield f"{nobody}: no such channel is installed; there is {', '.join(kinds)}", fix
        return
    found = [(problem, fix) for _, problem, fix in _entries("owners", [sender])]
    yield from found
    if found or not issubclass(kind.settings, PlatformSettings):
        return
    try:
        [spelled] = kind.settings.model_validate({"access": {"owners": [sender]}}).access.owners
    except ValidationError as error:
        for each in error.errors():
            if each["loc"][:1] == ("access",):
                problem = each["msg"].removeprefix("Value error, ")
                yield f"{nobody}: {problem}", "write the id that /whoami tells"
        return
    if spelled != sender:
        yield f"{nobody}: {channel} spells this sender otherwise", f'write "{channel}:{spelled}"'


def _has_direct_chats(access: AccessSettings) -> bool:
    """Where there are none, nobody could ask for a code, and that cannot be chosen."""
    return "pairing" in get_args(type(access).model_fields["mode"].annotation)


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
