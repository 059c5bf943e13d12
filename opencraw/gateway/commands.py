"""Slash commands. Each is a function from what is known to an answer; nothing here does anything.

They are answered at the door: never behind a turn, never by a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opencraw.contract import Address, ChatType, CommandHelp, Rights
from opencraw.gateway import letting_in, memories, queue_words, speaking, who_asks
from opencraw.gateway.models import Models
from opencraw.limits.tariff import amount
from opencraw.queue.rules import LaneRules
from opencraw.sessions.anew import ANEW, parts
from opencraw.sessions.change import (
    Change,
    ChooseModel,
    ChooseQueue,
    ChooseTimeZone,
    Compact,
    Reset,
    Stop,
)
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.transcript import Session
from opencraw.sessions.zones import find_zone

#: In characters. Nobody needs more for a command.
LONGEST = 1000
LONGEST_FOCUS = 800
_COMMAND = re.compile(r"\s*/[A-Za-z]*(\s|$)")


@dataclass(frozen=True)
class Powers:
    """What the operator turned on for everybody."""

    #: Long conversations are summed up.
    compacts: bool = False
    #: What matters of a conversation is remembered beyond it.
    remembers: bool = False


@dataclass(frozen=True)
class Situation:
    """What a command may know."""

    session: Session
    models: Models
    #: In force in this session, whoever chose them.
    rules: LaneRules
    channels: tuple[str, ...]
    uptime_seconds: float
    #: Of the person who asks.
    chat_type: ChatType = ChatType.DIRECT
    rights: Rights = Rights.OWNER
    #: By which that person is known there.
    sender_id: str = ""
    #: Whether anybody is the owner there.
    has_owner: bool = True
    here: Address = field(default=Address("", "", ""))
    #: What the models cost today and may cost in a day, where there is a cap.
    spent: tuple[int, int] | None = None
    powers: Powers = field(default_factory=Powers)
    #: What `/memory` may mean; None where it may not be told.
    memories: memories.Known | None = None
    #: Who asks to be let in; None where it is for somebody else to decide about that.
    requests: letting_in.Requests | None = None

    @property
    def may_decide(self) -> bool:
        """Guests decide in a conversation of their own, and nowhere else."""
        return self.rights is Rights.OWNER or self.chat_type is ChatType.DIRECT


@dataclass(frozen=True)
class Answer:
    """What a command says, and what it changes in the session, in memory, or for somebody else."""

    text: str
    change: Change | None = None
    act: memories.Forget | memories.Correct | letting_in.Resolve | None = None


@dataclass(frozen=True)
class Command:
    """One entry of the table."""

    name: str
    usage: str
    help: str
    answer: Callable[[Situation, str], Answer]
    takes_argument: bool = False
    #: It changes what others in the conversation are given.
    decides: bool = False
    #: With nothing behind it, it only shows what was decided.
    shows: bool = False
    #: It does something for owners only.
    for_owners: bool = False
    #: It is used in a direct chat only.
    alone: bool = False

    def usage_for(self, situation: Situation) -> str:
        """As much of its usage as serves whoever asks, where he asks; empty is nothing."""
        is_owner = situation.rights is Rights.OWNER
        if (
            (is_owner or not self.for_owners)
            and (situation.chat_type is ChatType.DIRECT or not self.alone)
            and (situation.may_decide or not self.decides)
        ):
            return self.usage
        return f"/{self.name}" if self.shows else ""


def is_command(text: str) -> bool:
    """Whether `text` is meant for the daemon rather than for the model. A path is not."""
    return _COMMAND.match(text) is not None


def is_stop(text: str) -> bool:
    """Whether `text` ends what runs. That is heard however much was said before."""
    return len(text) <= LONGEST and is_command(text) and parts(text) == ("stop", "")


def is_too_long(text: str) -> bool:
    """Whether `text` is a longer command than anybody needs. What `/new` asks is no command."""
    return len(text) > LONGEST and is_command(text) and parts(text)[0] not in ANEW


def asks_memory(text: str) -> str | None:
    """What stands behind `/memory`; None is another command."""
    name, argument = parts(text)
    return argument if name == "memory" else None


def asks_pairing(text: str) -> bool:
    """Whether `text` is about who is let in."""
    return parts(text)[0] == "pair"


def answer(text: str, situation: Situation) -> Answer:
    """Answer the command in `text`. An unknown one gets the list of those there are."""
    name, argument = parts(text)
    command = COMMANDS.get(name)
    if command is None:
        return Answer(f"There is no command `/{name[:40]}`.\n\n{_list(situation)}")
    if argument and not command.takes_argument:
        return Answer(f"`/{command.name}` takes nothing behind it. Usage: `{command.usage}`")
    decides = command.decides and (argument or not command.shows)
    if decides and not situation.may_decide:
        return Answer(f"Only the owner may use `/{command.name}` where others listen; ask them.")
    return command.answer(situation, argument)


def listed() -> Sequence[CommandHelp]:
    """The commands, for platforms that list them."""
    shown = {command.name: command for command in COMMANDS.values()}
    return [
        CommandHelp(each.name, each.usage, each.help, each.takes_argument)
        for each in shown.values()
    ]


def _list(situation: Situation) -> str:
    shown = {each.name: (each.usage_for(situation), each.help) for each in COMMANDS.values()}
    return "\n".join(f"- `{usage}`: {help_}" for usage, help_ in shown.values() if usage)


def _help(situation: Situation, _argument: str) -> Answer:
    return Answer(
        f"Everything that does not begin with `/` goes to the assistant.\n\n{_list(situation)}"
    )


def _whoami(asks: Situation, _argument: str) -> Answer:
    return Answer(
        who_asks.in_words(
            asks.here, asks.sender_id, asks.rights, asks.chat_type, has_owner=asks.has_owner
        )
    )


def _new(situation: Situation, argument: str) -> Answer:
    kept = " What matters of it stays in its memory." if situation.powers.remembers else ""
    return Answer(
        f"A new conversation begins here; the assistant no longer sees what was said before.{kept} "
        "What ran or waited here has ended.",
        change=Reset(asks=argument),
    )


def _stop(situation: Situation, _argument: str) -> Answer:
    session = situation.session
    taken_back = f"{session.waiting} waiting taken back" if session.waiting else ""
    stopped = "the running answer ends" if session.running else ""
    what = " and ".join(filter(None, (stopped, taken_back)))
    return Answer(f"Stopped: {what}." if what else "There was nothing to stop.", change=Stop())


def _status(situation: Situation, _argument: str) -> Answer:
    session, models = situation.session, situation.models
    lines = [
        ("model", session.model or models.default),
        ("default model", models.default),
        ("channels", ", ".join(situation.channels)),
        ("running", "an answer" if session.running else "nothing"),
        ("waiting", str(session.waiting)),
        ("queue", queue_words.spoken(situation.rules)),
        ("up for", _duration(situation.uptime_seconds)),
    ]
    return Answer("\n".join(f"- {name}: {value}" for name, value in lines))


def _usage(situation: Situation, _argument: str) -> Answer:
    session = situation.session
    text = (
        "Tokens of this conversation since it began or `/new`:\n\n"
        f"- prompt: {session.prompt_tokens:,} (of these cached: {session.cached_tokens:,})\n"
        f"- completion: {session.completion_tokens:,}"
    )
    if situation.spent is not None:
        spent, cap = map(amount, situation.spent)
        text += f"\n\nSpent today (UTC), in all conversations: {spent} of {cap}."
    return Answer(text)


def _send(situation: Situation, argument: str) -> Answer:
    text, change = speaking.answer(argument, situation.session.sends, situation.rights)
    return Answer(text, change)


def _model(situation: Situation, argument: str) -> Answer:
    session, models = situation.session, situation.models
    word, _, rest = argument.partition(" ")
    if word in ("use", "set"):
        argument = rest.strip()
    elif word in ("clear", "reset", "unset") and not rest:
        return Answer(
            f"This conversation uses the default model, `{models.default}`.", ChooseModel(None)
        )
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
    return Answer(f"This conversation now uses `{label}`.", ChooseModel(label))


def _queue(situation: Situation, argument: str) -> Answer:
    usage = COMMANDS["queue"].usage
    if not argument:
        return Answer(
            f"Messages that meet a running answer: {queue_words.spoken(situation.rules)}.\n\n"
            f"`{usage}` changes that for this conversation."
        )
    if argument.casefold() in ("default", "reset"):
        follows = ChooseQueue(QueueChoice())
        return Answer("This conversation follows the configured queue again.", follows)
    chosen: dict[str, Any] = {}
    for word in argument.casefold().split():
        meant = queue_words.read(word)
        if meant is None:
            return Answer(
                f"`{word[:40]}` is not understood. Usage: `{usage}`, for example "
                "`/queue collect debounce:0.5s cap:25 drop:summarize`."
            )
        chosen |= meant
    # A choice and the rules that follow from it have the same names for the same things.
    rules = replace(situation.rules, **chosen)
    choice = replace(situation.session.choice, **chosen)
    return Answer(f"Queue of this conversation: {queue_words.spoken(rules)}.", ChooseQueue(choice))


def _compact(situation: Situation, argument: str) -> Answer:
    if not situation.powers.compacts:
        return Answer(
            "Long conversations are not summed up here; their oldest messages are left out "
            "instead. The operator turns it on: `compaction_enabled = true` under `[context]`, and "
            "`enabled = true` under `[memory]`."
        )
    focus = argument[:LONGEST_FOCUS]
    text = (
        "Before the next answer, what was said up to then is summed up, if it is long enough for "
        "that; the words that go are kept in memory. The newest messages stay as they are. Where "
        "too little is left to sum up then, only your next one does."
    )
    if focus:
        text += " The summary keeps in focus what you named."
    return Answer(text, Compact(focus))


def _memory(situation: Situation, argument: str) -> Answer:
    if not situation.powers.remembers:
        return Answer(
            "Nothing is remembered here beyond a conversation. The operator turns it on: "
            "`enabled = true` under `[memory]`."
        )
    text, act = memories.answer(argument, situation.memories)
    return Answer(text, act=act)


def _pair(situation: Situation, argument: str) -> Answer:
    alone = situation.chat_type is ChatType.DIRECT and situation.rights is Rights.OWNER
    text, act = letting_in.answer(argument, situation.requests if alone else None)
    return Answer(text, act=act)


def _timezone(situation: Situation, argument: str) -> Answer:
    usage = COMMANDS["timezone"].usage
    if not argument:
        chosen = situation.session.time_zone
        now = f"`{chosen}`" if chosen else "the configured one"
        return Answer(f"The time zone of this conversation: {now}.\n\n`{usage}` changes it.")
    if argument.casefold() in ("default", "reset"):
        return Answer("This conversation follows the configured time zone.", ChooseTimeZone(None))
    zone = find_zone(argument)
    if zone is None:
        return Answer(
            f"No time zone is called `{argument[:40]}`. Name a continent and a city of it, as in "
            "`/timezone Europe/Berlin`."
        )
    return Answer(f"The time zone of this conversation is now `{zone}`.", ChooseTimeZone(zone))


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
        Command("whoami", "/whoami", "your id here and what you may do", _whoami),
        Command(
            "new", "/new [what to ask first]", "leave behind what was said here and begin anew",
            _new, takes_argument=True, decides=True,
        ),
        Command("status", "/status", "model, channels, what runs and waits", _status),
        Command(
            "stop", "/stop", "end the running answer and take back what waits", _stop,
            decides=True,
        ),
        Command(
            "queue",
            "/queue [collect|followup|steer|interrupt] [debounce:0.5s] [window:fixed|sliding] "
            "[cap:20] [drop:summarize|oldest|newest|block] | default",
            "what happens to messages that meet a running answer",
            _queue,
            takes_argument=True,
            decides=True,
            shows=True,
        ),
        Command(
            "model", "/model [list | <name> | clear]", "show or choose the model", _model,
            takes_argument=True, decides=True, shows=True,
        ),
        Command(
            "compact", "/compact [what to keep in focus]", "sum up what was said so far", _compact,
            takes_argument=True, decides=True,
        ),
        Command(
            "timezone", "/timezone [Europe/Berlin | default]", "when a day ends here", _timezone,
            takes_argument=True, decides=True, shows=True,
        ),
        Command(
            "memory", memories.USAGE, "what is remembered about you", _memory, takes_argument=True
        ),
        Command(
            "pair", letting_in.USAGE,
            "who asks to be let in, and what you say; for owners, in a direct chat", _pair,
            takes_argument=True, for_owners=True, alone=True,
        ),
        Command("usage", "/usage", "tokens of this conversation, and what the day cost", _usage),
        Command(
            "send", speaking.USAGE, "whether the assistant speaks here", _send,
            takes_argument=True, for_owners=True, shows=True,
        ),
    )
}  # fmt: skip
COMMANDS |= dict.fromkeys(ANEW, COMMANDS["new"]) | {"id": COMMANDS["whoami"]}
