"""Which rules a lane follows."""

from __future__ import annotations

from collections.abc import Mapping

from opencraw.settings import Mode


class QueueRules:
    """How a lane behaves: what its people chose, else its channel, else everybody."""

    def __init__(
        self,
        mode: Mode,
        debounce_ms: int,
        lane_buffer: int,
        channels: Mapping[str, tuple[Mode | None, int | None]],
    ) -> None:
        #: So many messages of one lane may wait.
        self.lane_buffer = lane_buffer
        self._mode = mode
        self._debounce_ms = debounce_ms
        self._channels = channels

    def mode(self, channel: str, chosen: Mode | None) -> Mode:
        return chosen or self._channels.get(channel, (None, None))[0] or self._mode

    def window(self, channel: str, chosen: int | None) -> float:
        """The debounce window in seconds."""
        of_channel = self._channels.get(channel, (None, None))[1]
        for milliseconds in (chosen, of_channel):
            if milliseconds is not None:
                return milliseconds / 1000
        return self._debounce_ms / 1000
