"""Summing up: what a model is asked, and whether its answer may take the conversation's place.

The headings are read from the prompt itself, so that what is asked for and what is demanded are the
same. All that anybody said is given between fences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from opencraw.context.compaction import Plan
from opencraw.context.identifiers import identifiers
from opencraw.context.notes import note
from opencraw.context.told import Speaker, Told, bounded, told, written
from opencraw.fence import fence, neutral
from opencraw.model import Prompt, StopReason, UserMessage
from opencraw.resources import prompt
from opencraw.sessions.transcript import Entry

#: So many identifiers are demanded at most, and they take at most this part of a summary.
MOST_IDENTIFIERS = 40
IDENTIFIERS_SHARE = 1 / 3
#: So many lines without an answer are named.
MOST_UNANSWERED = 5
#: An objection names so many of what is missing.
MOST_NAMED = 12
_QUOTED = 300

#: A model may write spaces without end: no pattern here looks at anything twice.
_HEADING = re.compile(r"^## +(\S.*)$", re.MULTILINE)
_NOTHING = frozenset({"", "none", "nothing", "-"})
_CALL = re.compile(
    r"<\W{0,2}(?:tool_call|function_call|tool_use|invoke)\b|\bfunctions\.\w+\("
    r'|"(?:tool_calls|function_call)"\s*:|"name"\s*:\s*"[^"\n]*"\s*,\s*"(?:arguments|parameters|input)"\s*:',
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"<[|｜]|[|｜]>|</?(?:system|assistant|user|human)>|\[/?INST\]|<</?SYS>>|from-outside"
    r"|^(?:system|developer|assistant|user|human)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_ORDER = re.compile(
    r"^[^\w\n]*(?:"
    r"(?:ignore|disregard|forget|override)\b.{0,60}\b(?:instruction|rule|prompt|guideline)"
    r"|(?:you must|you are now|from now on,? you)\b"
    r"|system (?:message|prompt|instruction|override|note)s?\b)"
    r"|^[^\w\n]*\[system",
    re.IGNORECASE | re.MULTILINE,
)


@cache
def headings() -> tuple[str, ...]:
    """The headings that every summary has."""
    return tuple(_found(prompt("compaction.md")))


def summary_prompt(plan: Plan, focus: str = "", objections: Sequence[str] = ()) -> Prompt:
    """What is asked of the model that sums up; `objections` are what was wrong with a first try."""
    lines = told(plan.entries)
    source = bounded(lines, plan.source_bytes)
    parts = [_fenced(plan, "source_previous", plan.previous)] if plan.previous else []
    parts.append(_fenced(plan, "source_conversation", source))
    if unanswered := _unanswered(plan, lines):
        quoted = written(line.cut(_QUOTED) for line in unanswered)
        parts.append(note("summary_unanswered", lines=_fenced(plan, "source_unanswered", quoted)))
    if wanted := _demanded(plan, lines):
        listed = _fenced(plan, "source_identifiers", "\n".join(wanted))
        parts.append(note("summary_identifiers", identifiers=listed))
    if day := max((line.day for line in lines), default=""):
        parts.append(note("summary_horizon", day=day, horizon=plan.horizon))
    if focus.strip():
        parts += [note("summary_focus"), _fenced(plan, "source_focus", focus)]
    most = plan.summary_bytes * len(source) // max(_size(source), 1)
    parts.append(note("summary_bounds", characters=most))
    if objections:
        listed = "\n".join(f"- {neutral(each, plan.view.fence)}" for each in objections)
        parts.append(note("summary_again", objections=listed))
    return Prompt(prompt("compaction.md").strip(), (UserMessage("\n\n".join(parts)),))


def audit(plan: Plan, summary: str, stop: StopReason = "end") -> tuple[str, ...]:
    """What is wrong with a summary, as sentences for the model that wrote it; empty is good."""
    summary = summary.strip()
    size = _size(summary)
    if size > plan.summary_bytes:
        # However long it is: nobody reads it.
        most = len(summary) * plan.summary_bytes // size
        return (note("refused_length", size=len(summary), most=most),)
    return (*_of_shape(summary, stop), *_of_content(plan, summary), *_of_danger(plan, summary))


def _of_shape(summary: str, stop: StopReason) -> Iterable[str]:
    if stop == "length":
        yield note("refused_cut")
    sections = _sections(summary)
    for heading in headings():
        if heading not in sections:
            yield note("refused_heading", heading=heading)
        elif not sections[heading].strip():
            yield note("refused_empty", heading=heading)
    if not summary.startswith("## ") or _found(summary) != list(headings()):
        yield note("refused_order")


def _of_content(plan: Plan, summary: str) -> Iterable[str]:
    asks, lines = headings()[1], told(plan.entries)
    if _is_nothing(_sections(summary).get(asks, "?")) and _unanswered(plan, lines):
        yield note("refused_unanswered", heading=asks)
    if missing := [each for each in _demanded(plan, lines) if each not in summary]:
        yield note("refused_identifiers", identifiers=", ".join(missing[:MOST_NAMED]))


def _of_danger(plan: Plan, summary: str) -> Iterable[str]:
    """What could pass for somebody else's words when the assistant reads it."""
    mark = plan.view.fence
    if _CALL.search(summary):
        yield note("refused_call")
    if _ROLE.search(summary) or (mark and mark.casefold() in summary.casefold()):
        yield note("refused_role")
    if _ORDER.search(summary):
        yield note("refused_order_given")


def demanded(plan: Plan) -> tuple[str, ...]:
    """The identifiers that a summary must contain, newest first: those that people named, owners'
    before guests', then those of the earlier summary; no more than it has room for."""
    return _demanded(plan, told(plan.entries))


def _demanded(plan: Plan, lines: Sequence[Told]) -> tuple[str, ...]:
    people = [line for line in lines if line.speaker <= Speaker.GUEST]
    people.sort(key=lambda line: (line.speaker, -line.entry.seq))
    texts = [*(line.text for line in people), plan.previous]
    room = int(plan.summary_bytes * IDENTIFIERS_SHARE)
    found: dict[str, None] = {}
    for each in (each for text in texts for each in identifiers(text)):
        if each in found or len(each) + 3 > room:
            continue
        if len(found) == MOST_IDENTIFIERS:
            break
        found[each] = None
        room -= len(each) + 3
    return tuple(found)


def _unanswered(plan: Plan, lines: Sequence[Told]) -> list[Told]:
    """People's newest lines that no turn answered: it failed, or broke off. What the person stopped
    is not open, and neither is what was said again and answered then."""
    ended = {entry.turn_id for entry in plan.entries if _ends(entry)}
    people = [line for line in lines if line.speaker <= Speaker.GUEST]
    answered = {line.text for line in people if line.entry.turn_id in ended}
    left = [
        line for line in people if line.entry.turn_id not in ended and line.text not in answered
    ]
    return left[-MOST_UNANSWERED:]


def _ends(entry: Entry) -> bool:
    """Whether a turn came to its end with this entry."""
    said = bool(entry.text.strip()) and not entry.tool_calls
    return entry.kind == "assistant" and (said or entry.interrupted)


def _sections(summary: str) -> dict[str, str]:
    """What stands under each heading."""
    _, *parts = _HEADING.split(summary)
    return dict(zip(map(str.rstrip, parts[::2]), parts[1::2], strict=True))


def _found(text: str) -> list[str]:
    """The headings in a text."""
    return [each.rstrip() for each in _HEADING.findall(text)]


def _is_nothing(section: str) -> bool:
    return section.strip().strip("-*. ").casefold() in _NOTHING


def _fenced(plan: Plan, source: str, text: str) -> str:
    return fence(text, origin=note(source), mark=plan.view.fence)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
