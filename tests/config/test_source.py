"""The line of every key, whatever the layout."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from opencraw.config.schema import Key
from opencraw.config.source import lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1", {("a",): 1}),
        ("# x\n\na.b = 1", {("a",): 3, ("a", "b"): 3}),
        ("[a]\nb = 1\n[c]\n", {("a",): 1, ("a", "b"): 2, ("c",): 3}),
        ("[a.b]\nc = 1", {("a", "b"): 1, ("a", "b", "c"): 2}),
        ("[a]\nb = {c = 1}", {("a",): 1, ("a", "b"): 2, ("a", "b", "c"): 2}),
        ('["a b"]\n"c.d" = 1', {("a b",): 1, ("a b", "c.d"): 2}),
        ('a = """\n[x]\ny = 1\n"""\nb = 1', {("a",): 1, ("b",): 5}),
        ("a = [\n  1,\n  # ]\n]\nb = 1", {("a",): 1, ("a", 0): 1, ("b",): 5}),
        (
            "[[a]]\nb = 1\n[[a]]\nb = 2",
            {("a", 0): 1, ("a", 0, "b"): 2, ("a", 1): 3, ("a", 1, "b"): 4},
        ),
        (
            "[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 1",
            {
                ("a", 0): 1,
                ("a", 0, "b"): 2,
                ("a", 0, "b", "c"): 3,
                ("a", 1): 4,
                ("a", 1, "b"): 5,
                ("a", 1, "b", "c"): 6,
            },
        ),
        (
            "[[a.b]]\n[[a.b.c]]\n[[a.b.c]]",
            {("a", "b", 0): 1, ("a", "b", 0, "c", 0): 2, ("a", "b", 0, "c", 1): 3},
        ),
        ("a = 1\r\nb = 2\r\n", {("a",): 1, ("b",): 2}),
        ("", {}),
    ],
)
def test_the_line_of_each_key(text: str, expected: dict[Key, int]) -> None:
    assert expected.items() <= lines(text).items()


names = st.sampled_from(["a", "b", '"c d"', "e"])
values = st.sampled_from(
    ["1", '"x"', "[1, 2]", "[\n1,\n]", '"""\n= [x]\n"""', "{f = 1}", "'''\n#'''"]
)
statements = st.one_of(
    st.builds("[{}]\n".format, names),
    st.builds("[[{}.{}]]\n".format, names, names),
    st.builds("{} = {}  # x\n".format, names, values),
    st.just("# [x]\n"),
    st.just("\n"),
)


@given(st.lists(statements, max_size=12))
def test_every_key_of_a_document_has_a_line_where_it_is_written(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    found = lines(text)
    written = text.splitlines()
    for key in document:
        line = next(
            line
            for place, line in sorted(found.items(), key=lambda item: item[1])
            if place[0] == key
        )
        assert key in written[line - 1]
