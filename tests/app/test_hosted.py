"""How a channel fares: alive by what comes in, started again when it ends, refused until mended."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast
from uuid import uuid4

import pytest
from aiohttp import web

from opencraw.app import hosted as module
from opencraw.app.channels import ChannelHost
from opencraw.app.reports import ChannelReports
from opencraw.contract import (
    Address,
    Channel,
    Delivery,
    Gateway,
    Line,
    PartSent,
    Power,
    Pulse,
    Route,
)
from opencraw.errors import AccountRefused, NotFound, NotSent, Unavailable
from opencraw.events import Event
from opencraw.platforms.quarantine import Quarantine
from opencraw.platforms.traffic import Traffics
from opencraw.queue.nodes import Node
from opencraw.settings import ChannelSettings
from opencraw.store.database import Database
from opencraw.telemetry.redaction import Redactor
from tests.fixtures.core import until
from tests.fixtures.gateway import unheard
from tests.fixtures.hosts import host_of

NOBODY = cast("Gateway", None)


class Radio:
    """A channel that hears its platform tick."""

    idempotent = True

    def __init__(self, patience: float = 0.3) -> None:
        self.pulse = Pulse(patience)
        self.times = 0
        self.dead = False
        #: What its next runs raise.
        self.troubles: list[BaseException] = []
        self.answer: Mapping[str, str] | BaseException = {"name": "a radio"}
        self.shown: list[Event] = []
        self.refuses: Exception | None = None
        self.does = frozenset({Power.DRAFTS})
        self.called_at: list[Route] = []

    @property
    def powers(self) -> frozenset[Power]:
        return self.does

    def routes(self) -> Sequence[Route]:
        return self.called_at

    async def run(self, gateway: Gateway) -> None:
        self.times += 1
        if self.troubles:
            raise self.troubles.pop(0)
        while True:
            if not self.dead:
                self.pulse.beat()
            await asyncio.sleep(0.01)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def probe(self) -> Mapping[str, str]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def draft(self, address: Address, event: Event) -> None:
        self.shown.append(event)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def renewed() -> Node:
    """A node whose renewals the database takes, until somebody sets it back."""
    node = Node(cast("Database", None), uuid4())
    node._held_until = math.inf
    return node


@asynccontextmanager
async def on_air(
    channel: Channel, traffics: Traffics | None = None, *, node: Node | None = None
) -> AsyncIterator[ChannelHost]:
    host = host_of(radio=channel, traffics=traffics)
    life = asyncio.create_task(host.run(NOBODY, node or renewed()))
    try:
        yield host
        assert not life.done()
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life


def state(host: ChannelHost) -> Callable[[str], Callable[[], bool]]:
    return lambda expected: lambda: host.hosted["radio"].state == expected


async def test_a_line_on_which_something_comes_in_is_left_alone() -> None:
    radio = Radio()
    async with on_air(radio) as host:
        await until(state(host)("running"))
        begun = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > begun + 2 * radio.pulse.patience)
        assert (radio.times, host.hosted["radio"].problem) == (1, None)


async def test_a_line_that_is_silent_is_ended_and_started_again_until_it_is_heard() -> None:
    radio = Radio()
    async with on_air(radio) as host:
        await until(state(host)("running"))
        radio.dead = True
        await until(lambda: radio.times >= 3, "it is started again and again")
        assert host.hosted["radio"].state == "silent", "and is not well because it was started"
        assert "silent" in host.problems()["channel radio"]
        radio.dead = False
        await until(state(host)("running"))
        assert host.problems() == {}


async def test_a_silence_from_before_the_start_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stood by for an hour, and needs a second until its first poll is answered."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    radio = Radio(patience=10.0)
    monkeypatch.setattr(radio.pulse, "_heard_at", radio.pulse._heard_at - 3_600)
    radio.dead = True
    async with on_air(radio) as host:
        asyncio.get_running_loop().call_later(0.2, setattr, radio, "dead", False)
        await until(state(host)("running"))
        assert radio.times == 1


async def test_no_channel_is_more_patient_than_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MOST_PATIENCE < 60
    monkeypatch.setattr(module, "MOST_PATIENCE", 0.1)
    radio = Radio(patience=3_600)
    radio.dead = True
    async with on_air(radio) as host:
        await until(state(host)("silent"))


async def test_what_we_send_keeps_no_line_alive() -> None:
    radio = Radio()
    radio.dead = True
    async with on_air(radio) as host:
        line = cast("Line", None)
        while host.hosted["radio"].state != "silent":
            await host.outgoing["radio"].send(
                Delivery(uuid4(), Address("radio", "", "a"), line), unheard
            )
            await asyncio.sleep(0.01)


async def test_an_account_that_is_refused_waits_for_its_operator() -> None:
    radio = Radio()
    radio.troubles = [AccountRefused("The token was revoked. Put a new one into TOKEN.")]
    async with on_air(radio) as host:
        await until(state(host)("refused"))
        hosted = host.hosted["radio"]
        assert "Put a new one into TOKEN; starting again" in hosted.detail
        assert hosted.next_attempt is not None
        wait = (hosted.next_attempt - hosted.since).total_seconds()
        assert wait == pytest.approx(module.REFUSED_PAUSE, abs=5)
        assert radio.times == 1
        # The operator mended it, and asks.
        assert await hosted.probe() == {"name": "a radio"}
        await until(state(host)("running"))


async def test_an_account_that_is_refused_is_looked_at_again_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFUSED_PAUSE", 0.05)
    radio = Radio()
    radio.troubles = [AccountRefused("revoked")] * 2
    async with on_air(radio) as host:
        await until(state(host)("running"))
        assert radio.times == 3


async def test_a_platform_that_wants_to_be_left_alone_is() -> None:
    radio = Radio()
    radio.troubles = [Unavailable("come back later", retry_after=3_600)]
    async with on_air(radio) as host:
        await until(state(host)("failed"))
        assert host.hosted["radio"].detail == "come back later; starting again in 3600 s"


@pytest.mark.parametrize("wish", [1e9, math.inf])
async def test_no_platform_is_left_alone_for_ever(wish: float) -> None:
    radio = Radio()
    radio.troubles = [Unavailable("come back later", retry_after=wish)]
    async with on_air(radio) as host:
        await until(state(host)("failed"))
        assert host.hosted["radio"].detail == "come back later; starting again in 3600 s"


async def test_a_channel_that_failed_is_not_well_because_it_was_started_again() -> None:
    radio = Radio(patience=60.0)
    radio.dead = True
    radio.troubles = [Unavailable("nobody is there", retry_after=0)]
    async with on_air(radio) as host:
        await until(lambda: radio.times == 2)
        assert "nobody is there; started again" in host.problems()["channel radio"]
        radio.dead = False
        await until(state(host)("running"))
        assert host.problems() == {}


@pytest.mark.parametrize(
    "trouble",
    [
        ValueError("a defect"),
        ExceptionGroup("many", [OSError()]),
        # Nobody asked for that: it awaited a task of its own that was cancelled.
        asyncio.CancelledError(),
    ],
)
async def test_whatever_a_channel_raises_it_is_started_again(trouble: BaseException) -> None:
    radio = Radio()
    radio.troubles = [trouble]
    async with on_air(radio) as host:
        await until(state(host)("running"))
        assert radio.times == 2


async def test_an_account_that_is_refused_amid_other_troubles_waits_for_its_operator() -> None:
    radio = Radio()
    refusal = AccountRefused("The token was revoked.")
    radio.troubles = [
        ExceptionGroup(
            "of a task group",
            [Unavailable("nobody is there"), ExceptionGroup("", [KeyError("a"), refusal])],
        )
    ]
    async with on_air(radio) as host:
        await until(state(host)("refused"))
        assert host.hosted["radio"].detail == "The token was revoked; starting again in 600 s"


async def test_a_platform_that_is_away_says_so_from_within_a_task_group() -> None:
    radio = Radio()
    radio.troubles = [ExceptionGroup("", [Unavailable("come back later", retry_after=3_600)])]
    async with on_air(radio) as host:
        await until(state(host)("failed"))
        assert host.hosted["radio"].detail == "come back later; starting again in 3600 s"


async def test_a_defect_is_not_hidden_by_what_passes() -> None:
    radio = Radio(patience=60.0)
    radio.dead = True
    radio.troubles = [ExceptionGroup("", [Unavailable("later"), KeyError("a defect")])]
    async with on_air(radio) as host:
        await until(lambda: radio.times == 2)
        assert "KeyError: 'a defect'" in host.problems()["channel radio"]


# Probes.


async def test_a_probe_that_fails_says_why() -> None:
    radio = Radio()
    async with on_air(radio) as host:
        radio.answer = AccountRefused("revoked")
        with pytest.raises(AccountRefused):
            await host.hosted["radio"].probe()
        for defect in (KeyError("defect"), asyncio.CancelledError()):
            radio.answer = defect
            with pytest.raises(Unavailable, match=type(defect).__name__):
                await host.hosted["radio"].probe()


async def test_whoever_probes_reads_that_it_is_tried_again_now() -> None:
    radio = Radio()
    radio.troubles = [AccountRefused("The token was revoked.")]
    radio.answer = AccountRefused("The token was revoked.")
    async with on_air(radio) as host:
        await until(state(host)("refused"))
        hosted = host.hosted["radio"]
        with pytest.raises(AccountRefused):
            await hosted.probe()
        # Nobody else had a turn since.
        assert (hosted.state, hosted.next_attempt) == ("refused", None)
        assert hosted.detail == "The token was revoked; starting again now"


async def test_a_probe_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.05)

    class Mute(Radio):
        async def probe(self) -> Mapping[str, str]:
            await asyncio.Event().wait()
            raise AssertionError

    async with on_air(Mute()) as host:
        with pytest.raises(Unavailable, match="did not answer within"):
            await host.hosted["radio"].probe()


# What is known of it.


async def test_what_happened_is_remembered_without_secrets() -> None:
    radio = Radio()
    radio.troubles = [Unavailable("the token sesame-open-123 is odd", retry_after=0)]
    async with on_air(radio, Traffics(Redactor(["sesame-open-123"]))) as host:
        await until(state(host)("running"))
        logging.getLogger("channels.radio.line").warning("the line to %s creaks", "sesame-open-123")
        logging.getLogger("channels.other").warning("not about us")
        happened = [(each.kind, each.text) for each in host.hosted["radio"].traffic.happenings()]
    assert ("warning", "the line to REDACTED creaks") in happened
    assert any(kind == "state" and "REDACTED is odd" in text for kind, text in happened)
    assert not any("sesame" in text or "not about us" in text for _, text in happened)


async def test_what_goes_out_is_counted() -> None:
    radio = Radio()
    async with on_air(radio) as host:
        sent = Delivery(uuid4(), Address("radio", "", "a"), cast("Line", None))
        await host.outgoing["radio"].send(sent, unheard)
        for attempt in (1, 2):
            host.outgoing["radio"].failed(attempt, NotSent("busy"))
        host.outgoing["radio"].gave_up("not sent in 2 attempts")
        traffic = host.hosted["radio"].traffic
        assert (traffic.counts["sent"], traffic.counts["failed"]) == (1, 2)
        assert [each.text for each in traffic.happenings() if each.kind == "error"] == [
            "a delivery failed: busy",
            "a delivery is dead: not sent in 2 attempts",
        ]
        assert host.hosted["radio"].traffic.last_out is not None


async def test_a_channel_with_other_settings_can_do_other_things() -> None:
    radio = Radio()
    radio.does = frozenset({Power.TYPING, Power.REACTIONS})
    radio.called_at = [Route("POST", "/called", unanswered)]
    async with on_air(radio) as host:
        can = {name for name, able in host.hosted["radio"].capabilities.items() if able}
    assert can == {
        "supports_typing_events",
        "supports_reactions",
        "supports_probes",
        "supports_webhooks",
        "tells_liveness",
    }


async def unanswered(_request: web.Request) -> web.StreamResponse:
    raise AssertionError("nobody calls")


async def test_the_outbox_knows_how_often_a_channel_is_tried() -> None:
    host = host_of(radio=Radio(), settings=ChannelSettings(delivery_attempts=3))
    assert host.outgoing["radio"].most_attempts == 3


async def test_an_operator_is_told_all_of_that(database: Database) -> None:
    async with on_air(Radio()) as host:
        await until(state(host)("running"))
        reports = ChannelReports(host, Quarantine(database))
        [report] = reports.channels()
        assert report["name"] == "radio"
        assert report["last_heard"] is not None
        able = cast("Mapping[str, bool]", report["capabilities"])
        assert able["supports_streaming_deltas"]
        assert not able["supports_typing_events"]
        assert not able["supports_webhooks"], "it has nothing to mount"
        assert able["supports_probes"]
        assert not able["supports_edits"]
        for ask in (reports.channel, lambda name: reports.happenings(name, 1)):
            with pytest.raises(NotFound, match="Channels: radio"):
                ask("nobody")
        with pytest.raises(NotFound):
            await reports.put_aside("nobody", 1)
