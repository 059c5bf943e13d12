"""The text of a running turn as it grows."""

from __future__ import annotations

from uuid import UUID

from opencraw.events import DraftGrew, utf16_length
from opencraw.store.text import storable

BETWEEN_STEPS = "\n\n"


class LiveDraft:
    """What a turn has said so far: the steps that are on record, and the one that streams."""

    def __init__(self, turn_id: UUID, attempt: int) -> None:
        self.turn_id = turn_id
        self.attempt = attempt
        self._recorded = ""
        self._recorded_units = 0
        self._step: list[str] = []
        self._units = 0

    @property
    def text(self) -> str:
        return self._recorded + "".join(self._step)

    @property
    def step(self) -> str:
        """The text of the step that streams, without what separates it from the one before."""
        return "".join(self._step).removeprefix(BETWEEN_STEPS if self._recorded else "")

    def begin_step(self) -> None:
        """A step begins, or begins again: what it had said is void."""
        self._step.clear()
        self._units = self._recorded_units

    def grow(self, text: str) -> DraftGrew:
        text = storable(text)
        if not self._step and self._recorded:
            text = BETWEEN_STEPS + text
        grown = DraftGrew(self.turn_id, self.attempt, self._units, text)
        self._step.append(text)
        self._units += utf16_length(text)
        return grown

    def record(self, text: str) -> None:
        """The step is complete; `text` is what it said in the end."""
        if text:
            self._recorded += (BETWEEN_STEPS if self._recorded else "") + text
            self._recorded_units = utf16_length(self._recorded)
        self.begin_step()
