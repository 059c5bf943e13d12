"""Which rules a lane follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opencraw.queue.settings import QueueSettings
from opencraw.sessions.choice import QueueChoice
from opencraw.settings import ChannelSettings, DebounceWindow, Drop, Mode


@dataclass(frozen=True, slots=True)
class LaneRules:
    """How one lane behaves."""

    mode: Mode
    debounce_ms: int = 0
    debounce_window: DebounceWindow = "fixed"
    cap: int = 20
    drop: Drop = "summarize"
    #: A text of so many characters may be the beginning of a longer one that the platform cut.
    splits_at: int | None = None

    @property
    def window(self) -> float:
        """The debounce window in seconds."""
        return self.debounce_ms / 1000


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What a channel says about its lanes."""

    settings: ChannelSettings = ChannelSettings()
    splits_at: int | None = None


class QueueRules:
    """How lanes behave: what a lane's people chose, else its channel, else everybody."""

    def __init__(
        self, settings: QueueSettings, channels: Mapping[str, ChannelRules] | None = None
    ) -> None:
        self.settings = settings
        self._channels = channels or {}
        self._usual = ChannelRules()

    def of(self, channel: str, choice: QueueChoice = QueueChoice()) -> LaneRules:
        """The rules of a lane of `channel` whose people made this `choice`."""
        everybody = self.settings
        rules = self._channels.get(channel, self._usual)
        own = rules.settings
        return LaneRules(
            mode=choice.mode or own.mode or everybody.mode,
            debounce_ms=_first(choice.debounce_ms, own.debounce_ms, everybody.debounce_ms),
            debounce_window=(
                choice.debounce_window or own.debounce_window or everybody.debounce_window
            ),
            cap=choice.cap or everybody.cap,
            drop=choice.drop or everybody.drop,
            splits_at=rules.splits_at,
        )


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
