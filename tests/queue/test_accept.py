from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import DEFAULT_TENANT, Address, ChatType
from opencraw.errors import Unavailable
from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Overflow
from opencraw.sessions.keys import Conversation, session_id, session_key
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import accept, address, envelope, session_of
from tests.queue.lane import count, ids, lane_of, say


async def test_the_same_event_a_hundred_times_at_once_is_one_message(
    database: Database, inbox: Inbox
) -> None:
    same = envelope("hello", key="update 1")
    receipts = await asyncio.gather(*(accept(inbox, same) for _ in range(100)))
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
                *(accept(each, same) for each in (inbox, other, inbox, other))
            )
            assert len({receipt.message_id for receipt in receipts}) == 1
            assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert await count(database, "inbox") == 30


async def test_the_same_id_from_another_account_is_another_message(
    database: Database, inbox: Inbox
) -> None:
    here = envelope("hello", key="1")
    there = envelope("hello", key="1", channel="other")
    assert not (await accept(inbox, here)).duplicate
    assert not (await accept(inbox, there)).duplicate
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


@pytest.mark.parametrize("muted", [True, False])
async def test_a_repeat_gets_the_same_answer(
    database: Database, inbox: Inbox, proxy: PostgresProxy, unlucky: Database, muted: bool
) -> None:
    """Whatever holds by then: the first answer may have been lost on its way."""
    said = envelope("hello")
    await accept(Inbox(unlucky), envelope("before"))
    proxy.cut_at_next_answer = True
    first = await accept(Inbox(unlucky), said, muted=muted)
    assert proxy.cuts == 1
    assert (first.duplicate, first.muted) == (False, muted)
    known = await inbox.known(said, patience=10.0)
    for again in (known, await accept(inbox, said), await accept(inbox, said, muted=True)):
        assert again is not None
        assert (again.message_id, again.duplicate) == (first.message_id, True)
        assert again.muted is muted


async def test_a_message_tells_who_listens(database: Database, inbox: Inbox) -> None:
    async def known() -> list[str | None]:
        rows = await database.fetch("SELECT chat_type, xmin::text FROM session ORDER BY chat")
        versions.append([row["xmin"] for row in rows])
        return [row["chat_type"] for row in rows]

    versions: list[list[str]] = []
    for chat in ("a", "b"):
        await accept(inbox, envelope("hello", chat))
    assert await known() == ["direct", "direct"]
    await database.fetch("UPDATE session SET chat_type = NULL WHERE chat = 'b'")
    group = [envelope(f"{number}", "b", chat_type=ChatType.GROUP) for number in range(5)]
    await asyncio.gather(*(accept(inbox, each) for each in group), accept(inbox, envelope("more")))
    assert await known() == ["direct", "group"]
    assert versions[0][0] == versions[1][0], "what is known is not written again"
    await accept(inbox, envelope("more", "b", chat_type=ChatType.CHANNEL))
    assert await known() == ["direct", "channel"]


async def test_taking_a_message_back_tells_from_where(
    inbox: Inbox, proxy: PostgresProxy, unlucky: Database
) -> None:
    receipts = await say(inbox, "one", "two", "three")
    lane = await lane_of(inbox)
    leaving = Overflow(ids(lane.messages)[:1], summarized=True)
    await inbox.give_up_places(session_of(), leaving, address(), "full")
    overflowed, waits, last = (receipt.message_id for receipt in receipts)
    assert await inbox.withdraw(session_of(), overflowed) == "overflowed"
    assert await inbox.withdraw(session_of(), waits) == "waiting"
    await Inbox(unlucky).withdraw(session_of(), UUID(int=0))
    proxy.cut_at_next_answer = True
    assert await Inbox(unlucky).withdraw(session_of(), last) == "waiting"
    assert proxy.cuts == 1


async def test_deciding_about_long_texts_does_not_take_reading_them(inbox: Inbox) -> None:
    await say(inbox, "x" * 100_000, "ü" * 10)
    lane = await lane_of(inbox)
    assert [(each.beginning, each.size) for each in lane.messages] == [
        ("x" * 160, 100_000), ("ü" * 10, 10)
    ]  # fmt: skip
    assert [each.size for each in lane.arrivals] == [100_000, 10]
    [late, early] = ids(lane.messages)[::-1]
    said = await inbox.texts([late, early], longest=1_000)
    assert [each.text for each in said] == ["x" * 100_000, "ü" * 10]
    assert await inbox.texts([], longest=1_000) == []


async def test_a_channel_is_not_kept_waiting_for_a_database_that_is_away(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    inbox = Inbox(unlucky)
    await say(inbox, "first")
    proxy.hold()
    again = envelope("second")
    with pytest.raises(Unavailable):
        await accept(inbox, again, patience=0.05)
    proxy.release()
    await accept(inbox, again)
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
    said = await inbox.texts(ids(lane.messages), longest=1_000)
    assert [each.text for each in said] == [stored, "and one more"]
    assert (lane.messages[0].beginning, lane.messages[0].size) == (stored[:160], len(stored))


async def test_a_lane_is_in_the_order_of_acceptance(inbox: Inbox) -> None:
    texts = [f"message {number}" for number in range(50)]
    await asyncio.gather(
        *(accept(inbox, envelope(text)) for text in texts),
        *(accept(inbox, envelope("noise", f"chat {number}")) for number in range(50)),
    )
    lane = await lane_of(inbox)
    assert [message.beginning for message in lane.messages] == texts
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
    here = Conversation.at(one, tenant)
    assert (here.id, here.key) == (session_id(one, tenant), session_key(one, tenant))


def test_a_session_key_is_readable() -> None:
    place = Address("telegram", "bot", "-100/7", "3")
    assert session_key(place, DEFAULT_TENANT) == "default/main/telegram/bot/-100%2F7/3"
