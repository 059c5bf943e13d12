"""What every adapter promises, as one suite.

An adapter's tests inherit `Conformance` and the parts that its platform has the means for:

    class TestTelegram(Conformance, WithoutKeys, InGroups, InParts, WithDrafts, WithFiles):
        platform_type = TelegramPlatform

One of `WithKeys` and `WithoutKeys` is needed; the others are `Asking` (we ask for what people say,
and may do so too often), `InGroups`, `InParts` (a long answer takes several messages),
`WithStrangers` (who may write to us directly), `WithFiles`, `WithDrafts`, `WithTyping`,
`WithChanges` (people edit and delete what they said) and `WithReactions`. Where people are heard in
two ways, `Hearing` and `keyed` are enough for the second.

What a platform cannot do is left out by its base class, so nothing is ever skipped. Every test runs
a whole daemon on a real database, and speaks to the adapter by nothing but the platform's sockets.
"""

from __future__ import annotations

from tests.channels.cases.base import Asking, Conformance, Hearing
from tests.channels.cases.drafts import (
    InParts,
    WithChanges,
    WithDrafts,
    WithReactions,
    WithTyping,
)
from tests.channels.cases.groups import InGroups, WithFiles, WithStrangers
from tests.channels.cases.keys import WithKeys, WithoutKeys
from tests.channels.platform import (
    LISTED_GROUP,
    OTHER_GROUP,
    OWNERS,
    Edit,
    Fault,
    File,
    Platform,
)

__all__ = [
    "LISTED_GROUP",
    "OTHER_GROUP",
    "OWNERS",
    "Asking",
    "Conformance",
    "Edit",
    "Fault",
    "File",
    "Hearing",
    "InGroups",
    "InParts",
    "Platform",
    "WithChanges",
    "WithDrafts",
    "WithFiles",
    "WithKeys",
    "WithReactions",
    "WithStrangers",
    "WithTyping",
    "WithoutKeys",
]
