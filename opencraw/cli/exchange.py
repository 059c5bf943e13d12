"""One message of ours and what comes back for it: frames in, words to print out. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opencraw.sessions.anew import asks_first

Frame = dict[str, Any]

#: A model's words must not move the cursor or recolour the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HALF_CHARACTER = re.compile(r"[\ud800-\udbff]\Z")


@dataclass(frozen=True)
class Piece:
    """Words to print. An aside is about the answer, not part of it."""

    text: str
    aside: bool = False


class Outcome(StrEnum):
    """How an exchange ended."""

    ANSWERED = "answered"
    #: The answer was cut short on purpose.
    STOPPED = "stopped"
    #: A newer message took this one's place; that one is answered.
    SUPERSEDED = "superseded"
    #: The daemon said no, or the turn ended without an answer.
    FAILED = "failed"


class Draft:
    """A growing answer of which the beginning is on the screen already."""

    def __init__(self) -> None:
        self._units = b""  # UTF-16, in which offsets are counted
        self._shown = ""

    def delta(self, offset: int, content: str) -> str:
        """What to print so that the screen shows the draft as it is now."""
        self._units = self._units[: offset * 2] + content.encode("utf-16-le", "surrogatepass")
        text = self._units.decode("utf-16-le", "surrogatepass")
        return self._print(_HALF_CHARACTER.sub("", text))

    def final(self, content: str) -> str:
        """What to print so that the screen shows the whole answer."""
        return self._print(content) + ("" if self._shown.endswith("\n") else "\n")

    def _print(self, text: str) -> str:
        shown, self._shown = self._shown, text
        if text.startswith(shown):
            return clean(text[len(shown) :])
        if shown.startswith(text):
            # What is on the screen cannot be taken back; it goes on when the draft is past it.
            self._shown = shown
            return ""
        return f"\n\n{clean(text)}"  # the turn began again, with other words


class Exchange:
    """Follows one message until its answer is complete."""

    def __init__(self, client_message_id: str, text: str) -> None:
        self.outcome: Outcome | None = None
        self._id = client_message_id
        self._command = text.lstrip().startswith("/")
        #: A command behind which the assistant is asked something is answered twice.
        self._asks = self._command and asks_first(text)
        self._run: str | None = None
        self._draft = Draft()
        #: What was shown of the newest run before we heard whose it is; a quick turn may be ahead.
        self._early: list[Frame] = []
        #: The daemon was asked to stop.
        self.stopping = False
        #: The turn is over; its answer, if it has one, arrives within a moment.
        self.turn_ended = False

    def hear(self, frame: Frame) -> list[Piece]:
        """Take one frame; return what to print. `outcome` is set once there is no more to come."""
        match frame.get("type"):
            case "said" if frame.get("client_message_id") == self._id:
                return self._taken_up(frame)
            case "delta" | "tool" | "typing" if self._run is None:
                self._keep(frame)
                return []
            case "delta" if self._is_ours(frame):
                return _piece(self._draft.delta(int(frame["offset"]), frame["content"]))
            case "tool" if self._is_ours(frame) and frame.get("state") == "started":
                return [Piece(f"[{clean(str(frame['name']))}]\n", aside=True)]
            case "message":
                return self._spoken(frame)
            case "typing" if self._is_ours(frame) and not frame["active"]:
                self.turn_ended = True
                return []
            case "history" if self.turn_ended:
                # Asked for a while after the end: a turn that was stopped early has no answer.
                self.outcome = Outcome.STOPPED
                return [Piece("[stopped]\n", aside=True)]
            case "error" if frame.get("client_message_id") == self._id:
                return self._refused(frame)
            case _:
                return []

    def _keep(self, frame: Frame) -> None:
        if self._early and self._early[0]["run_id"] != frame["run_id"]:
            self._early.clear()
        self._early.append(frame)

    def _is_ours(self, frame: Frame) -> bool:
        return self._run is not None and frame.get("run_id") == self._run

    def _taken_up(self, frame: Frame) -> list[Piece]:
        self._run = frame.get("run_id")
        if self._run is None and not self._command:
            self.outcome = Outcome.SUPERSEDED
            return [Piece("[a newer message took this one's place]\n", aside=True)]
        early, self._early = self._early, []
        return [] if self._run is None else [piece for each in early for piece in self.hear(each)]

    def _spoken(self, frame: Frame) -> list[Piece]:
        notice = frame.get("kind") == "notice"
        if notice and self._command and frame.get("run_id") is None:
            if self._asks:
                return [Piece(f"{clean(frame['content'])}\n\n", aside=True)]
            self.outcome = Outcome.ANSWERED
            return _piece(self._draft.final(frame["content"]))
        if notice and self.stopping and self._run is None and frame.get("run_id") is None:
            self.outcome = Outcome.STOPPED  # it had not been taken up, and was taken back
            return [Piece(f"{clean(frame['content'])}\n", aside=True)]
        if not self._is_ours(frame):
            return []
        if notice:  # the daemon's own words in place of an answer
            self.outcome = Outcome.FAILED
            return [Piece(f"\n{clean(frame['content'])}\n", aside=True)]
        stopped = bool(frame.get("interrupted"))
        self.outcome = Outcome.STOPPED if stopped else Outcome.ANSWERED
        pieces = _piece(self._draft.final(frame["content"]))
        return [*pieces, Piece("[stopped]\n", aside=True)] if stopped else pieces

    def _refused(self, frame: Frame) -> list[Piece]:
        if frame.get("retryable"):
            return []  # it is sent again under the same id
        self.outcome = Outcome.FAILED
        return [Piece(f"{clean(str(frame.get('message')))}\n", aside=True)]


def clean(text: str) -> str:
    """The text without what a terminal would obey and what it cannot show."""
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def _piece(text: str) -> list[Piece]:
    return [Piece(text)] if text else []
