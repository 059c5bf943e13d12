from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.limits.spending import SQL, Purse, Spending
from opencraw.limits.tariff import Tariff
from opencraw.model import Prompt, Usage, UserMessage
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Turns
from opencraw.sessions.keys import AGENT
from opencraw.store.database import Database
from tests.fixtures.core import until
from tests.queue.lane import begin

CAP = 1_000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def turn(database: Database) -> UUID:
    return await a_turn(database)


async def a_turn(database: Database, chat: str = "a") -> UUID:
    node = Node(database, uuid4())
    await node.join()
    return (await begin(Turns(database, node.id), "question", chat=chat)).id


async def enter(spending: Spending, turn: UUID, cost: int) -> UUID:
    call = uuid4()
    await spending.enter(call, turn, cost)
    return call


async def entered(spending: Spending, turn: UUID, cost: int) -> UUID | None:
    """The call, or None when there was no money for it."""
    try:
        return await enter(spending, turn, cost)
    except ModelFailure as failure:
        if failure.kind is not FailureKind.SPEND_CAP:
            raise
        return None


async def sums(database: Database) -> tuple[int, int]:
    """What the day's row says, and what its calls say."""
    [row] = await database.fetch(
        "SELECT (SELECT coalesce(sum(cost), 0)::bigint FROM spend) AS day,"
        "       (SELECT coalesce(sum(cost), 0)::bigint FROM model_call) AS calls"
    )
    return row["day"], row["calls"]


async def test_a_call_is_entered_before_it_is_made_and_corrected_afterwards(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    assert await spending.today("default", AGENT) == 0
    call = await enter(spending, turn, 300)
    assert await spending.today("default", AGENT) == 300
    await spending.end(call, 120)
    assert await spending.today("default", AGENT) == 120
    [row] = await database.fetch("SELECT * FROM model_call")
    assert (row["id"], row["turn_id"], row["cost"], row["ended"]) == (call, turn, 120, True)
    assert await spending.today("default", "another") == 0


async def test_a_call_that_might_exceed_the_cap_is_not_entered(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    await enter(spending, turn, CAP - 1)
    with pytest.raises(ModelFailure) as failure:
        await enter(spending, turn, 2)
    assert failure.value.kind is FailureKind.SPEND_CAP
    await enter(spending, turn, 1)
    assert await sums(database) == (CAP, CAP)


async def test_a_refusal_names_the_cap_what_is_spent_and_the_way_on(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, 5_000_000)
    await enter(spending, turn, 4_900_000)
    with pytest.raises(ModelFailure) as failure:
        await enter(spending, turn, 123_400)
    words = str(failure.value)
    for part in ("may cost 5 a day", "4.9 of that", "0.1234", "00:00 UTC", "limits.spend_per_day"):
        assert part in words


async def test_what_did_cost_less_makes_room_and_what_did_cost_more_takes_it(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    call = await enter(spending, turn, CAP)
    assert await entered(spending, turn, 1) is None
    await spending.end(call, 400)
    dear = await enter(spending, turn, 600)
    await spending.end(dear, 5_000)
    assert await sums(database) == (5_400, 5_400)
    assert await entered(spending, turn, 1) is None


async def test_a_call_without_an_end_keeps_its_estimate(database: Database, turn: UUID) -> None:
    spending = Spending(database, CAP)
    await enter(spending, turn, 700)
    assert await entered(Spending(database, CAP), turn, 400) is None
    [row] = await database.fetch("SELECT ended FROM model_call")
    assert row["ended"] is False


async def test_rows_that_are_repeated_after_a_lost_answer_count_once(
    database: Database, turn: UUID
) -> None:
    call = uuid4()
    await database.commit(SQL.open_day, (turn,))
    await database.commit(SQL.open_day, (turn,))
    for _ in range(3):
        record = await database.commit(SQL.enter_call, (call, turn, 600, CAP))
        assert record is not None
        assert record["admitted"] is True
    assert await sums(database) == (600, 600)
    for _ in range(3):
        await database.commit(SQL.end_call, (call, 250))
    assert await sums(database) == (250, 250)


async def test_a_call_that_was_admitted_stays_so_when_the_day_is_full_by_now(
    database: Database, turn: UUID
) -> None:
    call = uuid4()
    await database.commit(SQL.open_day, (turn,))
    await database.commit(SQL.enter_call, (call, turn, CAP, CAP))
    again = await database.commit(SQL.enter_call, (call, turn, CAP, CAP))
    assert again is not None
    assert again["admitted"] is True
    assert await sums(database) == (CAP, CAP)


async def test_a_row_that_is_repeated_takes_no_room_from_its_neighbours(
    database_url: str, database: Database, turn: UUID
) -> None:
    known, new = await enter(Spending(database, CAP), turn, 600), uuid4()
    connection = await asyncpg.connect(database_url)
    rows = [(known, turn, 600, CAP), (new, turn, 400, CAP)]
    records = await connection.fetch(SQL.enter_call, *zip(*rows, strict=True))
    await connection.close()
    assert {record["ord"]: record["admitted"] for record in records} == {1: True, 2: True}
    assert await sums(database) == (CAP, CAP)


# The connection broke in the middle of COMMIT: a row is repeated whose first run is still on its
# way to the disk.


@pytest.mark.parametrize("cost", [400, 600], ids=["fits twice", "fits once"])
async def test_an_entry_whose_first_run_commits_just_now_counts_once(
    database_url: str, database: Database, turn: UUID, cost: int
) -> None:
    await database.commit(SQL.open_day, (turn,))
    call = uuid4()
    async with _uncommitted(database_url, SQL.enter_call, call, turn, cost, CAP):
        repeat = asyncio.create_task(Spending(database, CAP).enter(call, turn, cost))
        await until(lambda: _somebody_waits(database), "the repeat waits for the first run")
    await repeat
    assert await sums(database) == (cost, cost)


async def test_an_end_whose_first_run_commits_just_now_counts_once(
    database_url: str, database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    call = await enter(spending, turn, 600)
    async with _uncommitted(database_url, SQL.end_call, call, 250):
        repeat = asyncio.create_task(spending.end(call, 250))
        await until(lambda: _somebody_waits(database), "the repeat waits for the first run")
    await repeat
    assert await sums(database) == (250, 250)


@asynccontextmanager
async def _uncommitted(url: str, sql: str, *row: object) -> AsyncIterator[None]:
    """A first run, which is committed at the end of the block."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.fetch(sql, *([value] for value in row))
            yield
    finally:
        await connection.close()


async def _somebody_waits(database: Database) -> bool:
    return bool(await database.fetch("SELECT FROM pg_locks WHERE NOT granted"))


async def test_of_several_calls_in_one_flush_so_many_are_entered_as_fit(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    await spending.end(await enter(spending, turn, 1), 0)
    calls = await asyncio.gather(*(entered(spending, turn, 300) for _ in range(20)))
    assert [call is not None for call in calls] == [True] * 3 + [False] * 17
    assert await sums(database) == (900, 900)
    known = [call for call in calls if call is not None]
    await asyncio.gather(*(spending.end(call, 100 * n) for n, call in enumerate(known)))
    assert await sums(database) == (300, 300)


async def test_the_first_calls_of_a_day_at_once_find_it_open(
    database: Database, turn: UUID
) -> None:
    spending = Spending(database, CAP)
    calls = await asyncio.gather(*(entered(spending, turn, 10) for _ in range(20)))
    assert None not in calls
    assert await sums(database) == (200, 200)


async def test_yesterday_does_not_count(database: Database, turn: UUID) -> None:
    spending = Spending(database, CAP)
    old = await enter(spending, turn, CAP)
    await database.fetch("UPDATE spend SET day = day - 1")
    await database.fetch("UPDATE model_call SET day = day - 1")
    assert await spending.today("default", AGENT) == 0
    assert await entered(spending, turn, CAP) is not None
    await spending.end(old, 1)
    assert await spending.today("default", AGENT) == CAP, "a late end belongs to its own day"


async def test_each_agent_has_a_day_of_its_own(database: Database, turn: UUID) -> None:
    other = await a_turn(database, chat="b")
    await database.fetch(
        "UPDATE session SET agent = 'other' WHERE id = (SELECT session_id FROM turn WHERE id = $1)",
        other,
    )
    spending = Spending(database, CAP)
    both = await asyncio.gather(entered(spending, turn, CAP), entered(spending, other, CAP))
    assert None not in both
    assert await entered(spending, other, 1) is None
    assert await spending.today("default", "other") == CAP


@pytest.mark.parametrize("round_", range(5))
async def test_nodes_together_never_exceed_the_cap(database_url: str, round_: int) -> None:
    """Real connections, real concurrency: each node admits by what the others committed."""
    cap, costs = 10_000, [97 + 61 * ((number * 7 + round_) % 13) for number in range(120)]
    async with await Database.open(database_url) as one, await Database.open(database_url) as two:
        turn = await a_turn(one)
        highest = 0
        done = asyncio.Event()

        async def watch() -> None:
            nonlocal highest
            while not done.is_set():
                highest = max(highest, (await sums(one))[0])

        async def calls_of(node: Database, mine: list[int]) -> list[int]:
            """Enter call after call, half of them to the end; returns what was admitted."""
            spending, admitted = Spending(node, cap), []
            for number, cost in enumerate(mine):
                call = await entered(spending, turn, cost)
                if call is None:
                    continue
                if number % 2:
                    await spending.end(call, cost // 3)
                    admitted.append(cost // 3)
                else:
                    admitted.append(cost)
            return admitted

        watching = asyncio.create_task(watch())
        lists = await asyncio.gather(
            *(calls_of((one, two)[part % 2], costs[part::12]) for part in range(12))
        )
        done.set()
        await watching
        total = sum(map(sum, lists))
        assert await sums(one) == (total, total)
        assert highest <= cap
        assert total <= cap
        left = cap - total
        assert await entered(Spending(two, cap), turn, left + 1) is None
        assert await entered(Spending(two, cap), turn, left) is not None


async def test_a_purse_enters_the_most_and_pays_what_it_was(database: Database, turn: UUID) -> None:
    tariff = Tariff(prompt=1, completion=2, cached=1, max_output_tokens=100)
    purse = Purse(Spending(database, CAP), turn, tariff)
    prompt = Prompt("", (UserMessage("hello"),))
    pay = await purse.admit(prompt)
    assert await sums(database) == (tariff.most(prompt),) * 2
    await pay(Usage(10, 5))
    assert await sums(database) == (20, 20)
