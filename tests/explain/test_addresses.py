"""A conversation that goes on at several addresses, explained."""

from __future__ import annotations

import pytest

from opencraw.sessions.keys import Conversations
from tests.explain.test_explainer import explainer
from tests.fixtures.core import running
from tests.fixtures.script import Held


@pytest.mark.parametrize(("chat", "heard"), [("a", True), ("b", False)])
async def test_only_a_turn_of_the_same_address_is_said_to_hear(
    database_url: str, chat: str, heard: bool
) -> None:
    held = Held()
    async with running(database_url, held, conversations=Conversations("main")) as core:
        await core.say("one", "a")
        await held.reached.wait()
        receipt = await core.say("two", chat)
        story, explanation = await explainer(core).explain(str(receipt.message_id))
        assert story.message.chat == chat
        assert ("The turn hears it" in (explanation.next_step or "")) is heard
        held.release()
        await core.settled()
