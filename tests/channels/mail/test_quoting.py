from __future__ import annotations

import pytest

from channels.mail.quoting import LONGEST_QUOTE, LONGEST_SIGNATURE, own_words, unsigned

OLD = "> How are you?\n> \n> Alice"


@pytest.mark.parametrize(
    "attribution",
    [
        "On Sat, Nov 21, 2026 at 10:00 AM Bot <bot@lab.test> wrote:",
        "On Sat, Nov 21, 2026 at 10:00 AM The Very Long Name Of\nAssistant <bot@lab.test> wrote:",
        "Am 21.11.2026 um 10:00 schrieb Bot:",
        "Am Sa., 21. Nov. 2026 um 10:00 Uhr schrieb Bot <bot@lab.test>:",
        "Le sam. 21 nov. 2026 à 10:00, Bot <bot@lab.test> a écrit :",
        "El 21 nov 2026, a las 10:00, Bot escribió:",
        "2026年11月21日(土) 10:00 Bot <bot@lab.test>:",
    ],
)
def test_the_mail_below_is_taken_away(attribution: str) -> None:
    assert own_words(f"Fine, thanks.\n\n{attribution}\n\n{OLD}\n") == "Fine, thanks."


@pytest.mark.parametrize(
    "head",
    [
        "-----Original Message-----\nFrom: Bot\nSent: Saturday\nTo: Alice\nSubject: Hi",
        "____________________\nFrom: Bot <b@lab.test>\nSent: Saturday\nTo: A\nSubject: Hi",
        "Von: Bot\nGesendet: Samstag\nAn: Alice\nBetreff: Hallo",
        "*From:* Bot\n*Sent:* Saturday\n*To:* Alice\n*Subject:* Hi",
    ],
)
def test_and_so_is_one_that_is_not_marked(head: str) -> None:
    assert own_words(f"Fine, thanks.\n\n{head}\n\nHow are you?\n") == "Fine, thanks."


def test_answers_between_quotes_stay_with_what_they_answer() -> None:
    text = "> Red or blue?\n\nRed.\n\n> Big or small?\n\nBig.\n\n> Yours\n> Bot"
    assert own_words(text) == "> Red or blue?\n\nRed.\n\n> Big or small?\n\nBig."


def test_of_a_long_quote_the_end_stays() -> None:
    quote = "\n".join(f"> line {number}" for number in range(100))
    said = own_words(f"{quote}\nThis is why.")
    assert said.startswith("> […]\n> line 88\n")
    assert said.endswith("> line 99\nThis is why.")
    assert len(said.splitlines()) == LONGEST_QUOTE + 2


@pytest.mark.parametrize("mark", ["-- ", "--"])
def test_a_signature_goes_with_all_below_it(mark: str) -> None:
    assert own_words(f"Yes.\n\n{mark}\nAlice\nExample Ltd\n\n{OLD}") == "Yes."
    assert unsigned(f"Yes.\n\n{mark}\nAlice\nExample Ltd\n\n") == "Yes."


@pytest.mark.parametrize(
    "text",
    [
        "Two lists:\n--\n" + "A whole list.\n" * LONGEST_SIGNATURE + "Its end.",
        "-- \nAlice",
        "a\n---\nb",
    ],
)
def test_what_is_too_much_for_a_signature_is_none(text: str) -> None:
    assert unsigned(text) == text
    assert own_words(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "> all of it\n> is quoted",
        "---\nA line of dashes is none of those.",
        "From: here to there\nit is far.",
        "The times are:\n10:00",
        "I said on 21 November:\nno.",
        "a > b",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert own_words(text) == text
