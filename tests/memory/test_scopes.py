from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opencraw.contract import ChatType, Origin, Rights
from opencraw.memory.scopes import (
    AGENT_SCOPE,
    Scopes,
    Whose,
    conversation_scope,
    may_learn,
    named,
    person_of,
    person_scope,
    scopes_of,
    whose,
)
from opencraw.sessions.identity import Links
from opencraw.store.text import storable
from tests.fixtures.askers import asker

NOBODY = Links()
ids = st.text(min_size=1, max_size=400) | st.sampled_from(
    [
        "a",
        "a.b",
        ".a",
        "a.",
        "a%2Eb",
        "a%2eb",
        "%",
        "..",
        "\ud800",
        "\udfff",
        "\x00",
        "A",
        "é",
        "e\u0301",
    ]
)
names = st.tuples(ids, ids)


def test_a_person_in_a_direct_chat_has_the_scope_of_the_contract() -> None:
    scopes = scopes_of(asker("123", channel="telegram"), NOBODY)
    assert scopes is not None
    assert scopes.own == "os.assistant.telegram.123"
    assert scopes.readable == ("os.assistant.telegram.123", AGENT_SCOPE)
    assert scopes.changeable == ("os.assistant.telegram.123",)


@pytest.mark.parametrize("chat_type", [ChatType.GROUP, ChatType.CHANNEL, None])
def test_where_others_listen_no_private_memory_is_seen_or_written(
    chat_type: ChatType | None,
) -> None:
    links = Links({"anna": ["telegram:123", "discord:987"]})
    scopes = scopes_of(asker("123", channel="telegram", chat="g", chat_type=chat_type), links)
    assert scopes is not None
    assert scopes.own == "os.conversation.telegram.g"
    assert scopes.readable == ("os.conversation.telegram.g", AGENT_SCOPE)


def test_a_person_whose_ids_are_linked_reads_all_and_writes_where_he_is() -> None:
    links = Links({"anna": ["telegram:123", "discord:987"]})
    scopes = scopes_of(asker("987", channel="discord"), links)
    assert scopes is not None
    assert scopes.own == "os.assistant.discord.987"
    assert scopes.readable == (
        "os.assistant.discord.987", "os.assistant.telegram.123", AGENT_SCOPE,
    )  # fmt: skip
    assert AGENT_SCOPE not in scopes.changeable


def test_nobody_has_no_scopes() -> None:
    assert scopes_of(asker(""), NOBODY) is None
    assert scopes_of(asker(channel=""), NOBODY) is None
    assert scopes_of(asker(chat="", chat_type=ChatType.GROUP), NOBODY) is None

    assert person_of("default", "telegram", "", NOBODY) is None
    assert person_of("default", "", "123", NOBODY) is None


def test_what_is_private_leaves_out_what_everybody_may_read() -> None:
    scopes = person_of("default", "telegram", "123", NOBODY)
    assert scopes is not None
    mine = "os.assistant.telegram.123"
    assert scopes.private == Scopes("default", mine, (mine,))


def test_operators_name_a_scope_and_may_change_it_even_the_agents_own() -> None:
    for scope in (AGENT_SCOPE, "os.assistant.telegram.123", "os.conversation.a%2Eb.x.y"):
        scopes = named("default", scope)
        assert scopes == Scopes("default", scope, (scope,))
        assert scopes.changeable == (scope,)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "os",
        "os.assistant.",
        "os.assistant.test",
        "os.assistant.test.",
        "os.assistant..anna",
        "os.assistant.test.an na",
        "os.assistant.test.anna\n",
        "os.assistant.test.\u202eanna",
        "os.other.test.anna",
        "OS.assistant.test.anna",
        "os.assistant.test." + "x" * 400,
    ],
)
def test_what_is_no_name_of_a_scope_names_none(scope: str) -> None:
    assert named("default", scope) is None


@given(names)
@example(("a.b", "c.d"))
@example(("x" * 300, "a"))
@example(("." * 300, "a"))
@example(("a", "x" * 300))
def test_the_name_of_a_scope_says_whose_it_is(of: tuple[str, str]) -> None:
    for scope, kind in ((person_scope(*of), "person"), (conversation_scope(*of), "conversation")):
        said = whose(scope)
        assert said is not None
        assert said.kind == kind
        if "%sha256-" not in scope and "\ud800" not in "".join(of) and "\udfff" not in "".join(of):
            assert (said.channel, said.name) == of
    assert whose(AGENT_SCOPE) == Whose("agent")


@pytest.mark.parametrize("origin", list(Origin))
def test_only_turns_that_a_person_began_may_learn(origin: Origin) -> None:
    person = origin in {Origin.CHANNEL, Origin.API, Origin.OPERATOR}
    assert may_learn(asker(origin=origin)) is person
    assert may_learn(asker(origin=origin, rights=Rights.GUEST)) is person


@given(names, names)
@example(("a.b", "c"), ("a", "b.c"))
@example(("a", "b%2Ec"), ("a", "b.c"))
@example(("a", "x" * 240), ("a", "x" * 241))
@example(("a", "\ud800"), ("a", "\ufffd"))
def test_no_two_people_and_no_two_conversations_share_a_scope(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    same = one == other
    assert (person_scope(*one) == person_scope(*other)) is same
    assert (conversation_scope(*one) == conversation_scope(*other)) is same
    assert person_scope(*one) != conversation_scope(*other)
    assert AGENT_SCOPE not in (person_scope(*one), conversation_scope(*one))


@given(ids, ids)
def test_a_scope_can_be_kept_as_it_is_and_fits_an_index(channel: str, sender: str) -> None:
    scope = person_scope(channel, sender)
    assert storable(scope) == scope
    assert scope.isprintable()
    assert len(scope) < 400
