from __future__ import annotations

import asyncio

from tests.fixtures.core import running, session_of, until, voice
from tests.fixtures.script import Held


async def test_late_word_of_the_message_that_is_being_answered_interrupts_nothing(
    database_url: str,
) -> None:
    held = Held("half")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("one")
        await held.reached.wait()
        core.dispatcher.arrived(session_of(), voice(), "channel")
        held.release()
        await core.delivered(1)
        [line] = core.channel.lines()
        assert not line.interrupted
        assert await core.outcomes() == [("one", "answered")]


async def test_what_is_heard_while_the_database_is_asked_is_newer_than_its_answer(
    database_url: str,
) -> None:
    """A poll that began before a message came must not have its lane forgotten."""
    async with running(database_url, start=False) as core:
        looking = asyncio.create_task(core.dispatcher._look_for_work())
        while not looking.done():
            core.dispatcher.arrived(session_of(), voice(), "channel")
            await asyncio.sleep(0)
        assert core.dispatcher.waiting(session_of()) > 0
        await core.dispatcher._look_for_work()
        assert core.dispatcher.waiting(session_of()) == 0, "nobody waits there"


async def test_word_of_a_message_that_was_withdrawn_leads_nowhere(database_url: str) -> None:
    """Lanes that stand in line, wait aside or are idle are all forgotten when nobody waits."""
    held = Held()
    async with running(database_url, held, max_concurrency=1) as core:
        await core.say("one")
        await held.reached.wait()
        core.dispatcher.arrived(session_of("b"), voice("b"), "channel")
        await until(lambda: core.dispatcher.waiting(session_of("b")) == 0, "the poll knows better")
        held.release()
        assert await core.delivered(1) == ["released"]
        assert (await core.asked("hello", "b")).text == "echo hello"
        await until(lambda: not list(core.dispatcher._lanes), "nothing is left to do")
