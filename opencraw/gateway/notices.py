"""The daemon speaks first: words that no turn said."""

from __future__ import annotations

from uuid import UUID

from opencraw.access.admission import Admission
from opencraw.contract import PATIENCE_SECONDS, Address, ChatType, Delivery, Listener
from opencraw.errors import NotFound, Refused, Unavailable
from opencraw.gateway.bounds import LONGEST_TEXT, check_names
from opencraw.gateway.desk import Desk
from opencraw.sessions.keys import Conversation
from opencraw.sessions.send_policy import Place
from opencraw.sessions.transcript import Session, Sessions
from opencraw.store.text import storable

#: Opened a conversation in which only the daemon has spoken, to nobody in particular.
_NOBODY = ""


class Notices:
    """Adds a notice to the conversation of an address, and has it delivered."""

    def __init__(self, desk: Desk, admission: Admission) -> None:
        self._sessions = desk.sessions
        self._outlets = desk.outlets
        self._limits = desk.limits
        self._admission = admission

    async def post(
        self,
        address: Address,
        tenant: str,
        text: str,
        *,
        reply_context: str = "",
        choice: UUID | None = None,
        listener: Listener | None = None,
        delivery_id: UUID | None = None,
    ) -> UUID:
        """Say something that no turn said. Returns the id of the delivery once it is durable: the
        same id is the same word. `listener` is who is there, where that is better known than by the
        channel."""
        known = self._outlets.channels()
        if address.channel not in known:
            raise NotFound(
                f"There is no channel {address.channel!r} here. Channels: {', '.join(known)}"
            )
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Refused(f"A message has 1 to {LONGEST_TEXT:,} characters.", code="INVALID_FIELD")
        check_names(address, tenant)
        conversations = self._outlets.conversations
        there = listener or conversations.listener(address)
        there = await self._admission.listener(there, address, tenant)
        here = conversations.heard_by(there, address, tenant)
        chat_type = there.chat_type if there is not None else None
        person = there.sender.id if there is not None and there.sender is not None else _NOBODY
        session = await opened(self._sessions, here, person, chat_type)
        self._check_speech(here, session)
        line = await self._sessions.post(
            here,
            storable(text),
            reply_context=reply_context,
            choice=choice,
            delivery_id=delivery_id,
            patience=PATIENCE_SECONDS,
        )
        self._outlets.deliver(Delivery(line.message_id, address, line))
        return line.message_id

    def _check_speech(self, here: Conversation, session: Session) -> None:
        """Refuse to speak first where the assistant may not speak."""
        place = Place(here.address.channel, session.chat_type, here.keys)
        if reason := self._limits.speech.denies(place):
            raise Refused(
                f"The assistant may not speak there: queue.send_policy has {reason}. "
                "Nothing was sent. Change the rule first, or write to somebody else.",
                code="FORBIDDEN",
            )
        if session.sends is False:
            raise Refused(
                "The assistant was told to be silent there (/send off). Nothing was sent. Say "
                "/send on there first, or write to somebody else.",
                code="FORBIDDEN",
            )


async def opened(
    sessions: Sessions, here: Conversation, opened_by: str, chat_type: ChatType | None
) -> Session:
    """The session of a conversation, made if nobody has spoken there."""
    found = await sessions.session(here.id)
    if found is None:
        await sessions.open(here, opened_by=opened_by, chat_type=chat_type)
        found = await sessions.session(here.id)
    if found is None:
        raise Unavailable("the conversation could not be opened; try again")
    return found
