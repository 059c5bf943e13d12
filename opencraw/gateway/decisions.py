"""What follows a decision: whoever was let in is told so, and what asked about it shows it.

A decision is a row, and so is what is still to be done about it. So it is done however the process
fares that wrote it down: by that process at once, and at the latest by whoever looks next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from uuid import uuid5

from opencraw.access.choices import Choices, Shown
from opencraw.access.pairing import Pairing, Request
from opencraw.contract import Channel, ChatType, Edits, Listener, Rights, Sender
from opencraw.errors import DeliveryFailure, NotSent, OpenCrawError, Unavailable
from opencraw.gateway.letting_in import WELCOME
from opencraw.gateway.notices import Notices

log = logging.getLogger(__name__)

#: What another node decided, or did not live to follow up, is found after so long.
LOOK_SECONDS = 20.0
#: A platform that does not change a message within so long is asked again at the next look.
EDIT_SECONDS = 30.0


class Decisions:
    """Follows up what owners decided."""

    def __init__(
        self,
        pairing: Pairing,
        choices: Choices,
        channels: Mapping[str, Channel],
        notices: Notices,
    ) -> None:
        self._pairing = pairing
        self._choices = choices
        self._channels = channels
        self._notices = notices
        self._made = asyncio.Event()

    def made(self) -> None:
        """Something was decided here: a hint."""
        self._made.set()

    async def run(self) -> None:
        """Follow up, until cancelled."""
        while True:
            self._made.clear()
            try:
                await self._follow_up()
            except Unavailable as error:
                log.warning("looking for decisions: %s", error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._made.wait()
            except TimeoutError:
                pass

    async def _follow_up(self) -> None:
        requests = await self._pairing.unwelcomed()
        questions = await self._choices.unshown()
        async with asyncio.TaskGroup() as tasks:
            for request in requests:
                tasks.create_task(_done("welcoming somebody", self._welcome(request)))
            for shown in questions:
                tasks.create_task(_done("showing a decision", self._show(shown)))

    async def _welcome(self, request: Request) -> None:
        sender = Sender(request.sender_id, request.sender_name, Rights(request.rights))
        try:
            await self._notices.post(
                request.address,
                request.tenant,
                WELCOME,
                reply_context=request.reply_context,
                listener=Listener(ChatType.DIRECT, sender),
                delivery_id=uuid5(request.id, "welcome"),
            )
        except Unavailable:
            raise
        except OpenCrawError as refused:
            log.warning("%s was not told of being let in: %s", request.person, refused)
        await self._pairing.welcomed(request.id)

    async def _show(self, shown: Shown) -> None:
        """Have a message that asked say what was decided."""
        channel = self._channels.get(shown.address.channel)
        if isinstance(channel, Edits):
            try:
                async with asyncio.timeout(EDIT_SECONDS):
                    await channel.edit(shown.address, shown.platform_id, shown.text)
            except (NotSent, TimeoutError) as failure:
                log.info("a question still shows its buttons: %s", failure)
                return
            except DeliveryFailure as failure:
                log.info("a question goes on showing its buttons: %s", failure)
        await self._choices.shown(shown.choice)


async def _done(what: str, deed: Awaitable[None]) -> None:
    try:
        await deed
    except Unavailable as error:
        log.warning("%s: %s", what, error)
    except Exception:
        # A channel's defect. What is not done stays on record, and the others are not to blame.
        log.exception("%s failed", what)
