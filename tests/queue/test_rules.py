from __future__ import annotations

import pytest

from opencraw.queue.pools import Pool
from opencraw.queue.rules import ChannelRules, LaneRules, QueueRules
from opencraw.queue.settings import QueueSettings
from opencraw.sessions.choice import QueueChoice
from opencraw.settings import ChannelSettings, Mode

RULES = QueueRules(
    QueueSettings(mode="steer", debounce_ms=250, cap=64, drop="oldest"),
    {
        "mail": ChannelRules(ChannelSettings(mode="collect", debounce_ms=60_000)),
        "chat": ChannelRules(ChannelSettings(debounce_ms=0, debounce_window="sliding"), 4096),
        "web": ChannelRules(ChannelSettings(mode="followup")),
    },
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
    assert RULES.of(channel, QueueChoice(mode=chosen)).mode == mode


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
    assert RULES.of(channel, QueueChoice(debounce_ms=chosen)).window == seconds


@pytest.mark.parametrize(
    ("channel", "choice", "rules"),
    [
        (
            "elsewhere", QueueChoice(),
            LaneRules("steer", 250, "fixed", cap=64, drop="oldest"),
        ),
        (
            "chat", QueueChoice(),
            LaneRules("steer", 0, "sliding", cap=64, drop="oldest", splits_at=4096),
        ),
        (
            "chat", QueueChoice(debounce_window="fixed", cap=1, drop="block"),
            LaneRules("steer", 0, "fixed", cap=1, drop="block", splits_at=4096),
        ),
        (
            "elsewhere", QueueChoice("collect", 1, "sliding", 1000, "newest"),
            LaneRules("collect", 1, "sliding", cap=1000, drop="newest"),
        ),
    ],
)  # fmt: skip
def test_every_rule_is_looked_up_by_itself(
    channel: str, choice: QueueChoice, rules: LaneRules
) -> None:
    assert RULES.of(channel, choice) == rules


@pytest.mark.parametrize(
    ("origin", "pool"),
    [
        ("channel", Pool.INTERACTIVE),
        ("api", Pool.INTERACTIVE),
        ("operator", Pool.INTERACTIVE),
        ("webhook", Pool.BACKGROUND),
        ("cron", Pool.BACKGROUND),
        ("timer", Pool.BACKGROUND),
        ("automation", Pool.BACKGROUND),
    ],
)
def test_what_a_person_waits_for_is_interactive(origin: str, pool: Pool) -> None:
    assert Pool.of(origin) is pool
