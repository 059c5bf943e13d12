"""When the marks of a conversation move, and where to, decided from values alone.

Marks move seldom and far: each move changes what a prompt begins with, which costs the vendor's
cache. In this order: results of tools that were read long ago are shown short; then the older part
is summed up, if that is on, or else left out, down to about half of the limit. Prompts always begin
where a turn begins, and never within the newest turn; if that alone is too long, its own older
results are shown short.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from opencraw.context.blocks import Block, Count, Limits, blocks, weight
from opencraw.context.window import checkpoint, fitting, preface
from opencraw.model import AssistantMessage
from opencraw.sessions.transcript import Entry, Transcript, View

#: Results of the newest turns are shown as they are.
TURNS_SHOWN_WHOLE = 3
#: A move that frees less than this part of the limit is not worth the vendor's cache.
WORTHWHILE = 1 / 10
#: How full the window is when its beginning has moved: the second if the first keeps too little.
FILLED = (1 / 2, 3 / 4)
#: Fewer bytes are not summed up: the summary would be no shorter.
LEAST_SUMMED_UP = 2_000
#: Of the limit, what a summary may take, and what is shown of all that it sums up.
SUMMARY_SHARE, SOURCE_SHARE = 1 / 4, 2 / 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be summed up."""

    #: Prompts begin after this entry then.
    covers: int
    #: All that nobody summed up before.
    entries: tuple[Entry, ...]
    #: The text of the earlier summary, whose place the new one takes.
    previous: str
    view: View
    horizon: str
    #: Whoever sums it up is shown so much of it.
    source_bytes: int
    #: A longer summary is refused.
    summary_bytes: int


@dataclass(frozen=True, slots=True)
class Move:
    """Where the marks move to; one that stays has its old value."""

    pruned_seq: int
    begin_seq: int
    #: What has to be summed up before prompts may begin there; None leaves it out.
    plan: Plan | None = None


def move(transcript: Transcript, limits: Limits, count: Count) -> Move | None:
    """Where the marks should move to. None, which is nearly always the answer, leaves them alone.

    A person's order to sum up is carried out if there is anything to sum up.
    """
    view, most = transcript.view, limits.max_prompt_tokens
    now = _Sight.of(transcript, limits, count)
    ordered = limits.compaction is not None and view.compaction_wanted is not None
    crowded = len(transcript.entries) > limits.most_entries
    if not now.shown or not (ordered or crowded or now.tokens > _threshold(limits)):
        return None
    shorter = now.pruned(now.before_turns(TURNS_SHOWN_WHOLE))
    if not (ordered or crowded) and now.frees(shorter) and shorter.tokens <= _threshold(limits):
        return Move(shorter.view.pruned_seq, view.begin_seq)
    found = _plan(shorter, ordered=ordered)
    begin_seq = view.begin_seq
    if found is not None:
        begin_seq = found.covers
    elif crowded or now.tokens > most:
        begin_seq = shorter.before(_beginning(shorter, most, crowded=crowded))
    if begin_seq > view.begin_seq or now.frees(shorter) or now.is_cut:
        now = shorter.begun(begin_seq)
    for seq in (now.before_turns(1), now.before_newest_step()):
        if now.tokens > most and now.frees(shorter := now.pruned(seq)):
            now = shorter
    moved = Move(now.view.pruned_seq, begin_seq, found)
    return None if moved == Move(view.pruned_seq, view.begin_seq) else moved


def plan(transcript: Transcript, limits: Limits, count: Count) -> Plan | None:
    """What can be summed up now, whether or not there is need; None is nothing worth it, or that
    conversations are not summed up."""
    now = _Sight.of(transcript, limits, count)
    if not now.shown:
        return None
    return _plan(now.pruned(now.before_turns(TURNS_SHOWN_WHOLE)), ordered=True)


def _threshold(limits: Limits) -> int:
    """What is shown may grow to this before something happens."""
    trigger = limits.compaction.trigger_tokens if limits.compaction else limits.max_prompt_tokens
    return min(trigger, limits.max_prompt_tokens)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What certain marks show of a conversation."""

    transcript: Transcript
    limits: Limits
    count: Count
    #: Tokens of what is shown before everything else.
    head: int
    shown: Sequence[Block]

    @classmethod
    def of(cls, transcript: Transcript, limits: Limits, count: Count) -> _Sight:
        head = sum(weight(each, count) for each in preface(transcript, limits))
        return cls(transcript, limits, count, head, list(blocks(transcript, limits, count)))

    @property
    def view(self) -> View:
        return self.transcript.view

    @property
    def tokens(self) -> int:
        return self.head + sum(block.tokens for block in self.shown)

    def frees(self, other: _Sight) -> bool:
        """Whether `other` shows so much less that it is worth a move."""
        return self.tokens - other.tokens >= self.limits.max_prompt_tokens * WORTHWHILE

    @property
    def is_cut(self) -> bool:
        """Whether the window leaves out something that the marks allow."""
        limits = self.limits
        room = limits.max_prompt_tokens - self.head
        too_much = self.tokens > limits.max_prompt_tokens
        return too_much and fitting(self.shown, room, limits.min_recent_messages) > 0

    def pruned(self, seq: int) -> _Sight:
        """What is shown when the results up to `seq` are short."""
        if seq <= self.view.pruned_seq:
            return self
        view = replace(self.view, pruned_seq=seq)
        moved = replace(self.transcript, view=view)
        # Blocks that this does not touch are drawn again all the same: it happens seldom.
        redrawn = blocks(moved, self.limits, self.count)
        kept = [block for block in redrawn if block.seq > self.view.begin_seq]
        return replace(self, transcript=moved, shown=kept)

    def begun(self, seq: int) -> _Sight:
        """What is shown when prompts begin after `seq`. A new summary is about as long as the one
        whose place it takes."""
        moved = replace(self.transcript, view=replace(self.view, begin_seq=seq))
        kept = [block for block in self.shown if block.seq > seq]
        return replace(self, transcript=moved, shown=kept)

    def turns(self) -> list[int]:
        """The numbers of the blocks with which turns begin: with somebody's line, all but the first
        in view, which may be what is left of one."""
        return [
            place
            for place, block in enumerate(self.shown)
            if place == 0 or self.shown[place - 1].turn_id != block.turn_id
        ]

    def before(self, place: int) -> int:
        """The mark after which the block of this number comes first."""
        return self.shown[place].seq - 1 if place else self.view.begin_seq

    def before_turns(self, number: int) -> int:
        """The mark before the newest `number` turns."""
        turns = self.turns()
        return self.before(turns[-number]) if len(turns) >= number else self.view.begin_seq

    def before_newest_step(self) -> int:
        """The mark before the newest block that is not a person's."""
        steps = [block.seq for block in self.shown if not block.said]
        return steps[-1] - 1 if steps else self.view.begin_seq

    def messages(self, place: int) -> int:
        """How many messages there are from this block on."""
        return sum(len(block.messages) for block in self.shown[place:])


def _beginning(sight: _Sight, tokens: int, *, crowded: bool = False) -> int:
    """With which block prompts begin when they may have `tokens`. It begins a turn; 0 when there is
    no such place."""
    place = 0
    for share in FILLED:
        room = int(tokens * share) - sight.head
        place = fitting(sight.shown, room, sight.limits.min_recent_messages)
        if crowded:
            place = max(place, len(sight.shown) // 2)
        place = next((turn for turn in sight.turns() if turn >= place), 0)
        if sight.messages(place) >= sight.limits.min_recent_messages:
            break
    return place


def _plan(sight: _Sight, *, ordered: bool) -> Plan | None:
    """The part that is summed up: what comes before the messages that are retained, and before what
    fills half of the window. By order it may be all but the newest turn."""
    compaction, turns = sight.limits.compaction, sight.turns()
    if compaction is None or not turns:
        return None
    retained = [turn for turn in turns if sight.messages(turn) >= compaction.retain_messages]
    place = max(_beginning(sight, _threshold(sight.limits)), max(retained, default=0))
    crowded = len(sight.transcript.entries) > sight.limits.most_entries
    freed = sum(block.tokens for block in sight.shown[:place])
    needed = ordered or crowded or sight.tokens > sight.limits.max_prompt_tokens
    if not needed and freed < sight.limits.max_prompt_tokens * WORTHWHILE:
        return None
    found = _summing_up(sight, place)
    return _summing_up(sight, turns[-1]) if found is None and ordered else found


def _summing_up(sight: _Sight, place: int) -> Plan | None:
    """A plan for what comes before this block, unless that is too little."""
    limits, earlier = sight.limits, checkpoint(sight.transcript)
    covered, previous = sight.shown[:place], earlier.text if earlier else ""
    size = sum(map(_size, _texts(covered)))
    if limits.compaction is None or size < LEAST_SUMMED_UP:
        return None
    covers = sight.before(place)
    by_token = size / sum(block.tokens for block in covered)
    room = limits.max_prompt_tokens * by_token
    return Plan(
        covers=covers,
        entries=tuple(
            entry
            for entry in sight.transcript.entries
            if entry.seq <= covers and entry.kind not in ("checkpoint", "recalled")
        ),
        previous=previous,
        view=sight.view,
        horizon=limits.compaction.horizon,
        source_bytes=int(room * SOURCE_SHARE),
        summary_bytes=min((size + _size(previous)) // 2, int(room * SUMMARY_SHARE)),
    )


def _texts(covered: Sequence[Block]) -> Iterable[str]:
    for message in (message for block in covered for message in block.messages):
        yield message.text
        if isinstance(message, AssistantMessage):
            yield from (call.arguments for call in message.tool_calls)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
