"""Commands about where a conversation begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opencraw.gateway.commands import Powers, answer, is_too_long
from opencraw.sessions.change import ChooseTimeZone, Reset
from tests.gateway.situations import SITUATION, situation


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("/new", ""),
        ("/new tell me a joke", "tell me a joke"),
        ("/NUKE\n two\nlines ", "two\nlines"),
    ],
)
def test_what_stands_behind_new_is_asked_first(text: str, asks: str) -> None:
    assert answer(text, SITUATION).change == Reset(asks)


def test_new_promises_to_keep_what_matters_only_where_that_is_so() -> None:
    remembering = replace(SITUATION, powers=Powers(remembers=True))
    assert "stays in its memory" in answer("/new", remembering).text
    assert "memory" not in answer("/new", SITUATION).text


@pytest.mark.parametrize(
    ("text", "too_long"),
    [
        ("/new " + "x" * 5_000, False),
        ("/nuke " + "x" * 5_000, False),
        ("/model " + "x" * 5_000, True),
        ("/newer " + "x" * 5_000, True),
        ("x" * 5_000, False),
        ("/model mini", False),
    ],
)
def test_no_command_is_long_but_one_that_asks(text: str, too_long: bool) -> None:
    assert is_too_long(text) is too_long


@pytest.mark.parametrize(
    ("said", "change", "words"),
    [
        ("", None, "the configured one"),
        ("europe/berlin", ChooseTimeZone("Europe/Berlin"), "`Europe/Berlin`"),
        ("default", ChooseTimeZone(None), "follows the configured"),
        ("Middle/Earth", None, "No time zone is called `Middle/Earth`"),
        ("../etc/passwd", None, "No time zone"),
    ],
)
def test_a_conversation_has_a_clock(said: str, change: ChooseTimeZone | None, words: str) -> None:
    answered = answer(f"/timezone {said}", SITUATION)
    assert answered.change == change
    assert words in answered.text


def test_the_clock_that_was_chosen_is_shown() -> None:
    assert "`Asia/Tokyo`" in answer("/timezone", situation(time_zone="Asia/Tokyo")).text
