"""Slash commands. Each is a function from what is known to an answer; nothing here does anything.

They are answered at the door: never behind a turn, never by a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from opencraw.gateway.models import Models
from opencraw.sessions.transcript import Session
from opencraw.settings import Mode

Change = Literal["", "reset", "stop", "queue", "model"]
_LONGEST_DEBOUNCE_MS = 60_000
_COMMAND = re.compile(r"\s*/[A-Za-z]*(\s|$)")


@dataclass(frozen=True)
class Situation:
    """What a command may know."""

    session: Session
    models: Models
    #: In force in this session, whoever chose it.
    mode: Mode
    debounce_ms: int
    channels: tuple[str, ...]
    uptime_seconds: float


@dataclass(frozen=True)
class Answer:
    """What a command says, and what it changes in the session."""

    text: str
    change: Change = ""
    mode: Mode | None = None
    debounce_ms: int | None = None
    model: str | None = None


@dataclass(frozen=True)
class Command:
    """One entry of the table."""

    name: str
    usage: str
    help: str
    answer: Callable[[Situation, str], Answer]
    takes_argument: bool = False


def is_command(text: str) -> bool:
    """Whether `text` is meant for the daemon rather than for the model. A path is not."""
    return _COMMAND.match(text) is not None


def answer(text: str, situation: Situation) -> Answer:
    """Answer the command in `text`. An unknown one gets the list of those there are."""
    name, *rest = text.strip().removeprefix("/").split(maxsplit=1) or [""]
    argument = rest[0] if rest else ""
    command = COMMANDS.get(name.casefold())
    if command is None:
        return Answer(f"There is no command `/{name[:40]}`.\n\n{_list()}")
    if argument and not command.takes_argument:
        return Answer(f"`/{command.name}` takes nothing behind it. Usage: `{command.usage}`")
    return command.answer(situation, argument)


def _list() -> str:
    shown = {command.name: command for command in COMMANDS.values()}
    return "\n".join(f"- `{each.usage}`: {each.help}" for each in shown.values())


def _help(_situation: Situation, _argument: str) -> Answer:
    return Answer(f"Everything that does not begin with `/` goes to the assistant.\n\n{_list()}")


def _new(_situation: Situation, _argument: str) -> Answer:
    return Answer(
        "A new conversation begins here; the assistant no longer sees what was said before. What "
        "ran or waited here has ended.",
        change="reset",
    )


def _stop(situation: Situation, _argument: str) -> Answer:
    session = situation.session
    taken_back = f"{session.waiting} waiting taken back" if session.waiting else ""
    stopped = "the running answer ends" if session.running else ""
    what = " and ".join(filter(None, (stopped, taken_back)))
    return Answer(f"Stopped: {what}." if what else "There was nothing to stop.", change="stop")


def _status(situation: Situation, _argument: str) -> Answer:
    session, models = situation.session, situation.models
    lines = [
        ("model", session.model or models.default),
        ("default model", models.default),
        ("channels", ", ".join(situation.channels)),
        ("running", "an answer" if session.running else "nothing"),
        ("waiting", str(session.waiting)),
        ("queue", _queue_words(situation)),
        ("up for", _duration(situation.uptime_seconds)),
    ]
    return Answer("\n".join(f"- {name}: {value}" for name, value in lines))


def _usage(situation: Situation, _argument: str) -> Answer:
    session = situation.session
    return Answer(
        "Tokens of this conversation since it began or `/new`:\n\n"
        f"- prompt: {session.prompt_tokens:,} (of these cached: {session.cached_tokens:,})\n"
        f"- completion: {session.completion_tokens:,}"
    )


def _model(situation: Situation, argument: str) -> Answer:
    session, models = situation.session, situation.models
    word, _, rest = argument.partition(" ")
    if word in ("use", "set"):
        argument = rest.strip()
    elif word in ("clear", "reset", "unset") and not rest:
        return Answer(f"This conversation uses the default model, `{models.default}`.", "model")
    available = "\n".join(f"- `{label}`" for label in models.labels)
    if argument in ("", "list"):
        active = session.model or models.default
        return Answer(
            f"Active: `{active}`. Default: `{models.default}`.\n\nAvailable:\n{available}\n\n"
            "`/model <name>` chooses one for this conversation, `/model clear` goes back."
        )
    label = models.find(argument)
    if label is None:
        return Answer(f"No configured model is called `{argument[:80]}`. Available:\n{available}")
    return Answer(f"This conversation now uses `{label}`.", change="model", model=label)


def _queue(situation: Situation, argument: str) -> Answer:
    if not argument:
        return Answer(
            f"Messages that meet a running answer: {_queue_words(situation)}.\n\n"
            f"`{COMMANDS['queue'].usage}` changes that for this conversation."
        )
    if argument in ("default", "reset"):
        return Answer("This conversation follows the configured queue again.", change="queue")
    mode: Mode | None = situation.session.mode
    debounce_ms = situation.session.debounce_ms
    for word in argument.casefold().split():
        if word in get_args(Mode):
            mode = word  # type: ignore[assignment]
        elif word.startswith("debounce:") and (parsed := _milliseconds(word[9:])) is not None:
            debounce_ms = parsed
        else:
            return Answer(
                f"`{word[:40]}` is not understood. Usage: `{COMMANDS['queue'].usage}`, "
                "for example `/queue collect debounce:0.5s`."
            )
    chosen = [mode or "", f"debounce {debounce_ms} ms" if debounce_ms is not None else ""]
    return Answer(
        f"Queue of this conversation: {', '.join(filter(None, chosen))}.",
        change="queue",
        mode=mode,
        debounce_ms=debounce_ms,
    )


def _milliseconds(text: str) -> int | None:
    for suffix, factor in (("ms", 1.0), ("s", 1000.0)):
        number = text.removesuffix(suffix)
        if number != text:
            try:
                value = float(number) * factor
            except ValueError:
                return None
            return int(value) if 0 <= value <= _LONGEST_DEBOUNCE_MS else None
    return None


def _queue_words(situation: Situation) -> str:
    return f"{situation.mode}, debounce {situation.debounce_ms} ms"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


COMMANDS = {
    command.name: command
    for command in (
        Command("help", "/help", "this list", _help),
        Command("new", "/new", "forget what was said here and begin anew", _new),
        Command("status", "/status", "model, channels, what runs and waits", _status),
        Command("stop", "/stop", "end the running answer and take back what waits", _stop),
        Command(
            "queue",
            "/queue [collect|followup|steer|interrupt] [debounce:0.5s] | default",
            "what happens to messages that meet a running answer",
            _queue,
            takes_argument=True,
        ),
        Command(
            "model", "/model [list | <name> | clear]", "show or choose the model", _model,
            takes_argument=True,
        ),
        Command("usage", "/usage", "tokens of this conversation", _usage),
    )
}  # fmt: skip
COMMANDS["nuke"] = COMMANDS["new"]
