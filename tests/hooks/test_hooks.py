from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from opencraw.hooks import Denied, Facts, Go, Hook, Hooks, Point, Verdict, hook
from opencraw.hooks.hooks import FAILED
from tests.fixtures.core import until
from tests.hooks.programs import hooks, program

TOOL = Point.BEFORE_TOOL_CALL
SENDING = Point.MESSAGE_SENDING


def test_nobody_listens_where_no_hook_is() -> None:
    @hook(Point.TURN_STARTED)
    async def watch(point: Point, facts: Facts) -> None:
        """Look on."""

    listening = Hooks({"watch": watch})
    assert [point for point in Point if listening.at(point)] == [Point.TURN_STARTED]
    assert not any(Hooks().at(point) for point in Point)


async def test_where_nobody_listens_everything_goes_on() -> None:
    await Hooks().tell(Point.TURN_ENDED, {})
    assert await Hooks().ask(TOOL, {}) == Go({})


async def test_hooks_are_called_one_after_the_other_with_plain_facts() -> None:
    called: list[tuple[str, Facts]] = []

    def noting(name: str) -> Hook:
        @hook(Point.TURN_STARTED)
        async def note(point: Point, facts: Facts) -> None:
            await asyncio.sleep(0)
            called.append((name, facts))

        return note

    turn = uuid4()
    hooks_of_both = Hooks({name: noting(name) for name in "ab"})
    await hooks_of_both.tell(Point.TURN_STARTED, {"turn_id": turn})
    assert called == [("a", {"turn_id": str(turn)}), ("b", {"turn_id": str(turn)})]


async def test_each_sees_what_those_before_it_changed_and_the_first_no_is_the_last_word() -> None:
    @hook(SENDING)
    async def shout(point: Point, facts: Facts) -> Verdict:
        return Go({"text": str(facts["text"]).upper()})

    @hook(SENDING)
    async def sign(point: Point, facts: Facts) -> Verdict:
        return Go({"text": f"{facts['text']}!"})

    @hook(SENDING)
    async def refuse(point: Point, facts: Facts) -> Verdict:
        return Denied(f"not {facts['text']}")

    facts = {"text": "hello", "chat": "a"}
    both = Hooks({"shout": shout, "sign": sign})
    assert await both.ask(SENDING, facts) == Go({"text": "HELLO!"})
    mixed = Hooks({"shout": shout, "refuse": refuse, "sign": sign})
    assert await mixed.ask(SENDING, facts) == Denied("not HELLO")
    assert [each["calls"] for each in mixed.status()] == [1, 1, 0]
    assert [each["denied"] for each in mixed.status()] == [0, 1, 0]
    assert facts == {"text": "hello", "chat": "a"}


async def test_what_a_hook_does_to_its_facts_concerns_nobody() -> None:
    @hook(TOOL)
    async def vandal(point: Point, facts: Facts) -> None:
        arguments = facts["arguments"]
        assert isinstance(arguments, dict)
        arguments["path"] = "/etc/shadow"
        facts["tool"] = "shell"  # type: ignore[index]

    facts: dict[str, Any] = {"tool": "read", "arguments": {"path": "a"}}
    assert await Hooks({"vandal": vandal}).ask(TOOL, facts) == Go({})
    assert facts == {"tool": "read", "arguments": {"path": "a"}}


async def broken(point: Point, facts: Facts) -> None:
    raise LookupError("no such list")


async def quitter(point: Point, facts: Facts) -> None:
    raise asyncio.CancelledError


async def exits(point: Point, facts: Facts) -> None:
    sys.exit(3)


async def endless(point: Point, facts: Facts) -> None:
    await asyncio.Event().wait()


async def stubborn(point: Point, facts: Facts) -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.sleep(0)


async def talker(point: Point, facts: Facts) -> Any:
    return "no"


def no_coroutine(point: Point, facts: Facts) -> Any:
    return None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (broken, "LookupError: no such list"),
        (quitter, "it cancelled itself"),
        (exits, "tried to end the process"),
        (endless, "did not answer within 0.05 s"),
        (stubborn, "did not answer within 0.05 s"),
        (talker, "not with a verdict"),
        (no_coroutine, "TypeError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_hook_that_fails_is_contained_counted_and_told(
    call: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Hooks({"check": Hook(frozenset(Point), call, 0.05)})
    assert await failing.ask(SENDING, {}) == Go({})
    assert "failed at its last call: " in failing.problems()["hook check"]
    assert await failing.ask(TOOL, {}) == Denied(FAILED)
    await failing.tell(Point.TURN_ENDED, {})
    [status] = failing.status()
    assert (status["calls"], status["failures"], status["at_work"]) == (3, 3, 0)
    assert words in str(status["last_failure"])
    assert failing.problems() == {
        "hook check": f"failed 3 times in a row: {status['last_failure']}"
    }
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(told) == 3
    assert words in told[0]
    assert "it goes on without" in told[0]
    assert "it is denied" in told[1]


async def test_who_works_again_is_no_problem_any_more() -> None:
    well = False

    @hook(Point.TURN_ENDED)
    async def moody(point: Point, facts: Facts) -> None:
        if not well:
            raise LookupError

    watching = Hooks({"moody": moody})
    await watching.tell(Point.TURN_ENDED, {})
    assert watching.problems()
    well = True
    await watching.tell(Point.TURN_ENDED, {})
    assert not watching.problems()
    assert watching.status()[0]["failures"] == 1


async def test_a_flood_of_failures_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = Hooks({"check": Hook(frozenset(Point), broken)})
    for _ in range(200):
        await failing.tell(Point.TURN_ENDED, {})
    assert len(caplog.records) <= 40
    assert failing.status()[0]["failures"] == 200


async def test_a_hook_that_floods_the_log_silences_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noisy = Hook(frozenset({Point.TURN_ENDED}), broken)
    both = Hooks({"noisy": noisy, "other": Hook(frozenset({TOOL}), broken)})
    for _ in range(200):
        await both.tell(Point.TURN_ENDED, {})
    await both.ask(TOOL, {})
    assert "hook other failed" in caplog.text


async def test_one_that_fails_does_not_keep_the_others_from_looking_on() -> None:
    seen: list[str] = []

    @hook(Point.TURN_ENDED)
    async def watch(point: Point, facts: Facts) -> None:
        seen.append(point)

    await Hooks({"a": Hook(frozenset(Point), broken), "b": watch}).tell(Point.TURN_ENDED, {})
    assert seen == ["turn_ended"]


async def test_all_together_keep_within_the_time_of_the_one_who_asks() -> None:
    slow = {str(number): Hook(frozenset(Point), endless, 5.0) for number in range(3)}
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await Hooks(slow).ask(SENDING, {}, within=0.1) == Go({})
    assert clock() - began < 2.0


async def test_a_turn_that_is_stopped_ends_the_hook_that_it_waits_for() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @hook(TOOL, timeout_seconds=60.0)
    async def slow(point: Point, facts: Facts) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    asking = asyncio.ensure_future(Hooks({"slow": slow}).ask(TOOL, {}))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(5):
        await ended.wait()


async def test_facts_that_no_json_can_say_are_contained() -> None:
    @hook(TOOL)
    async def watch(point: Point, facts: Facts) -> None:
        """Have no objection."""

    facts: Mapping[str, object] = {"what": object()}
    assert await Hooks({"watch": watch}).ask(TOOL, facts) == Denied(FAILED)


async def test_a_command_that_hangs_is_killed_and_the_turn_goes_on(tmp_path: Path) -> None:
    born = tmp_path / "born"
    hang = program(
        tmp_path,
        "import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
    )
    hanging = hooks([*hang, str(born)], Point.TURN_ENDED, seconds=1.0)
    await hanging.tell(Point.TURN_ENDED, {})
    assert "did not answer within 1 s" in str(hanging.status()[0]["last_failure"])
    pid = int(born.read_text())
    await until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone and buried")
