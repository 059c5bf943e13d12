"""What a draft says, and when it is worth drawing: decided from values alone."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from uuid import UUID

from opencraw.events import DraftGrew, ToolShown, TurnEnded, TurnStarted, utf16_length

#: The first words of an answer are worth a message when there are so many of them,
FIRST_CHARACTERS = 24
#: or when nothing more came for so long.
FIRST_SECONDS = 1.0
#: No platform shows more than this in one message.
LONGEST_DRAFT = 16_384
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Put:
    """Show this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Type:
    """Show that somebody is typing."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for `seconds`, unless something happens."""

    seconds: float


class Drawing:
    """One turn, as far as it was heard and as far as it was drawn."""

    def __init__(self, turn_id: UUID) -> None:
        self.turn_id = turn_id
        #: The message that shows it; None: one may, of which nobody knows.
        self.platform_id: str | None = ""
        #: It is shown by what has no id, and vanishes by itself.
        self.fleeting = False
        #: What its answer will be a reply to; None as long as nobody has asked for that, and for
        #: the message that an earlier attempt, or process, may have put.
        self.reply_context: str | None = None
        #: Nothing more is to be drawn of this attempt,
        self.over = False
        #: or of the turn: its answer is on the way.
        self.finished = False
        #: Held while something is drawn.
        self.drawn = asyncio.Lock()
        self.text = ""
        #: The tools that run, by their call ids, in order.
        self.tools: dict[str, str] = {}
        #: When there was first something to draw.
        self.since = math.inf
        self.shown = ""
        self.drawn_at = -math.inf
        self.typed_at = -math.inf
        self._attempt = 0
        self._length = 0

    def note(self, event: TurnStarted | DraftGrew | ToolShown | TurnEnded, now: float) -> None:
        """Take note of one event; those of attempts that were replaced say nothing."""
        if self.finished or event.attempt < self._attempt:
            return
        if event.attempt > self._attempt:
            self._begin_attempt(event.attempt)
        match event:
            case DraftGrew(offset=offset, text=text):
                self._grow(offset, text)
            case ToolShown(state="started", call_id=call_id, name=name):
                self.tools[call_id] = name
            case ToolShown(call_id=call_id):
                self.tools.pop(call_id, None)
            case TurnEnded():
                self.over = True
        if self.since == math.inf and self.says():
            self.since = now

    def _begin_attempt(self, attempt: int) -> None:
        self._attempt, self.over = attempt, False
        self.text, self._length = "", 0
        self.tools.clear()

    def _grow(self, offset: int, text: str) -> None:
        if offset < self._length:
            units = self.text.encode("utf-16-le", "surrogatepass")[: 2 * offset]
            self.text = units.decode("utf-16-le", "surrogatepass")
            self._length = offset
        elif self._length >= LONGEST_DRAFT:
            return
        self.text += text[:LONGEST_DRAFT]
        self._length += utf16_length(text[:LONGEST_DRAFT])

    def says(self) -> str:
        """The draft as people are to see it: finished marks, and the tool that runs."""
        text = tidy(self.text)
        if not self.tools:
            return text
        name = list(self.tools.values())[-1].replace("_", " ")[:_LONGEST_NAME]
        line = f"… {name}"
        return f"{text}\n\n{line}" if text else line

    def stepped(self, step: Put | Type, now: float) -> None:
        """A step was taken, or tried."""
        if isinstance(step, Put) and not self.finished:
            self.shown, self.drawn_at = step.text, now
        self.typed_at = now

    def finish(self) -> None:
        """Have nothing more drawn, whatever is heard. What was to be drawn is let go."""
        self.over = self.finished = True
        self.text = self.shown = ""
        self.tools.clear()


def next_step(
    drawing: Drawing,
    now: float,
    interval: float,
    typing_seconds: float,
    fading_seconds: float = math.inf,
) -> Put | Type | Wait | None:
    """Decide what is next for a turn; None is nothing ever again."""
    if drawing.over:
        return None
    if drawing.shown:
        return _redraw(drawing, now, interval, fading_seconds)
    wait = math.inf
    if not math.isinf(interval):
        text = drawing.says()
        wait = _until_worth_a_message(drawing, text, now)
        if wait <= 0:
            return Put(text)
    # A channel that never types must not begin to.
    typing = math.inf if math.isinf(typing_seconds) else drawing.typed_at + typing_seconds - now
    return Type() if typing <= 0 else Wait(min(wait, typing))


def _redraw(drawing: Drawing, now: float, interval: float, fading_seconds: float) -> Put | Wait:
    """Decide what is next where a draft was drawn."""
    pause = drawing.drawn_at + interval - now
    if pause > 0:
        return Wait(pause)
    text = drawing.says() or drawing.shown
    if text != drawing.shown:
        return Put(text)
    # What has an id is a message, and stays.
    fades = math.inf if drawing.platform_id else drawing.drawn_at + fading_seconds - now
    return Wait(fades) if fades > 0 else Put(text)


def _until_worth_a_message(drawing: Drawing, text: str, now: float) -> float:
    """For how long the first draft is not to be drawn yet."""
    if len(text) >= FIRST_CHARACTERS and not drawing.tools:
        return 0.0
    return drawing.since + FIRST_SECONDS - now if text else math.inf


# Half-written Markdown.

_FENCE = re.compile(r"^ {0,3}(?:> ?)*(`{3,}|~{3,})", re.MULTILINE)
_HALF_FENCE = re.compile(r"(?:^|\n)[ >]*(?:`{1,2}|~{1,2})$")
_HALF_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})(?:\](?:\([^()\s]{0,2000})?)?$")
_SIGNS = ("**", "~~", "||")


def tidy(text: str) -> str:
    """A draft that stops in the middle of a mark, as if that were complete: signs do not flicker
    while they are written."""
    text = text.rstrip()
    if len(_FENCE.findall(text)) % 2:
        return text  # open code is shown as code
    text = _HALF_FENCE.sub("", text)
    begin = text.rfind("\n\n") + 1
    head, last = text[:begin], text[begin:]
    if last.count("`") % 2:
        return f"{head}{last}`" if not last.endswith("`") else head + last[:-1].rstrip()
    last = _HALF_LINK.sub(r"\1", last)
    for sign in _SIGNS:
        if last.count(sign) % 2:
            bare = last.removesuffix(sign).rstrip()
            last = bare + sign if bare.count(sign) % 2 else bare
    return (head + last).rstrip()
