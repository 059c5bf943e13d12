"""Whose memory each line of a conversation belongs in."""

from __future__ import annotations

from uuid import UUID

from opencraw.context.parts import by_memory, parts, passages_of_parts
from opencraw.contract import ChatType, Origin
from opencraw.sessions.asker import Asker
from opencraw.sessions.identity import Links
from opencraw.sessions.keeping import LeftLine
from opencraw.sessions.transcript import Entry
from tests.fixtures.core import address

NOBODY = Links({})


def line(seq: int, who: str, text: str = "hello", *, origin: str = Origin.CHANNEL) -> LeftLine:
    turn, session = UUID(int=seq), UUID(int=1)
    asker = Asker("default", session, turn, address(), who, "owner", origin, ChatType.DIRECT)
    return LeftLine(Entry(seq, "user", text, turn, speaker=who), asker)


def test_a_line_belongs_to_whom_its_own_turn_worked_for() -> None:
    lines = [
        line(1, "anna"), line(2, "anna"), line(3, "bert"), line(4, "", origin=Origin.CRON),
        line(5, "anna", origin=Origin.WEBHOOK), line(6, "anna"),
    ]  # fmt: skip
    found = parts(lines, NOBODY)
    assert [(each.scopes and each.scopes.own, each.through) for each in found] == [
        ("os.assistant.test.anna", 2),
        ("os.assistant.test.bert", 3),
        (None, 5),
        ("os.assistant.test.anna", 6),
    ]
    assert [len(share) for share in by_memory(found).values()] == [2, 1]


def test_the_parts_of_one_memory_share_the_room_and_the_newest_comes_first() -> None:
    lines = [line(seq, ("anna", "bert")[seq % 2], f"{seq} " + "x" * 500) for seq in range(1, 9)]
    found = parts(lines, NOBODY)
    kept = passages_of_parts(found, 1_200)
    assert [seq for seq, each in kept.items() if each.texts] == [5, 7, 6, 8]
    assert all(each.message_count == 1 for each in kept.values())
    assert sum(len(text) for seq in (6, 8) for text in kept[seq].texts) <= 1_200
