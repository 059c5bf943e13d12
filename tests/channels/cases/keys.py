"""What is promised about messages whose fate is unknown."""

from __future__ import annotations

from typing import ClassVar

from channels.marks import RECOVERED
from tests.channels.house import House
from tests.channels.platform import Fault, Platform


async def _lose_an_answer(platform: Platform, house: House) -> list[str]:
    """Have the platform take a message without saying so; returns its copies."""
    await house.open()
    platform.fail_next(Fault.LOST_ANSWER)
    await platform.says("[[say Perhaps.]]")
    await platform.says("[[say Certainly.]]")
    await house.sees("Perhaps.", "Certainly.")
    await house.at_rest()
    assert not any(RECOVERED in text for text in platform.shown() if "Certainly." in text)
    return [text for text in platform.shown() if "Perhaps." in text]


class WithoutKeys:
    """The platform shows whatever it is given."""

    keyed: ClassVar[bool] = False

    async def test_a_lost_answer_costs_at_most_one_second_copy_that_says_so(
        self, platform: Platform, house: House
    ) -> None:
        copies = await _lose_an_answer(platform, house)
        assert [RECOVERED in text for text in copies] in ([False], [False, True])


class WithKeys:
    """The platform (or we) drop a second copy."""

    keyed: ClassVar[bool] = True

    async def test_a_lost_answer_costs_no_second_copy(
        self, platform: Platform, house: House
    ) -> None:
        copies = await _lose_an_answer(platform, house)
        assert [RECOVERED in text for text in copies] == [False]
