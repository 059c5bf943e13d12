from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import DEFAULT_TENANT, Address
from opencraw.errors import Unavailable
from opencraw.queue.inbox import Inbox
from opencraw.sessions.keys import session_id, session_key
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import envelope
from tests.queue.lane import count, lane_of, say


async def test_the_same_event_a_hundred_times_at_once_is_one_message(
    database: Database, inbox: Inbox
) -> None:
    same = envelope("hello", key="update 1")
    receipts = await asyncio.gather(*(inbox.accept(same, patience=10.0) for _ in range(100)))
    assert len({receipt.message_id for receipt in receipts}) == 1
    assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert await count(database, "inbox") == await count(database, "session") == 1


async def test_the_same_event_at_two_nodes_at_once_is_one_message(
    database: Database, database_url: str, inbox: Inbox
) -> None:
    async with await Database.open(database_url) as other_database:
        other = Inbox(other_database)
        for number in range(30):
            same = envelope("hello", key=f"update {number}")
            receipts = await asyncio.gather(
                *(each.accept(same, patience=10.0) for each in (inbox, other, inbox, other))
            )
            assert len({receipt.message_id for receipt in receipts}) == 1
            assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert await count(database, "inbox") == 30


async def test_the_same_id_from_another_account_is_another_message(
    database: Database, inbox: Inbox
) -> None:
    here = envelope("hello", key="1")
    there = envelope("hello", key="1", channel="other")
    assert not (await inbox.accept(here, patience=10.0)).duplicate
    assert not (await inbox.accept(there, patience=10.0)).duplicate
    assert await count(database, "inbox") == 2


async def test_a_message_whose_receipt_was_lost_is_stored_once(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    inbox = Inbox(unlucky)
    await say(inbox, "first")
    proxy.cut_at_next_answer = True
    [receipt] = await say(inbox, "second")
    assert proxy.cuts == 1
    assert not receipt.duplicate, "whoever stored it first is told so, also at the second try"
    assert await count(database, "inbox") == 2


async def test_a_channel_is_not_kept_waiting_for_a_database_that_is_away(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    inbox = Inbox(unlucky)
    await say(inbox, "first")
    proxy.hold()
    again = envelope("second")
    with pytest.raises(Unavailable):
        await inbox.accept(again, patience=0.05)
    proxy.release()
    await inbox.accept(again, patience=10.0)
    assert await count(database, "inbox") == 2, "offering it again made it no second message"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("null\x00byte", "null\ufffdbyte"),
        ("half\ud83d a smile", "half\ufffd a smile"),
        ("\ud83d\ude00 in two halves", "😀 in two halves"),
        ("שלום עולם — مرحبا", "שלום עולם — مرحبا"),
        ("👩‍👩‍👧‍👦 \u202eback to front", "👩‍👩‍👧‍👦 \u202eback to front"),
        ("a,b'c\"d\\e{f}%s $1\r\n\t--", "a,b'c\"d\\e{f}%s $1\r\n\t--"),
        ("\\u0000", "\\u0000"),
        ("x" * 1_000_000, "x" * 1_000_000),
        ("ü" * 1_000_000, "ü" * 1_000_000),
    ],
    ids=["nul", "surrogate", "pair", "rtl", "emoji", "quotes", "escape", "long", "longer"],
)
async def test_odd_texts_are_kept_as_far_as_postgres_can(
    inbox: Inbox, text: str, stored: str
) -> None:
    await say(inbox, text, "and one more")
    lane = await lane_of(inbox)
    assert [message.text for message in lane.messages] == [stored, "and one more"]


async def test_a_lane_is_in_the_order_of_acceptance(inbox: Inbox) -> None:
    texts = [f"message {number}" for number in range(50)]
    await asyncio.gather(
        *(inbox.accept(envelope(text), patience=10.0) for text in texts),
        *(inbox.accept(envelope("noise", f"chat {number}"), patience=10.0) for number in range(50)),
    )
    lane = await lane_of(inbox)
    assert [message.text for message in lane.messages] == texts
    assert all(message.age >= 0 for message in lane.messages)
    assert len(await inbox.lanes_with_work()) == 51


parts = st.text(st.sampled_from("ab/%2F"), max_size=4)
addresses = st.builds(Address, parts, parts, parts, parts)


@given(one=addresses, another=addresses, tenant=parts, other_tenant=parts)
def test_two_places_never_share_a_key(
    one: Address, another: Address, tenant: str, other_tenant: str
) -> None:
    same = (one, tenant) == (another, other_tenant)
    assert (session_key(one, tenant) == session_key(another, other_tenant)) is same
    assert (session_id(one, tenant) == session_id(another, other_tenant)) is same


def test_a_session_key_is_readable() -> None:
    place = Address("telegram", "bot", "-100/7", "3")
    assert session_key(place, DEFAULT_TENANT) == "default/main/telegram/bot/-100%2F7/3"
