from __future__ import annotations

import pytest

from opencraw.queue.rules import QueueRules
from opencraw.settings import Mode

RULES = QueueRules(
    "steer", 250, 64, {"mail": ("collect", 60_000), "chat": (None, 0), "web": ("followup", None)}
)


@pytest.mark.parametrize(
    ("channel", "chosen", "mode"),
    [
        ("telegram", None, "steer"),
        ("mail", None, "collect"),
        ("chat", None, "steer"),
        ("mail", "interrupt", "interrupt"),
    ],
)
def test_people_choose_before_their_channel_and_that_before_everybody(
    channel: str, chosen: Mode | None, mode: Mode
) -> None:
    assert RULES.mode(channel, chosen) == mode


@pytest.mark.parametrize(
    ("channel", "chosen", "seconds"),
    [
        ("telegram", None, 0.25),
        ("mail", None, 60.0),
        ("chat", None, 0.0),
        ("web", None, 0.25),
        ("mail", 0, 0.0),
        ("chat", 1_500, 1.5),
    ],
)
def test_a_window_of_nought_is_a_choice_too(
    channel: str, chosen: int | None, seconds: float
) -> None:
    assert RULES.window(channel, chosen) == seconds
