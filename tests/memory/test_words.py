from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.memory.words import (
    LONGEST_WORD,
    MOST_ASKED,
    MOST_WORDS,
    folded,
    stem,
    words_asked,
    words_of,
)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("My dog is called Rex.", "What are my dogs called?"),
        ("We planned the trip to Zürich", "planning trips to Zurich"),
        ("She studies in Łódź", "where did she study? lodz?"),
        ("Er wohnt in der Großstraße", "GROSSSTRASSE"),
        ("Invoice INV-2026-117 is open", "inv-2026-117"),
        ("Invoice INV-2026-117 is open", "invoice 117"),
        ("Write to anna@example.com", "Anna's address"),
        ("ｉＰｈｏｎｅ１５", "iphone15"),
        ("东京塔很高", "东京在哪里"),
        ("私は猫が好きです", "好きな動物は?"),
        ("私は猫が好きです", "猫"),
        ("나는 고양이를 좋아해요", "고양이"),
        ("ฉันชอบแมว", "แมว"),
        ("मुझे हिन्दी पसंद है", "हिन्दी"),
        ("Ёлка во дворе", "елка"),
        ("The boxes are in the houses", "box in a house"),
    ],
)
def test_a_question_finds_what_was_said_in_another_form(said: str, asked: str) -> None:
    assert set(words_of(said)) & set(words_asked(asked))


@pytest.mark.parametrize(
    ("one", "other"), [("が", "か"), ("й", "и"), ("bed", "b"), ("thing", "th"), ("한", "하")]
)
def test_what_are_different_words_stays_different(one: str, other: str) -> None:
    assert not set(words_of(one)) & set(words_of(other))


def test_words_that_every_text_has_are_not_looked_for() -> None:
    assert words_asked("What was it that I told you about her?") == ["told"]
    assert words_asked("who are you?") == []


def test_of_a_long_question_the_longest_words_are_looked_for() -> None:
    asked = words_asked(" ".join(f"w{number}" for number in range(50)) + " extraordinary")
    assert len(asked) == MOST_ASKED
    assert asked[0] == "extraordinary"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("running", "run"), ("planned", "plan"), ("telling", "tell"), ("moved", "mov"),
        ("move", "mov"), ("moving", "mov"), ("studies", "study"), ("glasses", "glass"),
        ("status", "status"), ("bus", "bus"), ("buses", "bus"), ("need", "need"),
        ("friendly", "friend"), ("日本", "日本"), ("x86", "x86"),
    ],
)  # fmt: skip
def test_english_words_lose_their_endings(word: str, expected: str) -> None:
    assert stem(word) == expected


@given(st.text(max_size=300))
def test_any_text_has_words_that_can_be_kept(text: str) -> None:
    words = words_of(text)
    assert len(words) == len(set(words)) <= MOST_WORDS
    for word in words:
        assert 0 < len(word) <= LONGEST_WORD
        assert not word.isspace()
        assert word.encode()


@given(st.text(max_size=100))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_a_hostile_text_is_cut_to_size() -> None:
    assert len(words_of("a" * 1_000_000)) == 1
    assert len(words_of(" ".join(map(str, range(100_000))))) == MOST_WORDS
