"""An owner is asked about a stranger, with buttons."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from opencraw.access.pairing import Word
from opencraw.contract import Address, ChatType, Pick, Rights, Sender
from opencraw.errors import Forbidden, NotAdmitted, NotSent, Refused
from opencraw.gateway import decisions
from opencraw.settings import AccessSettings
from tests.fixtures.core import Core, running, until
from tests.fixtures.people import PAIRING, Board, admitted, asked, knocks, says, talks

ACCESS = {"test": PAIRING}


def press(core: Core, sender: str, option: str, chat: str = "boss") -> Pick:
    choice = asked(core, chat)[-1]
    who = Sender(sender, "Whatever", Rights.GUEST)
    return Pick(choice.id, option, Address("test", "account", sender), who)


async def test_the_owner_who_talked_last_is_asked_with_buttons(database_url: str) -> None:
    board = Board()
    async with running(database_url, access=ACCESS, channel=board) as core:
        await talks(core, "boss")
        code = await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        [question] = [each for each in board.got if each.choice]
        assert question.choice is not None
        assert [each.name for each in question.choice.options] == ["approve", "deny"]
        assert code in question.line.text
        assert "let in as a guest" in await core.gateway.choose(press(core, "boss", "approve"))
        await until(lambda: board.edits, "the question is changed")
        [(post, text)] = board.edits
        assert text == f"{question.line.text}\n\nStatus: approved"
        assert post == f"post {board.got.index(question) + 1}"
        assert await talks(core, "anna") != ""
        lines = await core.reader.history(Address("test", "account", "boss"))
        assert lines[-1].text.endswith("Status: approved")


async def test_a_decision_by_code_is_shown_where_it_was_asked(database_url: str) -> None:
    board = Board()
    async with running(database_url, access=ACCESS, channel=board) as core:
        await talks(core, "boss")
        code = await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        await core.settled()
        await talks(core, "boss", f"/pair reject {code}")
        await until(lambda: board.edits, "the question is changed")
        assert board.edits[0][1].endswith("Status: denied")
        with pytest.raises(Refused, match="was rejected by test:boss"):
            await core.gateway.choose(press(core, "boss", "approve"))
        assert not await admitted(core, says("hello", "anna"))


async def test_of_two_who_press_at_once_one_decides_and_the_other_hears_how(
    database_url: str,
) -> None:
    access = {"test": AccessSettings(owners=["boss", "wife"])}
    async with running(database_url, access=access, channel=Board()) as core:
        await talks(core, "boss")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        outcomes = await asyncio.gather(
            core.gateway.choose(press(core, "boss", "approve")),
            core.gateway.choose(press(core, "wife", "deny")),
            return_exceptions=True,
        )
        done = [each for each in outcomes if isinstance(each, str)]
        [late] = [each for each in outcomes if isinstance(each, Refused)]
        assert len(done) == 1
        assert "already resolved" in str(late)
        [row] = await core.fetch("SELECT state, resolved_by FROM pairing")
        assert f"was {row['state']} by {row['resolved_by']}" in str(late)


async def test_a_button_is_of_no_use_to_anybody_but_an_owner(database_url: str) -> None:
    access = {"test": PAIRING.model_copy(update={"allowed_senders": ["guest"]})}
    async with running(database_url, access=access, channel=Board()) as core:
        await talks(core, "boss")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        with pytest.raises(Forbidden):
            await core.gateway.choose(press(core, "guest", "approve"))
        with pytest.raises(NotAdmitted):
            await core.gateway.choose(press(core, "anna", "approve"))
        mine = press(core, "boss", "approve")
        elsewhere = msgspec.structs.replace(
            mine, address=Address("test", "account", "den"), chat_type=ChatType.GROUP
        )
        with pytest.raises(NotAdmitted):
            await core.gateway.choose(elsewhere)
        with pytest.raises(Refused, match="not among the answers"):
            await core.gateway.choose(msgspec.structs.replace(mine, option="owner"))
        assert not await admitted(core, says("hello", "anna"))


@pytest.mark.parametrize("table", ["choice", "pairing"])
async def test_a_question_is_over_in_time_and_so_is_its_request(
    database_url: str, table: str
) -> None:
    async with running(database_url, access=ACCESS, channel=Board()) as core:
        await talks(core, "boss")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        await core.database.commit(
            f"UPDATE {table} SET expires_at = now() FROM unnest($1::boolean[])"
            " WITH ORDINALITY AS row(any_of_them, ord) RETURNING row.ord",
            (True,),
        )
        with pytest.raises(Refused, match="over"):
            await core.gateway.choose(press(core, "boss", "approve"))
        assert not await admitted(core, says("hello", "anna"))


async def test_somebody_who_is_no_owner_any_more_is_not_asked(database_url: str) -> None:
    async with running(database_url, access=ACCESS, channel=Board()) as core:
        code = await knocks(core, "wife")
        await talks(core, "boss", f"/pair approve {code} owner")
        await talks(core, "wife")
        await core.opened.entrance.strangers.revoke("test", "wife", None, "ops")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        assert asked(core, "wife") == []


async def followed_up(core: Core) -> bool:
    [row] = await core.fetch("SELECT shown_at, welcomed_at FROM choice, pairing")
    return None not in tuple(row)


async def test_what_an_owner_decided_is_followed_up_by_whoever_comes_next(
    database_url: str,
) -> None:
    """The process died when it had written the decision down."""
    async with running(database_url, access=ACCESS, channel=Board()) as core:
        await talks(core, "boss")
        code = await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        await core.settled()
    async with running(database_url, access=ACCESS, channel=Board(), start=False) as core:
        await core.opened.entrance.strangers.resolve(code, Word("ops", Rights.GUEST))
    board = Board()
    async with running(database_url, access=ACCESS, channel=board) as core:
        await until(lambda: board.edits, "the question is changed")
        assert board.edits[0][1].endswith("Status: approved")
        await until(lambda: core.channel.lines("anna"), "the welcome")
        await until(lambda: followed_up(core), "both are on record")
        await core.settled()
    async with running(database_url, access=ACCESS, channel=board) as core:
        await talks(core, "anna")
        assert (len(board.edits), len(core.channel.lines("anna"))) == (1, 2), "once"


async def test_the_owner_is_asked_before_the_stranger_is_refused(database_url: str) -> None:
    """So a platform that hears of no acknowledgement hands the message out again."""
    async with running(database_url, access=ACCESS, channel=Board()) as core:
        await talks(core, "boss")
    async with running(database_url, access=ACCESS, channel=Board(), start=False) as core:
        assert not await admitted(core, says("hello", "anna"))
        [row] = await core.fetch("SELECT count(*) AS asked FROM outbox WHERE choice_id IS NOT NULL")
        assert row["asked"] == 1


async def test_a_question_that_cannot_be_changed_now_is_changed_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "LOOK_SECONDS", 0.05)
    board = Board()
    board.refusals = [NotSent("busy"), NotSent("busy")]
    async with running(database_url, access=ACCESS, channel=board) as core:
        await talks(core, "boss")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        await core.gateway.choose(press(core, "boss", "deny"))
        await until(lambda: board.edits, "the question is changed")
        assert not board.refusals


async def test_a_question_that_is_on_its_way_is_changed_when_it_is_there(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "LOOK_SECONDS", 0.05)
    board = Board()
    async with running(database_url, access=ACCESS, channel=board) as core:
        await talks(core, "boss")
        board.gate.clear()
        assert not await admitted(core, says("let me in", "anna"))
        [row] = await core.fetch("SELECT code FROM pairing")
        await core.opened.entrance.strangers.resolve(row["code"], Word("ops", None))
        assert not asked(core, "boss")
        board.gate.set()
        await until(lambda: board.edits, "the question is changed")
        assert board.edits[0][1].endswith("Status: denied")
