"""Which part of a conversation a model is shown, decided from values alone.

The marks of a conversation say where prompts begin, what sums up what came before, and up to where
results of tools are shown short. They move seldom (see opencraw/context/compaction.py), and between
two moves a prompt only grows at its end. Should they ever allow more than fits, what is too much is
left out here: a mark in the wrong place must not break a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from opencraw.context.blocks import Block, Count, Limits, OpenCall, blocks, weight
from opencraw.context.notes import note
from opencraw.model import Message, UserMessage
from opencraw.sessions.transcript import Entry, Transcript


@dataclass(frozen=True, slots=True)
class Window:
    """What a model is shown, and the calls that have to be answered before it is asked again."""

    messages: tuple[Message, ...]
    open_calls: tuple[OpenCall, ...] = ()
    #: Of the messages.
    tokens: int = 0
    #: So many blocks did not fit although the marks allow them.
    left_out: int = 0


def window(transcript: Transcript, limits: Limits, count: Count) -> Window:
    """What the marks allow, as far as it fits, oldest first and beginning with a user's message.

    The newest turn is always shown, and so are the newest `min_recent_messages`; of the rest as
    much as `max_prompt_tokens` allows. Of a text that alone would fill the window, and of a long
    tool result, the middle is left out with a note that says so.
    """
    head = preface(transcript, limits)
    head_tokens = sum(weight(each, count) for each in head)
    shown = list(blocks(transcript, limits, count))
    tokens = sum(block.tokens for block in shown)
    first = 0
    if shown and (head_tokens + tokens > limits.max_prompt_tokens or not shown[0].said):
        room = limits.max_prompt_tokens - head_tokens
        first = fitting(shown, room, limits.min_recent_messages)
        tokens -= sum(block.tokens for block in shown[:first])
    kept = shown[first:]
    if not head and transcript.entries and not (kept and kept[0].said):
        # The newest turn alone is longer than what was read of the transcript.
        head = [note("left_out")]
    messages = chain(map(UserMessage, head), *(block.messages for block in kept))
    open_calls = kept[-1].open_calls if kept else ()
    return Window(tuple(messages), open_calls, head_tokens + tokens, first)


def preface(transcript: Transcript, limits: Limits) -> list[str]:
    """What is shown before everything else: the summary of what came before, and that something is
    left out."""
    view = transcript.view
    summary = checkpoint(transcript)
    if summary is None:
        return [note("left_out")] if view.left_out else []
    told = [_summed_up(summary, limits)]
    if (summary.covers or 0) < view.begin_seq:
        told.append(note("left_out_since"))
    return told


def checkpoint(transcript: Transcript) -> Entry | None:
    """The entry that sums up what came before, if there is one."""
    wanted = transcript.view.checkpoint_seq
    return next((each for each in transcript.entries if wanted and each.seq == wanted), None)


def _summed_up(summary: Entry, limits: Limits) -> str:
    """A summary under a line that says what it is, up to when and where it goes, and how far back
    it tells details."""
    compaction = limits.compaction
    horizon = note("checkpoint_horizon", horizon=compaction.horizon) if compaction else ""
    day = f"{summary.at:%Y-%m-%d}" if summary.at else "?"
    head = note("checkpoint", covers=summary.covers, day=day, horizon=horizon)
    return f"{head}\n\n{summary.text}"


def fitting(shown: Sequence[Block], tokens: int, messages: int) -> int:
    """The number of the first block such that all from there on are the newest turn, the newest
    `messages` messages, and as much else as `tokens` allow. Somebody said the first one, unless it
    begins the newest turn."""
    newest_turn = shown[-1].turn_id
    first = len(shown)
    taken = told = 0
    for position in range(len(shown) - 1, -1, -1):
        block = shown[position]
        taken += block.tokens
        owed = block.turn_id == newest_turn or told < messages
        if not owed and taken > tokens:
            break
        told += len(block.messages)
        first = position
    while shown[first].turn_id != newest_turn and not shown[first].said:
        first += 1
    return first
