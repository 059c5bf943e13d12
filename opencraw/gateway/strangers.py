"""What is said to strangers, and to owners about them, and what owners say.

A stranger is told once how to be let in, straight through the channel: no conversation of ours
begins with somebody whom nobody knows. That happens beside accepting, since whoever hands in a
message does not wait for a platform, and again with a later message if it failed. An owner is asked
in the direct chat that was used last, by a delivery that is there before the stranger's message is
refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4, uuid5

from opencraw.access.admission import Admission
from opencraw.access.pairing import Request, Standing, Word
from opencraw.access.policy import Code
from opencraw.contract import (
    Channel,
    ChatType,
    Choice,
    Delivery,
    Envelope,
    Line,
    Rights,
)
from opencraw.errors import (
    DeliveryFailure,
    Forbidden,
    MaybeSent,
    NeverSendable,
    NotFound,
    OpenCrawError,
    Refused,
    Unavailable,
)
from opencraw.gateway import letting_in
from opencraw.gateway.errands import Errands
from opencraw.gateway.notices import Notices
from opencraw.gateway.questions import Questions
from opencraw.sessions.keys import Conversation
from opencraw.sessions.send_policy import Place, SendPolicy

log = logging.getLogger(__name__)

_COMMANDS = UUID("6f70656e-6372-6177-8000-70616972696e")


@dataclass(frozen=True)
class Ways:
    """On which ways people are reached, and which are closed."""

    channels: Mapping[str, Channel]
    notices: Notices
    speech: SendPolicy


class Strangers:
    """People who ask to be let in."""

    def __init__(
        self,
        questions: Questions,
        admission: Admission,
        ways: Ways,
        errands: Errands,
    ) -> None:
        self._pairing = admission.pairing
        self._questions = questions
        self._admission = admission
        self._ways = ways
        self._errands = errands

    async def knock(self, envelope: Envelope, standing: Standing | None) -> Code:
        """A stranger wrote: the first time that makes a request. Returns how it stands."""
        if standing is not None and standing.state == "rejected":
            return Code.REJECTED
        known = standing or await self._pairing.ask(envelope)
        if known is None:
            return Code.PENDING_CAP_REACHED
        if not known.told:
            await self._ask_owner(known.id)
            self._errands.add("telling a stranger", partial(self._introduce, known.id))
        return Code.PENDING_CREATED if standing is None else Code.PENDING_REQUIRED

    async def requests(self) -> letting_in.Requests:
        """Who waits for a word, then who was let in."""
        return await self._pairing.requests()

    async def resolve(self, code: str, word: Word) -> Request:
        """Carry out what an owner says about a request. Raises `Refused` for a code that is wrong,
        over, or resolved already."""
        called = await self._pairing.called(code, word.by)
        request = await self._pairing.resolve(called.id, word)
        text = letting_in.in_words(request)
        await self._questions.settle(request.id, letting_in.decided(request, text, now=True))
        return request

    async def resolve_for(self, envelope: Envelope, resolve: letting_in.Resolve) -> str:
        """Carry out `/pair approve` or `/pair reject`; returns what is answered. The same command
        is the same word."""
        if envelope.sender.rights is not Rights.OWNER:
            raise Forbidden("Only an owner lets people in; ask one.", code="FORBIDDEN")
        address = envelope.address
        name = f"{address.channel}/{address.account}/{envelope.dedupe_key}"
        by = f"{address.channel}:{envelope.sender.id}"
        word = Word(by, resolve.rights, id=uuid5(_COMMANDS, name))
        return letting_in.in_words(await self.resolve(resolve.code, word))

    async def has_owner(self, channel: str, account: str) -> bool:
        """Whether anybody may do everything where this request came from."""
        return await self._admission.has_owner(channel, account)

    async def revoke(self, channel: str, sender: str, account: str | None, by: str) -> int:
        """Let a person in no more, from now on. Raises `NotFound` for whoever was not let in, and
        `Refused` for whoever the configuration lets in, by name or with everybody else."""
        revoked = await self._pairing.revoke(channel, sender, account, by)
        listed = self._admission.listed_rights(channel, sender)
        if listed is not None:
            where = "owners" if listed is Rights.OWNER else "allowed_senders"
            raise Refused(
                f"{sender} is let in by the configuration, and stays so until you take the id out "
                f"of channels.{channel}.access.{where} and start the daemon again."
                + (" The approval of the code was revoked." if revoked else ""),
                code="CONFLICT_ERROR",
            )
        if self._admission.hears_everybody(channel):
            raise Refused(
                f"Everybody is heard on {channel}, {sender} too, as a guest: choose another "
                f"channels.{channel}.access.mode and start the daemon again."
                + (" The approval of the code was revoked." if revoked else ""),
                code="CONFLICT_ERROR",
            )
        if not revoked and channel not in self._ways.channels:
            raise NotFound(
                f"There is no channel {channel} here; these are open: "
                f"{', '.join(sorted(self._ways.channels))}."
            )
        if not revoked:
            raise NotFound(
                f"Nobody with the id {sender} was let in on {channel}. `opencraw pairing list` "
                "shows who was."
            )
        return revoked

    async def _introduce(self, request_id: UUID) -> None:
        """Tell a stranger what to do. Only one of us does."""
        teller = uuid4()
        if not await self._pairing.begin_telling(request_id, teller):
            return
        request = await self._pairing.request(request_id)
        if self._is_silent(request) or await self._is_told(request):
            await self._pairing.end_telling(request_id, teller)

    async def _is_told(self, request: Request) -> bool:
        """Tell a stranger the code; returns whether that is over with. Otherwise a message after a
        while tries again."""
        try:
            has_owner = await self.has_owner(request.channel, request.account)
            text = letting_in.notice(request, has_owner=has_owner)
            await self._send(request, text)
        except NeverSendable as failure:
            log.warning("%s cannot be told how to be let in: %s", request.person, failure)
        except MaybeSent as failure:
            log.warning("whether %s knows the code is not known: %s", request.person, failure)
            return False
        except DeliveryFailure as failure:
            log.warning("%s does not know the code yet: %s", request.person, failure)
            return False
        return True

    def _is_silent(self, request: Request) -> bool:
        """Whether the assistant may say nothing there, not even that."""
        here = Conversation.at(request.address, request.tenant)
        place = Place(request.channel, ChatType.DIRECT, here.keys)
        return self._ways.speech.denies(place) is not None

    async def _send(self, request: Request, text: str) -> None:
        channel = self._ways.channels.get(request.channel)
        if channel is None:
            raise NeverSendable("the channel is not open any more")
        delivery_id = uuid5(request.id, "notice")
        line = Line(0, "notice", text, datetime.now(UTC), delivery_id)
        delivery = Delivery(delivery_id, request.address, line, reply_context=request.reply_context)
        await channel.send(delivery, _unrecorded)

    async def _ask_owner(self, request_id: UUID) -> None:
        """Ask the owner who talked to us last, unless somebody is asked already."""
        choice = Choice(uuid5(request_id, "choice"), (letting_in.APPROVE, letting_in.DENY))
        if await self._questions.is_posted(choice.id):
            return
        request = await self._pairing.request(request_id)
        where = await self._questions.owner()
        if where is None:
            log.info("%s asks to be let in, and no owner has a direct chat", request.person)
            return
        seconds = max(1.0, (request.expires_at - datetime.now(UTC)).total_seconds())
        await self._questions.ask(choice, letting_in.KIND, request.id, seconds)
        text = letting_in.question(request)
        try:
            # One question, whoever asks it.
            await self._ways.notices.post(
                where, request.tenant, text, choice=choice.id, delivery_id=choice.id
            )
        except Unavailable:
            raise
        except OpenCrawError as refused:
            log.warning("no owner could be asked about %s: %s", request.person, refused)


async def _unrecorded(_platform_id: str) -> None:
    """There is no row whose parts anybody would count."""
