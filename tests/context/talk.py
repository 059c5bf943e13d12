"""A conversation whose marks move as `move` says, with summaries as a good model writes them."""

from __future__ import annotations

from dataclasses import replace

from opencraw.context.blocks import Limits
from opencraw.context.compaction import Move, Plan, move
from opencraw.context.summary import demanded, headings
from opencraw.context.tokens import rough
from opencraw.context.window import Window, window
from opencraw.sessions.transcript import Transcript, View
from tests.context.conversations import Scribe


def good_summary(plan: Plan) -> str:
    """A summary of anything that no audit can refuse."""
    told = {
        headings()[1]: "- something is open",
        headings()[3]: "\n".join(f"- {each}" for each in demanded(plan)) or "- none",
    }
    return "\n\n".join(f"## {each}\n{told.get(each, '- none')}" for each in headings())


class Talk:
    """Entries, marks, and what is shown."""

    def __init__(self, limits: Limits, *, settles: bool = False) -> None:
        self.limits = limits
        self.scribe = Scribe(self._asked)
        self.view = View(fence="f3nce")
        self.moves: list[Move] = []
        #: Whether marks move, and are looked at, whenever a model is asked.
        self.settles = settles

    @property
    def transcript(self) -> Transcript:
        return self.scribe.transcript(self.view)

    def window(self) -> Window:
        return window(self.transcript, self.limits, rough)

    def wanted(self) -> Move | None:
        return move(self.transcript, self.limits, rough)

    def _asked(self) -> None:
        """What holds at each moment at which a model is asked, also in the middle of a turn."""
        if not self.settles:
            return
        before = self.window()
        found = self.settle()
        after = self.window()
        assert after.left_out == 0, "the marks alone keep it within the limit"
        if found is not None:
            assert after.tokens < before.tokens or before.left_out, "a move frees something"
            assert self.wanted() is None, "and is the last for now"

    def settle(self) -> Move | None:
        """Move the marks if it is time, as the worker does before a model is asked."""
        found = self.wanted()
        if found is not None:
            self.carry_out(found)
        return found

    def carry_out(self, found: Move) -> None:
        self.moves.append(found)
        checkpoint = self.view.checkpoint_seq
        if found.plan is not None:
            checkpoint = self.scribe.sum_up(found.plan.covers, good_summary(found.plan))
        self.view = replace(
            self.view,
            pruned_seq=found.pruned_seq,
            begin_seq=found.begin_seq,
            left_out=found.begin_seq > 0,
            checkpoint_seq=checkpoint,
            compaction_wanted=None,
        )
