from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from opencraw.contract import Address
from opencraw.errors import Refused
from opencraw.sessions.envelope import CURRENT, MIGRATIONS, SessionDocument, read
from opencraw.sessions.keys import id_of_key

FROZEN = Path(__file__).parent / "envelopes"


def example(version: int) -> dict[str, Any]:
    """A document as that version wrote it. These files never change."""
    document: dict[str, Any] = json.loads((FROZEN / f"version-{version}.json").read_text())
    return document


@pytest.mark.parametrize("version", range(1, CURRENT + 1))
def test_every_version_can_be_read(version: int) -> None:
    document = read(example(version))
    assert document.schema_version == CURRENT
    assert [(line.kind, line.text) for line in document.history if line.kind != "notice"] == [
        ("user", "What is the capital of France?"),
        ("assistant", "Paris."),
        ("user", "And of Italy? 😀"),
        ("assistant", "Rome."),
    ]
    assert document.model_override == "openai/gpt-5"
    assert document.model_pinning == "strict"
    assert document.usage_totals.prompt_tokens == 120
    assert document.address == Address("webchat", "local", "main")


def test_there_is_a_step_from_each_version_to_the_next() -> None:
    assert set(MIGRATIONS) == set(range(1, CURRENT))


def test_the_current_version_is_read_as_it_was_written() -> None:
    document = example(CURRENT)
    assert json.loads(msgspec.json.encode(read(document))) == document


def test_of_version_1_each_question_becomes_a_turn_with_its_answer() -> None:
    document = read(example(1))
    turns = [line.turn_id for line in document.history]
    assert turns[0] == turns[1] != turns[2] == turns[3]
    assert [line.delivered is not None for line in document.history] == [False, True, False, True]
    assert document.last_seq == 4


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(Refused, match=r"versions up to 2.*Nothing was imported\. Upgrade"):
        read(example(CURRENT) | {"schema_version": CURRENT + 1})


def changed(**fields: object) -> dict[str, Any]:
    return example(CURRENT) | fields


def named(key: str, **fields: object) -> dict[str, Any]:
    return changed(key=key, id=str(id_of_key(key)), **fields)


_LINE, _SHOWN = example(CURRENT)["history"][:2]
DELIVERED = _SHOWN["delivered"]
CHECKPOINT = _LINE | {"kind": "checkpoint", "disposition": None}
#: One without a zone, and two that are outside of the calendar where it is midnight in Greenwich.
NO_MOMENTS = ("2026-01-05T08:00:00", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+14:00")


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {},
        changed(schema_version="2"),
        changed(schema_version=True),
        changed(schema_version=0),
        changed(id="not an id"),
        changed(id=str(UUID(int=7))),
        changed(unknown=1),
        changed(model_override=None),
        changed(last_seq=-1),
        changed(last_active="2020-01-01T00:00:00Z"),
        changed(marks={"reset_seq": 99}),
        changed(history=[_LINE, _LINE]),
        changed(history=[_LINE | {"seq": 0}]),
        changed(history=[_LINE | {"seq": 1_000}]),
        changed(history=[_LINE | {"turn_id": None}]),
        changed(history=[_LINE | {"disposition": None}]),
        changed(history=[_LINE | {"kind": "checkpoint"}]),
        changed(history=[_LINE | {"kind": "tool_result", "disposition": None}]),
        changed(history=[_LINE | {"rights": "king"}]),
        changed(queue={"cap": 0}),
        changed(address=example(CURRENT)["address"] | {"chat": "other"}),
        named("default/main/webchat/local//", address=example(CURRENT)["address"] | {"chat": ""}),
        changed(channel_id="telegram"),
        changed(tenant="other"),
        changed(agent="other"),
        named("other/main/webchat/local/main/"),
        named("default/main/owners", chat_type="group"),
        named("default/main/person/ann/and more"),
        named("default/main/direct/telegram/main"),
        named("default/main/direct/webchat/somebody else"),
        changed(messages=-1),
        changed(messages=2**62),
        changed(forked_seq=-1),
        changed(usage_totals={"completion_tokens": -1}),
        changed(usage_totals={"prompt_tokens": 2**62}),
        changed(model_override="gpt-5"),
        changed(time_zone="../../../etc/passwd"),
        changed(history=[_LINE | {"origin": "nonsense"}]),
        changed(history=[CHECKPOINT | {"covers": 7}]),
        changed(history=[CHECKPOINT | {"covers": -1}]),
        *(changed(created_at=moment) for moment in NO_MOMENTS),
        *(changed(last_active=moment) for moment in NO_MOMENTS),
        *(changed(begun_at=moment) for moment in NO_MOMENTS),
        *(changed(history=[_LINE | {"at": moment}]) for moment in NO_MOMENTS),
        *(
            changed(history=[_SHOWN | {"delivered": DELIVERED | {"at": moment}}])
            for moment in NO_MOMENTS
        ),
        {"schema_version": 1},
        example(1) | {"history": [{"role": "user"}]},
        example(1) | {"history": 7},
        example(1) | {"last_active": "yesterday"},
    ],
)
def test_what_was_never_exported_is_refused_in_words(wrong: object) -> None:
    with pytest.raises(Refused) as refused:
        read(wrong)
    assert str(refused.value)


@pytest.mark.parametrize(
    "key", ["default/main/owners", "default/main/person/ann", "default/main/direct/webchat/main"]
)
def test_a_conversation_that_goes_on_at_several_addresses_has_a_name_of_its_own(key: str) -> None:
    assert read(named(key)).key == key


def test_what_people_were_shown_of_a_line_is_its_text_where_nothing_else_is_said() -> None:
    shown = {name: value for name, value in DELIVERED.items() if name != "text"}
    [line] = read(changed(history=[_SHOWN | {"delivered": shown}])).history
    assert line.delivered is not None
    assert line.delivered.text is None


def test_texts_that_the_database_cannot_keep_are_cleaned() -> None:
    history = [_LINE | {"text": "a\0b\ud800"}]
    [line] = read(changed(history=history)).history
    assert "\0" not in line.text
    line.text.encode()


def test_the_shape_of_the_document_is_this_and_no_other() -> None:
    """Programs outside rely on these names; a change is a new version."""
    assert SessionDocument.__struct_fields__ == (
        "schema_version", "id", "key", "tenant", "agent", "address", "channel_id", "sender_id",
        "chat_type", "created_at", "last_active", "begun_at", "archived_at", "messages",
        "last_seq", "marks", "show_thinking", "show_tool_calls", "usage_totals",
        "last_user_message_id", "last_assistant_message_id", "model_override", "model_pinning",
        "queue", "sends", "time_zone", "forked_from", "forked_seq", "history",
    )  # fmt: skip
