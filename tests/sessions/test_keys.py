"""Who shares a conversation."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import DEFAULT_TENANT, Address, ChatType, Listener, Rights, Sender
from opencraw.sessions.identity import Links
from opencraw.sessions.keys import Conversation, Conversations, DmScope

SCOPES: tuple[DmScope, ...] = get_args(DmScope)
LINKS = Links({"anna": ["telegram:1", "discord:2"]})

#: Where somebody writes, and who it is.
Place = tuple[Address, Listener | None]


def at(
    place: str,
    sender: str,
    rights: Rights = Rights.OWNER,
    chat_type: ChatType = ChatType.DIRECT,
) -> Place:
    """`place` is channel, account, chat and thread, with slashes between them."""
    return Address(*place.split("/")), Listener(chat_type, Sender(sender, "", rights))


ANNA = at("telegram/bot/1/", "1")
ANNAS_OTHER_BOT = at("telegram/second/1/", "1")
ANNAS_TOPIC = at("telegram/bot/1/7", "1")
ANNA_ON_DISCORD = at("discord/bot/77/", "2")
OTTO = at("telegram/bot/3/", "3")
#: They have the rights of guests, whoever they are elsewhere.
GUEST = at("telegram/bot/4/", "4", Rights.GUEST)
ANNA_AS_GUEST = at("discord/other/78/", "2", Rights.GUEST)
GROUP = at("telegram/bot/-5/", "1", chat_type=ChatType.GROUP)
CHANNEL = at("telegram/bot/-6/", "1", chat_type=ChatType.CHANNEL)

ALONE = (GUEST, ANNA_AS_GUEST, GROUP, CHANNEL)
OWNERS = (ANNA, ANNAS_OTHER_BOT, ANNAS_TOPIC, ANNA_ON_DISCORD, OTTO)


def conversation(scope: DmScope, place: Place, tenant: str = DEFAULT_TENANT) -> Conversation:
    address, listener = place
    return Conversations(scope, LINKS, lambda _: listener).at(address, tenant)


@pytest.mark.parametrize(
    ("scope", "together"),
    [
        ("per-account-channel-peer", []),
        ("per-channel-peer", [{ANNA, ANNAS_OTHER_BOT, ANNAS_TOPIC}]),
        ("per-peer", [{ANNA, ANNAS_OTHER_BOT, ANNAS_TOPIC, ANNA_ON_DISCORD}]),
        ("main", [set(OWNERS)]),
    ],
)
def test_only_direct_chats_of_owners_are_joined(scope: DmScope, together: list[set[Place]]) -> None:
    for one, another in product((*OWNERS, *ALONE), repeat=2):
        shared = one is another or any({one, another} <= group for group in together)
        first, second = conversation(scope, one), conversation(scope, another)
        assert (first.id == second.id) is shared, (scope, first.key, second.key)
        assert (first.key == second.key) is shared


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("place", ALONE)
def test_who_is_not_joined_is_where_he_was_before(scope: DmScope, place: Place) -> None:
    assert conversation(scope, place) == Conversation.at(place[0], DEFAULT_TENANT)


@pytest.mark.parametrize("scope", SCOPES)
def test_where_nobody_knows_who_is_there_the_address_is_the_conversation(scope: DmScope) -> None:
    address = ANNA[0]
    for listener in (None, Listener(ChatType.DIRECT)):
        found = conversation(scope, (address, listener), DEFAULT_TENANT)
        assert found == Conversation.at(address, DEFAULT_TENANT)


def test_what_is_shared_has_a_name_that_people_can_read() -> None:
    assert conversation("main", ANNA).key == "default/main/owners"
    assert conversation("per-peer", ANNA).key == "default/main/person/anna"
    assert conversation("per-peer", OTTO).key == "default/main/direct/telegram/3"
    assert conversation("per-channel-peer", ANNA).keys == (
        "default/main/direct/telegram/1",
        "default/main/telegram/bot/1/",
    )


names = st.text(st.sampled_from("a/%:.2F \n"), max_size=4)
places = st.builds(
    lambda parts, sender, rights, chat_type: (
        Address(*parts),
        Listener(chat_type, Sender(sender, "", rights)),
    ),
    st.tuples(names, names, names, names),
    names,
    st.sampled_from(Rights),
    st.sampled_from(ChatType),
)


@given(st.sampled_from(SCOPES), st.tuples(names, names), st.tuples(places, places))
def test_no_name_is_anothers_whatever_platforms_call_people(
    scope: DmScope, tenants: tuple[str, str], two: tuple[Place, Place]
) -> None:
    conversations = [
        conversation(scope, (address, listener), tenant)
        for (address, listener), tenant in zip(two, tenants, strict=True)
    ]
    same = _meant(scope, two[0], tenants[0]) == _meant(scope, two[1], tenants[1])
    assert (conversations[0].key == conversations[1].key) is same
    assert (conversations[0].id == conversations[1].id) is same


def _meant(scope: DmScope, place: Place, tenant: str) -> object:
    address, listener = place
    assert listener is not None
    sender = listener.sender
    assert sender is not None
    joined = listener.chat_type is ChatType.DIRECT and sender.rights is Rights.OWNER
    if scope == "per-account-channel-peer" or not joined:
        return tenant, address
    return tenant if scope == "main" else (tenant, address.channel, sender.id)
