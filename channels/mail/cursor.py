"""How far a mailbox has been read, and what to read where it has lost count."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

import msgspec

#: A mail may lie in a mailbox under an earlier hour than it came at.
_SLACK = timedelta(days=2)


class Cursor(msgspec.Struct, frozen=True):
    """The hours of it. By what a mailbox numbers its mails each channel knows."""

    #: When the channel first looked: older mail is none of its business, whatever its number.
    begun: datetime
    #: When it last came further.
    moved: datetime

    @classmethod
    def read(cls, written: str | None) -> Self | None:
        """The cursor that was noted, if any."""
        return msgspec.json.decode(written, type=cls) if written is not None else None

    def written(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def since(self) -> datetime:
        """What came after this may be new where numbers say nothing; what was taken in before is
        known by its key."""
        return max(self.begun, self.moved - _SLACK)
