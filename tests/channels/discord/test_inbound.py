from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from channels.discord import wire
from channels.discord.inbound import (
    Place,
    Us,
    command_of,
    envelope_of,
    pick_of,
    place_of,
    reaction_of,
)
from opencraw.contract import Address, ChatType, Envelope, Rights, Trigger
from tests.fakes import discord_objects as objects
from tests.fakes.discord import BOT_ID, ROLE_ID

ME = Us(BOT_ID, frozenset({ROLE_ID}), frozenset({"status"}))
BOT = objects.user(BOT_ID, "crab", bot=True)
ANN = objects.user("42", "ann")
DIRECT = Place("@42", chat_type=ChatType.DIRECT)
DEN = Place("7")


def read(place: Place, text: str, **more: Any) -> Envelope | None:
    """What becomes of a message of Ann's, or of somebody else's."""
    made = objects.message("7", more.pop("author", ANN), text, **more)
    return envelope_of(msgspec.convert(made, wire.Message), place, ME)


def envelope(place: Place, text: str, **more: Any) -> Envelope:
    found = read(place, text, **more)
    assert found is not None
    return found


def test_a_direct_message_has_the_person_for_its_chat() -> None:
    found = envelope(DIRECT, "Hello.", id="1234")
    assert found.address == Address("discord", BOT_ID, "@42")
    assert (found.sender.id, found.sender.name, found.sender.rights) == ("42", "Ann", Rights.GUEST)
    assert (found.dedupe_key, found.platform_id, found.reply_context) == ("1234", "1234", "")
    assert found.addressed


def test_the_id_of_a_message_tells_when_it_was_written() -> None:
    written = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    found = envelope(DIRECT, "Hello.", id=str(wire.snowflake_at(written) + 99))
    assert found.written_at == pytest.approx(written.timestamp(), abs=0.002)


def test_a_thread_belongs_to_the_channel_in_which_it_was_begun() -> None:
    thread = wire.Channel("9", 11, parent_id="7")
    assert place_of(thread) == Place("7", "9")
    assert place_of(wire.Channel("7", 0)) == DEN
    assert place_of(wire.Channel("5", 1, recipients=(wire.User("42"),))) == DIRECT
    assert place_of(wire.Channel("7", 5)).chat_type is ChatType.CHANNEL


@pytest.mark.parametrize("channel", [wire.Channel("9", 11), wire.Channel("5", 1)])
def test_a_channel_that_does_not_say_where_it_is_is_nowhere(channel: wire.Channel) -> None:
    with pytest.raises(ValueError, match="without"):
        place_of(channel)


def test_in_a_server_the_answer_names_the_message() -> None:
    assert envelope(DEN, "Hello.", id="1234").reply_context == "1234"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (f"<@{BOT_ID}> hello", {"mentions": [BOT]}),
        (f"hello <@!{BOT_ID}>", {"mentions": [BOT]}),
        (f"<@&{ROLE_ID}> hello", {"mention_roles": [ROLE_ID]}),
        ("/status", {}),
        ("yes", {"referenced_message": objects.message("7", BOT, "Shall I?")}),
    ],
)
def test_a_mention_a_reply_and_a_command_are_meant_for_us(text: str, more: dict[str, Any]) -> None:
    assert envelope(DEN, text, **more).addressed


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("hello", {}),
        ("@crab hello", {}),
        ("@everyone", {"mention_everyone": True}),
        ("<@&77> hello", {"mention_roles": ["77"]}),
        ("<@42> hello", {"mentions": [ANN]}),
        ("/", {}),
        ("/another", {}),
        ("yes", {"referenced_message": objects.message("7", ANN, "Shall I?")}),
    ],
)
def test_everything_else_in_a_server_is_not(text: str, more: dict[str, Any]) -> None:
    assert not envelope(DEN, text, **more).addressed


def test_a_text_is_read_without_the_call_and_with_names() -> None:
    text = f"<@{BOT_ID}>, ask <@42> and <@77> <a:wave:123>"
    assert envelope(DEN, text, mentions=[BOT, ANN]).text == "ask @Ann and @77 :wave:"
    assert envelope(DEN, f"<@{BOT_ID}> /status", mentions=[BOT]).text == "/status"


def test_another_program_is_a_machine() -> None:
    assert envelope(DEN, "Build broke.", author=objects.user("5", "ci", bot=True)).sender.machine
    assert envelope(DEN, "Build broke.", webhook_id="5").sender.machine
    assert not envelope(DEN, "Hello.").sender.machine


def test_our_own_messages_and_those_of_the_system_are_nothing() -> None:
    assert read(DEN, "Hello.", author=BOT) is None
    assert read(DEN, "", type=7) is None


def test_what_stands_beside_the_words_is_read_as_text() -> None:
    snapshot = {"message": {"content": "The first.\nThe second.", "attachments": []}}
    made = wire.Message(
        id="1",
        channel_id="7",
        author=wire.User("42", "ann"),
        content="Look:",
        sticker_items=(wire.Sticker("crab dance"),),
        embeds=(
            wire.Embed("rich", "Title", "Words", fields=(wire.EmbedField("Size", "7"),)),
            wire.Embed("link", "What Discord made of a link"),
        ),
        poll=wire.Poll(wire.PollText("Tea?"), (wire.PollAnswer(wire.PollText("Yes")),)),
        message_snapshots=(msgspec.convert(snapshot, wire.Snapshot),),
    )
    found = envelope_of(made, DIRECT, ME)
    assert found is not None
    assert found.text == (
        "Look:\n\n[sticker: crab dance]\n\n[poll: Tea?]\n* Yes\n\nTitle\nWords\nSize: 7\n\n"
        "(Forwarded:)\n> The first.\n> The second."
    )


def test_what_somebody_replies_to_is_quoted_unless_we_said_it() -> None:
    quoted = objects.message("7", objects.user("5", "bob"), "It is " + "very " * 200 + "late.")
    text = envelope(DEN, "Is it?", referenced_message=quoted).text
    assert text.startswith("Is it?\n\n(In reply to Bob:)\n> It is very")
    assert len(text) < 600
    ours = objects.message("7", BOT, "It is late.")
    assert envelope(DEN, "Is it?", referenced_message=ours).text == "Is it?"


def test_files_are_claimed_by_their_place_and_not_by_a_link_that_expires() -> None:
    file = objects.file("https://cdn.discordapp.com", "99", "crab.png", "image/png", 1234)
    inside = objects.file("https://cdn.discordapp.com", "98", "old.txt", "text/plain", 5)
    made = objects.message("7", ANN, "", id="1234", attachments=[file])
    made["message_snapshots"] = [{"message": {"content": "", "attachments": [inside]}}]
    found = envelope_of(msgspec.convert(made, wire.Message), DIRECT, ME)
    assert found is not None
    assert [(each.name, each.content_type, each.size) for each in found.attachments] == [
        ("crab.png", "image/png", 1234),
        ("old.txt", "text/plain", 5),
    ]
    assert [each.source for each in found.attachments] == ["7/1234/99", "7/1234/98"]


def test_a_long_text_is_cut() -> None:
    made = wire.Message(
        id="1",
        channel_id="7",
        author=wire.User("42"),
        embeds=tuple(wire.Embed("rich", description="x" * 6000) for _ in range(10)),
    )
    found = envelope_of(made, DIRECT, ME)
    assert found is not None
    assert len(found.text) == 20_000


def test_a_reaction_counts_if_it_is_somebody_elses_to_a_message_of_ours() -> None:
    told = wire.Reacted("42", "7", "1234", wire.Emoji("👍"), BOT_ID)
    found = reaction_of(told, DEN, ME, added=True)
    assert found is not None
    assert (found.platform_id, found.emoji, found.sender.id, found.added) == (
        "1234", "👍", "42", True
    )  # fmt: skip
    of_another = msgspec.structs.replace(told, message_author_id="5")
    assert reaction_of(of_another, DEN, ME, added=True) is None
    our_own = msgspec.structs.replace(told, user_id=BOT_ID)
    assert reaction_of(our_own, DEN, ME, added=True) is None


def interaction(content: dict[str, Any], kind: int) -> wire.Interaction:
    return msgspec.convert(
        {
            "id": "55",
            "application_id": "66",
            "type": kind,
            "token": "secret",
            "data": content,
            "member": {"nick": "Annie", "user": {"id": "42", "username": "ann"}},
        },
        wire.Interaction,
    )


def test_a_listed_command_is_read_as_if_it_had_been_typed() -> None:
    content = {"name": "queue", "options": [{"name": "text", "type": 3, "value": "collect now"}]}
    found = command_of(interaction(content, 2), DEN, ME)
    assert (found.text, found.trigger_type) == ("/queue collect now", Trigger.COMMAND)
    assert (found.dedupe_key, found.addressed) == ("interaction:55", True)
    assert (found.sender.id, found.sender.name) == ("42", "Annie")


def test_a_button_of_ours_says_what_was_chosen() -> None:
    choice = UUID(int=7)
    found = pick_of(interaction({"custom_id": f"oc:let:in:{choice}"}, 3), DEN, ME)
    assert found is not None
    assert (found.choice_id, found.option, found.sender.id) == (choice, "let:in", "42")
    assert pick_of(interaction({"custom_id": "another"}, 3), DEN, ME) is None
    with pytest.raises(ValueError, match="UUID"):
        pick_of(interaction({"custom_id": "oc:yes:no-id"}, 3), DEN, ME)


@pytest.mark.parametrize(
    "broken",
    [
        {"id": 7},
        {"id": "7; DROP"},
        {"author": "nobody"},
        {"content": None},
        {"attachments": [{"id": "1", "size": "large"}]},
    ],
)
def test_a_message_of_another_shape_is_not_understood(broken: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(objects.message("7", ANN, "Hello.") | broken, wire.Message)
