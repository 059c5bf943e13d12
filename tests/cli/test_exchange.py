"""What a terminal prints for the frames of one answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.cli.exchange import Draft, Exchange, Outcome, clean

OURS, RUN = "id-1", "run-1"

SAID = {"type": "said", "client_message_id": OURS, "run_id": RUN, "seq": 1, "content": "hi"}
ENDED = {"type": "typing", "active": False, "run_id": RUN}


def delta(content: str, offset: int, run: str = RUN) -> dict[str, Any]:
    return {"type": "delta", "run_id": run, "offset": offset, "content": content, "attempt": 1}


def reply(content: str, **fields: Any) -> dict[str, Any]:
    line = {"type": "message", "kind": "reply", "run_id": RUN, "content": content, "seq": 2}
    return line | {"interrupted": False} | fields


def notice(content: str, run: str | None = None) -> dict[str, Any]:
    return reply(content, kind="notice", run_id=run)


def error(*, retryable: bool) -> dict[str, Any]:
    return {
        "type": "error",
        "code": "QUEUE_FULL",
        "message": "too many",
        "retryable": retryable,
        "client_message_id": OURS,
    }


@pytest.mark.parametrize(
    ("text", "frames", "printed", "outcome"),
    [
        ("hi", [SAID, reply("hello")], "hello\n", Outcome.ANSWERED),
        (
            "hi",
            [delta("no", 0, "run-0"), delta("he", 0), SAID, delta("llo", 2), reply("hello")],
            "hello\n",
            Outcome.ANSWERED,
        ),
        (
            "hi",
            [SAID, delta("he", 0), delta("llo", 2), ENDED, reply("hello")],
            "hello\n",
            Outcome.ANSWERED,
        ),
        ("hi", [SAID, delta("hel", 0), reply("hello\n")], "hello\n", Outcome.ANSWERED),
        # After a crash the draft is told again from its beginning.
        ("hi", [SAID, delta("hel", 0), delta("he", 0), delta("llo", 2)], "hello", None),
        # ... or it is another one.
        ("hi", [SAID, delta("good", 0), delta("bad", 0)], "good\n\nbad", None),
        ("hi", [SAID, delta("good", 0), reply("bad")], "good\n\nbad\n", Outcome.ANSWERED),
        # What other windows say is theirs.
        ("hi", [SAID, delta("x", 0, "run-2"), reply("x", run_id="run-2")], "", None),
        ("hi", [reply("x", run_id=None), notice("x")], "", None),
        ("/new", [notice("anew")], "anew\n", Outcome.ANSWERED),
        # What stands behind it is answered, too.
        (
            "/new hi",
            [notice("anew"), SAID, reply("hello")],
            "anew\n\nhello\n",
            Outcome.ANSWERED,
        ),
        ("/NUKE hi", [notice("anew"), SAID, reply("hello")], "anew\n\nhello\n", Outcome.ANSWERED),
        ("/newer hi", [notice("what?")], "what?\n", Outcome.ANSWERED),
        ("hi", [SAID, reply("par", interrupted=True)], "par\n[stopped]\n", Outcome.STOPPED),
        ("hi", [SAID, notice("no model", RUN)], "\nno model\n", Outcome.FAILED),
        ("hi", [{**SAID, "run_id": None}], None, Outcome.SUPERSEDED),
        ("hi", [error(retryable=False)], "too many\n", Outcome.FAILED),
        ("hi", [error(retryable=True)], "", None),
        ("hi", [SAID, ENDED], "", None),
        # Stopped before its first word: there is no answer to wait for.
        ("hi", [SAID, ENDED, {"type": "history", "messages": []}], "[stopped]\n", Outcome.STOPPED),
        ("/status", [notice("fine")], "fine\n", Outcome.ANSWERED),
        ("hi", [{"type": "something new"}, {}], "", None),
    ],
)
def test_frames_become_words(
    text: str, frames: list[dict[str, Any]], printed: str | None, outcome: Outcome | None
) -> None:
    exchange = Exchange(OURS, text)
    pieces = [piece for frame in frames for piece in exchange.hear(frame)]
    if printed is not None:
        assert "".join(piece.text for piece in pieces) == printed
    assert exchange.outcome is outcome


def test_tools_are_told_beside_the_answer() -> None:
    exchange = Exchange(OURS, "hi")
    exchange.hear(SAID)
    tool = {"type": "tool", "run_id": RUN, "call_id": "1", "name": "calculate"}
    (piece,) = exchange.hear(tool | {"state": "started"})
    assert (piece.text, piece.aside) == ("[calculate]\n", True)
    assert exchange.hear(tool | {"state": "finished"}) == []


def test_a_turn_that_is_quicker_than_word_of_whose_it_is_is_shown_from_its_beginning() -> None:
    exchange = Exchange(OURS, "hi")
    tool = {"type": "tool", "run_id": RUN, "call_id": "1", "name": "calculate", "state": "started"}
    began = {"type": "typing", "active": True, "run_id": RUN}
    early: list[dict[str, Any]] = [began, tool, delta("84", 0), ENDED]
    assert [piece for frame in early for piece in exchange.hear(frame)] == []
    assert [piece.text for piece in exchange.hear(SAID)] == ["[calculate]\n", "84"]
    assert exchange.turn_ended


def test_a_message_that_was_taken_back_while_it_waited_is_stopped() -> None:
    exchange = Exchange(OURS, "hi")
    exchange.stopping = True
    (piece,) = exchange.hear(notice("One message was taken back."))
    assert exchange.outcome is Outcome.STOPPED
    assert piece.aside


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("over\rwritten\x07\x9b2J", "overwritten2J"),
        ("half \ud83d", "half ?"),
    ],
)
def test_a_terminal_obeys_nothing_that_a_model_says(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40), st.data())
def test_however_an_answer_is_cut_it_is_printed_once(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    draft, printed, offset = Draft(), "", 0
    while offset < len(units) // 2:
        length = data.draw(st.integers(1, 5))
        part = units[offset * 2 : (offset + length) * 2].decode("utf-16-le", "surrogatepass")
        printed += draft.delta(offset, part)
        offset += length
    printed += draft.final(text)
    assert printed.removesuffix("\n") == text
