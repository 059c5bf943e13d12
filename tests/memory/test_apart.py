"""Nobody ever sees, changes or forgets what is another's."""

from __future__ import annotations

import asyncio
import re
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opencraw.contract import ChatType
from opencraw.memory.items import Item, Note
from opencraw.memory.memory import SQL, Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, named, scopes_of
from opencraw.sessions.identity import Links
from opencraw.store.database import Database
from tests.fixtures.askers import asker
from tests.memory.people import person

LINKS = Links({"anna": ["test:anna", "mail:anna@example.com"]})
SECRET = "the secret word is platypus"

_ONE = r"(memory\.)?tenant = (\$1|last\.tenant|given\.tenant|excluded\.tenant)"
_TENANT = re.compile(_ONE)
_SCOPE = re.compile(
    r"scope = ANY \(\$2::text\[\]\)|scope = \$2|memory\.scope = given\.scope"
    r"|scopes::jsonb \? memory\.scope|memory\.scope = excluded\.scope"
)
#: It makes new memories, in the scope that it is given, and touches no other.
_MAKES = "flush"


@pytest.mark.parametrize("name", list(SQL))
def test_every_statement_names_tenant_and_scopes_wherever_it_reads_memories(name: str) -> None:
    sql = SQL[name]
    if name == _MAKES:
        assert not re.search(r"\b(FROM|JOIN|UPDATE|USING) memory\b", sql)
        return
    reads = re.findall(r"\b(?:FROM|JOIN|UPDATE|INSERT INTO) memory\b", sql)
    assert reads
    in_index = len(re.findall(r"tenant = \$1 AND ARRAY\[scope\] && \$2::text\[\]", sql))
    assert len(_TENANT.findall(sql)) >= len(reads)
    assert len(_SCOPE.findall(sql)) + in_index >= len(reads)


async def test_who_corrects_in_the_same_moment_is_not_told_what_another_tenant_corrected(
    memory: Memory,
) -> None:
    mine, theirs = person("anna"), person("anna", tenant="another")
    item = await memory.save(mine, Note(SECRET))
    # Both are in one group commit.
    corrected, told = await asyncio.gather(
        memory.correct(mine, item.id, f"{SECRET}, or so"), memory.correct(theirs, item.id, "mine")
    )
    assert corrected is not None
    assert corrected.text == f"{SECRET}, or so"
    assert told is None


def _who() -> list[Scopes]:
    found = [
        scopes_of(asker("anna"), LINKS),
        scopes_of(asker("anna@example.com", channel="mail"), LINKS),
        scopes_of(asker("ben"), LINKS),
        scopes_of(asker("anna", channel="other"), LINKS),
        scopes_of(asker("anna", chat="anna", chat_type=ChatType.GROUP), LINKS),
        scopes_of(asker("ben", chat="g", chat_type=ChatType.GROUP), LINKS),
        named("default", AGENT_SCOPE),
        Scopes("another", "os.assistant.test.anna", ("os.assistant.test.anna", AGENT_SCOPE)),
    ]
    return [each for each in found if each is not None]


WHO = _who()
numbers = st.integers(min_value=0, max_value=len(WHO) - 1)


async def _do(memory: Memory, deed: str, scopes: Scopes, item: Item) -> bool:
    if deed == "forget":
        return await memory.forget(scopes, item.id)
    return await memory.correct(scopes, item.id, f"{item.text}, or so") is not None


def _may_read(scopes: Scopes, tenant: str, item: Item) -> bool:
    return tenant == scopes.tenant and item.scope in scopes.readable


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owners=st.lists(numbers, min_size=1, max_size=6),
    visitor=numbers,
    deeds=st.lists(st.sampled_from(["correct", "forget"]), max_size=3),
)
async def test_nobody_reaches_another_ones_memories(
    database: Database, owners: list[int], visitor: int, deeds: list[str]
) -> None:
    await database.fetch("DELETE FROM memory")
    memory = Memory(database, LINKS)
    saved: dict[UUID, tuple[str, Item]] = {}
    for number, owner in enumerate(owners):
        item = await memory.save(WHO[owner], Note(f"{SECRET} {number}"))
        saved[item.id] = (WHO[owner].tenant, item)
    scopes = WHO[visitor]
    mine = {id_ for id_, (tenant, item) in saved.items() if _may_read(scopes, tenant, item)}
    assert {hit.item.id for hit in await memory.search(scopes, SECRET, limit=50)} == mine
    assert {item.id for item in await memory.items(scopes)} == mine
    for id_, (tenant, item) in saved.items():
        assert (await memory.get(scopes, id_) is not None) is (id_ in mine)
        changeable = tenant == scopes.tenant and item.scope in scopes.changeable
        for deed in deeds:
            assert await _do(memory, deed, scopes, item) is changeable
            changeable &= deed != "forget"
    others = await database.fetch("SELECT id FROM memory")
    untouched = {
        id_
        for id_, (tenant, item) in saved.items()
        if tenant != scopes.tenant or item.scope not in scopes.changeable
    }
    assert untouched <= {row["id"] for row in others}
    await memory.forget_all(scopes)
    left = {row["id"] for row in await database.fetch("SELECT id FROM memory")}
    assert left == untouched
