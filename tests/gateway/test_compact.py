"""`/compact`: an order that is carried out later, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opencraw.contract import ChatType, Rights
from opencraw.gateway.commands import LONGEST_FOCUS, Powers, answer
from opencraw.sessions.change import Compact
from tests.gateway.situations import SITUATION

ON = replace(SITUATION, powers=Powers(compacts=True))
GUEST = replace(ON, rights=Rights.GUEST)


@pytest.mark.parametrize(
    ("text", "focus"), [("/compact", ""), ("/compact the garden, the cat", "the garden, the cat")]
)
def test_it_says_that_the_next_answer_comes_after_it(text: str, focus: str) -> None:
    said = answer(text, ON)
    assert said.text.startswith("Before the next answer")
    assert "if it is long enough" in said.text
    assert "only your next one" in said.text
    assert ("in focus" in said.text) == bool(focus)
    assert said.change == Compact(focus)


def test_a_focus_is_no_text_of_its_own() -> None:
    said = answer(f"/compact {'x' * 900}", ON)
    assert said.change == Compact("x" * LONGEST_FOCUS)


@pytest.mark.parametrize("text", ["/compact", "/compact the cat"])
def test_where_nothing_is_summed_up_it_says_how_to_have_it(text: str) -> None:
    said = answer(text, SITUATION)
    assert said.change is None
    assert "`compaction_enabled = true`" in said.text


@pytest.mark.parametrize("text", ["/compact", "/compact the cat"])
def test_where_others_listen_only_owners_order_it(text: str) -> None:
    assert answer(text, GUEST).change is not None, "it is their own conversation"
    refused = answer(text, replace(GUEST, chat_type=ChatType.GROUP))
    assert refused.change is None
    assert refused.text.startswith("Only the owner may use `/compact`")
