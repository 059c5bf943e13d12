"""Drafts against a scripted clock."""

from __future__ import annotations

import asyncio
import math
import random
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from channels import live as module
from channels.live import Live
from tests.channels.drawn import (
    CHAT,
    INTERVAL,
    Drawn,
    Ghostly,
    Native,
    Page,
    Turn,
    in_scripted_time,
    words,
)


def test_a_draft_is_put_once_and_then_changed_at_its_pace() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            for _ in range(50):
                drawn.hear(turn.says(words()))
                await asyncio.sleep(0.1)
            assert [what for _, what, _ in drawn.page.drawn[:2]] == ["put", "m1"]
            times = [at for at, _, _ in drawn.page.drawn]
            assert len(times) == 5
            assert all(after - before >= INTERVAL for before, after in pairwise(times))
            assert drawn.page.notes == {turn.id: "m1"}
            assert drawn.page.replies == ["the question"]
            assert await drawn.live.finish(turn.id) == "m1"

    in_scripted_time(story)


def test_a_few_words_wait_for_more_of_them_but_not_for_long() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("Well"))
            await asyncio.sleep(0.9)
            assert not drawn.page.drawn
            await asyncio.sleep(0.2)
            assert drawn.page.texts == ["Well"]

    in_scripted_time(story)


def test_an_answer_that_comes_at_once_has_no_draft() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("Yes."), turn.ends())
            assert await drawn.live.finish(turn.id) == ""
            await asyncio.sleep(5)
            assert not drawn.page.drawn

    in_scripted_time(story)


def test_a_slow_platform_misses_drafts_and_never_queues_them() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=5.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            for number in range(100):
                drawn.hear(turn.says(f"{number} is a number. "))
                await asyncio.sleep(0.2)
            assert drawn.page.most_at_once == 1
            assert 3 <= len(drawn.page.drawn) <= 5

    in_scripted_time(story)


def test_a_tool_is_a_short_line_while_it_runs() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()), turn.tool("started"))
            await asyncio.sleep(2.5)
            assert drawn.page.texts[-1].endswith("\n\n… web search")
            drawn.hear(turn.tool("finished"))
            await asyncio.sleep(2.5)
            assert drawn.page.texts[-1] == words().strip()

    in_scripted_time(story)


def test_nothing_is_drawn_after_the_answer_is_on_its_way() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=3.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(1)
            assert await drawn.live.finish(turn.id) == "m1"
            assert len(drawn.page.drawn) == 1
            drawn.hear(
                turn.says(words()), Turn(2, turn.id).starts(), Turn(2, turn.id).says(words())
            )
            await asyncio.sleep(60)
            assert len(drawn.page.drawn) == 1

    in_scripted_time(story)


def test_the_answer_does_not_wait_for_a_draw_that_never_ends() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=10_000.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            assert await drawn.live.finish(turn.id) is None
            assert asyncio.get_running_loop().time() - began <= module.DRAW_SECONDS

    in_scripted_time(story)


@pytest.mark.parametrize("ended", [True, False])
def test_a_second_attempt_takes_up_the_draft_of_the_first(ended: bool) -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            first = Turn()
            drawn.hear(first.starts(), first.says(words()))
            await asyncio.sleep(0.1)
            if ended:
                drawn.hear(first.ends())
            second = Turn(2, first.id)
            drawn.hear(second.starts(), second.says("Once more, from the beginning."))
            await asyncio.sleep(2)
            assert [what for _, what, _ in drawn.page.drawn] == ["put", "m1"]

    in_scripted_time(story)


def test_another_process_takes_up_the_draft_that_is_on_record() -> None:
    async def story() -> None:
        page, first = Page(), Turn()
        async with Drawn(page) as drawn:
            drawn.hear(first.starts(), first.says(words()))
            await asyncio.sleep(0.1)
        async with Drawn(page) as drawn:
            second = Turn(2, first.id)
            drawn.hear(second.starts(), second.says(words(20)))
            await asyncio.sleep(0.1)
            assert [what for _, what, _ in page.drawn] == ["put", "m1"]
            assert await drawn.live.finish(first.id) == "m1"

    in_scripted_time(story)


def test_typing_is_shown_again_and_again_until_there_is_a_text() -> None:
    async def story() -> None:
        async with Drawn(Page(), typing=4.0) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            await asyncio.sleep(10)
            assert len(drawn.page.typed) == 3
            drawn.hear(turn.says(words()))
            await asyncio.sleep(20)
            assert len(drawn.page.typed) == 3

    in_scripted_time(story)


def test_where_nobody_can_be_seen_typing_nobody_types(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        mute = Page()
        async with Drawn(mute, typing=4.0) as drawn:
            drawn.live._surface = lambda _: Speechless(mute)
            turn = Turn()
            drawn.hear(turn.starts())
            await asyncio.sleep(10)
            drawn.hear(turn.says(words()))
            await asyncio.sleep(1)
            assert (mute.typed, mute.texts) == ([], [words().strip()])
            assert not caplog.records

    in_scripted_time(story)


class Speechless:
    """A page that shows drafts, and nobody who types."""

    def __init__(self, page: Page) -> None:
        self.put, self.change = page.put, page.change
        self.stays, self.idempotent = page.stays, page.idempotent


def test_where_no_drafts_are_shown_somebody_types_all_the_time() -> None:
    async def story() -> None:
        async with Drawn(Page(), typing=4.0, interval=math.inf) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(10)
            assert (len(drawn.page.typed), drawn.page.drawn) == (3, [])

    in_scripted_time(story)


@pytest.mark.parametrize(("page", "times"), [
    (Ghostly, [0, 20, 40]), (Native, [0, 20, 40]), (Page, [0])
])  # fmt: skip
def test_a_draft_that_vanishes_by_itself_is_drawn_again_while_its_turn_runs(
    page: type[Page], times: list[float]
) -> None:
    async def story() -> None:
        async with Drawn(page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(50)
            began = drawn.page.drawn[0][0]
            assert [at - began for at, _, _ in drawn.page.drawn] == pytest.approx(times)
            assert set(drawn.page.texts) == {words().strip()}
            drawn.hear(turn.ends())
            await asyncio.sleep(50)
            assert len(drawn.page.drawn) == len(times)

    in_scripted_time(story)


def test_a_platform_that_refuses_drafts_ends_nothing() -> None:
    async def story() -> None:
        async with Drawn(Page(trouble=lambda: True)) as drawn:
            turn, other = Turn(), Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(3)
            assert await drawn.live.finish(turn.id) == ""
            drawn.page._trouble = lambda: False
            drawn.hear(other.starts(), other.says(words()))
            await asyncio.sleep(3)
            assert drawn.page.texts == [words().strip()]

    in_scripted_time(story)


def test_a_draw_that_lost_a_task_of_its_own_ends_nothing() -> None:
    async def story() -> None:
        async with Drawn(Page(trouble=_cancelled)) as drawn:
            turn, other = Turn(), Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(3)
            assert await drawn.live.finish(turn.id) is None
            drawn.page._trouble = lambda: False
            drawn.hear(other.starts(), other.says(words()))
            await asyncio.sleep(3)
            assert drawn.page.texts == [words().strip()]

    in_scripted_time(story)


def _cancelled() -> bool:
    raise asyncio.CancelledError


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_newest_text_is_drawn_at_the_platforms_pace(seed: int) -> None:
    dice = random.Random(seed)

    async def story() -> None:
        page = Page(slow=dice.random() * 3, trouble=lambda: dice.random() < 0.2)
        async with Drawn(page, typing=dice.choice([2.0, math.inf])) as drawn:
            for _ in range(20):
                turn, said = Turn(), ""
                drawn.hear(turn.starts())
                for _ in range(dice.randrange(30)):
                    said += (more := f"{dice.randrange(10_000)} is a number. ")
                    drawn.hear(turn.says(more))
                    await asyncio.sleep(dice.random())
                before = len(page.drawn)
                if dice.random() < 0.8:
                    drawn.hear(turn.ends())
                assert await drawn.live.finish(turn.id) == page.notes.get(turn.id, "")
                assert len(page.drawn) <= before + 1
                assert all(text in said for _, _, text in page.drawn[before:])
            assert page.most_at_once <= 1
            times = [at for at, what, _ in page.drawn if what != "put"]
            assert all(after - before >= INTERVAL for before, after in pairwise(times))
        assert not drawn.live._current

    in_scripted_time(story)


def test_of_a_finished_turn_nothing_is_kept_but_that_it_is() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("x" * 1000))
            await asyncio.sleep(5)
            await drawn.live.finish(turn.id)
            drawing = drawn.live._drawings[turn.id]
            assert not drawing.text
            assert not drawing.shown

    in_scripted_time(story)


def test_of_too_many_turns_those_that_are_over_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_TURNS", 3)

    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("This is being written."))
            await asyncio.sleep(5)
            for _ in range(20):
                await drawn.live.finish(uuid4())
            assert len(drawn.live._drawings) == 6
            assert await drawn.live.finish(turn.id)

    in_scripted_time(story)


def test_events_of_turns_that_nobody_draws_are_forgotten() -> None:
    drawing = Live(
        lambda _: Page(), interval=lambda _: 1.0, typing_seconds=4.0, shown=_never, known=_never
    )
    for _ in range(100):
        drawing.show(CHAT, Turn().starts())
    assert not drawing._drawings


async def _never(*_: object) -> Any:
    raise AssertionError
