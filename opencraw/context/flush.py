"""What goes into memory before it leaves the window: what was said, word for word, and notes that a
model takes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from opencraw.context.compaction import Plan
from opencraw.context.notes import note
from opencraw.context.told import Speaker, Told, bounded, told
from opencraw.fence import fence
from opencraw.memory.items import Note
from opencraw.model import ModelReply, Prompt, ToolSpec, UserMessage
from opencraw.resources import prompt
from opencraw.sessions.transcript import Entry

#: A passage is long enough to be understood, and short enough to be about one thing.
LEAST_PASSAGE, LONGEST_PASSAGE = 300, 1_500
#: Of one line so much is kept, of what a tool said less.
LONGEST_LINE, LONGEST_RESULT = 6_000, 300
#: A line that is cut to what room is left has a label and a note of what was cut.
_WRAPPED = 200
SAVE = "memory_save"
#: What these were told or told is in memory already, or was taken out of it.
MEMORY_TOOLS = frozenset({SAVE, "memory_search", "memory_get", "memory_summarize"})
#: What one silent call of a model may save.
MOST_NOTES = 30
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Passages:
    """What was said, verbatim, in pieces that can be found again."""

    texts: tuple[str, ...]
    #: How many messages of people and of the assistant there were.
    message_count: int


def passages(entries: Sequence[Entry], max_chars: int) -> Passages:
    """What was said, for memory, in at most `max_chars` characters.

    If that is too little for all, owners' lines come first, then those of guests, then what the
    assistant answered, then, shortened, what tools said; of each the newest. A line stands together
    with the answer to it. The same entries give the same passages.
    """
    return passages_of_each([entries], max_chars)[0]


def passages_of_each(parts: Sequence[Sequence[Entry]], max_chars: int) -> list[Passages]:
    """The same of several parts of one conversation, which have to share the room."""
    lines = [told(_for_memory(entries)) for entries in parts]
    kept = {line.entry.seq: line for line in _kept([*chain.from_iterable(lines)], max_chars)}
    return [
        Passages(
            tuple(_packed(kept[seq] for line in part if (seq := line.entry.seq) in kept)),
            sum(line.speaker is not Speaker.TOOL for line in part),
        )
        for part in lines
    ]


def _for_memory(entries: Sequence[Entry]) -> list[Entry]:
    """What memory has to be told: all but what it said itself, and was told by its tools."""
    return [
        each
        for each in entries
        if not (each.kind == "tool_result" and each.tool_name in MEMORY_TOOLS)
    ]


def flush_prompt(plan: Plan) -> Prompt:
    """What is asked of the model that takes notes. It is offered `memory_save` alone, and its calls
    are the notes: nothing is run."""
    source = bounded(told(plan.entries), plan.source_bytes)
    fenced = fence(source, origin=note("source_conversation"), mark=plan.view.fence)
    asked = f"{note('flush_conversation')}\n\n{fenced}"
    return Prompt(prompt("flush.md").strip(), (UserMessage(asked),), (_save(),))


def notes_from(reply: ModelReply) -> tuple[Note, ...]:
    """The notes that a model took; what cannot be read as one is left out."""
    found: dict[str, Note] = {}
    for call in reply.tool_calls:
        taken = _note(call.arguments) if call.name == SAVE else None
        if taken is not None:
            found.setdefault(taken.text.casefold(), taken)
    return tuple(found.values())[:MOST_NOTES]


def _note(arguments: str) -> Note | None:
    try:
        given = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return None
    text = given.get("text") if isinstance(given, dict) else None
    if not isinstance(text, str) or not text.strip():
        return None
    importance = given.get("importance")
    if isinstance(importance, bool) or not isinstance(importance, int | float):
        return Note(text.strip()[:LONGEST_NOTE].rstrip())
    return Note(text.strip()[:LONGEST_NOTE].rstrip(), float(min(max(importance, 0), 1)))


def _save() -> ToolSpec:
    return ToolSpec(
        name=SAVE,
        description=note("save"),
        parameters={
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": note("save_text")},
                "importance": {"type": "number", "description": note("save_importance")},
            },
            "required": ["text", "importance"],
            "additionalProperties": False,
        },
    )


def _kept(lines: Sequence[Told], max_chars: int) -> list[Told]:
    """The lines that there is room for, in their order."""
    kept: list[Told] = []
    room = max_chars
    for line in sorted(lines, key=lambda line: (line.speaker, -line.entry.seq)):
        longest = LONGEST_RESULT if line.speaker is Speaker.TOOL else LONGEST_LINE
        short = line.cut(longest)
        if _room_for(short) > room >= LEAST_PASSAGE + _WRAPPED:
            short = line.cut(min(longest, room - _WRAPPED))
        if _room_for(short) <= room:
            kept.append(short)
            room -= _room_for(short)
    return sorted(kept, key=lambda line: line.entry.seq)


def _room_for(line: Told) -> int:
    """What a line takes at most: it may be cut into pieces, each of which says who spoke."""
    pieces = len(line.body) // (LONGEST_PASSAGE // 2) + 1
    return len(line.body) + pieces * (len(line.label()) + 1)


def _packed(lines: Iterable[Told]) -> Iterator[str]:
    """Lines as passages. A person's line that follows an answer begins a new one, unless the one
    before it would be too short."""
    passage, day = "", ""
    before = Speaker.OWNER
    for line in lines:
        rest = line.body
        turns = line.speaker <= Speaker.GUEST < before
        before = line.speaker
        while rest:
            room = LONGEST_PASSAGE - len(passage) - 1 - len(line.label())
            if len(passage) >= LEAST_PASSAGE and (turns or len(rest) > room):
                yield passage
                passage, day = "", ""
                continue
            piece, rest = _split(rest, room)
            wording = f"{line.label(on=day)}{piece}"
            passage, day = f"{passage}\n{wording}".strip(), line.day
            turns = False
    if passage:
        yield passage


def _split(text: str, longest: int) -> tuple[str, str]:
    """The beginning of `text`, up to a good place to part it, and the rest."""
    if len(text) <= longest:
        return text, ""
    for end in ("\n", ". ", "。", " "):
        place = text.rfind(end, longest // 2, longest)
        if place > 0:
            return text[: place + len(end)].strip(), text[place + len(end) :].strip()
    return text[:longest], text[longest:]
