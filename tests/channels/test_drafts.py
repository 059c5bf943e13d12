"""Drafts without a clock and without anybody who draws."""

from __future__ import annotations

import math
from uuid import uuid4

from channels.drafts import Drawing, Put, Type, Wait, next_step
from opencraw.events import DraftGrew
from tests.channels.drawn import Turn


def test_a_draft_is_cut_at_the_place_where_new_text_begins() -> None:
    drawing, turn = Drawing(uuid4()), Turn()
    for offset, text in ((0, "👍 one"), (3, "two"), (3, "two three"), (99, "!")):
        drawing.note(DraftGrew(turn.id, 1, offset, text), 0.0)
    assert drawing.text == "👍 two three!"


def test_a_very_long_draft_takes_bounded_memory() -> None:
    drawing, turn = Drawing(uuid4()), Turn()
    for _ in range(1000):
        drawing.note(turn.says("x" * 1000), 0.0)
    assert len(drawing.text) < 40_000


def test_what_is_next_follows_from_values_alone() -> None:
    drawing, turn = Drawing(uuid4()), Turn()
    drawing.note(turn.starts(), 0.0)
    assert next_step(drawing, 0.0, 1.0, math.inf) == Wait(math.inf)
    assert next_step(drawing, 0.0, 1.0, 4.0) == Type()
    drawing.stepped(Type(), 0.0)
    assert next_step(drawing, 1.0, 1.0, 4.0) == Wait(3.0)
    drawing.note(turn.says("Hi"), 1.0)
    assert next_step(drawing, 1.5, 1.0, 4.0) == Wait(0.5)
    assert next_step(drawing, 2.0, 1.0, 4.0) == Put("Hi")
    drawing.stepped(Put("Hi"), 2.0)
    assert next_step(drawing, 2.0, 1.0, 4.0) == Wait(1.0)
    assert next_step(drawing, 3.0, 1.0, 4.0) == Wait(math.inf)
    assert next_step(drawing, 3.0, 1.0, 4.0, 20.0) == Wait(19.0)
    assert next_step(drawing, 22.0, 1.0, 4.0, 20.0) == Put("Hi")
    drawing.platform_id = "m1"
    assert next_step(drawing, 22.0, 1.0, 4.0, 20.0) == Wait(math.inf)
    drawing.note(turn.ends(), 22.0)
    assert next_step(drawing, 22.0, 1.0, 4.0) is None
