"""A transcript as a model reads it, in blocks that are never cut apart.

A block is a person's line, what memory brought up, or an assistant's step together with the results
of all its calls: vendors refuse a call without its result and a result without its call. What a
block looks like depends on its own entries and on the view's marks, and on nothing that comes
later, so that the next prompt begins with the bytes of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec

from opencraw.context.files import SHORT_DOCUMENT, Look, PictureTokens, pictures_in, with_files
from opencraw.context.notes import note
from opencraw.contract import ChatType, Rights
from opencraw.fence import edges, fence
from opencraw.model import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from opencraw.sessions.transcript import Entry, Transcript, View

Count = Callable[[str], int]

#: What a request wraps around each text.
WRAPPING = 4
#: A result that was read long ago is shown by so many characters of its beginning and its end.
SHORT_RESULT = 600
#: Names are somebody's own choice.
LONGEST_NAME = 40
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('<>[]{}()|:"`\\', " "))


@dataclass(frozen=True, slots=True)
class Compaction:
    """When a conversation is summed up, and what stays of it as it is."""

    trigger_tokens: int
    retain_messages: int
    horizon: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is shown."""

    max_prompt_tokens: int
    min_recent_messages: int
    max_tool_chars: int
    #: None: conversations are cut off and never summed up.
    compaction: Compaction | None = None
    #: So many entries are in view at most; of more, the marks move. More than this has to be read.
    most_entries: int = 2_000
    #: How the model's vendor counts pictures; None: it cannot see.
    pictures: PictureTokens | None = None

    @property
    def max_text_chars(self) -> int:
        """No single text is shown beyond this: it alone would fill the window."""
        return max(self.max_prompt_tokens * 4, self.max_tool_chars)

    @property
    def max_document_chars(self) -> int:
        """Of all documents of one message: half a window, about."""
        return self.max_prompt_tokens * 2

    def tightened(self) -> Limits:
        """For when a vendor says that a prompt which these limits allow is too long: half of
        everything, and only the newest turn is sure to be shown."""
        compaction = self.compaction
        return replace(
            self,
            max_prompt_tokens=self.max_prompt_tokens // 2,
            min_recent_messages=1,
            max_tool_chars=max(self.max_tool_chars // 2, 100),
            compaction=compaction
            and replace(
                compaction, trigger_tokens=compaction.trigger_tokens // 2, retain_messages=1
            ),
        )


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call of the newest step that has no result yet."""

    call: ToolCall
    #: It was on record as started: it may have happened.
    started: bool


class Block(msgspec.Struct, frozen=True, gc=False):
    """What is shown together or not at all. There are thousands, and they hold no cycles."""

    #: Of its first entry.
    seq: int
    turn_id: UUID
    messages: tuple[Message, ...]
    tokens: int
    #: Somebody said it.
    said: bool = False
    open_calls: tuple[OpenCall, ...] = ()


def shorten(text: str, longest: int, *, tail: str = "", size: int = 0) -> str:
    """`text`, with its middle left out when it is longer than `longest` characters. A fence stays
    around what is left of what it holds, which is at least half of that.

    A text of `size` characters that was not read whole is given as its beginning and its `tail`.
    """
    size = size or len(text)
    if size <= longest:
        return text
    end = tail or text
    opening, closing = edges(text, end)
    held = size - len(opening) - len(closing)
    room = max(longest - size + held, longest // 2)
    if held <= room:
        return text
    head_size, tail_size = room * 2 // 3, room // 3
    head = text[len(opening) : len(opening) + head_size]
    last = end[len(end) - len(closing) - tail_size : len(end) - len(closing)]
    gap = note("cut", characters=held - head_size - tail_size)
    return f"{opening}{head}\n{gap}\n{last}{closing}"


def fit(entry: Entry, longest: int) -> str:
    """An entry's text in `longest` characters."""
    return shorten(entry.text, longest, tail=entry.tail, size=entry.size)


def named(speaker: str) -> str:
    """Somebody's name in one short line, without anything that means something to a model."""
    if not speaker.isprintable():
        speaker = "".join(each if each.isprintable() else " " for each in speaker)
    words = speaker.translate(_NOT_IN_NAMES).split()
    return " ".join(words)[:LONGEST_NAME].rstrip() or note("somebody")


def weight(text: str, count: Count) -> int:
    """How many tokens `text` takes in a prompt."""
    return count(text) + WRAPPING


def said(text: str, speaker: str, rights: str, view: View) -> str:
    """What somebody said, as the assistant reads it. Where others listen, it says who spoke, and a
    guest's words are fenced: they are to be answered, and never to be obeyed like an owner's."""
    if view.chat_type is None or view.chat_type == ChatType.DIRECT or not text.strip():
        return text
    if rights == Rights.OWNER:
        return note("speaks", name=named(speaker), text=text)
    return fence(text, origin=note("guest", name=named(speaker)), mark=view.fence)


def message_weight(message: UserMessage, count: Count) -> int:
    """How many tokens a message takes in a prompt."""
    return weight(message.text, count) + sum(picture.tokens for picture in message.pictures)


def blocks(transcript: Transcript, limits: Limits, count: Count) -> Iterator[Block]:
    """What is shown of a conversation after its beginning, oldest first. A summary of what came
    before is not among it."""
    entries = transcript.entries
    look = Look(
        limits.max_document_chars,
        transcript.view.fence,
        limits.pictures,
        pictures_in(entries, transcript.view),
    )
    drawn = _Drawing(transcript.view, limits.max_text_chars, limits.max_tool_chars, count, look)
    position = 0
    while position < len(entries):
        entry = entries[position]
        position += 1
        if entry.kind == "user":
            yield drawn.line(entry)
        elif entry.kind == "recalled":
            yield from drawn.recalled(entry)
        elif entry.kind == "assistant":
            start = position
            while position < len(entries) and entries[position].kind not in ("user", "assistant"):
                position += 1
            rest = entries[start:position]
            # What a turn that was taken up again recalled in the middle of its step, which must not
            # stand between a call and its result.
            for between in rest:
                if between.kind == "recalled":
                    yield from drawn.recalled(between)
            # A model that answered with nothing: vendors refuse to be shown that.
            if entry.text.strip() or entry.tool_calls or entry.interrupted:
                yield drawn.step(entry, rest, newest=position == len(entries))
        # A summary, or a result without its step, which can only be first: the transcript was read
        # from its middle.


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Makes blocks of entries."""

    view: View
    longest: int
    longest_result: int
    count: Count
    look: Look

    def line(self, entry: Entry) -> Block:
        look = self.look
        if entry.files and entry.seq <= self.view.pruned_seq:
            look = replace(look, longest=min(look.longest, SHORT_DOCUMENT))
        text = fit(entry, self.longest)
        text = said(text, entry.speaker, entry.rights, self.view)
        message = UserMessage(*with_files(text, entry.files, look))
        tokens = message_weight(message, self.count)
        return Block(entry.seq, entry.turn_id, (message,), tokens, said=True)

    def recalled(self, entry: Entry) -> Iterator[Block]:
        if entry.seq > self.view.pruned_seq:
            message = UserMessage(entry.text)
            yield Block(entry.seq, entry.turn_id, (message,), weight(entry.text, self.count))

    def step(self, entry: Entry, rest: Sequence[Entry], *, newest: bool) -> Block:
        """An assistant's step with the results of its calls."""
        text = fit(entry, self.longest)
        if entry.interrupted:
            text = f"{text}\n{note('interrupted')}".strip()
        said = AssistantMessage(text, entry.tool_calls, entry.thinking)
        tokens = weight(text, self.count)
        if not entry.tool_calls:
            return Block(entry.seq, entry.turn_id, (said,), tokens)
        results, open_calls = self._answers(entry.tool_calls, rest, newest=newest)
        tokens += sum(weight(call.arguments, self.count) for call in entry.tool_calls)
        tokens += sum(weight(result.text, self.count) for result in results)
        return Block(entry.seq, entry.turn_id, (said, *results), tokens, open_calls=open_calls)

    def _answers(
        self, calls: Sequence[ToolCall], rest: Sequence[Entry], *, newest: bool
    ) -> tuple[list[ToolMessage], tuple[OpenCall, ...]]:
        """The results of these calls in their order, and the calls that have none yet."""
        started = {each.call_id for each in rest if each.kind == "tool_started"}
        results = {each.call_id: each for each in rest if each.kind == "tool_result"}
        messages: list[ToolMessage] = []
        open_calls: list[OpenCall] = []
        for call in calls:
            answer = results.get(call.id)
            if answer is not None:
                result = self._result(answer)
                messages.append(ToolMessage(call.id, call.name, result, answer.failed))
            elif newest:
                open_calls.append(OpenCall(call, call.id in started))
            else:
                messages.append(ToolMessage(call.id, call.name, note("tool_lost"), failed=True))
        return messages, tuple(open_calls)

    def _result(self, entry: Entry) -> str:
        longest = self.longest_result
        if entry.seq <= self.view.pruned_seq:
            longest = min(longest, SHORT_RESULT)
        return fit(entry, longest)
