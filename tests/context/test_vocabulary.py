from __future__ import annotations

import hashlib
import os
import socket
import string
from pathlib import Path

import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st

import opencraw
from opencraw.context import vocabulary
from opencraw.context.vocabulary import PIECE, Damaged, Vocabulary, kind_of

FOLDER = Path(opencraw.__file__).parent / "_data" / "tiktoken"
KINDS = ("o200k_base", "cl100k_base")
PLACES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tiktoken.Encoding]:
    """tiktoken's own, from a copy of our files under the names by which it caches them."""
    folder = tmp_path_factory.mktemp("tiktoken")
    for kind in KINDS:
        name = hashlib.sha1(PLACES.format(kind).encode()).hexdigest()
        (folder / name).write_bytes((FOLDER / f"{kind}.tiktoken").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        return {kind: tiktoken.get_encoding(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def ours() -> dict[str, Vocabulary]:
    return {kind: Vocabulary(kind) for kind in KINDS}


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(
            [
                "<|endoftext|>",
                "<|im_start|>system\n",
                "我们去公园散步吧。",
                "明日の会議は午後三時からです",
                "회의는 오후 세 시",
                "👩‍👩‍👧 ",
                "\ud800",
                "don't DON'T they'll ",
                "   \n\n\t ",
                "1234567 ",
                "def f(x): return {'a': [1, 2]}\n",
                "/home/anna/Straße.txt ",
            ]
        ),
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
@example(text="a" * 2_000)
def test_counts_are_those_of_tiktoken(
    kind: str, text: str, ours: dict[str, Vocabulary], theirs: dict[str, tiktoken.Encoding]
) -> None:
    assert ours[kind].count(text) == len(theirs[kind].encode_ordinary(text))


@pytest.mark.parametrize("kind", KINDS)
@given(words=st.lists(st.text("abcXYZ019.,'äß漢 \n-", min_size=1, max_size=9), max_size=80))
def test_counting_in_pieces_changes_little(
    kind: str,
    words: list[str],
    ours: dict[str, Vocabulary],
    theirs: dict[str, tiktoken.Encoding],
) -> None:
    text = " and ".join(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "PIECE", 60)
        patch.setattr(vocabulary, "_REACH", 59)
        counted = ours[kind]._count(text)
    exact = len(theirs[kind].encode_ordinary(text))
    # A piece without two English words beside each other is cut where it ends.
    assert abs(counted - exact) <= 2 * (len(text) // 60)


@pytest.mark.parametrize("kind", KINDS)
@given(words=st.lists(st.text(string.ascii_letters, min_size=1, max_size=9), max_size=80))
def test_pieces_that_end_between_words_are_counted_exactly(
    kind: str,
    words: list[str],
    ours: dict[str, Vocabulary],
    theirs: dict[str, tiktoken.Encoding],
) -> None:
    text = " ".join(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "PIECE", 40)
        patch.setattr(vocabulary, "_REACH", 39)
        assert ours[kind]._count(text) == len(theirs[kind].encode_ordinary(text))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("character", [" ", "\n", "a", "^", "漢"])
def test_what_ends_tiktoken_is_counted(
    kind: str, character: str, ours: dict[str, Vocabulary]
) -> None:
    text = character * (10 * PIECE + 1)
    assert 0 < ours[kind].count(text) <= 2 * len(text)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_cut_by_the_pattern_of_tiktoken(
    kind: str, theirs: dict[str, tiktoken.Encoding]
) -> None:
    assert vocabulary._KINDS[kind].pattern == theirs[kind]._pat_str


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
        ("o3", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-davinci-003", None),
        ("llama3.3", None),
        ("", None),
    ],
)
def test_a_models_vocabulary_is_what_tiktoken_says(model: str, kind: str | None) -> None:
    assert kind_of(model) == kind


@pytest.mark.parametrize(
    "content", [b"", b"IQ== 0\n", (FOLDER / "cl100k_base.tiktoken").read_bytes()]
)
def test_a_wrong_file_is_refused_and_left_where_it_is(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    file = tmp_path / "o200k_base.tiktoken"
    file.write_bytes(content)
    before = dict(os.environ)

    with pytest.raises(Damaged, match="not the one that OpenAI published"):
        Vocabulary("o200k_base", lambda _kind: file.read_bytes())

    assert file.read_bytes() == content
    assert dict(os.environ) == before


def test_a_missing_file_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "files", lambda _package: Path("/nowhere"))
    with pytest.raises(Damaged, match=r"o200k_base\.tiktoken cannot be read \(No such file"):
        Vocabulary("o200k_base")
