"""What people put to an answer is a part of its story."""

from __future__ import annotations

from opencraw.contract import Delivery, PartSent, Reaction, Rights, Sender
from tests.explain.test_explainer import explainer
from tests.fixtures.core import address, running
from tests.fixtures.mailbox import Mailbox


async def test_what_people_think_of_an_answer_is_told(database_url: str) -> None:
    class Numbered(Mailbox):
        async def send(self, delivery: Delivery, sent: PartSent) -> None:
            await super().send(delivery, sent)
            await sent("5")

    async with running(database_url, channel=Numbered()) as core:
        receipt = await core.say("hello")
        await core.settled()
        who = Sender("a person", "A Person", Rights.OWNER)
        assert await core.gateway.react(Reaction(address(), who, "5", "👍🏽"))
        story, explanation = await explainer(core).explain(str(receipt.message_id))
        assert [(each.emoji, each.verdict) for each in story.reactions] == [("👍🏽", 1)]
        assert explanation.history[-1].what == "somebody put 👍🏽 to what it said, which is good"
