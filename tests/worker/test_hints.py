from __future__ import annotations

from opencraw.contract import Rights
from tests.fixtures.core import running, session_of
from tests.fixtures.script import Held


async def test_late_word_of_the_message_that_is_being_answered_interrupts_nothing(
    database_url: str,
) -> None:
    held = Held("half")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("one")
        await held.reached.wait()
        core.dispatcher.arrived(session_of(), Rights.OWNER.value)
        held.release()
        await core.delivered(1)
        [line] = core.channel.lines()
        assert not line.interrupted
        assert await core.outcomes() == [("one", "answered")]
