"""One open channel and how it fares, kept running whatever happens to it.

A line is alive as long as something comes in on it: what we send proves nothing, for a dead line
takes that for minutes. So a channel that can tell (`Listens`) is ended and started again when its
platform was silent for longer than it ever is. What an operator has to mend is another matter: an
account that is refused is tried again seldom, or when the operator asks.

What a channel does on every node (`Attends`) runs beside that, whoever receives, and neither ends
with the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from opencraw.contract import (
    LONGEST_WISH,
    Attends,
    Channel,
    ChannelKind,
    Does,
    Edits,
    Fetches,
    Gateway,
    Listens,
    Power,
    Probes,
    Reaches,
    Webhook,
)
from opencraw.errors import AccountRefused, OpenCrawError, Unavailable, is_word_to_end
from opencraw.platforms.traffic import Traffic
from opencraw.queue.nodes import Node
from opencraw.settings import ChannelSettings

log = logging.getLogger(__name__)

State = Literal["starting", "running", "standby", "silent", "failed", "refused"]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
#: A channel that ran so long had recovered: its next trouble is a new one.
RECOVERED_SECONDS = 60.0
#: What a channel does on every node works if it goes on for so long: nothing else tells.
LASTING_SECONDS = 5.0
#: An account that was refused needs its operator, who may have done something by now.
REFUSED_PAUSE = 600.0
#: However patient a channel is: within a minute a dead line is known to be one.
MOST_PATIENCE = 45.0
#: With the lease of a node, a dead one's receivers move within five seconds.
CLAIM_SECONDS = 1.0
PROBE_SECONDS = 15.0
#: What a channel has to put in order when it is ended takes no longer.
ENDING_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_NOBODY_KNOWS = "our own database does not answer, and it knows who receives"
#: One deployment has one account on each channel.
_ACCOUNT = ""
_POWERS: Mapping[str, type] = {
    "supports_reading_back": Fetches,
    "supports_edits": Edits,
    "supports_writing_first": Reaches,
    "supports_probes": Probes,
    "tells_liveness": Listens,
}


@dataclass(slots=True)
class _Ended:
    """Why a channel's `run` or `attend` is over."""

    state: State
    problem: str
    #: It wants to be left alone for at least so long.
    pause: float = 0.0


@dataclass(slots=True)
class Hosted:
    """One open channel. Of several nodes those that do not receive for it stand by: they send, and
    take over when the one that receives is gone."""

    name: str
    kind: ChannelKind
    channel: Channel
    settings: ChannelSettings
    traffic: Traffic
    state: State = "starting"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    next_attempt: datetime | None = None
    #: Why it ended, until it is well again.
    _trouble: str = ""
    #: Why it does not do what it does on every node, while it does not.
    _absence: str = ""
    _detail: str = ""
    #: Keeps our claim to receive, while this node does that.
    _claim: asyncio.Future[None] | None = None
    #: It was started here, whatever became of that.
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    #: Somebody wants it to be tried again now.
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def detail(self) -> str:
        """What is to be said of its state, and of what it does on every node if it does not."""
        return "; ".join(said for said in (self._detail, self._absence) if said)

    @property
    def problem(self) -> str | None:
        """What does not work here at the moment, if anything."""
        well = self.state in ("starting", "running", "standby") and not self._absence
        return None if well else f"{self.state}: {self.detail}"

    @property
    def last_heard(self) -> datetime | None:
        """When the platform was last heard, where the channel can tell."""
        if self.state == "standby" or not isinstance(self.channel, Listens):
            return None
        return datetime.now(UTC) - timedelta(seconds=self.channel.pulse.silence)

    @property
    def capabilities(self) -> Mapping[str, bool]:
        """What the channel can do beside receiving and sending."""
        does = self.channel.powers if isinstance(self.channel, Does) else frozenset[Power]()
        return {
            **{each.value: each in does for each in Power},
            **{name: isinstance(self.channel, power) for name, power in _POWERS.items()},
            "supports_webhooks": isinstance(self.channel, Webhook) and bool(self.channel.routes()),
        }

    def became(self, state: State, detail: str = "", *, pause: float | None = None) -> None:
        """Note how it fares from now on; with a `pause`, when it is tried again."""
        if state != self.state:
            self.since = datetime.now(UTC)
        if state != self.state or pause is not None:
            self.traffic.note("state", f"{state}: {detail}" if detail else state)
        self.state, self._detail = state, detail
        self.next_attempt = None
        if pause is not None:
            self.next_attempt = datetime.now(UTC) + timedelta(seconds=pause)

    async def probe(self) -> Mapping[str, str]:
        """Ask the platform who we are. What waits to be tried again is tried now. Raises
        `AccountRefused` and `Unavailable`."""
        self._wanted.set()
        if self.next_attempt is not None:
            self.became(self.state, f"{self._trouble}; starting again now")
        if not isinstance(self.channel, Probes):
            return {}
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self.channel.probe()
        except TimeoutError as error:
            raise Unavailable(
                f"{self.name} did not answer within {PROBE_SECONDS:.0f} s. Messages wait until it "
                "does. Look whether this machine reaches it."
            ) from error
        except OpenCrawError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if is_word_to_end(error):
                raise
            log.exception("probing channel %s", self.name)
            raise Unavailable(
                f"Asking {self.name} failed: {type(error).__name__}: {error}. Nothing was changed. "
                "If that stays so, report it to whoever wrote the channel."
            ) from error

    def let_go(self) -> None:
        """Receive no more where another node may do so by now; soon we ask again."""
        if self._claim is not None:
            self._claim.cancel()

    async def keep_running(self, gateway: Gateway, node: Node) -> None:
        """Run until cancelled; what ends is started again, after a pause that doubles."""
        pause = FIRST_PAUSE
        while True:
            if self.kind.one_receiver:
                await self._until_ours(node)
            began = time.monotonic()
            ended = await self._run_once(gateway, node)
            if ended is None:
                log.warning(
                    "channel %s: another node may receive by now, this one stops", self.name
                )
                self.became("standby", "another node may receive")
                self._trouble = ""
                continue
            if time.monotonic() - began > RECOVERED_SECONDS:
                pause = FIRST_PAUSE
            wait = max(pause, ended.pause)
            self._trouble = ended.problem.rstrip(".")  # more is said behind it
            self.became(ended.state, f"{self._trouble}; {_again_in(wait)}", pause=wait)
            await self._rest(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def keep_attending(self, gateway: Gateway) -> None:
        """Have done until cancelled what the channel does on every node, as `keep_running` does."""
        if not isinstance(self.channel, Attends):
            return
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            ended = await self._attend_once(self.channel, gateway)
            if time.monotonic() - began > RECOVERED_SECONDS:
                pause = FIRST_PAUSE
            wait = max(pause, ended.pause)
            trouble = f"on every node: {ended.problem}"
            self._absence = f"{trouble}; {_again_in(wait)}"
            self.traffic.note("state", self._absence)
            await self._rest(wait)
            self._absence = f"{trouble}; started again"
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _attend_once(self, channel: Attends, gateway: Gateway) -> _Ended:
        attending = asyncio.ensure_future(channel.attend(gateway))
        try:
            # Being started again does not make it well: it has to last.
            await asyncio.wait([attending], timeout=LASTING_SECONDS)
            if not attending.done():
                self._absence = ""
                await asyncio.wait([attending])
        finally:
            await self._end(attending)
        return self._why(attending)

    async def _rest(self, seconds: float) -> None:
        self._wanted.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass
        finally:
            self._wanted.clear()

    async def _run_once(self, gateway: Gateway, node: Node) -> _Ended | None:
        """Run the channel; returns why it ended, or None when its receiver was let go of."""
        if not isinstance(self.channel, Listens):
            self.became("running")
        elif self._trouble:
            # Being started again does not make it well: something has to be heard.
            self.became(self.state, f"{self._trouble}; started again, and nothing was heard yet")
        else:
            self.became("starting", "nothing was heard from the platform yet")
        run = asyncio.ensure_future(self._begin(gateway))
        watch = asyncio.ensure_future(self._until_silent(node))
        watched = [run, watch]
        if self.kind.one_receiver:
            self._claim = asyncio.ensure_future(_while_ours(self.name, node))
            watched.append(self._claim)
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                return self._why(run)
            if watch.done():
                silence = f"nothing was heard from the platform for {watch.result():.0f} s"
                # Before it has ended: one that hangs may take its time.
                self.became("silent", silence)
                log.warning("channel %s: %s; it is started again", self.name, silence)
                return _Ended("silent", silence)
            return None
        finally:
            await self._end(*watched)

    async def _begin(self, gateway: Gateway) -> None:
        # Whoever waits for it goes on when the channel waits for something itself.
        self.begun.set()
        await self.channel.run(gateway)

    async def _end(self, *tasks: asyncio.Future[Any]) -> None:
        """End them. One that does not end is left behind, or its channel would never run again."""
        for each in tasks:
            each.cancel()
        _, hanging = await asyncio.wait(tasks, timeout=ENDING_SECONDS)
        if hanging:
            log.error("channel %s does not end, and is left behind", self.name)

    def _why(self, run: asyncio.Future[None]) -> _Ended:
        if run.cancelled():
            # Not by us: of what we end nobody asks why.
            lost = "it lost a task of its own that was cancelled: a defect of the channel"
            log.error("channel %s: %s", self.name, lost)
            return _Ended("failed", lost)
        error = run.exception()
        if error is None:
            return _Ended("failed", "it ended by itself")
        cause = _cause(error)
        match cause:
            case AccountRefused():
                log.error("channel %s: the platform refuses our account: %s", self.name, cause)
                return _Ended("refused", str(cause), REFUSED_PAUSE)
            case OpenCrawError():
                log.warning("channel %s: %s", self.name, cause)
                wish = cause.retry_after if isinstance(cause, Unavailable) else 0.0
                return _Ended("failed", str(cause), min(wish, LONGEST_WISH))
            case _:
                log.error("channel %s failed", self.name, exc_info=error)
                return _Ended("failed", f"{type(cause).__name__}: {cause}")

    async def _until_silent(self, node: Node) -> float:
        """Watch the line; return for how long it was silent when that was too long. While our own
        database is away nobody asks the platform for more, so it cannot be silent."""
        if not isinstance(self.channel, Listens):
            await asyncio.Event().wait()
        assert isinstance(self.channel, Listens)
        pulse = self.channel.pulse
        patience = min(pulse.patience, MOST_PATIENCE)
        # What was heard before counts no more: a silence is over when something new is heard.
        pulse.beat()
        began = able = time.monotonic()
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, patience / 4))
            if not node.in_touch:
                able = time.monotonic()
            silence = self.channel.pulse.silence
            if min(silence, time.monotonic() - able) > patience:
                return silence
            if self.state != "running" and silence < time.monotonic() - began:
                self._trouble = ""
                self.became("running")

    async def _until_ours(self, node: Node) -> None:
        """Stand by until this node is the one that receives for the channel."""
        while not await _is_ours(self.name, node, so_far=False):
            self._trouble = ""
            self.became("standby", "another node receives" if node.in_touch else _NOBODY_KNOWS)
            await asyncio.sleep(CLAIM_SECONDS)


def _cause(error: BaseException) -> BaseException:
    """What to go by where a task group had several reasons to end: what an operator has to do,
    and then a defect, come before what passes."""
    while isinstance(error, BaseExceptionGroup):
        refused = error.subgroup(AccountRefused)
        defects = error.split(Unavailable)[1]
        error = (refused or defects or error).exceptions[0]
    return error


def _again_in(seconds: float) -> str:
    return f"starting again in {seconds:.0f} s"


async def _while_ours(name: str, node: Node) -> None:
    """Keep our claim; return when another node has it."""
    while True:
        await asyncio.sleep(CLAIM_SECONDS)
        if not await _is_ours(name, node, so_far=True):
            return


async def _is_ours(name: str, node: Node, *, so_far: bool) -> bool:
    """Whether this node receives. Where nobody can tell it is as it was `so_far`: no other takes
    from a node what it receives, as long as it holds its lease."""
    try:
        return node.holds_lease and await node.receive_for(name, _ACCOUNT)
    except Unavailable as error:
        log.warning("channel %s: asking who receives: %s", name, error)
        return so_far
