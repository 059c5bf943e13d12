"""How much of what was said is found again, in a scope full of other things."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest
import tomli

from opencraw.memory.items import Note
from opencraw.memory.memory import Memory
from opencraw.memory.ranking import Found, ranked
from opencraw.store.database import Database
from tests.memory.people import ANNA

FACTS = tomli.loads((Path(__file__).parent / "recall.toml").read_text())["fact"]
NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def test_of_what_was_said_nearly_everything_is_among_the_first_five(memory: Memory) -> None:
    words = " ".join(fact["said"] for fact in FACTS).split()
    ordinary = [f"ordinary{number}" for number in range(200)]
    random = Random(5)
    others = [
        " ".join([*random.sample(words, 2), *random.sample(ordinary, 10)]) for _ in range(300)
    ]
    notes = [Note(fact["said"]) for fact in FACTS] + [Note(text, 0.9) for text in others]
    await asyncio.gather(*(memory.save(ANNA, note) for note in notes))
    missed = []
    for fact in FACTS:
        for question in fact["asked"]:
            hits = await memory.search(ANNA, question)
            if fact["said"] not in [hit.item.text for hit in hits]:
                missed.append(question)
    questions = sum(len(fact["asked"]) for fact in FACTS)
    assert len(missed) / questions <= 0.1, missed


async def test_a_word_that_few_share_counts_more_than_one_that_many_do(memory: Memory) -> None:
    for number in range(30):
        await memory.save(ANNA, Note(f"Meeting number {number} was in the office.", 1.0))
    await memory.save(ANNA, Note("The platypus is in the garden.", 0.0))
    [first, *_] = await memory.search(ANNA, "the meeting with the platypus")
    assert "platypus" in first.item.text


async def test_words_that_hundreds_share_find_what_has_them_together(
    memory: Memory, database: Database
) -> None:
    """More than are looked at one by one."""
    target = await memory.save(ANNA, Note("alpha beta"))
    await database.fetch(
        "INSERT INTO memory (id, tenant, agent, scope, kind, text, importance, words)"
        " SELECT gen_random_uuid(), 'default', 'main', $1, 'fact', number::text, 1,"
        "        array_to_tsvector(ARRAY[CASE number % 2 WHEN 0 THEN 'alpha' ELSE 'beta' END])"
        "   FROM generate_series(1, 800) AS number",
        ANNA.own,
    )
    hits = await memory.search(ANNA, "alpha beta")
    assert [hit.item.id for hit in hits] == [target.id]
    assert len(await memory.search(ANNA, "alpha", limit=50)) == 50


# Ranking, without a database.


def found(
    score: float, *, importance: float = 0.5, days: float = 0, id_: UUID | None = None
) -> Found:
    return Found(id_ or uuid4(), score, importance, NOW - timedelta(days=days))


def order(by_words: list[Found], by_meaning: list[Found]) -> list[UUID]:
    return [each for each, _ in ranked(by_words, by_meaning, NOW)]


def test_of_two_that_fit_alike_the_important_and_the_newer_one_comes_first() -> None:
    old, new = found(2.0, days=90), found(2.0)
    assert order([old, new], []) == [new.id, old.id]
    minor, major = found(2.0, importance=0.1), found(2.0, importance=0.9)
    assert order([minor, major], []) == [major.id, minor.id]


def test_a_clear_match_comes_first_however_old_and_unimportant() -> None:
    clear = found(3.0, importance=0.0, days=3_000)
    vague = found(2.0, importance=1.0)
    assert order([vague, clear], []) == [clear.id, vague.id]


def test_what_both_ways_bring_up_comes_before_what_one_does() -> None:
    both = uuid4()
    words = [found(9.0), found(5.0, id_=both)]
    meaning = [found(0.9), found(0.5, id_=both, importance=0.0, days=300)]
    assert order(words, meaning)[0] == both


@pytest.mark.parametrize("days", [-1, 0, 10_000])
def test_dates_of_any_kind_rank(days: int) -> None:
    only = found(1.0, days=days)
    assert order([only], []) == [only.id]
