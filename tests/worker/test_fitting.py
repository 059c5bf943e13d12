"""What a turn's model is shown keeps within its limits, also in the middle of a turn."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest

from opencraw.context.settings import ContextSettings
from opencraw.context.tokens import Counter, Tokens, rough
from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelReply, Prompt, ToolMessage, Usage
from opencraw.runtime.loop import LoopLimits
from opencraw.tools.registry import Risk, Tool, tool
from opencraw.worker import fitting
from tests.fixtures.core import running
from tests.fixtures.scribe import GOOD, Scribe
from tests.fixtures.script import Held, Script, Step, calls
from tests.worker.bench import script_of, whole
from tests.worker.long_talk import CONTEXT, WORDS, marks, talk, texts

TOO_LONG = ModelFailure(FailureKind.CONTEXT_OVERFLOW, "too many tokens")
FEW = LoopLimits(tool_loops_max=6, tool_max_runtime_seconds=10.0, max_tool_chars=4_000)


@tool(risk=Risk.READ)
async def look() -> str:
    """Look at something that is large."""
    return "so much to see here " * 100


def size(prompt: Prompt) -> int:
    return sum(len(message.text) for message in prompt.messages)


def results(prompt: Prompt) -> list[str]:
    return [each.text for each in prompt.messages if isinstance(each, ToolMessage)]


TOOLS: tuple[Tool, ...] = (look,)


async def test_a_turn_whose_tools_bring_in_much_shows_the_older_results_short(
    database_url: str,
) -> None:
    script = Script(*[calls("look") for _ in range(5)], "seen")
    context = ContextSettings(max_prompt_tokens=1_200, min_recent_messages=2)
    async with running(
        database_url, provider=script, context=context, tools=TOOLS, limits=FEW
    ) as core:
        assert (await core.asked("look around")).text == "seen"
        await whole(core)
        assert max(map(size, script.prompts)) < 1_200 * 4 + 2_000, "a result beyond at most"
        *older, newest = results(script.prompts[-1])
        assert len(newest) == 2_000
        assert all(len(each) < 1_000 for each in older[:-1])


async def test_a_conversation_is_summed_up_in_the_middle_of_a_turn(database_url: str) -> None:
    scribe = Scribe()
    async with running(
        database_url, provider=scribe, context=CONTEXT, tools=TOOLS, memory=True
    ) as core:
        await talk(core, 4)
        scribe.steps.extend([calls("look", "look"), "seen"])
        assert (await core.asked("look around")).text == "seen"
        await whole(core)
        assert scribe.jobs[4:] == ["answer", "notes", "summary", "answer"]
        newest = scribe.asked["answer"][-1].messages
        assert GOOD in newest[0].text
        assert [each.text for each in newest if each.text == "look around"]
        kinds = [entry.kind for entry in await core.transcript()]
        assert kinds.count("tool_result") == 2, "no step is taken twice"
        assert kinds[-3:] == ["tool_result", "checkpoint", "assistant"], "nor is one parted"


async def test_what_a_turn_used_of_its_calls_is_not_forgotten_on_the_way(
    database_url: str,
) -> None:
    script = Script(*[calls("look") for _ in range(50)])
    context = ContextSettings(max_prompt_tokens=1_200, min_recent_messages=2)
    async with running(
        database_url, provider=script, context=context, tools=TOOLS, limits=FEW
    ) as core:
        line = await core.asked("look around")
        assert "kept calling tools instead of answering" in line.text
        assert len(script.prompts) == FEW.tool_loops_max + 2
        await whole(core)


async def test_nor_when_the_process_is_another(database_url: str) -> None:
    home: UUID = uuid4()
    held = Held(reply=calls("look"))
    steps: list[Step] = [calls("look") for _ in range(4)]
    async with running(database_url, *steps, held, home=home, tools=TOOLS, limits=FEW) as before:
        await before.say("look around")
        await held.reached.wait()
    more = [calls("look") for _ in range(50)]
    async with running(database_url, *more, home=home, tools=TOOLS, limits=FEW) as after:
        await after.delivered(1)
        await whole(after)
        assert len(script_of(after).prompts) == FEW.tool_loops_max + 2 - 4


async def test_one_result_too_many_is_not_looked_at_again_and_again(database_url: str) -> None:
    """Where nothing can be gained, a turn with many tools reads its conversation seldom."""
    wide = "all of this is needed " * 300

    @tool(risk=Risk.READ)
    async def tick() -> str:
        """Tick."""
        return "tick"

    script = Script(*[calls("tick") for _ in range(5)], "done")
    context = ContextSettings(max_prompt_tokens=500, min_recent_messages=2)
    async with running(
        database_url, provider=script, context=context, tools=(tick,), limits=FEW
    ) as core:
        assert (await core.asked(wide)).text == "done"
        first, *rest = script.prompts
        assert all(each.messages[0] == first.messages[0] for each in rest)
        assert (await marks(core))["begin_seq"] == 0
        await whole(core)


async def test_what_the_vendor_counts_is_learned(database_url: str) -> None:
    tokens = Tokens()
    before = tokens.counter("script/one")(WORDS)
    reply = ModelReply("so many", usage=Usage(5_000, 2))
    async with running(database_url, reply, tokens=tokens) as core:
        await core.asked(WORDS * 4)
    assert tokens.counter("script/one")(WORDS) > before


@pytest.mark.parametrize("said", ["what?", "look around"])
async def test_what_is_heard_on_the_way_looks_as_it_will_later(
    database_url: str, said: str
) -> None:
    held = Held(reply=calls("look"))
    async with running(database_url, held, tools=TOOLS) as core:
        await core.say("begin")
        await held.reached.wait()
        await core.say(said)
        held.release()
        await core.delivered(1)
        await core.asked("and now?")
        await whole(core)
        *_, earlier, later = script_of(core).prompts
        assert later.messages[: len(earlier.messages)] == earlier.messages


async def test_without_memory_too_long_a_conversation_loses_its_beginning(
    database_url: str,
) -> None:
    scribe = Scribe()
    context = ContextSettings(max_prompt_tokens=4_000, min_recent_messages=2)
    async with running(database_url, provider=scribe, context=context) as core:
        await talk(core, 7)
        await talk(core, 7)
        scribe.steps.append(TOO_LONG)
        assert (await core.asked("and now?")).text == "echo and now?"
        assert set(scribe.jobs) == {"answer"}
        assert (await marks(core))["begin_seq"] > 0
        assert "left out" in texts(core)[0]
        await whole(core)


class Watching(Tokens):
    """Notes on which threads is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[threading.Thread] = set()

    def counter(self, label: str) -> Counter:
        return Counter(self._count, 1.0, exact=False)

    def _count(self, text: str) -> int:
        self.threads.add(threading.current_thread())
        return rough(text)


async def test_a_long_conversation_is_looked_at_beside_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, tokens = threading.current_thread(), Watching()
    async with running(
        database_url, provider=Scribe(), context=CONTEXT, memory=True, tokens=tokens
    ) as core:
        await core.asked("a short one")
        assert tokens.threads == {here}
        monkeypatch.setattr(fitting, "MOST_ON_THE_LOOP", 0)
        await talk(core, 6)
        assert tokens.threads > {here}
        await whole(core)
