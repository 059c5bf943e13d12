"""The adapter on the fake, with a gateway that takes notes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from channels.telegram.channel import Telegram
from channels.telegram.settings import TelegramSettings
from opencraw.contract import (
    Address,
    Choice,
    CommandHelp,
    Delivery,
    Envelope,
    Line,
    Pick,
    Reaction,
    Receipt,
    TurnShown,
)
from opencraw.errors import OpenCrawError
from tests.fakes.telegram import TelegramServer
from tests.fakes.telegram_chats import BOT_ID, TOKEN
from tests.fixtures.core import until
from tests.fixtures.gateway import Unasked

ANN = Address("telegram", str(BOT_ID), "7")
DEN = Address("telegram", str(BOT_ID), "-100500")
_lines = itertools.count(1)


class Notes(Unasked):
    """Takes everything, unless `refusal` says what is raised instead, one per offer."""

    def __init__(self) -> None:
        self.accepted: list[Envelope] = []
        self.amended: list[Envelope] = []
        self.reactions: list[Reaction] = []
        self.picks: list[Pick] = []
        self.told: list[tuple[Address, str]] = []
        self.quarantined: list[str] = []
        self.cursors: dict[str, str] = {}
        self.drafts: dict[UUID, str | None] = {}
        #: The message that turns answer.
        self.asked = ""
        self.refusals: list[OpenCrawError] = []
        self.strangers: set[str] = set()
        self.commands_listed = (CommandHelp("stop", "/stop", "Stop it.", takes_argument=False),)

    @property
    def texts(self) -> list[str]:
        return [envelope.text for envelope in self.accepted]

    async def accept(self, envelope: Envelope) -> Receipt:
        if self.refusals:
            raise self.refusals.pop(0)
        known = any(each.dedupe_key == envelope.dedupe_key for each in self.accepted)
        if not known:
            self.accepted.append(envelope)
        return Receipt(uuid4(), duplicate=known)

    async def admits(self, envelope: Envelope) -> bool:
        return envelope.sender.id not in self.strangers

    async def tell(self, address: Address, text: str, *, reply_context: str = "") -> None:
        self.told.append((address, text))

    async def choose(self, pick: Pick) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        self.picks.append(pick)
        return f"You chose {pick.option}."

    async def react(self, reaction: Reaction) -> bool:
        self.reactions.append(reaction)
        return True

    async def amend(self, envelope: Envelope) -> bool:
        self.amended.append(envelope)
        return True

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        self.quarantined.append(payload)

    async def cursor(self, channel: str, account: str, name: str = "") -> str | None:
        return self.cursors.get(account)

    async def move_cursor(self, channel: str, account: str, value: str, name: str = "") -> None:
        self.cursors[account] = value

    async def draft_shown(self, turn_id: UUID, platform_id: str | None) -> None:
        self.drafts[turn_id] = platform_id

    async def draft_of(self, turn_id: UUID) -> TurnShown:
        return TurnShown(self.drafts.get(turn_id, ""), self.asked)

    @property
    def commands(self) -> Sequence[CommandHelp]:
        return self.commands_listed


def settings(server: TelegramServer, **more: Any) -> TelegramSettings:
    return TelegramSettings.model_validate(
        {
            "enabled": True,
            "bot_token": TOKEN,
            "api_url": server.url,
            "long_poll_timeout_seconds": 1,
            "draft_interval_ms": 250,
            **more,
        }
    )


@asynccontextmanager
async def attending(telegram: Telegram, notes: Notes) -> AsyncIterator[None]:
    """The channel does meanwhile what it does on every node, also where another one receives."""
    attend = asyncio.create_task(telegram.attend(notes))
    try:
        await asyncio.sleep(0)
        yield
    finally:
        attend.cancel()
        with suppress(asyncio.CancelledError, OpenCrawError):
            await attend


@asynccontextmanager
async def running(telegram: Telegram, notes: Notes) -> AsyncIterator[asyncio.Task[None]]:
    """The channel receives meanwhile. Whether it failed is for the test to see."""
    async with attending(telegram, notes):
        run = asyncio.create_task(telegram.run(notes))
        try:
            yield run
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError, OpenCrawError):
                await run


@asynccontextmanager
async def listening(server: TelegramServer, **more: Any) -> AsyncIterator[tuple[Telegram, Notes]]:
    """The channel receives, and has begun to."""
    server.listened = False
    telegram, notes = Telegram(settings(server, **more)), Notes()
    async with running(telegram, notes):
        await until(lambda: server.is_listened_to, "the first poll")
        yield telegram, notes


@dataclass
class Sent:
    """The parts that a channel told of."""

    parts: list[str] = field(default_factory=list)

    async def __call__(self, platform_id: str) -> None:
        self.parts.append(platform_id)


def delivery(
    text: str,
    to: Address = ANN,
    *,
    turn: UUID | None = None,
    recovered: bool = False,
    reply_context: str = "",
    parts: tuple[str, ...] = (),
    draft: str | None = "",
    choice: Choice | None = None,
) -> Delivery:
    identity = uuid4()
    line = Line(next(_lines), "reply", text, datetime.now(UTC), identity, turn)
    return Delivery(identity, to, line, recovered, reply_context, parts, draft, choice, ends=turn)
