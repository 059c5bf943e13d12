from __future__ import annotations

from collections import Counter

from channels.telegram.albums import sizes, together, whole
from channels.telegram.updates import Update, read
from tests.fakes import telegram_people as people


def part(album: str = "m1", chat: int = 7) -> Update:
    return read(people.message(chat=chat, media_group_id=album, **people.photo("a", 10)))


def text(chat: int = 7) -> Update:
    return read(people.message("hello", chat=chat))


def test_without_an_album_everything_can_be_taken() -> None:
    updates = [text(), text(8)]
    assert whole(updates, Counter()) == 2


def test_an_album_waits_until_a_second_look_finds_no_more_of_it() -> None:
    first, second = part(), part()
    before = text()
    assert whole([before, first], Counter()) == 1
    looked = sizes([first])
    assert whole([first, second], looked) == 0
    looked = sizes([first, second])
    assert whole([first, second, text()], looked) == 3


def test_what_comes_behind_an_album_that_grows_waits_with_it() -> None:
    first = part()
    assert whole([first, text(), text()], Counter()) == 0


def test_a_second_album_does_not_keep_the_first_one_waiting() -> None:
    first, other = part("m1"), part("m2")
    looked = sizes([first])
    assert whole([first, other], looked) == 1


def test_albums_of_two_chats_are_two_even_with_one_number() -> None:
    here, there = part(chat=7), part(chat=8)
    assert together([here, there]) == [[here], [there]]


def test_an_album_stands_where_its_first_part_was() -> None:
    first, between, second = part(), text(), part()
    assert together([first, between, second]) == [[first, second], [between]]
