"""What is promised about messages that change: drafts of ours, and what people edit."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from channels.marks import RECOVERED
from tests.channels.house import House
from tests.channels.platform import LISTED_GROUP, Platform
from tests.fixtures.core import until

SLOWLY = "[[words 60]] [[delay 0.04]]"
SUMMED_UP = "waited. In short:"


class WithDrafts:
    """A turn is shown while it runs, by a message that grows."""

    #: The platform drops a second copy.
    keyed: ClassVar[bool]

    async def test_a_draft_grows_at_the_platforms_pace_and_becomes_the_answer(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says(SLOWLY)
        await until(lambda: len(platform.drafts()) >= 3, "three drafts")
        await house.at_rest()
        [answer] = platform.shown()
        drafts = platform.drafts()
        assert drafts[-1].text == answer
        assert all(len(before.text) <= len(after.text) for before, after in pairwise(drafts[:-1]))
        # The answer itself does not wait for the pace of drafts.
        pauses = [after.at - before.at for before, after in pairwise(drafts[:-1])]
        assert min(pauses, default=1.0) > platform.interval * 0.8

    async def test_the_draft_of_a_daemon_that_was_killed_becomes_the_answer(
        self, platform: Platform, house: House
    ) -> None:
        await house.begin()
        await platform.says(SLOWLY)
        # By the second one the first is on record.
        await until(lambda: len(platform.drafts()) >= 2, "two drafts")
        await house.kill()
        await house.begin()
        await platform.says("[[say Next.]]")
        await house.sees("Next.")
        await house.at_rest()
        assert len(platform.shown()) == 2

    async def test_a_daemon_that_is_killed_before_its_draft_is_on_record_leaves_no_second_one(
        self, platform: Platform, house: House
    ) -> None:
        # In direct chats some platforms have drafts that leave nothing behind.
        chat = LISTED_GROUP if type(platform).group is not Platform.group else "a"
        await house.begin("draft_before_record")
        await platform.says(SLOWLY, chat=chat)
        await house.died()
        assert len(platform.shown(chat)) == 1
        # Without keys nothing more is drawn, so that the next one dies later.
        await house.begin("draft_before_record" if self.keyed else "before_send")
        await house.died()
        assert len(platform.shown(chat)) == 1
        await house.begin()
        await house.sees("word59", chat=chat)
        await house.at_rest()
        *stumps, answer = platform.shown(chat)
        assert (len(stumps), RECOVERED in answer) == ((0, False) if self.keyed else (1, True))

    async def test_what_is_told_when_a_turn_begins_ends_no_draft(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("/queue followup cap:1 drop:summarize")
        await house.sees("Queue of this conversation")
        await platform.says("[[words 10]] [[delay 0.1]]")
        await until(lambda: house.count("turn WHERE state = 'running'"), "a turn that runs")
        await platform.says("Never mind.")
        await platform.says(SLOWLY)
        await house.sees(SUMMED_UP)
        drawn = len(platform.drafts())
        await until(lambda: len(platform.drafts()) >= drawn + 2, "two more drafts")
        await house.at_rest()
        assert len([text for text in platform.shown() if SUMMED_UP in text]) == 1
        assert platform.drafts()[-1].text in platform.shown(), "the draft became the answer"

    async def test_answers_too_short_for_a_draft_are_one_message_each(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        for number in range(3):
            await platform.says(f"[[say Short answer {number}.]]")
        await house.sees(*(f"Short answer {number}." for number in range(3)))
        await house.at_rest()
        assert len(platform.shown()) == 3


class WithTyping:
    """People can be shown that an answer is on its way."""

    async def test_somebody_is_seen_typing_until_there_is_a_text(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[words 3]] [[delay 0.5]]")
        await until(lambda: platform.typed() > 0, "somebody who types")
        await house.at_rest()
        typed = platform.typed()
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        assert platform.typed() <= typed + 1


class WithChanges:
    """People edit and delete what they said."""

    async def test_a_message_that_waits_says_what_it_says_after_an_edit(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[words 20]] [[delay 0.1]]")
        await until(lambda: house.count("turn WHERE state = 'running'"), "a turn that runs")
        key = await platform.says("[[say Old.]]")
        await until(lambda: house.count("inbox WHERE state = 'waiting'"), "a message that waits")
        await platform.changes(key, "[[say New.]]")
        await house.sees("New.")
        await house.at_rest()
        assert not any("Old." in text for text in platform.shown())

    async def test_a_message_that_is_taken_back_is_not_answered(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[words 20]] [[delay 0.1]]")
        await until(lambda: house.count("turn WHERE state = 'running'"), "a turn that runs")
        key = await platform.says("[[say Never.]]")
        await until(lambda: house.count("inbox WHERE state = 'waiting'"), "a message that waits")
        await platform.takes_back(key)
        await platform.says("[[say Next.]]")
        await house.sees("Next.")
        await house.at_rest()
        assert not any("Never." in text for text in platform.shown())


class WithReactions:
    """People put emoji to what we said."""

    async def test_a_reaction_is_noted_for_the_answer_that_it_is_put_to(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say First.]]")
        await house.sees("First.")
        await platform.says("[[say Second.]]")
        await house.sees("Second.")
        await house.at_rest()
        await platform.reacts("👍", nth=0)
        noted = (
            "reaction JOIN outbox USING (delivery_id) JOIN entry"
            " ON entry.session_id = outbox.session_id AND entry.seq = outbox.seq"
            " WHERE verdict = 1 AND entry::text LIKE '%First.%'"
        )
        await until(lambda: house.count(noted), "a reaction to the first answer")


class InParts:
    """A long answer takes several messages."""

    async def test_a_daemon_that_is_killed_between_two_parts_goes_on_behind_the_first(
        self, platform: Platform, house: House
    ) -> None:
        from tests.channels.cases.base import lines_in, long_text

        await house.begin("deliver_between_parts")
        await house.answers(long_text(platform))
        await platform.says("Tell me more.")
        await house.died()
        await house.begin()
        await house.sees("the end.")
        await house.at_rest()
        assert len(platform.shown()) > 1
        assert lines_in(platform.shown()) == lines_in([long_text(platform)])
