"""The counting itself: each kind of damage is seen where it is, and only there."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import pytest

from tests.fixtures.ledgers import Damage, ModelCall, count
from tests.fixtures.webchat_client import Frame, Tab


class Nowhere:
    url = token = ""


def said(seq: int, name: str, run: str) -> Frame:
    return {"type": "said", "seq": seq, "client_message_id": name, "run_id": run, "content": ""}


def reply(seq: int, run: str, *names: str, kind: str = "reply", content: str = "") -> Frame:
    text = content + "".join(f"<<{name}>>" for name in names)
    return {
        "type": "message", "seq": seq, "run_id": run, "kind": kind, "content": text,
        "interrupted": False,
    }  # fmt: skip


def tab(*lines: Frame, typed: int = 2) -> Tab:
    """A tab in which `c-0`, `c-1` … were typed and acknowledged, and which shows these lines."""
    made = Tab(Nowhere(), chat="c")
    for number in range(typed):
        made.say("", f"c-{number}")
        made.acks[f"c-{number}"] = {}
    made.lines = {line["seq"]: line for line in lines}
    return made


GOOD = (said(1, "c-0", "r0"), reply(2, "r0", "c-0"), said(3, "c-1", "r1"), reply(4, "r1", "c-1"))


def damage(made: Tab, **found: int) -> None:
    seen = count([made])
    expected = {each.name: 0 for each in fields(Damage)} | {"accepted": len(made.typed)} | found
    assert {each.name: getattr(seen, each.name) for each in fields(Damage)} == expected


def test_a_good_conversation_has_no_damage() -> None:
    damage(tab(*GOOD))
    assert count([tab(*GOOD)]).none


def test_what_was_acknowledged_and_not_answered_is_lost() -> None:
    damage(tab(*GOOD[:2]), lost=1)
    damage(tab(*GOOD[:3]), lost=1)


def test_a_message_that_was_interrupted_by_an_answered_one_is_not_lost() -> None:
    made = tab(said(1, "c-0", "r0"), *GOOD[2:])
    assert count([made]).lost == 1
    assert count([made], newest_counts={"c"}).lost == 0
    assert count([tab(*GOOD[2:])], newest_counts={"c"}).lost == 1


def test_a_notice_is_an_answer_that_is_counted_apart() -> None:
    damage(tab(*GOOD[:3], reply(4, "r1", kind="notice")), unknown=1)


def test_a_second_copy_is_extra() -> None:
    damage(tab(*GOOD, reply(5, "r1", "c-1")), extra=1)
    damage(tab(*GOOD, said(5, "c-1", "r1")), extra=1)


def test_an_answer_before_that_of_an_earlier_message_is_out_of_order() -> None:
    lines = (said(1, "c-0", "r0"), said(2, "c-1", "r1"), reply(3, "r1", "c-1"))
    damage(tab(*lines, reply(4, "r0", "c-0")), out_of_order=1)


def test_an_answer_that_speaks_of_something_else_is_wrong() -> None:
    damage(tab(*GOOD[:3], reply(4, "r1", "c-0")), wrong=1)


def test_what_nobody_said_is_unasked() -> None:
    damage(tab(*GOOD, said(5, "d-9", "r2"), reply(6, "r2")), unasked=1)
    damage(tab(*GOOD, reply(5, "r9")), unasked=1)


def test_faults_of_the_protocol_are_damage() -> None:
    made = tab(*GOOD)
    made.faults.append("line 4 came twice")
    damage(made, faults=1)


def call(chat: str, began: float, ended: float | None) -> ModelCall:
    return ModelCall(chat, (), (), began, ended, "complete")


@pytest.mark.parametrize(
    ("calls", "overlaps"),
    [
        ([call("a", 0, 1), call("a", 1, 2), call("b", 0, 2)], 0),
        ([call("a", 0, 2), call("a", 1, 3)], 1),
        ([call("a", 0, 9), call("a", 1, 2), call("a", 3, 4)], 2),
        ([call("a", 0, None), call("a", 1, 2)], 1),
    ],
)
def test_model_calls_of_one_chat_must_not_overlap(calls: list[ModelCall], overlaps: int) -> None:
    assert count([], calls).overlaps == overlaps


def test_an_effect_that_happened_twice_is_a_repeat_and_a_look_is_not() -> None:
    assert count([], effects=Counter({"append_line x": 2, "look_slowly x": 5})).repeats == 1


def test_an_effect_that_is_reported_must_have_happened() -> None:
    made = tab(*GOOD[:3], reply(4, "r1", "c-1", content="(appended x)"))
    assert count([made]).untrue == 1
    assert count([made], effects=Counter({"append_line x": 1})).untrue == 0
