"""`/memory`: what is known of whoever asks, told where nobody else listens.

What the command says is pure. What it forgets or corrects is done before its answer is written
down: a command that is offered again, because the daemon died in between, finds it done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opencraw.contract import ChatType, Envelope
from opencraw.memory.items import Item
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import PEOPLE, Scopes, person_scopes

USAGE = "/memory [forget <id> | correct <id> <what it is instead>]"
_MOST_SHOWN = 12
#: So many of the newest are looked at for the most important ones.
_LOOKED_AT = 200
_LONGEST_LINE = 240
#: Digits of an id, enough for a person to name one of his memories.
_SHORT = 8
_BEGINNING = re.compile(r"[0-9a-f]{4,32}")


@dataclass(frozen=True)
class Forget:
    """This memory is deleted."""

    item: UUID


@dataclass(frozen=True)
class Correct:
    """This memory says something else from now on."""

    item: UUID
    text: str


@dataclass(frozen=True)
class Wish:
    """What somebody said behind `/memory`: nothing, or what to do with one of them."""

    verb: str = ""
    name: str = ""
    text: str = ""

    @property
    def beginning(self) -> str | None:
        """The digits with which the id of the memory begins; None is no id."""
        digits = self.name.casefold().replace("-", "")
        return digits if _BEGINNING.fullmatch(digits) else None


def wish(argument: str) -> Wish | None:
    """What is meant; None is not understood."""
    verb, *rest = argument.split(maxsplit=2) or [""]
    match verb.casefold(), rest:
        case "", []:
            return Wish()
        case "forget", [name]:
            return Wish("forget", name)
        case "correct", [name, text]:
            return Wish("correct", name, text)
        case _:
            return None


def answer(argument: str, known: Sequence[Item] | None) -> tuple[str, Forget | Correct | None]:
    """What is said to `/memory`, and what is to be done. `known` are the memories that may be
    meant; None is nobody whom they may be told here."""
    meant = wish(argument)
    if known is None:
        return "What is remembered about you is told to you alone: ask in a direct chat.", None
    if meant is None:
        return f"`{argument[:40]}` is not understood. Usage: `{USAGE}`", None
    if not meant.verb:
        return _listed(known), None
    match known:
        case []:
            words = f"No memory of yours is called `{meant.name[:40]}`. `/memory` lists them."
            return words, None
        case [item] if meant.verb == "forget":
            return f"Forgotten: {_line(item.text)}", Forget(item.id)
        case [item]:
            words = f"Corrected. It was: {_line(item.text)}\n\nIt is: {_line(meant.text)}"
            return words, Correct(item.id, meant.text)
        case _:
            words = f"Several memories begin with `{meant.name[:40]}`; write more of the id."
            return words, None


def _listed(known: Sequence[Item]) -> str:
    if not known:
        return (
            "Nothing is remembered about you yet. Memories come when a conversation grows long or "
            "begins anew, and when you ask for it: “Remember that …”"
        )
    # What somebody noted tells more than the words of a conversation that was kept.
    best = sorted(
        known,
        key=lambda item: (item.kind == "pre_compaction_flush", -item.importance, -_at(item)),
    )[:_MOST_SHOWN]
    lines = [
        f"{number}. `{item.id.hex[:_SHORT]}` {_line(item.text)}"
        for number, item in enumerate(best, start=1)
    ]
    first = "What is remembered about you" if len(best) == len(known) else "What matters most of it"
    example = best[0].id.hex[:_SHORT]
    hint = (
        f"`/memory forget {example}` deletes one for good, `/memory correct {example} …` says what "
        "it is instead."
    )
    return "\n\n".join((f"{first}:", "\n".join(lines), hint))


def _at(item: Item) -> float:
    return (item.corrected_at or item.said_at).timestamp()


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


class Memories:
    """What the door looks up, and does, for `/memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def known(self, envelope: Envelope, argument: str) -> Sequence[Item] | None:
        """The memories that `argument` may mean, of whoever wrote; None where others listen."""
        scopes = self._scopes(envelope)
        meant = wish(argument)
        if scopes is None or meant is None:
            return None if scopes is None else []
        if not meant.verb:
            return await self._memory.items(scopes, limit=_LOOKED_AT)
        beginning = meant.beginning
        return await self._memory.called(scopes, beginning) if beginning is not None else []

    async def carry_out(self, envelope: Envelope, act: Forget | Correct) -> None:
        """Do it. Doing it again changes nothing."""
        scopes = self._scopes(envelope)
        match act:
            case Forget(item) if scopes is not None:
                await self._memory.forget(scopes, item)
            case Correct(item, text) if scopes is not None:
                await self._memory.correct(scopes, item, text)

    def _scopes(self, envelope: Envelope) -> Scopes | None:
        """What belongs to whoever wrote. Nobody's memory is told where somebody else would hear
        it, or changed by a machine that speaks for nobody."""
        channel, sender = envelope.address.channel, envelope.sender.id
        alone = envelope.chat_type is ChatType.DIRECT and envelope.origin in PEOPLE
        if not (alone and channel and sender):
            return None
        mine = person_scopes(channel, sender, self._memory.links)
        return Scopes(envelope.tenant, mine[0], mine)
