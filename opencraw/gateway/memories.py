"""`/memory`: what is known of whoever asks, told where nobody else listens.

What the command says is pure. What it forgets or corrects is done before its answer is written
down: a command that is offered again, because the daemon died in between, finds it done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opencraw.contract import PEOPLE, ChatType, Envelope
from opencraw.memory.items import Item
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes, person_of
from opencraw.memory.summary import one_line
from opencraw.memory.words import LONGEST_QUESTION, words_of

USAGE = "/memory [forget <id> | correct <id> <what it is instead>]"
_MOST_SHOWN = 12
#: So many of the newest are looked at for the most important ones.
_LOOKED_AT = 200
#: So many others that tell the same as one that is forgotten are named.
_MOST_ALIKE = 5
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


@dataclass(frozen=True)
class Known:
    """The memories that a wish may mean, and others that may tell the same as the one that it wants
    forgotten."""

    items: Sequence[Item] = ()
    alike: Sequence[Item] = ()


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


def answer(argument: str, known: Known | None) -> tuple[str, Forget | Correct | None]:
    """What is said to `/memory`, and what is to be done. `known` is None for whoever may be told
    nothing here."""
    meant = wish(argument)
    if known is None:
        return "What is remembered about you is told to you alone: ask in a direct chat.", None
    if meant is None and argument.casefold() in ("forget", "correct"):
        return f"Say which memory: `/memory` lists them with their ids. Usage: `{USAGE}`", None
    if meant is None:
        return f"`{argument[:40]}` is not understood. Usage: `{USAGE}`", None
    if not meant.verb:
        return _listed(known.items), None
    match list(known.items):
        case []:
            words = f"No memory of yours is called `{meant.name[:40]}`. `/memory` lists them."
            return words, None
        case [item] if meant.verb == "forget":
            return _forgotten(item, known.alike), Forget(item.id)
        case [item]:
            words = f"Corrected. It was: {one_line(item.text)}\n\nIt is: {one_line(meant.text)}"
            return words, Correct(item.id, meant.text)
        case _:
            words = f"Several memories begin with `{meant.name[:40]}`; write more of the id."
            return words, None


def _forgotten(item: Item, alike: Sequence[Item]) -> str:
    """What else there is of it, or may come: who forgets wants it gone."""
    parts = [f"Forgotten: {one_line(item.text)}"]
    if alike:
        also = "\n".join(f"- {_named(each)}" for each in alike)
        parts.append(
            f"These memories may tell the same; `/memory forget …` deletes them, too:\n\n{also}"
        )
    parts.append(
        "What was said about it in a conversation stays there, and comes into memory when that "
        "conversation is summed up or begun anew."
    )
    return "\n\n".join(parts)


def _named(item: Item) -> str:
    return f"`{item.id.hex[:_SHORT]}` {one_line(item.text)}"


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
    lines = [f"{number}. {_named(item)}" for number, item in enumerate(best, start=1)]
    first = "What is remembered about you" if len(best) == len(known) else "What matters most of it"
    example = best[0].id.hex[:_SHORT]
    hint = (
        f"`/memory forget {example}` deletes one for good, `/memory correct {example} …` says what "
        "it is instead."
    )
    return "\n\n".join((f"{first}:", "\n".join(lines), hint))


def _at(item: Item) -> float:
    return (item.corrected_at or item.said_at).timestamp()


def _tells(one: set[str], other: set[str]) -> bool:
    """Whether most of the words of the shorter are among those of the longer."""
    return 2 * len(one & other) > min(len(one), len(other))


class Memories:
    """What the door looks up, and does, for `/memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def known(self, envelope: Envelope, argument: str) -> Known | None:
        """What `argument` may mean, of what is known of whoever wrote; None where others listen."""
        scopes = self._scopes(envelope)
        meant = wish(argument)
        if scopes is None or meant is None:
            return None if scopes is None else Known()
        if not meant.verb:
            return Known(await self._memory.items(scopes, limit=_LOOKED_AT))
        beginning = meant.beginning
        items = await self._memory.called(scopes, beginning) if beginning is not None else []
        if meant.verb == "forget" and len(items) == 1:
            return Known(items, await self._alike(scopes, items[0]))
        return Known(items)

    async def carry_out(self, envelope: Envelope, act: Forget | Correct) -> None:
        """Do it. Doing it again changes nothing."""
        scopes = self._scopes(envelope)
        match act:
            case Forget(item) if scopes is not None:
                await self._memory.forget(scopes, item)
            case Correct(item, text) if scopes is not None:
                await self._memory.correct(scopes, item, text)

    async def _alike(self, scopes: Scopes, item: Item) -> Sequence[Item]:
        """Other memories with most of the words of this one, or whose words are mostly in it."""
        query = item.text[:LONGEST_QUESTION]
        hits = await self._memory.search(scopes, query, limit=_MOST_ALIKE, without=[item.id])
        words = set(words_of(item.text))
        return [hit.item for hit in hits if _tells(words, set(words_of(hit.item.text)))]

    def _scopes(self, envelope: Envelope) -> Scopes | None:
        """What belongs to whoever wrote. Nobody's memory is told where somebody else would hear
        it, or changed by a machine that speaks for nobody."""
        if envelope.chat_type is not ChatType.DIRECT or envelope.origin not in PEOPLE:
            return None
        scopes = person_of(
            envelope.tenant, envelope.address.channel, envelope.sender.id, self._memory.links
        )
        return scopes and scopes.private
