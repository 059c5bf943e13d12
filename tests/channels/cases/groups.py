"""What is promised about places where several people write, and about strangers."""

from __future__ import annotations

import pytest

from tests.channels.house import House
from tests.channels.platform import LISTED_GROUP, OTHER_GROUP, File, Platform
from tests.fixtures.core import until

FETCHING = "opencraw.worker.fetching"


class InGroups:
    """The platform has groups."""

    async def test_in_a_group_only_those_who_are_known_are_heard_when_they_speak_to_us(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say Not asked.]]", chat=LISTED_GROUP, mention=False)
        await platform.says("[[say Stranger.]]", chat=LISTED_GROUP, sender="stranger")
        await platform.says("[[say Elsewhere.]]", chat=OTHER_GROUP)
        await platform.says("[[say Here.]]", chat=LISTED_GROUP)
        await house.sees("Here.", chat=LISTED_GROUP)
        await house.at_rest()
        assert len(platform.shown(LISTED_GROUP)) == 1
        assert not platform.shown(OTHER_GROUP)
        assert await house.count("turn") == 1


class WithStrangers:
    """Strangers can write to us directly."""

    async def test_a_stranger_gets_one_notice_and_costs_nothing_more(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        file = File("a.txt", "text/plain", b"Look at this.")
        for number in range(5):
            await platform.says(f"[[say Answer {number}.]]", chat="guest-1", file=file)
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        await house.at_rest()
        [notice] = platform.shown("guest-1")
        assert "Answer" not in notice
        assert await house.count("pairing WHERE state = 'pending'") == 1
        assert await house.count("session") == 1
        assert await house.count("attachment") == 0


class WithFiles:
    """People send files."""

    async def test_a_file_is_fetched_when_its_turn_begins_and_the_model_reads_it(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        file = File("notes.txt", "text/plain", b"The word is swordfish.")
        await platform.says("[[say Read.]]", file=file)
        await house.sees("Read.")
        await house.at_rest()
        assert "swordfish" in str(house.model.requests[-1])
        assert await house.count("attachment WHERE state = 'stored'") == 1

    async def test_a_file_that_is_too_large_is_not_fetched_and_the_message_is_answered(
        self, platform: Platform, house: House
    ) -> None:
        await house.open(attachments={"max_bytes": 1000})
        before = platform.downloads()
        file = File("notes.txt", "text/plain", b"x" * 5000)
        await platform.says("[[say Without it.]]", file=file)
        await house.sees("Without it.")
        await house.at_rest()
        assert platform.downloads() == before
        assert await house.count("attachment WHERE state = 'refused'") == 1

    async def test_a_file_of_an_account_that_is_refused_meanwhile_is_away_and_no_defect(
        self, platform: Platform, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        # For as long as it may take to revoke an account on a busy machine.
        await house.open(debounce_ms=6_000)
        file = File("notes.txt", "text/plain", b"The word is swordfish.")
        await platform.says("[[say Without it.]]", file=file)
        await until(lambda: house.count("inbox WHERE state = 'waiting'"), "the message waits")
        await platform.revoke()
        await until(lambda: house.count("attachment WHERE state = 'failed'"), "the file is away")
        assert not [each for each in caplog.records if each.name == FETCHING and each.exc_info]
