"""What `/new` begins with, explained."""

from __future__ import annotations

from tests.explain.test_explainer import told
from tests.fixtures.core import running


async def test_what_stands_behind_new_is_answered_by_its_own_answer(database_url: str) -> None:
    async with running(database_url) as core:
        message = (await core.say("/new one")).message_id
        await core.settled()
        explanation = await told(core, message)
        assert explanation.brief == "answered"
        assert [each.what.split()[0] for each in explanation.history[-2:]] == ["notice", "reply"]
