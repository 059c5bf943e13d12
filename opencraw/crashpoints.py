"""Named moments at which a test may kill the daemon, to prove that nothing is lost there.

`OPENCRAW_CRASHPOINT=before_send:3` kills the process with SIGKILL the third time it reaches
`before_send`. Without that variable a crash point costs one comparison.
"""

from __future__ import annotations

import os
import signal

from opencraw.errors import CannotStart

NAMES = frozenset(
    {
        "accept_before_persist",
        "persist_before_ack",
        "claimed_before_run",
        "before_llm",
        "mid_stream",
        "tool_started",
        "tool_done",
        "flush_called",
        "flushed",
        "summed_up",
        "compacted",
        "llm_done_before_commit",
        "commit_before_deliver",
        "draft_before_record",
        "before_send",
        "deliver_between_parts",
        "deliver_before_ack",
        "recovery_step",
        "between_migrations",
        "config_rename",
    }
)


class _Armed:
    """The one crash point that is to go off, and how often it may still be passed."""

    def __init__(self, order: str) -> None:
        self.name, _, nth = order.partition(":")
        if self.name not in NAMES or not (nth or "1").isdecimal() or int(nth or 1) < 1:
            raise CannotStart(
                f"OPENCRAW_CRASHPOINT={order!r} names no crash point, so the test that set it would"
                f" prove nothing. Use name or name:nth with one of: {', '.join(sorted(NAMES))}."
            )
        self.left = int(nth or 1)

    def reached(self, name: str) -> None:
        if name != self.name:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_order = os.environ.get("OPENCRAW_CRASHPOINT")
_armed = _Armed(_order) if _order else None


def reach(name: str) -> None:
    """Die here if a test asked for it."""
    if _armed is not None:
        _armed.reached(name)
