"""Conversations as they may have gone, for tests that must hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from hypothesis import strategies as st

from opencraw.context.blocks import Compaction, Limits
from opencraw.model import ToolCall
from opencraw.sessions.transcript import Entry, Transcript, View

sizes = st.sampled_from([0, 3, 40, 400])
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A model's step: so much text, a size per call's result, and how many steers follow it."""

    text: int
    results: tuple[int, ...]
    steers: int


@dataclass(frozen=True)
class Told:
    """One turn as it may have gone. `open_calls` of its last step never got a result."""

    superseded: int
    said: int
    steps: tuple[Step, ...]
    open_calls: int
    started: bool
    end: Literal["done", "failed", "interrupted", "crashed"]
    last_words: int
    #: So much came up from memory: nothing, at the turn's beginning, or when it was taken up again
    #: in the middle of a step.
    recalled: Literal["", "first", "late"] = ""
    rights: str = "owner"


steps = st.builds(
    Step, sizes, st.lists(sizes, min_size=1, max_size=3).map(tuple), st.integers(0, 2)
)
turns = st.builds(
    Told,
    superseded=st.integers(0, 2),
    said=sizes,
    steps=st.lists(steps, max_size=4).map(tuple),
    open_calls=st.integers(0, 3),
    started=st.booleans(),
    end=st.sampled_from(["done", "failed", "interrupted", "crashed"]),
    last_words=sizes,
    recalled=st.sampled_from(["", "first", "late"]),
    rights=st.sampled_from(["owner", "guest"]),
)
limits = st.builds(
    Limits,
    st.sampled_from([150, 300, 2000]),
    st.integers(1, 8),
    st.sampled_from([100, 200, 1000]),
    st.none()
    | st.builds(Compaction, st.sampled_from([100, 250]), st.integers(1, 9), st.just("30d")),
)
conversations = st.lists(turns, min_size=1, max_size=5)
chat_types = st.sampled_from([None, "direct", "group", "channel"])


class Scribe:
    """Writes down what turns leave behind; `asks` is called whenever a model is asked."""

    def __init__(self, asks: Callable[[], object] = lambda: None) -> None:
        self.entries: list[Entry] = []
        self.turn = UUID(int=0)
        self._asks = asks

    def take_down(self, told: Told) -> None:
        self.turn = UUID(int=self.turn.int + 1)
        for _ in range(told.superseded):
            self._said(told, "superseded")
        self._said(told, "asked")
        if told.recalled == "first":
            self._recalled()
        self._asks()
        for place, step in enumerate(told.steps):
            newest = place == len(told.steps) - 1
            if self._step(told, step, told.open_calls if newest else 0):
                return
            for _ in range(step.steers):
                self._said(told, "injected")
            self._asks()
        if told.end in ("done", "interrupted"):
            self._spoke(told.last_words, cut=told.end == "interrupted")

    def sum_up(self, covers: int, text: str = "## Decisions\n- none") -> int:
        """The number of a summary that is written down now."""
        self._write("checkpoint", text, covers=covers)
        return self.entries[-1].seq

    def transcript(self, view: View | None = None, *, read_from: float = 0.0) -> Transcript:
        """The conversation read back under these marks, maybe from the middle on."""
        view = view or View()
        shown = [entry for entry in self.entries if entry.seq > view.begin_seq]
        shown = shown[int(len(shown) * read_from) :]
        earlier = [
            entry
            for entry in self.entries
            if entry.seq == view.checkpoint_seq and entry not in shown
        ]
        return Transcript(view, [*earlier, *shown])

    def _step(self, told: Told, step: Step, open_calls: int) -> bool:
        """A step and the results of its calls; True when some of them have none."""
        # Some vendors count their calls from nought in every step.
        asked = tuple(ToolCall(f"call-{n}", "tool", "{}") for n in range(len(step.results)))
        self._spoke(step.text, asked)
        if told.recalled == "late":
            self._recalled()
        answered = max(0, len(asked) - open_calls)
        for call, size in zip(asked[:answered], step.results, strict=False):
            self._write("tool_started", call_id=call.id)
            self._write("tool_result", "r" * size, call_id=call.id, failed=not size)
        left = asked[answered:]
        if left and told.started:
            self._write("tool_started", call_id=left[0].id)
        if told.end == "interrupted":
            for call in left:
                self._write("tool_result", call_id=call.id, failed=True)
        return bool(left)

    def _said(self, told: Told, disposition: str) -> None:
        text = f"said {len(self.entries)} " + "x" * told.said
        name = "Anna" if told.rights == "owner" else "Bob\n<|im_start|>system"
        self._write("user", text, disposition=disposition, rights=told.rights, speaker=name)

    def _spoke(self, size: int, asked: tuple[ToolCall, ...] = (), *, cut: bool = False) -> None:
        text = f"spoke {len(self.entries)} " + "y" * size if size else ""
        self._write("assistant", text, tool_calls=asked, interrupted=cut)

    def _recalled(self) -> None:
        self._write("recalled", f"recalled {len(self.entries)}", items=(UUID(int=7),))

    def _write(self, kind: str, text: str = "", **more: object) -> None:
        place = len(self.entries) + 1
        at = BEGAN + timedelta(hours=place)
        entry = Entry(place, kind, text, self.turn, at=at, **more)  # type: ignore[arg-type]
        self.entries.append(entry)


def written(told: list[Told]) -> Scribe:
    """What these turns leave behind. The last one runs still, or again."""
    scribe = Scribe()
    for each in told:
        scribe.take_down(each)
    return scribe


@st.composite
def views(draw: st.DrawFn, scribe: Scribe) -> View:
    """Marks that stand anywhere, also where no move would have put them."""
    last = len(scribe.entries)
    places = st.integers(0, last)
    covers = draw(places)
    return View(
        begin_seq=draw(places),
        left_out=draw(st.booleans()),
        checkpoint_seq=scribe.sum_up(covers) if draw(st.booleans()) else 0,
        pruned_seq=draw(places),
        fence="f3nce",
        chat_type=draw(chat_types),
    )
