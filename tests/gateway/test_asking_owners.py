"""An owner is asked about a stranger, with buttons."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from opencraw.contract import Address, ChatType, Pick, Rights, Sender
from opencraw.errors import Forbidden, NotAdmitted, Refused
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
        assert [each.name for each in question.choice.options] == ["approve", "reject"]
        assert code in question.line.text
        assert "let in as a guest" in await core.gateway.choose(press(core, "boss", "approve"))
        await until(lambda: board.edits, "the question is changed")
        [(post, text)] = board.edits
        assert text == f"{question.line.text}\n\nStatus: approved"
        assert post == f"post {board.got.index(question) + 1}"
        assert await talks(core, "anna") != ""
        lines = await core.gateway.history(Address("test", "account", "boss"))
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
        assert board.edits[0][1].endswith("Status: rejected")
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
            core.gateway.choose(press(core, "wife", "reject")),
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
        await core.entrance.strangers.revoke("test", "wife", None, "ops")
        await knocks(core, "anna")
        await until(lambda: asked(core, "boss"), "the question")
        assert asked(core, "wife") == []
