from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from opencraw.queue import nodes
from opencraw.queue.nodes import Node, home_of
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import until


async def alive(database: Database) -> dict[object, bool]:
    rows = await database.fetch("SELECT id, lease_until > now() AS alive FROM node")
    return {row["id"]: row["alive"] for row in rows}


async def test_a_lease_is_renewed_while_the_process_lives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "LEASE_SECONDS", 0.2)
    node = Node(database, uuid4())
    await node.join()
    [first] = await database.fetch("SELECT lease_until FROM node")
    keeping = asyncio.create_task(node.keep_lease(lambda: None))

    async def renewed_often() -> bool:
        [now] = await database.fetch("SELECT lease_until FROM node")
        return bool((now["lease_until"] - first["lease_until"]).total_seconds() > 0.4)

    await until(renewed_often)
    assert await alive(database) == {node.id: True}
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping

    async def over() -> bool:
        return await alive(database) == {node.id: False}

    await until(over, "the lease is over by itself")


async def test_a_node_knows_when_its_database_does_not_answer_even_if_it_is_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "LEASE_SECONDS", 0.2)
    node = Node(database, uuid4())
    await node.join()
    assert node.in_touch
    await until(lambda: not node.in_touch, "nobody renews its lease")
    assert node.holds_lease


async def test_a_node_that_slept_lets_go_before_it_renews(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake, slept = nodes._now, 0.0
    monkeypatch.setattr(nodes, "_now", lambda: awake() + slept)
    await Node(database, uuid4()).join()
    node = Node(database, uuid4())
    await node.join()
    held_when_told: list[bool] = []
    renewing = asyncio.create_task(node._renew(lambda: held_when_told.append(node.holds_lease)))
    slept = 60.0
    await until(lambda: held_when_told)
    assert held_when_told == [False]
    await until(lambda: node.holds_lease)
    renewing.cancel()


async def test_a_node_that_was_alone_lets_go_when_it_wakes_and_is_not_alone_any_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake, slept = nodes._now, 0.0
    monkeypatch.setattr(nodes, "_now", lambda: awake() + slept)
    node = Node(database, uuid4())
    await node.join()
    assert node.holds_lease
    slept = 60.0
    assert node.holds_lease, "as far as it knows"
    await Node(database, uuid4()).join()
    told: list[int] = []
    renewing = asyncio.create_task(node._renew(lambda: told.append(node.others)))
    await until(lambda: told)
    assert told == [1]
    renewing.cancel()


async def test_who_leaves_is_dead_at_once(database: Database) -> None:
    node = Node(database, uuid4())
    await node.join()
    await node.leave()
    assert await alive(database) == {node.id: False}


async def test_a_successor_in_the_same_home_is_the_only_one_alive_there(
    database: Database,
) -> None:
    home = uuid4()
    before, elsewhere, after = Node(database, home), Node(database, uuid4()), Node(database, home)
    for node in (before, elsewhere, after):
        await node.join()
    assert await alive(database) == {before.id: False, elsewhere.id: True, after.id: True}


async def test_nodes_that_died_long_ago_are_forgotten(database: Database) -> None:
    old = Node(database, uuid4())
    await old.join()
    await database.fetch("UPDATE node SET lease_until = now() - interval '2 days'")
    new = Node(database, uuid4())
    await new.join()
    assert await alive(database) == {new.id: True}


def test_a_data_directory_keeps_its_identity(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    assert home_of(tmp_path) == home
    assert home_of(tmp_path / ".") == home
    other = tmp_path / "other"
    other.mkdir()
    assert home_of(other) != home
    assert {each.name for each in tmp_path.iterdir()} == {"home", "other"}


# Who else lives, and who receives.


async def test_a_node_knows_from_the_start_that_it_is_not_alone(database: Database) -> None:
    home = uuid4()
    before, elsewhere, after = Node(database, home), Node(database, uuid4()), Node(database, home)
    await before.join()
    assert before.others == 0
    await elsewhere.join()
    assert elsewhere.others == 1
    await after.join()
    assert after.others == 1, "the dead of its own home do not count"


async def test_of_all_nodes_one_receives_for_an_account(database: Database) -> None:
    one, two = Node(database, uuid4()), Node(database, uuid4())
    await one.join()
    await two.join()
    assert await one.receive_for("chat", "bot")
    assert not await two.receive_for("chat", "bot")
    assert await one.receive_for("chat", "bot"), "it stays the one"
    assert await two.receive_for("chat", "another bot")
    assert await two.receive_for("mail", "bot")


async def test_of_all_who_want_to_receive_at_once_one_does(
    database: Database, database_url: str
) -> None:
    async with await Database.open(database_url) as elsewhere:
        nodes_ = [Node(each, uuid4()) for each in (database, elsewhere) for _ in range(3)]
        for node in nodes_:
            await node.join()
        for number in range(10):
            won = await asyncio.gather(*(node.receive_for("chat", f"{number}") for node in nodes_))
            assert sum(won) == 1


async def test_asking_twice_at_once_is_asking_once(database: Database) -> None:
    node = Node(database, uuid4())
    await node.join()
    assert await asyncio.gather(*(node.receive_for("chat", "bot") for _ in range(5))) == [True] * 5


@pytest.mark.parametrize("end", ["it leaves", "it dies"])
async def test_receiving_moves_when_its_node_ends(database: Database, end: str) -> None:
    one, two = Node(database, uuid4()), Node(database, uuid4())
    await one.join()
    await two.join()
    assert await one.receive_for("chat", "bot")
    if end == "it leaves":
        await one.leave()
    else:
        await database.fetch(
            "UPDATE node SET lease_until = now() - interval '1 ms' WHERE id = $1", one.id
        )
    assert await two.receive_for("chat", "bot")
    assert not await one.receive_for("chat", "bot"), "who comes back too late does not get it"


async def test_receiving_survives_a_lost_answer(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    node = Node(unlucky, uuid4())
    await node.join()
    proxy.cut_at_next_answer = True
    assert await node.receive_for("chat", "bot")
    assert proxy.cuts == 1
