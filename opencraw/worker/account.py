"""What a turn has said and done, and how that becomes the end of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from opencraw.context.files import LONGEST_PROBLEM, plain_name
from opencraw.context.notes import note
from opencraw.model import AssistantMessage, ModelReply, ToolCall
from opencraw.queue.failures import Failure
from opencraw.queue.turns import Settlement, TranscriptLine, Turn
from opencraw.sessions.files import File
from opencraw.sessions.transcript import Entry
from opencraw.worker.draft import LiveDraft

#: Of so many files people hear one by one that nothing was read of them.
_MOST_NAMED = 3


class Account:
    """The text of a turn as it grows, the tools that it used, and the calls that are open."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.draft = LiveDraft(turn.id, turn.attempt)
        self.open_calls: dict[str, ToolCall] = {}
        #: How many of its steps asked for tools.
        self.rounds = 0
        self._tools: list[str] = []
        #: Those of which there is nothing.
        self._missing: dict[UUID, File] = {}

    def came_with(self, files: Iterable[File]) -> None:
        """These files came with what the turn answers, and all was done to have them."""
        self._missing |= {file.id: file for file in files if file.problem}

    def recall(self, entries: Sequence[Entry]) -> None:
        """What earlier attempts at this turn brought to an end counts, and the calls that they left
        open are ours to close."""
        for entry in entries:
            if entry.turn_id == self.turn.id and entry.kind == "assistant":
                self._count(entry.text, entry.tool_calls)
            elif entry.turn_id == self.turn.id and entry.kind == "tool_result":
                self.open_calls.pop(entry.call_id, None)

    def leaves_open(self, calls: Iterable[ToolCall]) -> None:
        """These calls of earlier attempts are ours to close, and nothing else of them is known."""
        self.open_calls = {call.id: call for call in calls}

    def step(self, reply: ModelReply) -> None:
        """A step is complete; its calls are open."""
        self._count(reply.text, reply.tool_calls)

    def _count(self, text: str, calls: Sequence[ToolCall]) -> None:
        self.draft.record(text)
        self.open_calls = {call.id: call for call in calls}
        self.rounds += bool(calls)
        self._tools.extend(call.name for call in calls)

    def done(self, reply: ModelReply) -> Settlement:
        """The end that the model found."""
        self.draft.record(reply.text)
        line = TranscriptLine.of(AssistantMessage(reply.text, (), reply.thinking))
        text = self.draft.text
        if reply.stop == "length":
            text += "\n\n*(The model reached its limit of output tokens here.)*"
        if not text.strip():
            empty = TranscriptLine("notice", text=apology("the model answered with nothing"))
            return Settlement(
                "done", (line, empty), empty.text, "notice", tuple(self._tools), reply.usage
            )
        if self._missing:
            text += f"\n\n*({regret(list(self._missing.values()))})*"
        return Settlement("done", (line,), text, "reply", tuple(self._tools), reply.usage)

    def cut_short(self) -> Settlement:
        """The end that a person asked for: what was said is kept and flagged."""
        lines = self._closed_calls("tool_cancelled")
        text = self.draft.text
        if text.strip():
            # Also when it was cut between two steps: what is delivered has a line of its own.
            partial = AssistantMessage(self.draft.step)
            lines.append(TranscriptLine.of(partial, interrupted=True))
        return Settlement("interrupted", tuple(lines), text.strip() and text, "reply",
                          tuple(self._tools))  # fmt: skip

    def failed(self, failure: Failure, cause: str) -> Settlement:
        """The end that nobody wanted; `cause` is told to people."""
        words = apology(cause)
        lines = [*self._closed_calls("tool_abandoned"), TranscriptLine("notice", text=words)]
        return Settlement("failed", tuple(lines), words, "notice", failure=failure)

    def _closed_calls(self, reason: str) -> list[TranscriptLine]:
        return [
            TranscriptLine(
                "tool_result",
                text=note(reason),
                call_id=call.id,
                tool_name=call.name,
                failed=True,
            )
            for call in self.open_calls.values()
        ]


def apology(cause: str) -> str:
    """What people read instead of an answer."""
    return (
        f"I could not answer: {cause}. Your message is kept in this conversation; "
        "say it again, or write anything, and I will try anew."
    )


def regret(files: Sequence[File]) -> str:
    """What people read under an answer that some of their files had no part in."""
    told = [
        f"I could not read {plain_name(file)}. {file.problem[:LONGEST_PROBLEM]}"
        for file in files[:_MOST_NAMED]
    ]
    if more := len(files) - len(told):
        told.append(f"{more} more could not be read.")
    return " ".join(told)
