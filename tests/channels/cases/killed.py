"""What is promised about a daemon that is killed."""

from __future__ import annotations

from typing import ClassVar

import pytest

from channels.marks import RECOVERED
from tests.channels.house import House
from tests.channels.platform import Platform


class Killed:
    """The daemon is a process, and dies at a named moment."""

    #: The platform (or the channel) drops a second copy.
    keyed: ClassVar[bool]

    @pytest.mark.parametrize(
        "crashpoint", ["accept_before_persist", "persist_before_ack", "deliver_before_ack"]
    )
    async def test_a_daemon_that_is_killed_loses_nothing(
        self, platform: Platform, house: House, crashpoint: str
    ) -> None:
        await house.begin(crashpoint)
        await platform.says("[[say Survived.]]")
        await house.died()
        await house.begin()
        # By itself. A platform that calls repeats a call in its own time.
        await house.sees("Survived.")
        await platform.says("[[say Next.]]")
        await house.sees("Survived.", "Next.")
        await house.at_rest()
        assert await house.count("turn") == 2
        copies = [text for text in platform.shown() if "Survived." in text]
        allowed = 2 if crashpoint == "deliver_before_ack" and not self.keyed else 1
        assert len(copies) <= allowed
        assert all(RECOVERED in text for text in copies[1:])
