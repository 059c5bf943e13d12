"""A conversation told as plain text, by whom and when: for a model that sums it up, and for memory.

A line that somebody said begins at the left edge with who it was; all its further lines are set in.
So nobody can put words into another's mouth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from opencraw.context.blocks import fit, named, shorten
from opencraw.context.files import names_of
from opencraw.context.notes import note
from opencraw.contract import Rights
from opencraw.model import ToolCall
from opencraw.sessions.transcript import Entry

#: Of a tool call's arguments so much is told.
ARGUMENTS = 200


class Speaker(IntEnum):
    """Who speaks, in the order in which it must not get lost."""

    OWNER = 0
    GUEST = 1
    ASSISTANT = 2
    TOOL = 3


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a conversation."""

    entry: Entry
    speaker: Speaker
    who: str
    day: str
    text: str

    def cut(self, longest: int) -> Told:
        """The same without its middle, if that is longer than `longest` characters."""
        return replace(self, text=shorten(self.text, longest))

    @property
    def body(self) -> str:
        """The text, all its further lines set in."""
        return "\n  ".join(self.text.strip().splitlines())

    def label(self, *, on: str = "") -> str:
        """Who spoke, and on which day unless it is the one `on` which the line before was."""
        if self.day in ("", on):
            return note("told", who=self.who)
        return note("told_on", who=self.who, day=self.day)


def told(entries: Sequence[Entry]) -> list[Told]:
    """The lines of a conversation, oldest first. What memory brought up is none of them."""
    calls: dict[str, ToolCall] = {}
    lines: list[Told] = []
    for entry in entries:
        calls |= {call.id: call for call in entry.tool_calls}
        line = _told(entry, calls)
        if line is not None:
            lines.append(line)
    return lines


def _told(entry: Entry, calls: dict[str, ToolCall]) -> Told | None:
    day = f"{entry.at:%Y-%m-%d}" if entry.at else ""
    # Of a text that was not read whole, what was read: its beginning and its end.
    text = fit(entry, len(entry.text))
    if entry.files:
        text = "\n".join(filter(None, (text, names_of(entry.files))))
    match entry.kind:
        case "user" if text.strip():
            name = named(entry.speaker)
            if entry.rights == Rights.GUEST:
                return Told(entry, Speaker.GUEST, note("guest", name=name), day, text)
            return Told(entry, Speaker.OWNER, name, day, text)
        case "assistant" if text.strip():
            if entry.interrupted:
                text = f"{text}\n{note('interrupted')}"
            return Told(entry, Speaker.ASSISTANT, note("assistant"), day, text)
        case "tool_result":
            call = calls.get(entry.call_id)
            arguments = shorten(call.arguments, ARGUMENTS) if call else ""
            text = note("tool_answer", arguments=arguments, result=text)
            who = note("tool", name=named(entry.tool_name))
            return Told(entry, Speaker.TOOL, who, day, text)
        case _:
            return None


def written(lines: Iterable[Told]) -> str:
    """Lines as one text. Each day is told once."""
    texts: list[str] = []
    day = ""
    for line in lines:
        texts.append(f"{line.label(on=day)}{line.body}")
        day = line.day or day
    return "\n".join(texts)


#: What is tried, one after the other, until a conversation fits: the longest line of a tool, of the
#: assistant and of people.
_CUTS = (
    (4_000, 16_000, 16_000),
    (1_000, 8_000, 16_000),
    (300, 4_000, 16_000),
    (100, 2_000, 8_000),
    (100, 600, 4_000),
    (100, 200, 1_000),
    (100, 100, 300),
)


def bounded(lines: Sequence[Told], most_bytes: int) -> str:
    """Lines as one text of about `most_bytes`: results of tools lose their middles first, then what
    the assistant said, then what people said, and at last the whole does."""
    text, size = "", 0
    for tool, assistant, people in _CUTS:
        longest = {Speaker.TOOL: tool, Speaker.ASSISTANT: assistant}
        text = written(line.cut(longest.get(line.speaker, people)) for line in lines)
        size = len(text.encode("utf-8", "replace"))
        if size <= most_bytes:
            return text
    return shorten(text, len(text) * most_bytes // max(size, 1))
