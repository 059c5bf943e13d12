from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from opencraw.errors import Refused
from opencraw.memory.items import LONGEST_FACT, Note
from opencraw.memory.memory import SQL, Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes
from opencraw.store.database import Database
from tests.memory.people import ANNA, BEN, conversation, flush, person


async def texts(memory: Memory, scopes: Scopes = ANNA) -> list[str]:
    return [item.text for item in await memory.items(scopes)]


async def test_what_was_saved_is_found_by_its_words(memory: Memory, database: Database) -> None:
    session = await conversation(database, lines=3)
    saved = await memory.save(ANNA, Note("Her dog is called Rex.", 0.7), session_id=session)
    await memory.save(ANNA, Note("She lives in Zürich."))
    [hit] = await memory.search(ANNA, "What is the name of the dog?")
    assert hit.item == saved == await memory.get(ANNA, saved.id)
    assert (saved.text, saved.kind) == ("Her dog is called Rex.", "fact")
    assert saved.importance == pytest.approx(0.7)
    assert (saved.from_seq, saved.to_seq, saved.corrected_at) == (3, 3, None)


async def test_what_is_said_in_no_conversation_that_is_there_is_remembered_too(
    memory: Memory,
) -> None:
    removed = await memory.save(ANNA, Note("One."), session_id=uuid4())
    told = await memory.save(ANNA, Note("Two."))
    assert (removed.to_seq, told.to_seq) == (None, None)
    assert await texts(memory) == ["Two.", "One."]


async def test_the_same_text_in_the_same_scope_is_one_item_as_important_as_anybody_found_it(
    memory: Memory,
) -> None:
    one = await memory.save(ANNA, Note("Likes tea.", 0.9))
    again = await memory.save(ANNA, Note("  likes \n TEA. ", 0.2))
    assert (again.id, again.text, again.importance) == (one.id, "Likes tea.", one.importance)
    other = await memory.save(BEN, Note("Likes tea."))
    assert other.id != one.id
    assert await texts(memory) == ["Likes tea."]


async def test_many_who_save_the_same_at_once_save_one_item(memory: Memory) -> None:
    saved = await asyncio.gather(
        *(memory.save(ANNA, Note("Likes tea.", number / 10)) for number in range(10))
    )
    assert len({item.id for item in saved}) == 1
    [item] = await memory.items(ANNA)
    assert item.importance == pytest.approx(0.9)


@pytest.mark.parametrize("text", ["", "  \n", "x" * (LONGEST_FACT + 1)])
async def test_a_memory_without_a_text_or_with_too_much_of_it_is_refused(
    memory: Memory, text: str
) -> None:
    with pytest.raises(Refused, match="A memory"):
        await memory.save(ANNA, Note(text))
    saved = await memory.save(ANNA, Note("Likes tea."))
    with pytest.raises(Refused, match="A memory"):
        await memory.correct(ANNA, saved.id, text)


@pytest.mark.parametrize(
    "text",
    [
        "\x00 and \ud800",
        "it's \\ a 'trap' & | ! ( ) :* <->",
        "%s $1 {} \\x00",
        "日本語",
        "🦊 fox",
        "?",
    ],
)
async def test_hostile_texts_are_kept_and_looked_for(memory: Memory, text: str) -> None:
    saved = await memory.save(ANNA, Note(text, float("inf")))
    assert saved.importance == 1
    assert (await memory.get(ANNA, saved.id)) == saved
    await memory.search(ANNA, text)
    assert await memory.search(ANNA, "") == []
    assert await memory.search(ANNA, "\x00" * 100_000) == []


async def test_a_correction_keeps_the_id_and_is_found_by_its_own_words_only(memory: Memory) -> None:
    saved = await memory.save(ANNA, Note("Her dog is called Rex.", 0.7))
    corrected = await memory.correct(ANNA, saved.id, "Her cat is called Mia.")
    assert corrected is not None
    assert (corrected.id, corrected.text) == (saved.id, "Her cat is called Mia.")
    assert corrected.corrected_at is not None
    assert await memory.search(ANNA, "dog Rex") == []
    assert [hit.item for hit in await memory.search(ANNA, "Mia")] == [corrected]


async def test_what_a_person_corrected_is_not_learned_again_as_it_was(memory: Memory) -> None:
    saved = await memory.save(ANNA, Note("Her dog is called Rex."))
    await memory.correct(ANNA, saved.id, "Her cat is called Mia.")
    again = await memory.save(ANNA, Note("Her dog is called Rex."))
    assert again.text == "Her cat is called Mia."
    assert await texts(memory) == ["Her cat is called Mia."]


async def test_what_is_forgotten_is_gone(memory: Memory, database: Database) -> None:
    saved = await memory.save(ANNA, Note("Her dog is called Rex."))
    assert await memory.forget(ANNA, saved.id)
    assert not await memory.forget(ANNA, saved.id)
    assert await memory.get(ANNA, saved.id) is None
    assert await database.fetch("SELECT FROM memory") == []


async def test_everything_of_a_person_is_forgotten_and_nothing_of_another(memory: Memory) -> None:
    await asyncio.gather(*(memory.save(ANNA, Note(f"Fact {number}.")) for number in range(450)))
    await memory.save(person("anna at work"), Note("Works."))
    await memory.save(BEN, Note("Of Ben."))
    agent = Scopes("default", AGENT_SCOPE, (AGENT_SCOPE,))
    await memory.save(agent, Note("Of the agent."))
    assert await memory.forget_all(person("anna", "anna at work")) == 451
    assert await texts(memory) == ["Of the agent."]
    assert await texts(memory, BEN) == ["Of the agent.", "Of Ben."]


async def test_items_come_newest_first_and_page_by_page(memory: Memory) -> None:
    for number in range(7):
        await memory.save(ANNA, Note(f"Fact {number}."))
    pages = []
    before = None
    while page := await memory.items(ANNA, before=before, limit=3):
        pages.append([item.text for item in page])
        before = (page[-1].created_at, page[-1].id)
    assert pages == [
        ["Fact 6.", "Fact 5.", "Fact 4."], ["Fact 3.", "Fact 2.", "Fact 1."], ["Fact 0."],
    ]  # fmt: skip


async def test_no_memory_is_left_out_between_two_pages_of_one_flush(
    memory: Memory, database: Database
) -> None:
    session = await conversation(database)
    await memory.flush(flush(session, *(f"passage {number}" for number in range(9))))
    await database.fetch("UPDATE memory SET created_at = now()")
    seen: list[str] = []
    before = None
    while page := await memory.items(ANNA, before=before, limit=2):
        seen += [item.text for item in page]
        before = (page[-1].created_at, page[-1].id)
    assert sorted(seen) == [f"passage {number}" for number in range(9)]


async def test_what_is_in_view_already_is_not_brought_up(memory: Memory) -> None:
    rex = await memory.save(ANNA, Note("Her dog is called Rex."))
    fox = await memory.save(ANNA, Note("Her other dog is called Fox."))
    found = await memory.search(ANNA, "dog", without=[rex.id])
    assert [hit.item.id for hit in found] == [fox.id]


async def test_who_is_known_is_told_without_what_is_known(memory: Memory) -> None:
    await memory.save(ANNA, Note("One."))
    await memory.save(ANNA, Note("Two."))
    await memory.save(BEN, Note("Three."))
    await memory.save(person("anna", tenant="another"), Note("Four."))
    known = await memory.known_scopes("default")
    assert [(each.scope, each.items) for each in known] == [
        ("os.assistant.test.ben", 1), ("os.assistant.test.anna", 2),
    ]  # fmt: skip


async def test_of_many_scopes_the_newest_are_told_and_large_ones_not_counted_to_the_end(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.memory.memory.MOST_SCOPES", 3)
    monkeypatch.setattr("opencraw.memory.memory.MOST_COUNTED", 2)
    for name in ("c", "a", "d", "b"):
        for number in range(3):
            await memory.save(person(name), Note(f"Fact {number}."))
    known = await memory.known_scopes("default")
    assert [(each.scope[-1], each.items) for each in known] == [("b", 2), ("d", 2), ("a", 2)]
    assert [(await memory.items(person(each.scope[-1])))[0].created_at for each in known] == [
        each.newest for each in known
    ]
    assert await memory.known_scopes("nobody") == []


# Flushes.


async def test_a_flush_keeps_passages_and_notes_and_moves_the_mark(
    memory: Memory, database: Database
) -> None:
    session = await conversation(database)
    await memory.flush(flush(session, "anna: hi", "you: hello", notes=(Note("Likes tea.", 0.6),)))
    rows = await database.fetch("SELECT * FROM memory ORDER BY kind, text")
    assert [(row["kind"], row["text"]) for row in rows] == [
        ("fact", "Likes tea."),
        ("pre_compaction_flush", "anna: hi"),
        ("pre_compaction_flush", "you: hello"),
    ]
    for row in rows[1:]:
        assert row["importance"] == pytest.approx(0.9)
        assert (row["channel_id"], row["sender_id"]) == ("test", "anna")
        assert (row["message_count"], row["token_estimate"]) == (4, 100)
        assert (row["session_id"], row["from_seq"], row["to_seq"]) == (session, 1, 5)
    [mark] = await database.fetch("SELECT flushed_seq FROM session")
    assert mark["flushed_seq"] == 5


async def test_what_was_flushed_together_is_listed_in_its_order(
    memory: Memory, database: Database
) -> None:
    session = await conversation(database)
    passages = [f"passage {number}" for number in range(6)]
    await memory.flush(flush(session, *passages, notes=(Note("one"), Note("two"))))
    assert await texts(memory) == [*reversed(passages), "two", "one"]


async def test_a_flush_that_is_repeated_changes_nothing(memory: Memory, database: Database) -> None:
    session = await conversation(database)
    first = flush(session, "anna: hi", notes=(Note("Likes tea."),))
    await memory.flush(first)
    await asyncio.gather(memory.flush(first), memory.flush(first))
    # Another attempt of the turn, whose model wrote other notes.
    await memory.flush(flush(session, "anna: hi", notes=(Note("Loves tea."),)))
    assert sorted(await texts(memory)) == ["Likes tea.", "anna: hi"]


async def test_a_flush_from_before_the_last_one_comes_too_late(
    memory: Memory, database: Database
) -> None:
    session = await conversation(database)
    await memory.flush(flush(session, "later", through_seq=8))
    await memory.flush(flush(session, "earlier", through_seq=5))
    assert await texts(memory) == ["later"]
    [mark] = await database.fetch("SELECT flushed_seq FROM session")
    assert mark["flushed_seq"] == 8


async def test_a_flush_that_would_leave_something_out_is_refused(
    memory: Memory, database: Database
) -> None:
    session = await conversation(database)
    await memory.flush(flush(session, "earlier", through_seq=3))
    with pytest.raises(LookupError, match="lacks what came before line 5"):
        await memory.flush(flush(session, "later", from_seq=5, through_seq=8))
    [mark] = await database.fetch("SELECT flushed_seq FROM session")
    assert mark["flushed_seq"] == 3
    assert len(await memory.items(ANNA)) == 1


async def test_two_flushes_in_one_moment_are_both_kept(memory: Memory, database: Database) -> None:
    one, other = await conversation(database), await conversation(database, "b")
    await asyncio.gather(
        memory.flush(flush(one, "of one")), memory.flush(flush(other, "of the other", scopes=BEN))
    )
    assert (await texts(memory), await texts(memory, BEN)) == (["of one"], ["of the other"])


async def test_statements_answer_the_same_when_the_answer_got_lost(
    memory: Memory, database: Database
) -> None:
    """As the group commit does when a connection breaks during COMMIT."""
    session = await conversation(database)
    saved = await memory.save(ANNA, Note("Likes tea."))
    scopes = f'["{ANNA.own}"]'
    rows = {
        "correct": (saved.id, "default", scopes, "Likes coffee.", '["likes", "coffee"]'),
        "forget": (saved.id, "default", scopes),
        "flush": (session, 1, 5, "default", "main", ANNA.own, "test", "anna", 4, 100, "[]"),
    }
    for name, row in rows.items():
        columns = [[value, value] for value in row]
        records = await database.fetch(SQL[name], *columns)
        assert [record["ord"] for record in records] == [1, 2], name


# Bounds.


async def test_in_a_scope_that_is_too_large_what_matters_least_gives_way(
    database: Database,
) -> None:
    memory = Memory(database, most_items=4)
    session = await conversation(database)
    await memory.flush(flush(session, "passage 1", "passage 2", "passage 3"))
    corrected = await memory.save(ANNA, Note("wrong", 0.0))
    await memory.correct(ANNA, corrected.id, "corrected")
    await memory.save(ANNA, Note("minor", 0.1))
    await memory.save(ANNA, Note("major", 0.8))
    await memory.tidy()
    left = await texts(memory)
    assert len(left) == 4
    assert {"corrected", "minor", "major"} <= set(left)
    smaller = Memory(database, most_items=2)
    await smaller.save(BEN, Note("of Ben"))
    await smaller.save(ANNA, Note("major"))
    await smaller.tidy()
    assert sorted(await texts(memory)) == ["corrected", "major"]
    none = Memory(database, most_items=0)
    await none.save(ANNA, Note("major"))
    await none.tidy()
    assert await texts(memory) == ["corrected"]
    assert await texts(memory, BEN) == ["of Ben"], "nobody has written there"


async def test_a_scope_that_cannot_be_made_smaller_waits_behind_the_others(
    changed_database_url: str,
) -> None:
    async with await Database.open(changed_database_url) as database:
        await database.fetch(
            "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'this one stays'; END $$"
        )
        await database.fetch(
            "CREATE TRIGGER stay BEFORE DELETE ON memory FOR EACH ROW"
            f" WHEN (old.scope = '{ANNA.own}') EXECUTE FUNCTION stay()"
        )
        memory = Memory(database, most_items=1)
        for scopes in (ANNA, BEN):
            await memory.save(scopes, Note("one"))
            await memory.save(scopes, Note("two"))
        with pytest.raises(ExceptionGroup):
            await memory.tidy()
        with pytest.raises(ExceptionGroup):
            await memory.tidy()
        assert (len(await texts(memory)), len(await texts(memory, BEN))) == (2, 1)
        await database.fetch("DROP TRIGGER stay ON memory")
        await memory.tidy()
        assert len(await texts(memory)) == 1
