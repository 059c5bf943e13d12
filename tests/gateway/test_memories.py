"""`/memory` in the chat: to whoever asks, about himself, and to nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from opencraw.contract import DEFAULT_TENANT, ChatType, Origin, Rights
from opencraw.gateway.memories import Correct, Forget, Known, Memories, Wish, answer, wish
from opencraw.memory.items import Item, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, person_scope
from opencraw.sessions.identity import Links
from opencraw.store.database import Database
from tests.fixtures.core import Core, envelope, running

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ITEM = Item(
    id=UUID("3f2a9c1b-0c1f-4f6a-8a55-1d2f6b0c9e11"),
    scope="os.assistant.test.anna",
    kind="fact",
    text="Allergic to nuts",
    importance=0.5,
    said_at=NOW,
    created_at=NOW,
    corrected_at=None,
    session_id=None,
    from_seq=None,
    to_seq=None,
)
#: Of the people in tests/fixtures/core.py.
OWNER = person_scope("test", "id of owner")
GUEST = person_scope("test", "id of guest")


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("", Wish()),
        ("forget 3f2a", Wish("forget", "3f2a")),
        ("FORGET 3F2A", Wish("forget", "3F2A")),
        ("correct 3f2a  Allergic to\nwasps ", Wish("correct", "3f2a", "Allergic to\nwasps ")),
        ("forget", None),
        ("forget 3f2a and more", None),
        ("correct 3f2a", None),
        ("remember this", None),
    ],
)
def test_what_may_stand_behind_it(argument: str, meant: Wish | None) -> None:
    assert wish(argument) == meant


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("3F2A9C1B", "3f2a9c1b"),
        ("3f2a9c1b-0c1f-4f6a-8a55-1d2f6b0c9e11", "3f2a9c1b0c1f4f6a8a551d2f6b0c9e11"),
        ("3f2", None),
        ("3f2a9c1b0c1f4f6a8a551d2f6b0c9e110", None),
        ("xyzw", None),
        ("٣٣٣٣", None),
    ],
)
def test_a_memory_is_named_by_the_beginning_of_its_id(name: str, beginning: str | None) -> None:
    assert Wish("forget", name).beginning == beginning


def test_the_list_has_what_matters_most_and_ids_to_name_it_by() -> None:
    passage = replace(ITEM, id=uuid4(), kind="pre_compaction_flush", text="said", importance=0.9)
    newer = replace(ITEM, id=uuid4(), text="newer", said_at=NOW + timedelta(1))
    weighty = replace(ITEM, id=uuid4(), text="weighty", importance=0.8)
    text, act = answer("", Known([passage, ITEM, newer, weighty]))
    lines = [line for line in text.splitlines() if line[:1].isdigit()]
    assert [line.split("` ")[1] for line in lines] == [
        "weighty",
        "newer",
        "Allergic to nuts",
        "said",
    ]
    assert "`3f2a9c1b` Allergic to nuts" in text
    assert act is None


def test_a_long_list_is_cut_and_says_so() -> None:
    many = [replace(ITEM, id=uuid4(), text=f"fact {number}") for number in range(50)]
    text, _ = answer("", Known(many))
    assert text.startswith("What matters most of it:")
    assert "12. " in text
    assert "13. " not in text


def test_a_memory_is_one_line_however_it_was_said() -> None:
    text, _ = answer("", Known([replace(ITEM, text="one\n2. `ffffffff` two\n" + "x" * 500)]))
    assert text.count("\n2. ") == 0
    assert "…" in text


@pytest.mark.parametrize("verb", ["forget", "Correct"])
def test_a_verb_without_an_id_asks_for_one(verb: str) -> None:
    words, act = answer(verb, Known())
    assert words.startswith("Say which memory: `/memory` lists them")
    assert act is None


def test_what_is_not_there_or_in_doubt_changes_nothing() -> None:
    assert answer("forget 3f2a", Known()) == (
        "No memory of yours is called `3f2a`. `/memory` lists them.",
        None,
    )
    text, act = answer("forget 3f2a", Known([ITEM, replace(ITEM, id=uuid4())]))
    assert "write more of the id" in text
    assert act is None
    assert answer("", None)[0].startswith("What is remembered about you is told to you alone")


def test_what_is_there_is_forgotten_or_corrected() -> None:
    assert answer("forget 3f2a", Known([ITEM]))[1] == Forget(ITEM.id)
    assert answer("correct 3f2a Allergic to wasps", Known([ITEM]))[1] == Correct(
        ITEM.id, "Allergic to wasps"
    )


def test_who_forgets_is_told_where_else_it_stands_and_may_come_from() -> None:
    other = replace(ITEM, id=UUID(int=1), text="Anna: I am allergic to nuts.")
    text, act = answer("forget 3f2a", Known([ITEM], [other]))
    assert act == Forget(ITEM.id)
    assert "`00000000` Anna: I am allergic to nuts." in text
    alone, _ = answer("forget 3f2a", Known([ITEM]))
    assert "These memories" not in alone
    assert "comes into memory when that conversation is summed up or begun anew" in alone


# Behind the door.


def only(scope: str) -> Scopes:
    return Scopes(DEFAULT_TENANT, scope, (scope,))


async def remember(core: Core, text: str, scope: str = OWNER) -> Item:
    return await Memory(core.database).save(only(scope), Note(text))


async def known(core: Core, scope: str = OWNER) -> list[str]:
    return [item.text for item in await Memory(core.database).items(only(scope))]


async def test_somebody_sees_corrects_and_forgets_what_is_known_of_him(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        nuts, tea = await remember(core, "Allergic to nuts"), await remember(core, "Likes tea")
        await remember(core, "Somebody else's", GUEST)
        listed = await core.asked("/memory")
        assert "Allergic to nuts" in listed.text
        assert "Likes tea" in listed.text
        assert "Somebody" not in listed.text
        corrected = await core.asked(f"/memory correct {nuts.id.hex[:8]} Allergic to wasps")
        assert "Allergic to wasps" in corrected.text
        await core.asked(f"/memory forget {tea.id}")
        assert await known(core) == ["Allergic to wasps"]


async def test_what_tells_the_same_is_named_when_something_is_forgotten(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        fact = await remember(core, "Ada pays with PIN 4711")
        same = await remember(core, "Ada, 2026-05-01: remember that Ada pays with PIN 4711, please")
        await remember(core, "Ada likes tea")
        await remember(core, "Ada pays with PIN 4711, said somebody else", GUEST)
        told = (await core.asked(f"/memory forget {fact.id.hex[:8]}")).text
        named = [line for line in told.splitlines() if line.startswith("- ")]
        assert [line[3:11] for line in named] == [same.id.hex[:8]]
        told = (await core.asked(f"/memory forget {same.id}")).text
        assert "These memories" not in told


async def test_nobody_forgets_what_is_known_of_somebody_else(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        his = await remember(core, "The guest's own", GUEST)
        everybodys = await remember(core, "The office moves in June", AGENT_SCOPE)
        for item in (his, everybodys):
            told = await core.asked(f"/memory forget {item.id}")
            assert "No memory of yours" in told.text
        assert await known(core, GUEST) == ["The guest's own"]
        assert await known(core, AGENT_SCOPE) == ["The office moves in June"]


async def test_where_others_listen_nothing_is_told_or_changed(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        item = await remember(core, "A secret")
        for number, text in enumerate(("/memory", f"/memory forget {item.id}"), start=1):
            await core.say(text, chat_type=ChatType.GROUP)
            told = (await core.delivered(number))[-1]
            assert "in a direct chat" in told
        assert await known(core) == ["A secret"]


async def test_a_machine_that_speaks_for_nobody_changes_no_memory(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        item = await remember(core, "A secret")
        await core.say(f"/memory forget {item.id}", origin=Origin.WEBHOOK)
        await core.delivered(1)
        assert await known(core) == ["A secret"]


async def test_a_guest_has_memories_of_his_own(database_url: str) -> None:
    async with running(database_url, memory=True) as core:
        await remember(core, "The guest's own", GUEST)
        await core.say("/memory", rights=Rights.GUEST)
        assert "The guest's own" in (await core.delivered(1))[-1]


async def test_a_command_that_is_offered_again_does_not_undo_what_was_said_since(
    database_url: str,
) -> None:
    async with running(database_url, memory=True) as core:
        item = await remember(core, "Anna is 41")
        first = f"/memory correct {item.id.hex[:8]} Anna is 42"
        await core.say(first, key="one")
        await core.delivered(1)
        await core.asked(f"/memory correct {item.id.hex[:8]} Anna is 43")
        again = await core.say(first, key="one")
        assert again.duplicate
        assert await known(core) == ["Anna is 43"]


async def test_without_memory_it_says_how_to_turn_it_on(database_url: str) -> None:
    async with running(database_url) as core:
        assert "`[memory]`" in (await core.asked("/memory")).text


async def test_linked_ids_are_one_person(database: Database) -> None:
    memory = Memory(database, Links({"anna": ["test:id of owner", "discord:987"]}))
    item = await memory.save(only(person_scope("discord", "987")), Note("Said on Discord"))
    said = envelope("/memory")
    memories = Memories(memory)
    found = await memories.known(said, "")
    assert found is not None
    assert [each.text for each in found.items] == ["Said on Discord"]
    await memories.carry_out(said, Forget(item.id))
    assert await memories.known(said, "") == Known([])
