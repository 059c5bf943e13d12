from __future__ import annotations

import pytest

from opencraw.platforms.verdicts import verdict


@pytest.mark.parametrize(
    ("emoji", "says"),
    [
        ("👍", 1),
        ("👍🏿", 1),
        ("❤", 1),
        ("❤️", 1),
        ("✅", 1),
        ("👎", -1),
        ("👎🏻", -1),
        ("😂", 0),
        ("👍👎", 0),
        ("thumbsup", 0),
        ("", 0),
        ("🏿", 0),
    ],
)
def test_an_emoji_says_what_people_mean_by_it(emoji: str, says: int) -> None:
    assert verdict(emoji) == says
