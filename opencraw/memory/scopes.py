"""Who may know what.

A memory lies in one scope: of one person on one channel, of those who listen in one conversation,
or of the agent itself, which everybody may read. The name of a scope is computed from who asks and
from nothing that a model says; two people never share one, whatever their platforms call them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal
from urllib.parse import quote, unquote

from opencraw.contract import PEOPLE
from opencraw.sessions.asker import Asker
from opencraw.sessions.identity import Links

#: What operators let the agent know. Everybody may read it.
AGENT_SCOPE = "os.assistant"
#: Ids are the platform's and may have any length; names of scopes are keys of an index.
LONGEST_NAME = 240
#: With the hash of one that was cut.
LONGEST_SCOPE = 400
#: What `person_scope` and `conversation_scope` write. Where even the channel's name was cut, a hash
#: follows it at once.
_SCOPE = re.compile(
    r"os\.(?P<kind>assistant|conversation)\."
    r"(?:(?P<channel>[^.\s]+)\.(?P<name>\S+)|[^.\s]+%sha256-[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a turn may know (`readable`), and where what it learns goes (`own`)."""

    tenant: str
    own: str
    readable: tuple[str, ...]

    @property
    def changeable(self) -> tuple[str, ...]:
        """Where it may correct and forget: the agent's own memory is the operators' to change."""
        return tuple(scope for scope in self.readable if scope == self.own or scope != AGENT_SCOPE)

    @property
    def private(self) -> Scopes:
        """The same without what everybody may read."""
        return replace(self, readable=self.changeable)


@dataclass(frozen=True, slots=True)
class Whose:
    """What the name of a scope says. A very long name was cut: then nobody can tell the channel."""

    kind: Literal["agent", "person", "conversation"]
    channel: str | None = None
    #: Of a person or a chat, as the channel calls them.
    name: str | None = None


def scopes_of(asker: Asker, links: Links) -> Scopes | None:
    """What a turn of this asker may know; None when nobody can tell who that is.

    Where others listen nobody's private memory is seen or written: it would be read out to them.
    """
    channel = asker.address.channel
    if asker.alone:
        return person_of(asker.tenant, channel, asker.sender_id, links)
    if not (channel and asker.address.chat):
        return None
    return _with_agent(asker.tenant, (conversation_scope(channel, asker.address.chat),))


def person_of(tenant: str, channel: str, sender: str, links: Links) -> Scopes | None:
    """What one person may know where nobody else listens; None for nobody."""
    if not (channel and sender):
        return None
    return _with_agent(tenant, tuple(person_scope(*each) for each in links.of(channel, sender)))


def named(tenant: str, scope: str) -> Scopes | None:
    """One scope by its name, for operators, who may change even the agent's own; None when no scope
    is called so."""
    return Scopes(tenant, scope, (scope,)) if whose(scope) is not None else None


def whose(scope: str) -> Whose | None:
    """Whose a scope is, by its name; None when no scope is called so."""
    if scope == AGENT_SCOPE:
        return Whose("agent")
    match = _SCOPE.fullmatch(scope)
    if match is None or len(scope) > LONGEST_SCOPE or not scope.isprintable():
        return None
    kind: Literal["person", "conversation"] = (
        "person" if match["kind"] == "assistant" else "conversation"
    )
    if match["channel"] is None:
        return Whose(kind)
    return Whose(kind, unquote(match["channel"]), unquote(match["name"]))


def _with_agent(tenant: str, mine: tuple[str, ...]) -> Scopes:
    return Scopes(tenant, mine[0], (*mine, AGENT_SCOPE))


def may_learn(asker: Asker) -> bool:
    """Whether a turn of this asker may write memory. What machines send is not believed for good:
    it could be anybody's words, and they would be back in every later prompt."""
    return asker.origin in PEOPLE


def person_scope(channel: str, sender: str) -> str:
    """The scope of one person on one channel."""
    return _name(f"os.assistant.{_part(channel)}.", sender)


def conversation_scope(channel: str, chat: str) -> str:
    """The scope of those who listen in one conversation."""
    return _name(f"os.conversation.{_part(channel)}.", chat)


def _part(text: str) -> str:
    # No dot within: where the channel's name ends is never in doubt.
    return quote(text, safe="", errors="surrogatepass").replace(".", "%2E")


def _name(beginning: str, identity: str) -> str:
    name = beginning + quote(identity, safe="@:+/#!=,;$*'()", errors="surrogatepass")
    if len(name) <= LONGEST_NAME:
        return name
    # No quoted id has a percent sign before "sha256".
    return f"{beginning[:LONGEST_NAME]}%sha256-{sha256(name.encode()).hexdigest()}"
