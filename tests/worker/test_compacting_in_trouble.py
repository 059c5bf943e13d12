"""What goes wrong while a conversation is summed up, or happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelEvent, ModelReply, Prompt, TextDelta
from tests.fixtures.core import running, session_of, until
from tests.fixtures.scribe import GOOD, Scribe
from tests.fixtures.script import Held
from tests.worker.bench import whole
from tests.worker.long_talk import CONTEXT, WORDS, marks, memories, talk, texts

pytestmark = pytest.mark.usefixtures("watched")

TOO_LONG = ModelFailure(FailureKind.CONTEXT_OVERFLOW, "too many tokens")


# The provider says that it was too much.


async def test_a_prompt_that_is_too_long_for_the_provider_is_summed_up_first(
    database_url: str,
) -> None:
    scribe = Scribe()
    wide = CONTEXT.model_copy(
        update={"max_prompt_tokens": 4_000, "compaction_trigger_tokens": 2_500}
    )
    async with running(database_url, provider=scribe, context=wide, memory=True) as core:
        await talk(core, 7)
        assert scribe.jobs == ["answer"] * 7
        scribe.steps.append(TOO_LONG)
        assert (await core.asked("and now?")).text == "echo and now?"
        assert scribe.jobs[7:] == ["answer", "notes", "summary", "answer"]
        await whole(core)
        assert GOOD in texts(core)[0]
        assert [call for call in await memories(core) if call[0] == "pre_compaction_flush"]


async def test_a_provider_for_which_it_is_always_too_much_ends_in_words(database_url: str) -> None:
    scribe = Scribe(*[TOO_LONG] * 4)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        line = await core.asked("Hello")
        assert line.kind == "notice"
        assert "too long for it (too many tokens)" in line.text
        assert "/new begins anew" in line.text
        assert scribe.jobs == ["answer"] * 4
        assert (await core.asked("again")).text == "echo again"
        await whole(core)


# What goes wrong.


async def test_a_summary_that_is_no_good_is_tried_once_more_with_the_reasons(
    database_url: str,
) -> None:
    scribe = Scribe()
    scribe.queued["summary"].append("It was nice.")
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        first, second = scribe.asked["summary"]
        assert "could not be used" not in first.messages[-1].text
        assert "could not be used" in second.messages[-1].text
        assert (await marks(core))["checkpoint_seq"] > 0


async def test_what_cannot_be_summed_up_is_left_out_and_not_tried_at_every_turn(
    database_url: str,
) -> None:
    scribe = Scribe()
    scribe.queued["summary"].extend(["It was nice."] * 2)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        assert scribe.jobs.count("summary") == 2
        assert core.tools_shown() == [("compaction", "started"), ("compaction", "failed")]
        found = await marks(core)
        assert (found["checkpoint_seq"], found["flushed_seq"] > 0) == (0, True)
        await core.asked("go on")
        assert scribe.jobs.count("summary") == 2
        await talk(core, 6)
        await whole(core)
        assert scribe.jobs.count("summary") > 2, "when it has grown it is tried again"
        assert (await marks(core))["checkpoint_seq"] > 0


async def test_without_notes_the_words_themselves_are_kept(database_url: str) -> None:
    scribe = Scribe()
    scribe.queued["notes"].append(ModelFailure(FailureKind.AUTH, "no"))
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        assert {kind for kind, _, _ in await memories(core)} == {"pre_compaction_flush"}
        assert (await marks(core))["checkpoint_seq"] > 0


async def test_a_purse_that_refuses_leaves_the_conversation_as_it_was(database_url: str) -> None:
    scribe = Scribe()
    refused = ModelFailure(FailureKind.SPEND_CAP, "the day's money is spent")
    scribe.queued["notes"].append(refused)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 6)
        await whole(core)
        assert (scribe.jobs.count("notes"), scribe.jobs.count("summary")) == (1, 0)
        assert await memories(core) == []
        assert texts(core)[0].startswith("a well"), "there is room still"


async def test_a_memory_that_fails_does_not_fail_the_turn(database_url: str) -> None:
    scribe = Scribe()
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await core.fetch("ALTER TABLE memory ADD CONSTRAINT broken CHECK (false) NOT VALID")
        try:
            await talk(core, 8)
            await whole(core)
        finally:
            await core.fetch("ALTER TABLE memory DROP CONSTRAINT broken")
        assert all(line.kind == "reply" for line in core.channel.lines())
        assert (await marks(core))["begin_seq"] == 0


# What happens meanwhile.


async def test_a_process_that_dies_after_the_flush_leaves_it_to_the_next_to_go_on(
    database_url: str,
) -> None:
    held = Held()
    before = Scribe()
    before.queued["summary"].append(held)
    async with running(database_url, provider=before, context=CONTEXT, memory=True) as dying:
        await talk(dying, 5)
        await dying.say(f"f {WORDS}")
        await held.reached.wait()
        kept = await memories(dying)
        assert kept
        assert (await marks(dying))["begin_seq"] == 0
        dying.dies = True
    after = Scribe()
    async with running(database_url, provider=after, context=CONTEXT, memory=True) as core:
        await core.fetch("UPDATE node SET lease_until = now() - interval '1 hour' WHERE id <> $1",
                         core.node.id)  # fmt: skip
        await core.delivered(1)
        await whole(core)
        assert after.jobs == ["summary", "answer"], "the notes were taken once"
        assert await memories(core) == kept
        found = await marks(core)
        assert found["begin_seq"] == found["flushed_seq"] > 0


async def test_a_turn_that_was_taken_over_meanwhile_moves_no_mark(database_url: str) -> None:
    """This process was paused over its summary for so long that another one took its turn."""
    held = Held(reply=GOOD)
    scribe = Scribe()
    scribe.queued["summary"].append(held)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        await core.say(f"f {WORDS}")
        await held.reached.wait()
        before = await core.transcript()
        await core.fetch(
            "WITH other AS (INSERT INTO node (id, home, host, pid, lease_until)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), '', 0, now() + interval '1 hour')"
            " RETURNING id)"
            " UPDATE turn SET owner = other.id, attempt = 2 FROM other WHERE state = 'running'"
        )
        held.release()
        await until(lambda: core.dispatcher.turns_running == 0)
        assert (await marks(core))["begin_seq"] == 0
        assert await core.transcript() == before
        assert "answer" not in scribe.jobs[-1:]


async def test_a_stop_ends_it_and_leaves_the_conversation_as_it_was(database_url: str) -> None:
    held = Held()
    scribe = Scribe()
    scribe.queued["summary"].append(held)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        await core.say(f"f {WORDS}")
        await held.reached.wait()
        running_turn = core.dispatcher.running(session_of())
        assert running_turn is not None
        assert running_turn.doing.what == "summing up the conversation"
        await core.say("/stop")
        await whole(core)
        assert core.tools_shown() == [("compaction", "started"), ("compaction", "cancelled")]
        assert (await marks(core))["begin_seq"] == 0
        assert (await core.outcomes())[-2] == (f"f {WORDS}", "interrupted")
        assert (await core.asked("g")).text == "echo g"
        assert (await marks(core))["begin_seq"] > 0, "the next turn sums up"


async def test_what_was_spent_before_a_stop_is_counted(database_url: str) -> None:
    held = Held()
    scribe = Scribe()
    scribe.queued["summary"].append(held)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        before = (await marks(core))["prompt_tokens"]
        await core.say(f"f {WORDS}")
        await held.reached.wait()
        await core.say("/stop")
        await whole(core)
        assert (await marks(core))["prompt_tokens"] == before + 100, "the notes were taken"


async def test_a_model_that_takes_no_notice_of_a_stop_moves_nothing(database_url: str) -> None:
    reached = asyncio.Event()

    async def deaf(_: Prompt) -> AsyncGenerator[ModelEvent]:
        reached.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield TextDelta("never mind")
        yield ModelReply(GOOD)

    scribe = Scribe()
    scribe.queued["summary"].append(deaf)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        await core.say(f"f {WORDS}")
        await reached.wait()
        await core.say("/stop")
        await whole(core)
        assert (await marks(core))["begin_seq"] == 0


async def test_who_speaks_meanwhile_is_heard_before_the_answer(database_url: str) -> None:
    held = Held(reply=GOOD)
    scribe = Scribe()
    scribe.queued["summary"].append(held)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        await core.say(f"f {WORDS}")
        await held.reached.wait()
        await core.say("in short, please")
        held.release()
        await core.delivered(6)
        await whole(core)
        assert core.channel.texts()[-1] == "echo in short, please"
        assert (await core.outcomes())[-1] == ("in short, please", "injected")


async def test_other_conversations_do_not_notice(database_url: str) -> None:
    held = Held(reply=GOOD)
    scribe = Scribe()
    scribe.queued["summary"].append(held)
    async with running(database_url, provider=scribe, context=CONTEXT, memory=True) as core:
        await talk(core, 5)
        await core.say(f"f {WORDS}")
        await held.reached.wait()
        assert (await core.asked("hello", "b")).text == "echo hello"
        held.release()
        await core.delivered(6)
        await whole(core)
