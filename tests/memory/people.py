"""Whose memories they are, and conversations for them to come from."""

from __future__ import annotations

from uuid import UUID

from opencraw.contract import DEFAULT_TENANT
from opencraw.memory.items import Flush, Note
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, person_scope
from opencraw.queue.inbox import Inbox
from opencraw.store.database import Database
from tests.fixtures.core import accept, envelope, session_of


def person(name: str = "anna", *more: str, tenant: str = DEFAULT_TENANT) -> Scopes:
    """What a person in a direct chat may know, and `more` persons that are the same one."""
    scopes = tuple(person_scope("test", each) for each in (name, *more))
    return Scopes(tenant, scopes[0], (*scopes, AGENT_SCOPE))


ANNA, BEN = person("anna"), person("ben")


async def conversation(database: Database, chat: str = "a", lines: int = 10) -> UUID:
    """A conversation that has so many entries."""
    await accept(Inbox(database), envelope("hello", chat))
    session = session_of(chat)
    await database.fetch("UPDATE session SET last_seq = $2 WHERE id = $1", session, lines)
    return session


def flush(
    session: UUID,
    *passages: str,
    scopes: Scopes = ANNA,
    notes: tuple[Note, ...] = (),
    from_seq: int = 1,
    through_seq: int = 5,
) -> Flush:
    return Flush(
        scopes=scopes,
        session_id=session,
        from_seq=from_seq,
        through_seq=through_seq,
        channel_id="test",
        sender_id="anna",
        message_count=4,
        token_estimate=100,
        passages=passages,
        notes=notes,
    )
