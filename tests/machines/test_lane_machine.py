"""The whole core, two nodes on one database, against what its people were promised.

Each step waits until the nodes have done all they can, unless the step before it was
`nobody_waits`. Nothing that is drawn depends on what the core does, so that a sequence which fails
can be made shorter.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from opencraw.contract import Rights
from opencraw.errors import QueueFull, Unavailable
from opencraw.outbox import sender
from opencraw.queue.modes import Wait
from opencraw.settings import Drop, Mode
from opencraw.worker import beginnings, dispatcher, full_lanes
from tests.fixtures.core import Core, address, envelope, is_whole, running, until
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Script
from tests.machines.accounts import OUTCOMES, Accounts, Said
from tests.machines.cluster import Cluster
from tests.machines.held_model import STEPS, HeldModel, Step
from tests.scenarios.at_rest import connected

IS_SOAK = os.environ.get("OPENCRAW_HYPOTHESIS") == "soak"
#: Reports the sequence that failed as it was drawn: making it shorter takes minutes.
settings.register_profile(
    "brief",
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
)
#: OPENCRAW_HYPOTHESIS=soak: other sequences every time, up to an hour of them.
settings.register_profile(
    "soak", max_examples=3_000, stateful_step_count=60, derandomize=False, deadline=None
)

CHATS = ("a", "b")

_WAITING = "SELECT message_id FROM inbox WHERE state IN ('waiting', 'overflowed')"

_BLOCKED = "SELECT FROM pg_locks WHERE relation = 'turn'::regclass AND NOT granted"

chats = st.sampled_from([CHATS[0], *CHATS])
places = st.sampled_from([0, 1])
#: Mostly the owner: what guests say ends a burst.
rights = st.sampled_from([Rights.OWNER, Rights.OWNER, Rights.OWNER, Rights.GUEST])
modes = st.sampled_from(get_args(Mode))
bounds = st.builds("cap:{} drop:{}".format, st.integers(1, 3), st.sampled_from(get_args(Drop)))
choices = st.one_of(modes, bounds, st.sampled_from(["debounce:30ms", "debounce:0ms"]))
mostly = st.sampled_from([True, True, False])


class LaneMachine(RuleBasedStateMachine):
    """People, a model, and nodes that come and go."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.model = HeldModel()
        self.channel = Mailbox()
        self.cluster = Cluster(self.url, self.model, self.channel)
        self.said: list[Said] = []
        #: What conversations have seen: modes, drop policies, and other things that end messages.
        self.saw = {chat: {"steer", "summarize"} for chat in CHATS}
        self.hurry: int | None = None
        self.healthy = True

    def _do(self, what: Coroutine[Any, Any, object]) -> None:
        """Do it, and let the nodes do what follows from it, as far as somebody waits for that."""
        hurry, self.hurry = self.hurry, None
        self.healthy = False
        self.runner.run(self._done(what, hurry))
        self.healthy = True

    async def _done(self, what: Coroutine[Any, Any, object], hurry: int | None) -> None:
        await what
        if hurry is None:
            await self.cluster.calm()
        for _ in range(hurry or 0):
            await asyncio.sleep(0)
        await self.cluster.one_turn_each()

    @initialize(mode=modes)
    def begin(self, mode: Mode) -> None:
        self._do(self._begin(mode))

    async def _begin(self, mode: Mode) -> None:
        await self.cluster.open()
        await self.cluster.start(0)
        self.saw["a"].clear()
        await self._choose("a", 0, f"{mode} drop:summarize")

    # People.

    @rule(chat=chats, place=places, who=rights)
    def say(self, chat: str, place: int, who: Rights) -> None:
        self._do(self._say(self._message(chat, who), place))

    @rule(chat=chats, place=places, who=rights, step=st.sampled_from(STEPS))
    def say_and_let_the_model_go_on(self, chat: str, place: int, who: Rights, step: Step) -> None:
        self.say(chat, place, who)
        self._do(self._release(chat, step))

    @rule(chat=chats, place=places, count=st.integers(2, 4))
    def say_much_at_once(self, chat: str, place: int, count: int) -> None:
        burst = [self._message(chat, Rights.OWNER) for _ in range(count)]
        self._do(self._say_all(burst, place))

    @rule(chat=chats, place=places, moment=st.integers(0, 30))
    def say_as_the_node_dies(self, chat: str, place: int, moment: int) -> None:
        self._do(self._say_as_it_dies(self._message(chat, Rights.OWNER), place, moment))

    @rule(number=st.integers(0, 50), place=places)
    def repeat(self, number: int, place: int) -> None:
        if self.said:
            self._do(self._say(self.said[number % len(self.said)], place))

    @rule(number=st.integers(0, 50), place=places)
    def withdraw(self, number: int, place: int) -> None:
        if self.said:
            self._do(self._withdraw(self.said[-1 - number % len(self.said)], place))

    @rule(chat=chats, place=places, choice=choices)
    def choose(self, chat: str, place: int, choice: str) -> None:
        self._do(self._choose(chat, place, choice))

    @rule(chat=chats, place=places)
    def stop(self, chat: str, place: int) -> None:
        self._do(self._stop(chat, place))

    # The model and its tools.

    @rule(chat=chats)
    def the_model_answers(self, chat: str) -> None:
        self._do(self._release(chat, "answer"))

    @rule(chat=chats, step=st.sampled_from(STEPS))
    def the_model_goes_on(self, chat: str, step: Step) -> None:
        self._do(self._release(chat, step))

    @rule()
    def everybody_goes_on(self) -> None:
        self._do(self._release("ab", "answer"))

    # The nodes, and what they stand on.

    @rule(place=places)
    def a_node_starts(self, place: int) -> None:
        self._do(self.cluster.start(place))

    @rule(place=places, again=mostly)
    def a_node_is_killed(self, place: int, again: bool) -> None:
        self._do(self._ends(self.cluster.kill, place, again))

    @rule(place=places, again=mostly)
    def a_node_leaves(self, place: int, again: bool) -> None:
        self._do(self._ends(self.cluster.leave, place, again))

    @rule()
    def the_leases_of_the_dead_end(self) -> None:
        self._do(self.cluster.leases_end())

    @rule(place=places)
    def a_node_sleeps_through_its_lease(self, place: int) -> None:
        self._do(self.cluster.sleep_through_lease(place))

    @rule(place=places)
    def a_node_lets_go_of_its_turns(self, place: int) -> None:
        self._do(self.cluster.let_go(place))

    @rule(place=places, step=st.sampled_from(STEPS))
    def a_node_works_on_without_its_lease(self, place: int, step: Step) -> None:
        self._do(self.cluster.work_on_without_lease(place, step))

    @rule()
    def connections_break(self) -> None:
        self._do(self.cluster.break_connections())

    @rule(moments=st.integers(0, 40))
    def nobody_waits(self, moments: int) -> None:
        """The next step is followed by another one before it is carried out to its end."""
        self.hurry = moments

    @invariant()
    def promises_are_kept(self) -> None:
        self._accounts().so_far()

    def close(self) -> None:
        """The end of a sequence that is played without being drawn."""
        try:
            self.promises_are_kept()
        finally:
            self.teardown()

    def teardown(self) -> None:
        try:
            if self.healthy:
                self.runner.run(self._come_to_rest())
        finally:
            self.runner.run(self.cluster.close())
            self.runner.close()

    async def _come_to_rest(self) -> None:
        """Everybody gets an answer at once from now on; then the accounts must be right."""
        await self.cluster.start(0)
        await self.cluster.leases_end()
        self.model.release_all()
        await self.cluster.calm()
        await is_whole(self.cluster.living[0].database)
        self._accounts().at_rest(await self.cluster.fetch(OUTCOMES))

    def _accounts(self) -> Accounts:
        return Accounts(self.said, self.saw, self.model, self.channel)

    # How it is done.

    def _message(self, chat: str, who: Rights) -> Said:
        name = f"{chat}-{len(self.said)}"
        self.said.append(Said(name, envelope(f"Hear <<{name}>>", chat, rights=who)))
        return self.said[-1]

    async def _say(self, said: Said, place: int) -> None:
        core = self.cluster.some(place)
        if core is None:
            return
        try:
            receipt = await core.door.accept(said.envelope)
        except QueueFull:
            assert "block" in self.saw[said.chat], "only block refuses"
            assert said.id is None, "what was accepted is not refused"
            return
        assert said.id in (None, receipt.message_id), "one message has one id"
        assert not (said.id and not receipt.duplicate), "a repeat is known as such"
        said.id = receipt.message_id

    async def _say_all(self, burst: list[Said], place: int) -> None:
        for said in burst:
            await self._say(said, place)

    async def _ends(self, end: Callable[[int], Awaitable[None]], place: int, again: bool) -> None:
        await end(place)
        if again:
            await self.cluster.start(place)

    async def _say_as_it_dies(self, said: Said, place: int, moment: int) -> None:
        saying = asyncio.create_task(self._say(said, place))
        for _ in range(moment):
            await asyncio.sleep(0)
        for each in (0, 1):
            await self.cluster.kill(each)
        await self.cluster.start(place)
        try:
            await saying
        except Unavailable:
            # Whoever gets no answer offers it again.
            await self._say(said, place)

    async def _withdraw(self, said: Said, place: int) -> None:
        core = self.cluster.some(place)
        if core is not None and said.id is not None:
            self.saw[said.chat].add("withdraw")
            said.withdrawn |= await core.reader.withdraw(address(said.chat), said.id)

    async def _command(self, chat: str, place: int, text: str) -> Core | None:
        core = self.cluster.some(place)
        if core is not None:
            await core.say(text, chat)
        return core

    async def _choose(self, chat: str, place: int, choice: str) -> None:
        self.saw[chat].update(choice.replace("drop:", "").split())
        await self._command(chat, place, f"/queue {choice}")

    async def _stop(self, chat: str, place: int) -> None:
        self.saw[chat].add("stop")
        if await self._command(chat, place, "/stop"):
            waiting = {row["message_id"] for row in await self.cluster.fetch(_WAITING)}
            left = [each.name for each in self.said if each.chat == chat and each.id in waiting]
            assert not left, f"/stop takes back all that wait, but not {left}"

    async def _release(self, chats: str, step: Step) -> None:
        for chat in chats:
            self.model.release(chat, step)


EXAMPLES = settings(
    settings.get_profile("soak" if IS_SOAK else "brief"),
    # Nothing here is slow by itself: a step waits for a database and for two nodes.
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture
def machine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> type[LaneMachine]:
    """Polls often, so that what only a poll finds is found soon."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.03)
    monkeypatch.setattr(beginnings, "_LOST_CLAIM", Wait(0.01))
    monkeypatch.setattr(full_lanes, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.03)
    return type("OnThisDatabase", (LaneMachine,), {"url": database_url})


@pytest.mark.timeout(0 if IS_SOAK else 120)
def test_every_promise_is_kept_whatever_happens_in_whatever_order(
    machine: type[LaneMachine],
) -> None:
    run_state_machine_as_test(machine, settings=EXAMPLES)


# What is too rare to be met by chance in a few seconds.


@pytest.mark.parametrize("step", ["answer", "read", "act"])
def test_a_node_that_was_given_up_does_nothing_more_for_its_turn(
    machine: type[LaneMachine], step: Step
) -> None:
    with closing(machine()) as play:
        play.begin(mode="steer")
        play.a_node_starts(place=1)
        play.say(chat="a", place=0, who=Rights.OWNER)
        play.a_node_works_on_without_its_lease(place=0, step=step)
        play.the_model_goes_on(chat="a", step=step)


async def test_a_lease_that_ends_while_a_lane_is_claimed_stops_that_too(
    database_url: str,
) -> None:
    async with (
        running(database_url, debounce_ms=200) as core,
        connected(database_url) as blocker,
    ):
        renewing = core.running.pop(0)
        renewing.cancel()
        await core.say("Hello")
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE turn IN EXCLUSIVE MODE")
            await until(lambda: blocker.fetch(_BLOCKED), "a claim that waits for the database")
            core.node.others, core.node._held_until = 1, 0.0
            core.dispatcher.hand_over()
        await core.dispatcher.drained()
        assert isinstance(core.script, Script)
        assert not core.script.prompts, "another node may be asking by now"
        core.node.others = 0
        assert await core.delivered(1) == ["echo Hello"]
        await core.settled()
