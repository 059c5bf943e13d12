"""A platform, as the conformance suite sees every one of them: people write and read there, and
things go wrong.

Each adapter's tests bring one in `tests/channels/<name>/platform.py` as `PLATFORM`: the adapter's
fake (or a real server), spoken to by real sockets. Chats and people have plain names here, and the
platform makes ids of its own from them:

    a, b, c, guest-…   a direct chat with the person of that name
    #den, #street      a group; in the configuration of the tests only `#den` is listed

Where every place is read by several people, as an issue tracker's issues are, `a` is such a place
in which the person `a` writes, and is listed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, NamedTuple, Self

#: The people whom the configuration of the tests calls owners.
OWNERS = ("a", "b", "c")
LISTED_GROUP = "#den"
OTHER_GROUP = "#street"


class Fault(StrEnum):
    """What can happen to the next message that is sent. Drafts and typing never meet it."""

    #: Not taken; it may be tried again after a while.
    RATE_LIMITED = "rate_limited"
    #: An answer that says that the platform broke; not taken.
    SERVER_ERROR = "server_error"
    #: Taken and shown, and then the connection breaks.
    LOST_ANSWER = "lost_answer"
    #: Will never be taken.
    REFUSED = "refused"


class File(NamedTuple):
    """A file that somebody sends. `claimed` is the size that the platform says it has."""

    name: str
    content_type: str
    data: bytes
    claimed: int | None = None


class Edit(NamedTuple):
    """What a message said from `at` on (the clock of `time.monotonic`)."""

    at: float
    text: str


class Platform(ABC):
    """Use as `async with TelegramPlatform() as platform`. The methods up to `silent` are for every
    platform; those below only for the parts of the suite that an adapter takes part in."""

    #: The name of the channel's section and entry point.
    channel: ClassVar[str]
    #: With the settings below, for how long a dead line goes unnoticed. Keep it small.
    patience: ClassVar[float] = 3.0
    #: With the settings below, seconds between two drafts in one chat.
    interval: ClassVar[float] = 0.3
    #: The most that one message holds, in characters of plain English.
    limit: ClassVar[int] = 4000
    #: The platform names several shapes of a wish to wait; `fail_next` is asked for each.
    shapes: ClassVar[tuple[str, ...]] = ("",)

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Open the platform on a port of its own."""

    @abstractmethod
    async def __aexit__(self, *_: object) -> None:
        """Close it, and break all connections."""

    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """What the channel's section says, beside `enabled` and `access`: where the platform is,
        tokens, and every pause as short as it can be."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Variables for a daemon that runs as a process."""
        return {}

    @abstractmethod
    def person(self, name: str) -> str:
        """The sender id of somebody, as `access.owners` lists it."""

    def group(self, name: str) -> str:
        """What `access.groups` lists for a group."""
        raise NotImplementedError

    async def reach(self, url: str) -> None:  # noqa: B027 - most platforms are called by us
        """A daemon listens at `url` from now on: what calls it by itself calls it there."""

    async def listened(self) -> None:  # noqa: B027 - most platforms keep what nobody has heard
        """Return when the channel listens: what is said from now on is new to it."""

    # People.

    @abstractmethod
    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        """Somebody writes; returns the platform's id of the event. The sender of a direct chat is
        its person, and of a group `a`, unless somebody else is named. `mention` is for groups."""

    @abstractmethod
    async def says_again(self, key: str, times: int = 1) -> None:
        """The platform hands out an event once more, at once with itself if several times."""

    @abstractmethod
    async def own_message(self, text: str, *, chat: str = "a") -> None:
        """The platform hands out what our own account wrote."""

    @abstractmethod
    def shown(self, chat: str = "a") -> list[str]:
        """What people see of us in a chat now, from the oldest message to the newest: plain texts
        without formatting; a message that was edited says what it says now."""

    # Trouble.

    @abstractmethod
    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        """What happens to the next messages that are sent (in one chat, if one is named), after
        which all is well."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Break all connections, and take none until `reconnect`. People go on writing."""

    @abstractmethod
    async def reconnect(self) -> None:
        """All is well again: after `disconnect`, `silent` and `revoke`."""

    @abstractmethod
    async def rewind(self) -> None:
        """Forget what was acknowledged: everything that people wrote will be handed out again."""

    @abstractmethod
    async def malformed(self) -> None:
        """Hand out an event that nobody can understand, though it is what its envelope says."""

    @abstractmethod
    async def revoke(self) -> None:
        """Our account's credential is void from now on, and its connections end."""

    @abstractmethod
    async def silent(self) -> None:
        """From now on take connections, and requests, and say nothing to those who listen."""

    # For adapters that take part in more of the suite.

    async def wants_peace(self, seconds: float) -> None:
        """From now on whoever asks what people said is told to stay away for so long."""
        raise NotImplementedError

    def handed_out(self, key: str) -> float:
        """When the event of this key first went out on the wire, as far as it has (the clock of
        `time.monotonic`). For measures; ask for what was said last."""
        raise NotImplementedError

    def drafts(self, chat: str = "a") -> list[Edit]:
        """Everything that was ever shown in a chat in messages that grew (or in native drafts), in
        order of time, the final texts with it."""
        raise NotImplementedError

    def typed(self, chat: str = "a") -> int:
        """How often we were seen typing."""
        raise NotImplementedError

    def downloads(self) -> int:
        """How many files were asked for, whether they were had or not."""
        raise NotImplementedError

    async def changes(self, key: str, text: str) -> None:
        """Somebody edits what was said as `key`."""
        raise NotImplementedError

    async def takes_back(self, key: str) -> None:
        """Somebody deletes what was said as `key`."""
        raise NotImplementedError

    async def reacts(self, emoji: str, *, chat: str = "a", nth: int = -1, sender: str = "") -> None:
        """Somebody puts an emoji to the nth message that is shown in a chat."""
        raise NotImplementedError

    def buttons(self, chat: str = "a") -> list[str]:
        """The labels of the buttons under the newest message of a chat."""
        raise NotImplementedError

    async def presses(self, label: str, *, chat: str = "a", sender: str = "") -> str:
        """Somebody presses a button of the newest message; what they alone are told."""
        raise NotImplementedError
