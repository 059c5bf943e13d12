"""D14: a reaction was counted for the newest run, whichever message it was put to."""

from __future__ import annotations

from uuid import UUID

import pytest

from opencraw.contract import Delivery, PartSent, Reaction, Rights, Sender
from tests.fixtures.core import Core, address, running
from tests.fixtures.mailbox import Mailbox

PERSON = Sender("a person", "A Person", Rights.OWNER)


class Numbered(Mailbox):
    """Names every message after what it says; a long one is two messages."""

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        await super().send(delivery, sent)
        for part in range(2):
            await sent(f"{delivery.line.text}, part {part}")


async def reacted(
    core: Core, platform_id: str, emoji: str, *, chat: str = "a", added: bool = True
) -> bool:
    return await core.gateway.react(Reaction(address(chat), PERSON, platform_id, emoji, added))


async def scores(core: Core) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for row in await core.fetch("SELECT turn_id, verdict FROM reaction ORDER BY at"):
        found.setdefault(row["turn_id"], []).append(row["verdict"])
    return found


async def test_d14_reaction_scores_the_right_run(database_url: str) -> None:
    async with running(database_url, channel=Numbered()) as core:
        older = await core.asked("one")
        newer = await core.asked("two")
        await core.settled()
        assert await reacted(core, "echo one, part 1", "👎🏽")
        assert older.turn_id is not None
        assert await scores(core) == {older.turn_id: [-1]}
        assert await reacted(core, "echo two, part 0", "❤️")
        assert newer.turn_id is not None
        assert await scores(core) == {older.turn_id: [-1], newer.turn_id: [1]}


async def test_a_reaction_that_is_taken_away_counts_no_more(database_url: str) -> None:
    async with running(database_url, channel=Numbered()) as core:
        await core.asked("one")
        await core.settled()
        for _ in range(2):
            assert await reacted(core, "echo one, part 0", "👍")
        [[_, given]] = (await scores(core)).items()
        assert given == [1]
        assert await reacted(core, "echo one, part 0", "👍", added=False)
        assert await scores(core) == {}


@pytest.mark.parametrize(
    ("platform_id", "chat"), [("nothing", "a"), ("", "a"), ("echo one, part 0", "b")]
)
async def test_a_reaction_to_what_nobody_of_us_said_is_nobodys(
    database_url: str, platform_id: str, chat: str
) -> None:
    async with running(database_url, channel=Numbered()) as core:
        await core.asked("one")
        await core.settled()
        assert not await reacted(core, platform_id, "👍", chat=chat)
        assert await scores(core) == {}
