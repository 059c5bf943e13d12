"""Whoever writes from wherever: answers go where they were asked for, and nobody's words come up
where they were not meant to be heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from opencraw.contract import Address, ChatType, Rights, Sender
from opencraw.model import ModelEvent, ModelReply, Prompt, ToolCall, UserMessage
from opencraw.sessions.identity import Links
from opencraw.sessions.keys import Conversations, DmScope
from opencraw.settings import Mode
from tests.fixtures.core import Core, envelope, is_whole, running
from tests.fixtures.ledgers import names_in
from tests.fixtures.script import Script, last_words
from tests.scenarios.at_rest import connected


@dataclass(frozen=True)
class Spot:
    """Somebody at an address, and with whom what is said there is shared under each scope."""

    address: Address
    sender: Sender
    chat_type: ChatType
    #: Of the scopes that join anything.
    per_channel_peer: str
    per_peer: str
    main: str

    def group(self, scope: DmScope) -> str:
        own = repr(self.address)
        shared = {"per-channel-peer": self.per_channel_peer, "per-peer": self.per_peer,
                  "main": self.main}  # fmt: skip
        return shared.get(scope, "") or own


def _spot(
    channel: str,
    chat: str,
    sender: str,
    *shared: str,
    rights: Rights = Rights.OWNER,
    chat_type: ChatType = ChatType.DIRECT,
) -> Spot:
    where = Address(channel, "account", chat)
    with_whom = shared or ("", "", "")
    return Spot(where, Sender(sender, sender, rights), chat_type, *with_whom)


#: The operator says that a guest is Anna, too: that opens nothing to him.
LINKS = Links({"anna": ["test:anna", "other:a7", "other:gus"]})
SPOTS = (
    _spot("test", "anna", "anna", "anna", "anna", "owners"),
    _spot("test", "anna's other", "anna", "anna", "anna", "owners"),
    _spot("other", "a", "a7", "a7", "anna", "owners"),
    _spot("test", "otto", "otto", "otto", "otto", "owners"),
    _spot("test", "gus", "gus", rights=Rights.GUEST),
    _spot("other", "gus", "gus", rights=Rights.GUEST),
    _spot("test", "all", "anna", chat_type=ChatType.GROUP),
    _spot("test", "all", "gus", rights=Rights.GUEST, chat_type=ChatType.GROUP),
)
COMMANDS = (
    *(f"/queue {mode}" for mode in get_args(Mode)),
    "/queue cap:1 drop:summarize",
    "/queue cap:1 drop:oldest",
    "/stop",
    "/new",
)

#: A delivery of a turn to an address at which the turn was not asked, a turn that answers several
#: addresses, or people of different rights.
_STRAYED = """
SELECT outbox.delivery_id, outbox.text FROM outbox
  JOIN inbox ON inbox.turn_id = outbox.turn_id
 WHERE (inbox.channel, inbox.account, inbox.chat, inbox.thread)
    <> (outbox.channel, outbox.account, outbox.chat, outbox.thread)
 UNION ALL
SELECT turn.id, inbox.text FROM turn
  JOIN inbox ON inbox.turn_id = turn.id
 WHERE (inbox.channel, inbox.account, inbox.chat, inbox.thread, inbox.rights)
    <> (turn.channel, turn.account, turn.chat, turn.thread, turn.rights)
"""

#: Mostly messages; a number is for how long nobody says anything.
happenings = st.lists(
    st.one_of(
        st.sampled_from(SPOTS),
        st.sampled_from(SPOTS),
        st.tuples(st.sampled_from(SPOTS), st.sampled_from(COMMANDS)),
        st.integers(0, 40),
    ),
    min_size=4,
    max_size=24,
)


class Busy(Script):
    """Looks at its tools before it answers, so that there is a boundary at which it can hear."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        self.prompts.append(prompt)
        for _ in range(5):
            await asyncio.sleep(0)
        call = ToolCall(f"call {len(self.prompts)}", "calculate", '{"expression": "1+1"}')
        if isinstance(prompt.messages[-1], UserMessage):
            yield ModelReply("", (call,), stop="tool_calls")
        else:
            yield ModelReply(f"echo {last_words(prompt)}")


@settings(
    max_examples=40, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(scope=st.sampled_from(get_args(DmScope)), happenings=happenings)
def test_nobody_hears_what_was_not_said_to_him(
    database_url: str,
    scope: DmScope,
    happenings: list[Spot | tuple[Spot, str] | int],
) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_played(database_url, scope, happenings))


async def _played(
    url: str, scope: DmScope, happenings: Sequence[Spot | tuple[Spot, str] | int]
) -> None:
    said: dict[str, Spot] = {}
    async with connected(url) as witness:
        await witness.execute("TRUNCATE node, session, spend RESTART IDENTITY CASCADE")
    async with running(
        url,
        provider=Busy(),
        conversations=Conversations(scope, LINKS),
        channels=("test", "other"),
    ) as core:
        for happening in happenings:
            match happening:
                case int():
                    for _ in range(happening):
                        await asyncio.sleep(0)
                case Spot():
                    name = f"word-{len(said)}"
                    said[name] = happening
                    await _say(core, happening, f"Hear <<{name}>>")
                case (spot, command):
                    await _say(core, spot, command)
        await core.settled()
        await is_whole(core.database)
        assert not await core.fetch(_STRAYED)
    _kept_apart(core, said, scope)


def _kept_apart(core: Core, said: Mapping[str, Spot], scope: DmScope) -> None:
    for delivery in core.channel.got:
        for name in names_in(delivery.line.text):
            assert said[name].address == delivery.address, "words went where nobody said them"
    assert isinstance(core.script, Busy)
    for prompt in core.script.prompts:
        names = [name for each in prompt.messages for name in names_in(each.text)]
        asked = said[names[-1]]
        for spot in (said[name] for name in names):
            assert spot.group(scope) == asked.group(scope), "words came up elsewhere"
            if asked.sender.rights is Rights.GUEST and asked.chat_type is ChatType.DIRECT:
                assert spot.sender.rights is Rights.GUEST, "a guest reads what an owner said"


async def _say(core: Core, spot: Spot, text: str) -> None:
    plain = envelope(text, chat_type=spot.chat_type)
    await core.door.accept(replace(plain, address=spot.address, sender=spot.sender))
