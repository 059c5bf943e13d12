"""Where the assistant may speak, as its operator decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from opencraw.contract import ChatType
from opencraw.settings import Section


class SendRule(Section):
    """One rule; what it leaves out is true of every conversation."""

    action: Literal["allow", "deny"]
    """Whether it may speak (allow) or not (deny) where all of the following is so."""

    channel: str | None = None
    """The channel's name."""

    chat_type: Literal["direct", "group", "channel"] | None = None
    """Who listens there."""

    session: str | None = None
    """How the conversation's key, or that of the address, begins:
    tenant/agent/channel/account/chat/thread."""

    @property
    def words(self) -> str:
        """The rule as its operator wrote it."""
        fields = self.model_dump(exclude_none=True, exclude={"action"})
        where = ", ".join(f'{name} = "{value}"' for name, value in fields.items())
        return f"{self.action} {where or 'everywhere'}"


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation as rules see it."""

    channel: str
    #: None is not known: nobody has written there yet.
    chat_type: str | None
    #: Of the conversation, and of the address: where several share a conversation, a rule about one
    #: of them still holds.
    keys: tuple[str, ...]


class SendPolicy:
    """All rules together: one that denies wins, and where some allow, only that is allowed."""

    def __init__(self, rules: Sequence[SendRule] = ()) -> None:
        self._denying = [rule for rule in rules if rule.action == "deny"]
        self._allowing = [rule for rule in rules if rule.action == "allow"]

    @property
    def denies_anything(self) -> bool:
        """Whether there is any place at which the assistant does not speak."""
        return bool(self._denying or self._allowing)

    def denies(self, place: Place) -> str | None:
        """What keeps the assistant from speaking at `place`, if anything does. Where nobody knows
        who listens, it speaks only if it may speak to whoever that is."""
        if place.chat_type is not None:
            return self._denies(place)
        reasons = [self._denies(replace(place, chat_type=each)) for each in ChatType]
        reason = next(filter(None, reasons), None)
        if reason is None or None not in reasons:
            return reason
        return f"{reason}, and who listens there is not known until somebody writes"

    def _denies(self, place: Place) -> str | None:
        for rule in self._denying:
            if _matches(rule, place):
                return f"`{rule.words}`"
        if self._allowing and not any(_matches(rule, place) for rule in self._allowing):
            return "no rule that allows it"
        return None


def _matches(rule: SendRule, place: Place) -> bool:
    return (
        rule.channel in (None, place.channel)
        and rule.chat_type in (None, place.chat_type)
        and any(key.startswith(rule.session or "") for key in place.keys)
    )
