"""What the fake model server shall do with a request: read from directives, decided in one place.

Directives stand in the user texts of the newest turn, so that a test can steer the server through
a whole daemon, or in the server's script, one entry for each request. Without any, the answer
repeats the turn's user texts and, in parentheses, its tool results.

    [[words 200]]               so many words instead, then the nonces: `<<anything>>` in user texts
    [[say TEXT]]                exactly this
    [[tool NAME {"json": 1}]]   call a tool; several are called in parallel
    [[next]]                    what follows is for the turn's next step, after the tools' results
    [[tool-forever NAME {}]]    call it in every step
    [[text-too]]                say something beside the calls
    [[think TEXT]] [[redacted]] reason first, openly or encrypted
    [[length]] [[refused]]      stop for this reason
    [[delay 0.05]]              seconds between two frames
    [[drip 1]]                  so many bytes in one write
    [[crlf]] [[comments]] [[no-usage]] [[no-done]]   dialects of the event stream

Faults happen once for each text that asks for them, or `times 3`, or `times always`:

    [[status 429 retry-after 1]] [[billing]] [[overflow]] [[redirect]]   no stream but an error
    [[html]] [[json]]           status 200, and no stream either
    [[silent]]                  no answer at all
    [[stall]] [[pings]]         half an answer, then nothing, or nothing but pings
    [[cut]] [[short]]           half an answer, then the connection breaks, or ends properly
    [[garbage]] [[missing]] [[huge-line]] [[error-mid-stream]]   half an answer, then that
    [[endless]]                 the first word for ever
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from tests.fakes import model_record
from tests.fakes.model_cache import NOTHING_SEEN, Seen

Role = Literal["user", "assistant", "tool"]

DIRECTIVE = re.compile(r"\[\[(.*?)\]\](?!\])", re.DOTALL)
NONCE = re.compile(r"<<[^<>]*>>")
_MEMORY = '<from-outside origin="memory"'

#: What may go wrong, by the name of its directive.
FAULTS = frozenset(
    {
        "status",
        "billing",
        "overflow",
        "html",
        "json",
        "redirect",
        "silent",
        "stall",
        "pings",
        "cut",
        "short",
        "garbage",
        "missing",
        "huge-line",
        "error-mid-stream",
        "endless",
    }
)


@dataclass(frozen=True)
class Said:
    """One message of a conversation, in no vendor's dialect."""

    role: Role
    text: str
    calls: int = 0


@dataclass(frozen=True)
class Asked:
    """A request that passed the checks."""

    model: str
    system: str
    conversation: Sequence[Said]
    thinking: bool = False
    include_usage: bool = True
    seen: Seen = NOTHING_SEEN

    @property
    def turn(self) -> Sequence[Said]:
        """What came after the last answer that called no tools."""
        for place in range(len(self.conversation) - 1, -1, -1):
            said = self.conversation[place]
            if said.role == "assistant" and not said.calls:
                return self.conversation[place + 1 :]
        return self.conversation

    @property
    def texts(self) -> list[str]:
        return [said.text for said in self.turn if said.role == "user"]


@dataclass
class Plan:
    """How a request is answered."""

    text: str = ""
    #: Name and arguments, as text that may be no JSON at all.
    calls: list[tuple[str, str]] = field(default_factory=list)
    thought: str = ""
    delay: float = 0.0
    stop: str = "end"
    fault: str = ""
    status: int = 0
    retry_after: str = ""
    #: Bytes in one write; 0 means as many as there are.
    drip: int = 0
    marks: frozenset[str] = frozenset()


class Planner:
    """Turns requests into plans. Remembers only how often a fault is still due."""

    def __init__(self, words: int = 0, delay: float = 0.0, script: Sequence[str] = ()) -> None:
        self.words = words
        self.delay = delay
        self.script = list(script)
        self._faults_done: dict[str, int] = {}

    def plan(self, asked: Asked) -> Plan:
        whole = "\n".join(asked.texts)
        if (text := model_record.summary(asked.system, whole)) is not None:
            return Plan(text=text)
        if (call := model_record.note(asked.system, whole)) is not None:
            return Plan(calls=[call])
        # What was remembered is nobody's wish.
        texts = [text for text in asked.texts if _MEMORY not in text]
        if self.script:
            texts = [self.script.pop(0)]
        steps = sum(1 for said in asked.turn if said.role == "assistant" and said.calls)
        plan = Plan(delay=self.delay)
        words = self.words
        for text in texts:
            part = _part(text, steps)
            for directive in DIRECTIVE.findall(part):
                name, _, rest = directive.strip().partition(" ")
                if name == "words":
                    words = int(rest)
                else:
                    self._obey(plan, name, rest.strip(), text)
        said = "\n".join(DIRECTIVE.sub("", text).strip() for text in texts)
        if words:
            nonces = [nonce for text in texts for nonce in NONCE.findall(text)]
            said = " ".join([*(f"word{number}" for number in range(words)), *nonces])
        results = [f"({said.text})" for said in asked.turn if said.role == "tool"]
        plan.text = plan.text or " ".join([said, *results]) or "(nothing was said)"
        if plan.calls and "text-too" not in plan.marks:
            plan.text = ""
        if asked.thinking and not plan.thought:
            plan.thought = "Let me think about that."
        return plan

    def _obey(self, plan: Plan, name: str, rest: str, text: str) -> None:
        match name:
            case "tool" | "tool-forever":
                tool, _, arguments = rest.partition(" ")
                plan.calls.append((tool, arguments.strip() or "{}"))
            case "say":
                plan.text = rest
            case "delay":
                plan.delay = float(rest)
            case "think":
                plan.thought = rest or "Hm."
            case "length" | "refused":
                plan.stop = name
            case "drip":
                plan.drip = int(rest or 1)
            case "redacted" | "text-too" | "no-usage" | "no-done" | "crlf" | "comments":
                plan.marks |= {name}
            case _ if name in FAULTS:
                self._fault(plan, name, rest.split(), text)

    def _fault(self, plan: Plan, name: str, words: list[str], text: str) -> None:
        """Give way to a fault as often as it is due: once, or as `times` says."""
        options = dict(pairwise(words))
        times = options.get("times", "1")
        key = f"{name} in {text}"
        done = self._faults_done.get(key, 0)
        if times != "always" and done >= int(times):
            return
        self._faults_done[key] = done + 1
        plan.fault = name
        plan.retry_after = options.get("retry-after", "")
        if name == "status":
            plan.status = int(words[0])


def _part(text: str, step: int) -> str:
    """The part of a text that speaks about this step of the turn. `[[next]]` parts steps; tools are
    called once unless they are called for ever."""
    parts = text.split("[[next]]")
    if step < len(parts):
        return parts[step]
    return "".join(
        f"[[{directive}]]"
        for directive in DIRECTIVE.findall(parts[-1])
        if not directive.startswith("tool ")
    )
