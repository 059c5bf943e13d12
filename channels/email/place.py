"""How far a folder has been read, and what to read when the server has lost count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

#: A mail may lie in a folder under an earlier hour than it came at.
_SLACK = timedelta(days=2)


class Place(msgspec.Struct, frozen=True):
    """Everything up to `uid` has been taken in, as long as the folder's numbers are `validity`."""

    validity: int
    uid: int
    #: When the channel first looked: older mail is none of its business, whatever its number.
    begun: datetime
    #: When it last came further.
    moved: datetime

    @staticmethod
    def begin(validity: int, newest: int, now: datetime) -> Place:
        """Where a first run begins: behind all that is there."""
        return Place(validity, newest, now, now)

    @staticmethod
    def read(written: str | None) -> Place | None:
        """The place that was noted, if any."""
        return msgspec.json.decode(written, type=Place) if written is not None else None

    def written(self) -> str:
        return msgspec.json.encode(self).decode()

    def at(self, uid: int) -> Place:
        """One mail further."""
        return Place(self.validity, uid, self.begun, datetime.now(UTC))

    def anew(self, validity: int) -> Place:
        """The same moment in a folder that is numbered anew."""
        return Place(validity, 0, self.begun, self.moved)

    @property
    def since(self) -> datetime:
        """What came after this may be new where numbers say nothing; what was taken in before is
        known by its key."""
        return max(self.begun, self.moved - _SLACK)
