"""What came in and what went out on each channel, since this process began."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opencraw.telemetry.redaction import Redactor

#: So many happenings of each channel are remembered.
MOST_HAPPENINGS = 200
LONGEST_HAPPENING = 1_000


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that is worth knowing of a channel. `kind` is state, refused, quarantined, warning
    or error."""

    at: datetime
    kind: str
    text: str


class Traffic:
    """One channel's numbers, and the newest of what happened to it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._happenings: deque[Happening] = deque(maxlen=MOST_HAPPENINGS)
        self.last_in: datetime | None = None
        self.last_out: datetime | None = None

    def accepted(self, *, duplicate: bool) -> None:
        """A message is durable."""
        self._counts["duplicates" if duplicate else "accepted"] += 1
        self.last_in = datetime.now(UTC)

    def refused(self, code: str, whose: str = "") -> None:
        """A message was not taken; `whose` it was and where, as far as an operator needs that."""
        self._refused[code] += 1
        times = self._refused[code]
        # The first, the tenth, the hundredth: most of what is said in a group is not meant for us,
        # and what an operator looks for must not drown in it.
        if str(times).strip("0") == "1":
            what = f"{code}: {whose}" if whose else code
            self.note("refused", what if times == 1 else f"{what}; {times:,} times by now")

    def quarantined(self, problem: str) -> None:
        """An event was put aside."""
        self._counts["quarantined"] += 1
        self.note("quarantined", problem)

    def sent(self) -> None:
        """A delivery is on the platform."""
        self._counts["sent"] += 1
        self.last_out = datetime.now(UTC)

    def failed(self, problem: str) -> None:
        """An attempt to deliver failed."""
        self._counts["failed"] += 1
        self.note("error", f"a delivery failed: {problem}")

    def note(self, kind: str, text: str) -> None:
        """Remember that this happened."""
        text = self._redactor.clean(text)[:LONGEST_HAPPENING]
        self._happenings.append(Happening(datetime.now(UTC), kind, text))

    @property
    def counts(self) -> dict[str, object]:
        """How often each has happened; refusals by their codes."""
        names = ("accepted", "duplicates", "quarantined", "sent", "failed")
        return {name: self._counts[name] for name in names} | {"refused": dict(self._refused)}

    def happenings(self, limit: int = MOST_HAPPENINGS) -> Sequence[Happening]:
        """The newest `limit`, oldest first."""
        return list(self._happenings)[-limit:]


class Traffics:
    """The traffic of each channel, by its name."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.redactor = redactor or Redactor()
        self._traffic: dict[str, Traffic] = {}

    def of(self, channel: str) -> Traffic:
        """The traffic of one channel."""
        if channel not in self._traffic:
            self._traffic[channel] = Traffic(self.redactor)
        return self._traffic[channel]
