"""Who may know what.

A memory lies in one scope: of one person on one channel, of those who listen in one conversation,
or of the agent itself, which everybody may read. The name of a scope is computed from who asks and
from nothing that a model says; two people never share one, whatever their platforms call them.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from opencraw.contract import Origin
from opencraw.sessions.asker import Asker
from opencraw.sessions.identity import Links

#: What operators let the agent know. Everybody may read it.
AGENT_SCOPE = "os.assistant"
#: Ids are the platform's and may have any length; names of scopes are keys of an index.
LONGEST_NAME = 240

#: Ways on which people speak, and no machine for itself.
PEOPLE = frozenset({Origin.CHANNEL, Origin.API, Origin.OPERATOR})


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


def scopes_of(asker: Asker, links: Links) -> Scopes | None:
    """What a turn of this asker may know; None when nobody can tell who that is.

    Where others listen nobody's private memory is seen or written: it would be read out to them.
    """
    channel = asker.address.channel
    if asker.alone:
        if not (channel and asker.sender_id):
            return None
        mine = person_scopes(channel, asker.sender_id, links)
    else:
        if not (channel and asker.address.chat):
            return None
        mine = (conversation_scope(channel, asker.address.chat),)
    return Scopes(asker.tenant, mine[0], (*mine, AGENT_SCOPE))


def agent_scopes(tenant: str) -> Scopes:
    """The agent's own memory, for operators."""
    return Scopes(tenant, AGENT_SCOPE, (AGENT_SCOPE,))


def may_learn(asker: Asker) -> bool:
    """Whether a turn of this asker may write memory. What machines send is not believed for good:
    it could be anybody's words, and they would be back in every later prompt."""
    return asker.origin in PEOPLE


def person_scope(channel: str, sender: str) -> str:
    """The scope of one person on one channel."""
    return _name(f"os.assistant.{_part(channel)}.", sender)


def person_scopes(channel: str, sender: str, links: Links) -> tuple[str, ...]:
    """The scopes of one person on all channels, this one first."""
    return tuple(person_scope(*each) for each in links.of(channel, sender))


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
