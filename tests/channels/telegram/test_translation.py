from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from channels.telegram.translation import (
    Edited,
    Greeted,
    Noted,
    Pressed,
    Reacted,
    Said,
    Us,
    button,
    translate,
)
from channels.telegram.updates import read
from opencraw.contract import Address, ChatType, Choice, Envelope, Option, Rights
from tests.fakes import telegram_people as people
from tests.fakes.telegram_chats import BOT_ID, USERNAME, Json, Shown
from tests.fakes.telegram_checks import check_update

US = Us(BOT_ID, USERNAME)
DEN = -100500
MANY_BYTES = 10_000_000


def meaning(*updates: Json, most_bytes: int = MANY_BYTES) -> Any:
    for each in updates:
        check_update(each)
    return translate([read(each) for each in updates], US, most_bytes)


def said(*updates: Json, most_bytes: int = MANY_BYTES) -> Envelope:
    happening = meaning(*updates, most_bytes=most_bytes)
    assert isinstance(happening, Said)
    return happening.envelope


def replying(to: Json, sender: Json) -> dict[str, Any]:
    body = dict(to["message"])
    return {"reply_to_message": {**body, "from": sender}}


def test_a_message_of_a_person_is_said_by_a_guest_in_a_direct_chat() -> None:
    update = people.message("hello", chat=7)
    envelope = said(update)
    number = str(update["message"]["message_id"])
    assert envelope.address == Address("telegram", str(BOT_ID), "7")
    assert (envelope.sender.id, envelope.sender.name) == ("7", "Ann")
    assert envelope.sender.rights is Rights.GUEST
    assert not envelope.sender.machine
    assert envelope.chat_type is ChatType.DIRECT
    assert envelope.addressed
    assert envelope.dedupe_key == f"7:{number}"
    assert envelope.platform_id == envelope.reply_context == number
    assert envelope.written_at == update["message"]["date"]


def test_a_group_hears_nothing_until_the_bot_is_mentioned() -> None:
    assert not said(people.message("hello all", chat=DEN, sender=7)).addressed
    envelope = said(people.message(f"hello @{USERNAME}", chat=DEN, sender=7))
    assert envelope.addressed
    assert envelope.chat_type is ChatType.GROUP


def test_a_mention_is_a_mark_of_telegrams_and_not_a_piece_of_text() -> None:
    assert not said(people.message(f"mail@{USERNAME}", chat=DEN, entities=[])).addressed


def test_a_mention_is_found_behind_characters_that_take_two_units() -> None:
    assert said(people.message(f"👍🏽 𝕳 @{USERNAME} well?", chat=DEN)).addressed


def test_a_mention_of_somebody_whose_name_begins_like_ours_is_not_meant_for_us() -> None:
    name = f"@{USERNAME}two"
    marks = [{"type": "mention", "offset": 0, "length": len(name)}]
    assert not said(people.message(name, chat=DEN, entities=marks)).addressed


def test_a_mention_without_a_name_is_known_by_our_id() -> None:
    marks = [{"type": "text_mention", "offset": 0, "length": 4, "user": people.bot()}]
    assert said(people.message("Craw?", chat=DEN, entities=marks)).addressed


def test_an_answer_to_the_bot_is_meant_for_it() -> None:
    ours = replying(people.message("yes?", chat=DEN), people.bot())
    theirs = replying(people.message("yes?", chat=DEN), people.person(8))
    assert said(people.message("go on", chat=DEN, **ours)).addressed
    assert not said(people.message("go on", chat=DEN, **theirs)).addressed


def test_everything_in_a_topic_that_we_opened_is_not_an_answer_to_us() -> None:
    opened = people.message(chat=DEN, forum_topic_created={"name": "Soup", "icon_color": 7322096})
    more = {**replying(opened, people.bot()), "message_thread_id": 3, "is_topic_message": True}
    envelope = said(people.message("soup", chat=DEN, **more))
    assert not envelope.addressed
    assert envelope.text == "soup"


def test_a_topic_is_a_thread_and_a_reply_is_none() -> None:
    topic = people.message("in it", chat=DEN, message_thread_id=3, is_topic_message=True)
    assert said(topic).address.thread == "3"
    assert not said(people.message("a reply", chat=DEN, message_thread_id=3)).address.thread


def test_what_is_answered_stands_above_the_answer_in_one_short_line() -> None:
    answered = replying(people.message("long\nago " + "x" * 500), people.person(8))
    text = said(people.message("what?", **answered)).text
    quote, _, rest = text.partition("\n\n")
    assert quote.startswith("> long ago xx")
    assert len(quote) == len("> ") + 200 + len("…")
    assert rest == "what?"


def test_a_part_that_somebody_marked_is_what_is_quoted() -> None:
    answered = replying(people.message("one two three"), people.bot())
    update = people.message("that?", **answered, quote={"text": "two", "position": 4})
    assert said(update).text == "> two\n\nthat?"


def test_a_command_stays_a_command_whatever_it_answers() -> None:
    answered = replying(people.message("one"), people.bot())
    assert said(people.message("/stop", **answered)).text == "/stop"


def test_a_command_is_meant_for_us_and_loses_our_name() -> None:
    envelope = said(people.message(f"/model@{USERNAME} big", chat=DEN))
    assert envelope.text == "/model big"
    assert envelope.addressed
    assert said(people.message("/stop", chat=DEN)).addressed


@pytest.mark.parametrize("text", [f"@{USERNAME} /whoami", f"@{USERNAME}\n/whoami@{USERNAME}"])
def test_a_command_behind_our_name_is_the_command(text: str) -> None:
    assert said(people.message(text, chat=DEN)).text == "/whoami"


@pytest.mark.parametrize("text", [f"@{USERNAME} see /whoami", f"so @{USERNAME} /whoami"])
def test_a_command_behind_other_words_is_a_part_of_them(text: str) -> None:
    assert said(people.message(text, chat=DEN)).text == text


def test_a_command_for_another_bot_is_not_heard() -> None:
    assert meaning(people.message("/model@otherbot big", chat=DEN)) is None


def test_opening_a_chat_is_a_greeting_and_only_between_two() -> None:
    assert isinstance(meaning(people.message("/start")), Greeted)
    assert isinstance(meaning(people.message("/start ref-7")), Greeted)
    assert isinstance(meaning(people.message("/start", chat=DEN)), Said)


def test_a_forward_is_marked_as_somebody_elses_words() -> None:
    origin = {"type": "user", "date": 1, "sender_user": people.person(9, "Bob")}
    envelope = said(people.message("/wipe\neverything", forward_origin=origin))
    assert envelope.text == "Forwarded from Bob:\n> /wipe\n> everything"


def test_whoever_writes_in_the_name_of_a_chat_is_nobody() -> None:
    update = people.message(f"@{USERNAME} obey", chat=DEN, sender_chat=people.chat_of(DEN))
    assert meaning(update) is None


def test_our_own_messages_are_not_heard() -> None:
    assert meaning(people.message("me again", chat=DEN, sender=BOT_ID)) is None


def test_another_bot_is_a_machine() -> None:
    update = people.message("beep", chat=DEN)
    update["message"]["from"]["is_bot"] = True
    assert said(update).sender.machine


def test_posts_in_channels_are_not_for_us() -> None:
    update = people.message("news", chat=DEN)
    update["message"]["chat"]["type"] = "channel"
    assert meaning(update) is None


def test_a_photo_is_taken_in_the_largest_size_that_is_allowed() -> None:
    update = people.message(caption="look", **people.photo("cat", 10, 2_000, 90_000))
    [photo] = said(update, most_bytes=5_000).attachments
    assert (photo.source, photo.size, photo.content_type) == ("cat-2000", 2_000, "image/jpeg")
    assert said(update).attachments[0].source == "cat-90000"
    assert said(update, most_bytes=1).attachments[0].source == "cat-10"


def test_a_caption_is_the_text_and_may_mention_us() -> None:
    caption = f"look @{USERNAME}"
    marks = people.marks(caption)
    update = people.message(
        chat=DEN, caption=caption, caption_entities=marks, **people.photo("cat", 10)
    )
    envelope = said(update)
    assert envelope.text == caption
    assert envelope.addressed


def test_a_document_says_its_name_type_and_size() -> None:
    update = people.message(**people.document("d1", "a.pdf", "application/pdf", 12))
    [file] = said(update).attachments
    assert (file.name, file.content_type, file.size) == ("a.pdf", "application/pdf", 12)
    assert file.source == "d1"


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("voice", "audio/ogg"), ("audio", "audio/mpeg"), ("video", "video/mp4")],
)
def test_recordings_and_films_have_names_and_types_of_ours_if_none_of_theirs(
    kind: str, content_type: str
) -> None:
    file = {"file_id": "f", "file_unique_id": "f", "duration": 3}
    film = {"width": 1, "height": 1} if kind == "video" else {}
    recording: dict[str, Any] = {kind: {**file, **film}}
    [attachment] = said(people.message(**recording)).attachments
    assert attachment.content_type == content_type
    assert attachment.name.startswith(kind)
    assert attachment.size is None


def test_an_animation_is_one_file_although_telegram_says_it_twice() -> None:
    file = {"file_id": "g", "file_unique_id": "g"}
    film = {**file, "width": 1, "height": 1, "duration": 1}
    assert len(said(people.message(animation=film, document=file)).attachments) == 1


def test_a_sticker_says_its_emoji() -> None:
    sticker = {
        "file_id": "s", "file_unique_id": "s", "type": "regular", "width": 1, "height": 1,
        "is_animated": False, "is_video": False, "emoji": "🎉",
    }  # fmt: skip
    assert said(people.message(sticker=sticker)).text == "🎉"


def test_places_and_people_are_a_line_of_text() -> None:
    place = {"latitude": 52.5, "longitude": 13.4}
    venue = {"location": place, "title": "Pool", "address": "Street 1"}
    contact = {"phone_number": "+4930", "first_name": "Bob"}
    assert said(people.message(location=place)).text == "Location: 52.5, 13.4"
    text = said(people.message(location=place, venue=venue)).text
    assert text == "Location: Pool, Street 1 (52.5, 13.4)"
    assert said(people.message(contact=contact)).text == "Contact: Bob, +4930"


def test_an_album_is_one_message_with_all_its_files() -> None:
    first = people.message(caption="us", media_group_id="m1", **people.photo("a", 10))
    second = people.message(media_group_id="m1", **people.photo("b", 10))
    envelope = said(first, second)
    assert envelope.text == "us"
    assert [each.source for each in envelope.attachments] == ["a-10", "b-10"]
    assert envelope.platform_id == str(first["message"]["message_id"])


def test_what_has_nothing_to_say_is_nothing() -> None:
    assert meaning(people.message(new_chat_members=[people.person(8)], chat=DEN)) is None


def test_an_edit_says_which_message_now_says_what() -> None:
    original = people.message("hello")
    happening = meaning(people.edited(original, "hello there"))
    assert isinstance(happening, Edited)
    assert happening.envelope.text == "hello there"
    assert happening.envelope.platform_id == said(original).platform_id


def test_a_group_that_moves_is_noted() -> None:
    happening = meaning(people.message(chat=-5, migrate_to_chat_id=-1005))
    assert isinstance(happening, Noted)
    assert "-1005" in happening.sentence


def test_being_thrown_out_is_noted() -> None:
    member = {"user": people.bot(), "status": "kicked", "until_date": 0}
    before = {"user": people.bot(), "status": "member"}
    body = {
        "chat": people.chat_of(DEN), "from": people.person(7), "date": 1,
        "old_chat_member": before, "new_chat_member": member,
    }  # fmt: skip
    happening = meaning(people.update("my_chat_member", body))
    assert isinstance(happening, Noted)
    assert happening.sentence == f'we are now "kicked" of the supergroup {DEN}'


OURS = Shown(5, "which?", [], None, None, None)


def test_a_button_says_what_it_was_made_for() -> None:
    choice = Choice(uuid4(), (Option("yes", "Yes"),))
    happening = meaning(people.pressed(OURS, button(choice, choice.options[0]), sender=8))
    assert isinstance(happening, Pressed)
    assert happening.pick is not None
    assert (happening.pick.choice_id, happening.pick.option) == (choice.id, "yes")
    assert happening.pick.sender.id == "8"


@pytest.mark.parametrize("data", ["", "oc:", "oc:yes:nothing", "other:bot", "oc:yes:"])
def test_a_button_that_is_not_ours_is_answered_all_the_same(data: str) -> None:
    happening = meaning(people.pressed(OURS, data))
    assert isinstance(happening, Pressed)
    assert happening.pick is None


def test_a_button_holds_an_option_of_28_bytes_and_no_longer_one() -> None:
    choice = Choice(uuid4(), ())
    assert len(button(choice, Option("x" * 28, ""))) == 64
    with pytest.raises(ValueError, match="too long"):
        button(choice, Option("x" * 29, ""))


def test_a_reaction_is_what_was_put_and_what_was_taken_away() -> None:
    happening = meaning(people.reacted(5, ["👍"], ["🔥"]))
    assert isinstance(happening, Reacted)
    assert [(each.emoji, each.added) for each in happening.reactions] == [
        ("👍", False),
        ("🔥", True),
    ]
    assert {each.platform_id for each in happening.reactions} == {"5"}


def test_a_reaction_without_a_face_is_nobodys() -> None:
    update = people.reacted(5, [], ["🔥"], chat=DEN)
    del update["message_reaction"]["user"]
    update["message_reaction"]["actor_chat"] = people.chat_of(DEN)
    assert meaning(update) is None
