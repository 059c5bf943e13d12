from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from opencraw.memory.excerpts import LONGEST_LINE, MOST_LINES, excerpts
from opencraw.memory.items import Hit, Item

AT = datetime(2026, 5, 4, tzinfo=UTC)


def hit(text: str, score: float = 1.0) -> Hit:
    return Hit(Item(uuid4(), "os.assistant.test.anna", "fact", text, 0.5, AT, AT,
                    None, None, None, None), score)  # fmt: skip


def told(question: str, *texts: str, most_chars: int = 2_000) -> list[str]:
    found = excerpts(question, [hit(text) for text in texts], most_chars)
    return ["\n".join(each.lines) for each in found]


def test_of_a_passage_the_lines_are_told_that_have_the_words_of_the_question() -> None:
    passage = "Anna: The train was late.\nassistant: I see.\nAnna: My dentist is Dr. Okonkwo."
    assert told("Who is my dentist?", passage) == ["Anna: My dentist is Dr. Okonkwo."]


def test_of_many_lines_about_one_thing_those_with_news_come_first() -> None:
    idle = [f"Anna: We talked about my dentist again, the {number}th time." for number in range(30)]
    found = told("Who is my dentist?", *idle, "Anna: My dentist Okonkwo works behind the station.")
    assert "Okonkwo" in found[0]
    assert len(found) == MOST_LINES


def test_lines_of_one_memory_stay_in_their_order() -> None:
    passage = "Anna: The boat is blue.\nAnna: Never mind.\nAnna: The boat is called Petrichor now."
    assert told("boat called", passage) == [
        "Anna: The boat is blue.\nAnna: The boat is called Petrichor now."
    ]


def test_what_was_found_by_its_meaning_alone_is_told_from_its_beginning() -> None:
    found = told("Where does she live?", "Marta moved to Porto.\nThe weather is fine.")
    assert found == ["Marta moved to Porto."]


def test_a_line_that_goes_on_below_is_one_line() -> None:
    assert told("list", "Anna: My list:\n  eggs\n  milk\nassistant: I see.") == [
        "Anna: My list:\n  eggs\n  milk"
    ]


def test_a_line_that_is_known_is_not_told_again() -> None:
    found = excerpts("boat", [hit("The boat is blue.\nThe boat is old.")], 500,
                     known={"The boat is old."})  # fmt: skip
    assert [each.lines for each in found] == [("The boat is blue.",)]


def test_nothing_was_found() -> None:
    assert told("anything") == []


@given(
    st.text(max_size=80),
    st.lists(st.text(min_size=1, max_size=900), max_size=6),
    st.integers(0, 1_500),
)
def test_never_more_than_there_is_room_for(
    question: str, texts: list[str], most_chars: int
) -> None:
    found = excerpts(question, [hit(text) for text in texts], most_chars)
    lines = [line for each in found for line in each.lines]
    assert sum(map(len, lines)) <= most_chars
    assert len(lines) <= MOST_LINES
    assert all(len(line) <= LONGEST_LINE for line in lines)
    assert len({each.item.id for each in found}) == len(found)
    assert all(line in each.item.text for each in found for line in each.lines)
