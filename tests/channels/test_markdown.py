from __future__ import annotations

import re
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.discord.dialect import discord_parts
from channels.drafts import tidy
from channels.markdown import html, markdown_parts, plain
from channels.markdown.cutting import is_boundary, visible
from channels.telegram.dialect import Formatted, telegram_parts
from opencraw.events import utf16_length

CLUSTERS = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # a family
    "\U0001f3f3\ufe0f\u200d\U0001f308",  # a flag of many colours
    "\U0001f44d\U0001f3fd",  # a thumb with a skin tone
    "\U0001f1e9\U0001f1ea",  # flags of countries
    "\U0001f1ef\U0001f1f5",
    "1\ufe0f\u20e3",  # a key
    "e\u0301",
    "a\u0308\u0323",
    "\u0e01\u0e47",  # Thai
    "\u0e01\u0e33",
    "\u0928\u0940",  # Devanagari
    "\u1112\u1161\u11ab",  # Hangul in letters
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e007f",  # a flag in tags
    "\u2764\ufe0f",
    "\uff8a\uff9f",  # katakana of half width
]


def cut_out(part: Formatted, kind: str) -> list[str]:
    """The stretches that entities of one type cover, as the platform counts."""
    units = part.text.encode("utf-16-le")
    return [
        units[2 * each.offset : 2 * (each.offset + each.length)].decode("utf-16-le")
        for each in part.entities
        if each.type == kind
    ]


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def telegram(markdown: str) -> Formatted:
    [part] = telegram_parts(markdown)
    return part


def discord(markdown: str) -> str:
    [part] = discord_parts(markdown)
    return part


# Dialects.


@pytest.mark.parametrize(
    ("markdown", "kind", "words"),
    [
        ("a **b** c", "bold", "b"),
        ("# A heading", "bold", "A heading"),
        ("a *b* c", "italic", "b"),
        ("a <u>b</u> c", "underline", "b"),
        ("a ~~b~~ c", "strikethrough", "b"),
        ("a ||b|| c", "spoiler", "b"),
        ("a `b` c", "code", "b"),
        ("```py\nb\n```", "pre", "b"),
        ("a [b](https://c.example) d", "text_link", "b"),
        ("> b\n\nc", "blockquote", "b"),
        ("👍🏽 **b** 👍🏽", "bold", "b"),
    ],
)
def test_telegram_is_told_what_is_what_beside_the_text(
    markdown: str, kind: str, words: str
) -> None:
    assert cut_out(telegram(markdown), kind) == [words]


def test_telegram_is_told_where_links_lead_and_which_language_code_is_in() -> None:
    part = telegram("[b](https://c.example)\n\n```python\nd\n```")
    assert [(each.url, each.language) for each in part.entities] == [
        ("https://c.example", ""),
        ("", "python"),
    ]


def test_telegram_code_has_no_other_mark() -> None:
    part = telegram("**bold `code` bold**")
    assert cut_out(part, "bold") == ["bold", "bold"]
    assert cut_out(part, "code") == ["code"]


def test_a_heading_with_code_and_marks_keeps_them_in_their_places() -> None:
    heading = "# a *b* `c` *d* [e](https://f.example)"
    assert discord(heading) == "# a *b* `c` *d* [e](<https://f.example>)"
    assert cut_out(telegram(heading), "bold") == ["a b", "d e"]


def test_telegram_takes_a_hundred_entities_and_links_go_first() -> None:
    links = " ".join(f"**b** [l{n}](https://c.example/{n})" for n in range(80))
    part = telegram(links)
    assert len(part.entities) == 100
    assert len(cut_out(part, "text_link")) == 80


def test_a_text_with_too_many_links_for_one_message_is_cut() -> None:
    links = " ".join(f"[l{n}](https://c.example/{n})" for n in range(150))
    parts = telegram_parts(links)
    assert sum(len(part.entities) for part in parts) == 150
    assert all(len(part.entities) <= 100 for part in parts)


def test_formatting_stays_in_its_place_behind_other_words() -> None:
    part = telegram("a **b**").behind("👍 ")
    assert (part.text, cut_out(part, "bold")) == ("👍 a b", ["b"])


@pytest.mark.parametrize(
    ("markdown", "written"),
    [
        ("a **b** *c* ~~d~~ ||e|| <u>f</u>", "a **b** *c* ~~d~~ ||e|| __f__"),
        ("snake_case 2\\*3 a | b", "snake\\_case 2\\*3 a \\| b"),
        ("## b", "## b"),
        ("\\# b", "\\# b"),
        ("> b\n> c", "> b\n> c"),
        ("1 \\> 2\n\\> 3", "1 > 2\n\\> 3"),
        ("[b](https://c.example)", "[b](<https://c.example>)"),
        ("https://c.example/a_b", "<https://c.example/a_b>"),
        ("![b](https://c.example/d.png)", "[b](<https://c.example/d.png>)"),
        ("[b](javascript:c)", "\\[b](javascript:c)".replace("\\[b]", "[b\\]")),
        ("- b\n  - c", "- b\n  - c"),
        ("`` b`c ``", "`` b`c ``"),
    ],
)
def test_discord_markdown_means_what_was_meant(markdown: str, written: str) -> None:
    assert discord(markdown) == written


@pytest.mark.parametrize("ping", ["@everyone", "@here", "<@123>", "<@&123>", "<#123>", "</x:1>"])
def test_nobody_is_called_by_a_message_to_discord(ping: str) -> None:
    assert ping not in discord(f"Look, {ping}!")


def test_tables_are_drawn_in_characters_of_one_width() -> None:
    table = "| a | long |\n|--:|:--|\n| 12 | b<br>c |"
    drawn = " a | long\n---+-----\n12 | b c"
    assert cut_out(telegram(table), "pre") == [drawn]
    assert discord(table) == f"```\n{drawn}\n```"


def test_plain_text_has_addresses_behind_names() -> None:
    assert plain("# A\n\n**b** [c](https://d.example) `e`\n\n> f") == (
        "A\n\nb c (https://d.example) e\n\n> f"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "![a](https://tracker.example/p.gif)",
        '<img src="https://tracker.example/p.gif">',
        '[a](https://b.example "onmouseover=alert(1)")',
    ],
)
def test_mail_has_nothing_to_run_and_nothing_to_load(hostile: str) -> None:
    written = html(f"before {hostile} after")
    assert "before" in written
    assert "after" in written
    assert not re.search(r"<(script|img)|<[^>]*(src|javascript|onmouseover)", written)


def test_mail_is_formatted_by_styles_of_its_own() -> None:
    written = html("**b** [c](https://d.example)\n\n| e |\n|--|\n| f |\n\n```\ng\n```")
    assert "<b>b</b>" in written
    assert 'href="https://d.example"' in written
    assert "border-collapse" in written
    assert "class=" not in written


# Cutting.


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_people_take_for_one_character_is_not_cut(cluster: str) -> None:
    text = cluster * 3
    boundaries = [place for place in range(len(text) + 1) if is_boundary(text, place)]
    assert boundaries == [len(cluster) * n for n in range(4)]


@given(
    st.lists(st.sampled_from([*CLUSTERS, "a", " ", ".", "\n"]), max_size=200), st.integers(0, 40)
)
@settings(max_examples=200, deadline=None)
def test_no_message_begins_or_ends_within_a_character(clusters: list[str], more: int) -> None:
    text = "".join(clusters)
    allowed = set(clusters) | {"", " ", "\n"}
    for part in telegram_parts(text.replace("\n", "\n\n"), 30 + more):
        assert utf16_length(part.text) <= 30 + more
        assert visible(part.text)
        assert _made_of(squeezed(part.text), allowed)


def _made_of(text: str, clusters: set[str]) -> bool:
    longest_first = sorted(filter(None, clusters), key=len, reverse=True)
    while text:
        found = next((each for each in longest_first if text.startswith(each)), None)
        if found is None:
            return False
        text = text[len(found) :]
    return True


SIGNS = "- > # 1. | || \\ 😀 @here"
WORDS = st.sampled_from(
    [
        *f"**bold** *it* `code` plain [l](https://c.example) word. {SIGNS}".split(" "),
        # Behind the language of a block of code nothing is text.
        *("\n", "\n\n", "    ", "\n```\n", "\n```py\n"),
    ]
)


@given(st.lists(WORDS, max_size=120).map(" ".join), st.integers(80, 300))
@settings(max_examples=300, deadline=None)
def test_no_message_is_too_long_or_empty_and_everything_arrives(text: str, limit: int) -> None:
    whole = "".join(squeezed(part.text) for part in telegram_parts(text, 10**6))
    parts = telegram_parts(text, limit)
    assert "".join(squeezed(part.text) for part in parts) == whole
    assert all(visible(part.text) and utf16_length(part.text) <= limit for part in parts)
    for part in parts:
        assert all(each.offset + each.length <= utf16_length(part.text) for each in part.entities)
    for written in (*discord_parts(text, limit), *markdown_parts(text, limit)):
        assert len(written) <= limit
        assert visible(written)
    words = re.findall(r"[a-z]+", text)
    for name in (discord_parts, markdown_parts):
        arrived = " ".join(name(text, limit))
        assert all(arrived.count(word) >= words.count(word) for word in ("plain", "word"))


@given(st.text(max_size=400), st.integers(60, 120))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_a_dialect(text: str, limit: int) -> None:
    parts = [part.text for part in telegram_parts(text, limit)]
    parts += discord_parts(text, limit) + markdown_parts(text, limit)
    assert all(map(visible, parts))
    assert isinstance(plain(text) + html(text) + tidy(text), str)


def test_code_that_is_cut_is_closed_and_opened_again_in_its_language() -> None:
    lines = [f"    line({n})" for n in range(60)]
    text = "Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\nDone."
    for cut in (discord_parts(text, 200), markdown_parts(text, 200)):
        code = [part for part in cut if "line(" in part]
        assert all(part.count("```") % 2 == 0 for part in code)
        assert all("```python\n    line(" in part for part in code)
        assert "\n".join(cut).count("line(") == 60
    pieces = [cut_out(part, "pre") for part in telegram_parts(text, 200)]
    assert [line for piece in pieces for code in piece for line in code.split("\n")] == lines
    assert {each.language for part in telegram_parts(text, 200) for each in part.entities} == {
        "python"
    }


def test_code_that_is_too_long_to_be_formatted_at_once_stays_code() -> None:
    code = ["def lines():", *(f"    line({n})" for n in range(4_000))]
    text = "```python\n" + "\n".join(code) + "\n```\n\n**Done.**"
    assert [line for line in plain(text).split("\n") if line] == [*code, "**Done.**"]
    formatted = html(text)
    assert formatted.count("<pre") == 2
    assert "```" not in formatted


def test_a_text_is_cut_between_paragraphs_if_that_can_be() -> None:
    paragraphs = [f"Paragraph {n}. " + "word " * 12 + "end." for n in range(6)]
    parts = [part.text for part in telegram_parts("\n\n".join(paragraphs), 200)]
    assert all(part.startswith("Paragraph") and part.endswith("end.") for part in parts)


def test_a_text_without_anything_to_see_makes_no_message() -> None:
    for nothing in ("", " \n ", "\u200b"):
        assert not telegram_parts(nothing)
        assert not discord_parts(nothing) + markdown_parts(nothing, 99)


def test_signs_that_mean_nothing_are_shown_as_they_are() -> None:
    assert telegram("[](https://b.example)").text == "https://b.example"
    assert telegram("# ").text == "#"


def test_what_is_nested_too_deep_is_shown_as_it_was_written() -> None:
    assert "words" in telegram(">" * 60 + " words").text


# Drafts that stop anywhere.


@pytest.mark.parametrize(
    ("half", "shown"),
    [
        ("a **b", "a **b**"),
        ("a **", "a"),
        ("a **b**", "a **b**"),
        ("a `b", "a `b`"),
        ("a [b](https://c", "a b"),
        ("a [b]", "a b"),
        ("a [b", "a b"),
        ("a [b](https://c.example)", "a [b](https://c.example)"),
        ("```py\nb", "```py\nb"),
        ("a\n``", "a"),
        ("a ~~b", "a ~~b~~"),
        ("**a\n\nb", "**a\n\nb"),
    ],
)
def test_half_a_mark_is_shown_as_if_it_were_whole(half: str, shown: str) -> None:
    assert tidy(half) == shown


# Texts that were made to take long.

HOSTILE = [
    ">" * 300_000,
    "[" * 300_000,
    "![" * 150_000,
    "[a](" * 75_000,
    "*a **b _c __d " * 70_000,
    "||a " * 75_000,
    "<u>" * 90_000,
    "`a" * 150_000,
    "- " * 150_000,
    "|a" * 500 + "\n" + "|-" * 500 + "\n" + ("|x" * 500 + "\n") * 270,
    "```\n" * 75_000,
    "🇩" * 300_000,
    "a" + "\u0301" * 300_000,
    "http://" * 42_000,
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: repr(text[:10]))
def test_what_was_made_to_take_long_does_not(hostile: str) -> None:
    began = process_time()
    assert telegram_parts(hostile)
    assert markdown_parts(hostile, 4_000)
    assert plain(hostile) + html(hostile)
    # A machine that does something else beside has taken 3 s; the square of these lengths takes
    # minutes.
    assert process_time() - began < 15
