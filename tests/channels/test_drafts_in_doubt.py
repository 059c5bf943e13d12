"""Drafts of which nobody knows whether they are there: none of them is put beside itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from channels import live as module
from opencraw.contract import Delivery, Line
from tests.channels.drawn import (
    CHAT,
    Drawn,
    Ghostly,
    Native,
    Page,
    Silent,
    SilentWithKeys,
    Turn,
    in_scripted_time,
    words,
)


@pytest.mark.parametrize(
    ("page", "again"),
    [
        (Silent(), False),
        (Page(slow=10_000.0), False),
        (Page(trouble=lambda: True), True),
        (SilentWithKeys(), True),
    ],
)
def test_a_first_draft_that_may_be_there_is_put_again_only_where_that_makes_no_second(
    page: Page, again: bool
) -> None:
    async def story() -> None:
        async with Drawn(page) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(2 * module.DRAW_SECONDS)
            for attempt in (2, 3):
                later = Turn(attempt, turn.id)
                drawn.hear(later.starts(), later.says(words()))
                await asyncio.sleep(2 * module.DRAW_SECONDS)
            assert (len(page.replies) > 1) == again
            assert not await drawn.live.finish(turn.id)

    in_scripted_time(story)


@pytest.mark.parametrize(("page", "before", "after"), [
    (Page(slow=3.0), None, "m1"), (Ghostly(slow=3.0), None, ""), (Native(slow=3.0), "-", "-"),
    (Page(slow=3.0, trouble=lambda: True), None, ""), (Page(slow=10_000.0), None, None),
])  # fmt: skip
def test_before_a_draft_is_put_it_is_on_record_that_one_may_be_there(
    page: Page, before: str | None, after: str | None
) -> None:
    async def story() -> None:
        async with Drawn(page) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(1)
            assert page.replies == ["the question"]
            assert page.notes.get(turn.id, "-") == before
            await drawn.live.finish(turn.id)
            assert page.notes.get(turn.id, "-") == after

    in_scripted_time(story)


@pytest.mark.parametrize(("page", "again"), [(Page, False), (SilentWithKeys, True)])
def test_whoever_finds_that_a_draft_may_be_there_puts_it_only_where_that_makes_no_second(
    page: type[Page], again: bool
) -> None:
    async def story() -> None:
        async with Drawn(page()) as drawn:
            turn = Turn()
            drawn.page.notes[turn.id] = None
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(5)
            assert bool(drawn.page.texts) == again
            assert await drawn.live.finish(turn.id) is None
            assert drawn.page.notes[turn.id] is None

    in_scripted_time(story)


@pytest.mark.parametrize(("page", "noted", "becomes"), [
    (Page(), None, ("m1", False)), (Silent(), "", (None, True)), (Silent(), "m7", ("m7", False)),
    (Page(trouble=lambda: True), None, ("", False)),
])  # fmt: skip
def test_an_answer_comes_with_what_is_known_of_its_draft_until_a_part_is_there(
    page: Page, noted: str | None, becomes: tuple[str | None, bool]
) -> None:
    async def story() -> None:
        async with Drawn(page) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(1)
            answer = _answer(turn, noted)
            last = await drawn.live.last(answer)
            assert (last.draft, last.recovered) == becomes
            later = msgspec.structs.replace(answer, parts=("m1",), draft="")
            assert await drawn.live.last(later) == later

    in_scripted_time(story)


@pytest.mark.parametrize("noted", [None, "", "m7"])
def test_of_a_turn_that_was_drawn_elsewhere_what_is_on_record_counts(noted: str | None) -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            answer = _answer(turn, noted)
            assert await drawn.live.last(answer) == answer

    in_scripted_time(story)


def _answer(turn: Turn, draft: str | None) -> Delivery:
    """As the outbox hands it over."""
    line = Line(1, "reply", "Yes.", datetime.now(UTC), uuid4())
    return Delivery(uuid4(), CHAT, line, recovered=draft is None, draft=draft, ends=turn.id)
