"""A WebChat conversation belongs to its chat and not to a socket."""

from __future__ import annotations

import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import Tab

pytestmark = pytest.mark.timeout(120)


def durable(tab: Tab, since: int) -> list[int]:
    return [frame["seq"] for frame in tab.frames[since:] if frame["type"] in ("said", "message")]


async def test_d12_webchat_resume_replays_once(daemon: Daemon) -> None:
    async with Tab(daemon) as here, Tab(daemon) as away:
        await here.ask("count to 1")
        await away.until(lambda: len(away.lines) == 2)
        await away.leave()
        missed = [here.say(f"count to {number}") for number in (2, 3, 4)]
        here.say("/status")
        await here.answered(*missed)
        await here.until(lambda: any(line.get("kind") == "notice" for line in here.history()))
        had, known = len(away.frames), sorted(away.lines)

        await away.open()
        assert durable(away, had) == sorted(set(here.lines) - set(known))
        assert away.history() == here.history()

        # Asking again on the same socket gets nothing twice.
        had = len(away.frames)
        hello = next(frame for frame in reversed(away.frames) if frame["type"] == "hello")
        for token in (hello["resume_token"], "of another chat"):
            await away.send({"type": "resume", "resume_token": token, "last_seq": known[-1]})
        await away.until(lambda: away.errors)
        assert durable(away, had) == []

        # A frame that nobody understands costs nobody the socket.
        await away.send("{malformed")
        await away.until(lambda: len(away.errors) == 2)
        await away.ask("count to 5")
        assert away.sockets == 2

        # The position and the token outlive the daemon.
        await daemon.kill()
        await daemon.start()
        await here.until(lambda: here.sockets == 2 and here.connected)
        await here.ask("count to 6")
        assert here.faults == []
        assert away.faults == []
