"""What came in and what went out on each channel, since this process began.

What people are refused all day must neither push out what matters nor hide its own ids: refusals
have a place of their own, each who and where once, as of the last time.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from opencraw.telemetry.redaction import Redactor

#: So many happenings of each channel are remembered.
MOST_HAPPENINGS = 200
#: … and so many refusals, beside them.
MOST_REFUSALS = 100
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
        self._refusals: OrderedDict[tuple[str, str], Happening] = OrderedDict()
        self.last_in: datetime | None = None
        self.last_out: datetime | None = None

    def accepted(self, *, duplicate: bool) -> None:
        """A message is durable."""
        self._counts["duplicates" if duplicate else "accepted"] += 1
        self.last_in = datetime.now(UTC)

    def refused(self, code: str, whose: str = "") -> None:
        """A message was not taken; `whose` it was and where, as far as an operator needs that."""
        self._refused[code] += 1
        known = self._refusals.pop((code, whose), None)
        if known is None:
            self._refusals[code, whose] = self._happened(
                "refused", ": ".join(filter(None, (code, whose)))
            )
        else:
            self._refusals[code, whose] = replace(known, at=datetime.now(UTC))
        if len(self._refusals) > MOST_REFUSALS:
            self._refusals.popitem(last=False)

    def quarantined(self, problem: str) -> None:
        """An event was put aside."""
        self._counts["quarantined"] += 1
        self.note("quarantined", problem)

    def sent(self) -> None:
        """A delivery is on the platform."""
        self._counts["sent"] += 1
        self.last_out = datetime.now(UTC)

    def failed(self, problem: str, *, first: bool) -> None:
        """An attempt to deliver failed. The `first` of a delivery is worth telling: twenty follow
        it while a platform is away."""
        self._counts["failed"] += 1
        if first:
            self.note("error", f"a delivery failed: {problem}")

    def dead(self, problem: str) -> None:
        """A delivery is a dead letter."""
        self.note("error", f"a delivery is dead: {problem}")

    def note(self, kind: str, text: str) -> None:
        """Remember that this happened."""
        self._happenings.append(self._happened(kind, text))

    def _happened(self, kind: str, text: str) -> Happening:
        return Happening(datetime.now(UTC), kind, self._redactor.clean(text)[:LONGEST_HAPPENING])

    @property
    def counts(self) -> dict[str, object]:
        """How often each has happened; refusals by their codes."""
        names = ("accepted", "duplicates", "quarantined", "sent", "failed")
        return {name: self._counts[name] for name in names} | {"refused": dict(self._refused)}

    def happenings(self, limit: int = MOST_HAPPENINGS) -> Sequence[Happening]:
        """The newest `limit`, oldest first."""
        both = [*self._happenings, *self._refusals.values()]
        return sorted(both, key=lambda each: each.at)[-limit:]


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
