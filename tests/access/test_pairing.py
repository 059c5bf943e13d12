from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
import pytest

from opencraw.access.guesses import WRONG_CODES
from opencraw.access.pairing import (
    ALPHABET,
    LONGEST_NOTE,
    MOST_OPEN,
    Pairing,
    Standing,
    Word,
    clean_code,
    new_code,
    shown_name,
)
from opencraw.contract import DEFAULT_TENANT, LONGEST_REPLY_CONTEXT, Address, Rights
from opencraw.errors import NotFound, Refused, SlowDown
from opencraw.store.database import Database
from tests.fixtures.people import says

HERE = Address("test", "account", "anywhere")
GUEST, NO = Word("api", Rights.GUEST), Word("api", None)


def word(rights: Rights | None = Rights.GUEST, by: str = "api", note: str = "") -> Word:
    return Word(by, rights, note)


@pytest.fixture
def pairing(database: Database) -> Pairing:
    return Pairing(database)


async def ask(pairing: Pairing, sender: str) -> Standing:
    asked = await pairing.ask(says("hello", sender))
    assert asked is not None
    return asked


async def standing(pairing: Pairing, sender: str) -> Standing | None:
    return await pairing.standing(DEFAULT_TENANT, HERE, sender)


async def state_of(database: Database, request: Standing) -> str:
    [row] = await database.fetch("SELECT state FROM pairing WHERE id = $1", request.id)
    return str(row["state"])


async def an_hour_passes(database: Database) -> None:
    """For everybody who asked."""
    await database.commit(
        "UPDATE pairing SET expires_at = now() FROM unnest($1::boolean[]) WITH ORDINALITY"
        " AS row(all_of_them, ord) WHERE state IN ('pending', 'rejected') RETURNING row.ord",
        (True,),
    )


def test_codes_are_forty_bits_that_nobody_misreads() -> None:
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(len(code) == 8 and set(code) <= set(ALPHABET) for code in codes)
    assert set("01IO").isdisjoint(ALPHABET)
    assert len(set(ALPHABET)) == 32


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ABCD2345", "ABCD2345"),
        (" abcd 2345\n", "ABCD2345"),
        ("abcd-2345", "ABCD2345"),
        ("ABCD234", None),
        ("ABCD23456", None),
        ("ABCD2340", None),
        ("ABCD234ß", None),
        ("", None),
    ],
)
def test_a_code_may_be_typed_as_people_type(typed: str, meant: str | None) -> None:
    assert clean_code(typed) == meant


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        ("Anna", "Anna"),
        ("Anna\n\nCode `X` **boss**", "Anna Code X boss"),
        ("[me](http://evil)", "me http evil"),
        ("\u202eanna\u0000", "anna"),
        ("x" * 500, "x" * 60),
        ("", ""),
    ],
)
def test_a_name_is_shown_without_its_tricks(claimed: str, shown: str) -> None:
    assert shown_name(claimed) == shown


async def test_a_person_has_one_request_however_often_he_asks(pairing: Pairing) -> None:
    asked = await asyncio.gather(*(pairing.ask(says("hello", "anna")) for _ in range(20)))
    assert len({each.id for each in asked if each is not None}) == 1
    assert None not in asked
    assert [each.state for each in await pairing.requests()] == ["pending"]


async def test_what_is_too_long_to_be_kept_whole_is_not_kept_in_half(pairing: Pairing) -> None:
    for sender, context in (("anna", "x" * LONGEST_REPLY_CONTEXT), ("ben", "x" * 4_001)):
        said = says("hello", sender)
        await pairing.ask(msgspec.structs.replace(said, reply_context=context))
    kept = {each.sender_id: each.reply_context for each in await pairing.requests()}
    assert kept == {"anna": "x" * 4_000, "ben": ""}


async def test_an_account_has_three_open_requests_whoever_asks_at_once(
    database: Database, database_url: str
) -> None:
    """On several nodes."""
    async with await Database.open(database_url) as other:
        nodes = [Pairing(database), Pairing(other)]
        asked = await asyncio.gather(
            *(nodes[number % 2].ask(says("hello", f"person {number}")) for number in range(30))
        )
    assert len([each for each in asked if each is not None]) == MOST_OPEN
    assert len(await nodes[0].requests()) == MOST_OPEN


async def test_places_are_free_again_when_somebody_decides_or_an_hour_passes(
    pairing: Pairing, database: Database
) -> None:
    first = [await ask(pairing, name) for name in ("anna", "ben", "carl")]
    assert await pairing.ask(says("hello", "dora")) is None
    await pairing.resolve(first[0].id, NO)
    await ask(pairing, "dora")
    assert await pairing.ask(says("hello", "emil")) is None
    await an_hour_passes(database)
    await ask(pairing, "emil")
    assert await state_of(database, first[1]) == "expired"


async def test_each_account_has_places_of_its_own(pairing: Pairing) -> None:
    for name in ("anna", "ben", "carl"):
        await ask(pairing, name)
    elsewhere = says("hello", "dora")
    there = Address("test", "other account", "dora")
    assert await pairing.ask(msgspec.structs.replace(elsewhere, address=there)) is not None


async def test_whoever_is_approved_stays_so(pairing: Pairing, database_url: str) -> None:
    request = await ask(pairing, "anna")
    resolved = await pairing.resolve(request.id, word(Rights.OWNER, "ops", "my sister"))
    assert (resolved.state, resolved.rights, resolved.note) == ("approved", "owner", "my sister")
    async with await Database.open(database_url) as elsewhere:
        known = await standing(Pairing(elsewhere), "anna")
        assert known is not None
        assert (known.state, known.rights) == ("approved", Rights.OWNER)
    assert await standing(pairing, "ann") is None
    assert await pairing.standing(DEFAULT_TENANT, Address("test", "other", "x"), "anna") is None
    assert await pairing.standing(DEFAULT_TENANT, Address("other", "account", "x"), "anna") is None


async def test_a_request_is_resolved_once(pairing: Pairing) -> None:
    request = await ask(pairing, "anna")
    words = [word(by=f"owner {number}") for number in range(10)]
    words += [word(None, by=f"owner {number}") for number in range(10, 20)]
    outcomes = await asyncio.gather(
        *(pairing.resolve(request.id, each) for each in words), return_exceptions=True
    )
    done = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(done) == 1
    late = [each for each in outcomes if isinstance(each, Refused)]
    assert len(late) == 19
    assert f"was {done[0].state} by {done[0].resolved_by}" in str(late[0])
    assert "already resolved" in str(late[0])


async def test_the_same_word_may_be_said_twice(pairing: Pairing) -> None:
    """A command whose answer was lost is offered again."""
    request = await ask(pairing, "anna")
    mine = word()
    assert await pairing.resolve(request.id, mine) == await pairing.resolve(request.id, mine)


async def test_a_code_is_of_no_use_when_its_hour_is_over(
    pairing: Pairing, database: Database
) -> None:
    request = await ask(pairing, "anna")
    await an_hour_passes(database)
    called = await pairing.called(request.code, "api")
    assert called.state == "expired"
    with pytest.raises(Refused, match="is over"):
        await pairing.resolve(called.id, word())
    assert await standing(pairing, "anna") is None
    again = await ask(pairing, "anna")
    assert again.code != request.code


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rights.GUEST, Rights.GUEST),
        (Rights.GUEST, None),
        (Rights.OWNER, Rights.GUEST),
        (Rights.OWNER, Rights.OWNER),
        (None, Rights.OWNER),
    ],
)
async def test_a_resolved_code_is_of_no_use(
    pairing: Pairing, first: Rights | None, second: Rights | None
) -> None:
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word(first))
    called = await pairing.called(request.code.lower(), "api")
    with pytest.raises(Refused, match="already resolved"):
        await pairing.resolve(called.id, word(second))
    known = await standing(pairing, "anna")
    assert known is not None
    assert (known.state, known.rights) == (
        "rejected" if first is None else "approved",
        first or Rights.GUEST,
    )


async def test_whoever_was_just_let_in_as_a_guest_may_be_made_the_owner(
    pairing: Pairing, database: Database
) -> None:
    """The first person of a channel is its owner, and learns too late how to say so."""
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word())
    crowned = word(Rights.OWNER, "ops")
    for _ in range(2):
        resolved = await pairing.resolve(request.id, crowned)
        assert (resolved.rights, resolved.resolved_by) == ("owner", "ops")
    known = await standing(pairing, "anna")
    assert known is not None
    assert known.rights is Rights.OWNER


async def test_whoever_was_let_in_long_ago_stays_a_guest(
    pairing: Pairing, database: Database
) -> None:
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word())
    await database.commit(
        "UPDATE pairing SET expires_at = now() FROM unnest($1::boolean[]) WITH ORDINALITY"
        " AS row(all_of_them, ord) RETURNING row.ord",
        (True,),
    )
    with pytest.raises(Refused, match="already resolved"):
        await pairing.resolve(request.id, word(Rights.OWNER))


async def test_whoever_guesses_codes_is_locked_out_and_nobody_else(pairing: Pairing) -> None:
    request = await ask(pairing, "anna")
    for code in ("AAAAAAAA", "nonsense", "", "0", "BBBBBBBB")[:WRONG_CODES]:
        with pytest.raises(NotFound, match="No request has this code"):
            await pairing.called(code, "mallory")
    with pytest.raises(SlowDown):
        await pairing.called(request.code, "mallory")
    assert (await pairing.called(request.code, "alice")).id == request.id


async def test_whoever_was_rejected_is_not_asked_about_again_for_the_rest_of_the_hour(
    pairing: Pairing, database: Database
) -> None:
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word(None))
    known = await standing(pairing, "anna")
    assert known is not None
    assert known.state == "rejected"
    await an_hour_passes(database)
    assert await standing(pairing, "anna") is None


async def test_whoever_is_sent_away_is_out_on_every_node_at_once(
    pairing: Pairing, database_url: str
) -> None:
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word())
    async with await Database.open(database_url) as elsewhere:
        assert await standing(Pairing(elsewhere), "anna") is not None
        assert await pairing.revoke("test", "anna", None, "ops") == 1
        assert await standing(Pairing(elsewhere), "anna") is None
    assert await pairing.revoke("test", "anna", None, "ops") == 0
    with pytest.raises(Refused, match="sent away again by ops"):
        await pairing.resolve(request.id, word())


async def test_somebody_is_sent_away_from_one_account_only_if_that_is_meant(
    pairing: Pairing,
) -> None:
    request = await ask(pairing, "anna")
    await pairing.resolve(request.id, word())
    assert await pairing.revoke("test", "anna", "other account", "ops") == 0
    assert await pairing.revoke("other", "anna", None, "ops") == 0
    assert await pairing.revoke("test", "anna", "account", "ops") == 1


async def test_nobody_is_sent_away_who_cannot_exist(pairing: Pairing) -> None:
    with pytest.raises(Refused, match="nobody's id"):
        await pairing.revoke("test", "\n", None, "ops")


async def test_a_note_is_short(pairing: Pairing) -> None:
    request = await ask(pairing, "anna")
    for note in ("x" * (LONGEST_NOTE + 1), "a\x00b"):
        with pytest.raises(Refused, match="512 characters"):
            await pairing.resolve(request.id, word(note=note))
    resolved = await pairing.resolve(request.id, word(note="x" * LONGEST_NOTE))
    assert len(resolved.note) == LONGEST_NOTE


async def test_one_of_us_tells_a_stranger_and_only_once(pairing: Pairing) -> None:
    request, teller, other = await ask(pairing, "anna"), uuid4(), uuid4()
    assert await pairing.begin_telling(request.id, teller)
    assert await pairing.begin_telling(request.id, teller), "the same attempt"
    assert not await pairing.begin_telling(request.id, other)
    known = await standing(pairing, "anna")
    assert known is not None
    assert known.told, "as far as anybody needs to know who hears from her again"
    await two_minutes_later(pairing)
    known = await standing(pairing, "anna")
    assert known is not None
    assert not known.told
    assert await pairing.begin_telling(request.id, other)
    await pairing.end_telling(request.id, other)
    await two_minutes_later(pairing)
    assert not await pairing.begin_telling(request.id, uuid4())
    known = await standing(pairing, "anna")
    assert known is not None
    assert known.told


async def test_whoever_cannot_be_told_is_not_tried_for_ever(pairing: Pairing) -> None:
    request = await ask(pairing, "anna")
    for _ in range(5):
        teller = uuid4()
        assert await pairing.begin_telling(request.id, teller)
        assert await pairing.begin_telling(request.id, teller), "the same attempt counts once"
        await two_minutes_later(pairing)
    assert not await pairing.begin_telling(request.id, uuid4())
    known = await standing(pairing, "anna")
    assert known is not None
    assert known.told, "nobody tries any more"


async def two_minutes_later(pairing: Pairing) -> None:
    await pairing._database.commit(
        "UPDATE pairing SET telling_until = telling_until - interval '2 minutes'"
        " FROM unnest($1::boolean[]) WITH ORDINALITY AS row(all_of_them, ord) RETURNING row.ord",
        (True,),
    )


async def test_a_request_that_nobody_made_cannot_be_resolved(pairing: Pairing) -> None:
    with pytest.raises(NotFound):
        await pairing.resolve(uuid4(), GUEST)
