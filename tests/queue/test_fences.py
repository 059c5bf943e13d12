from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from opencraw.errors import Fenced
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Marks, Turns
from opencraw.store.database import Database
from tests.queue.lane import (
    DONE,
    RESULT,
    STEP,
    begin,
    count,
    lines,
    same_turn,
    states,
    write,
)

# Who may write.


@pytest.mark.parametrize(
    "stranger", [{"owner": uuid4()}, {"attempt": 2}, {"attempt": 0}, {"writes": 5}, {"id": uuid4()}]
)
@pytest.mark.parametrize("verb", ["advance", "move", "settle"])
async def test_only_the_owner_of_an_attempt_writes_and_only_in_order(
    database: Database, turns: Turns, stranger: dict[str, object], verb: str
) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP])
    with pytest.raises(Fenced):
        await write(turns, same_turn(turn, **stranger), verb)
    assert len(await lines(database)) == 2
    assert await count(database, "outbox") == 0
    assert (await states(database))[0][1] == "taken"
    assert await turns.settle(turn, DONE)


@pytest.mark.parametrize("verb", ["advance", "move", "settle"])
async def test_a_turn_that_ended_takes_no_more_writes(
    database: Database, turns: Turns, verb: str
) -> None:
    turn = await begin(turns, "one")
    await turns.settle(turn, DONE)
    with pytest.raises(Fenced):
        await write(turns, turn, verb)
    assert len(await lines(database)) == 2


# Take over.


async def test_a_taken_over_turn_fences_its_former_owner(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP])
    other = Turns(turns._database, uuid4())
    theirs = same_turn(turn)
    assert await other.take_over(theirs)
    assert (theirs.owner, theirs.attempt) == (other.node, 2)
    with pytest.raises(Fenced):
        await turns.advance(turn, [RESULT])
    with pytest.raises(Fenced):
        await turns.move(turn, Marks(begin_seq=1, checkpoint="a summary"))
    with pytest.raises(Fenced):
        await turns.settle(turn, DONE)
    await other.settle(theirs, DONE)
    assert len(await lines(database)) == 3


async def test_what_the_former_owner_wrote_at_the_last_moment_is_no_obstacle(
    database: Database, turns: Turns
) -> None:
    turn = await begin(turns, "one")
    heir = Turns(database, uuid4())
    found = same_turn(turn)
    await turns.advance(turn, [STEP])
    assert await heir.take_over(found)
    again = same_turn(found, owner=turn.owner, attempt=turn.attempt, writes=0)
    assert await heir.take_over(again), "the same answer, if the first one was lost"
    assert (found.writes, again.writes) == (1, 1)
    await heir.advance(found, [RESULT])
    await heir.settle(found, DONE)
    assert len(await lines(database)) == 4


async def test_of_two_that_take_a_turn_over_one_wins(database_url: str, turns: Turns) -> None:
    async with await Database.open(database_url) as other_database:
        heirs = turns, Turns(other_database, uuid4())
        for number in range(10):
            turn = await begin(Turns(other_database, uuid4()), "one", chat=f"chat {number}")
            won = await asyncio.gather(*(heir.take_over(same_turn(turn)) for heir in heirs))
            assert sorted(won) == [False, True]


async def test_a_turn_that_ended_is_not_taken_over(turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.settle(turn, DONE)
    assert not await Turns(turns._database, uuid4()).take_over(turn)


async def test_who_is_abandoned(database: Database) -> None:
    """A turn of a dead node, or one of ours that is not in our hands; never any other."""
    ours, theirs, dead = (Node(database, uuid4()) for _ in range(3))
    for node in (ours, theirs, dead):
        await node.join()
    begun = {
        name: await begin(Turns(database, node), "hello", chat=name)
        for name, node in {
            "in our hands": ours.id,
            "dropped": ours.id,
            "in their hands": theirs.id,
            "of the dead": dead.id,
            "of nobody": uuid4(),
        }.items()
    }
    await dead.leave()
    found = await Turns(database, ours.id).abandoned([begun["in our hands"].id], 10)
    assert {turn.id for turn in found} == {
        begun[name].id for name in ("dropped", "of the dead", "of nobody")
    }
    [first] = await Turns(database, ours.id).abandoned([], 1)
    assert first.id == begun["in our hands"].id, "the oldest first"


async def test_who_enters_buries_the_dead_of_its_own_home_only(database: Database) -> None:
    home = uuid4()
    before, elsewhere, after = Node(database, home), Node(database, uuid4()), Node(database, home)
    await before.join()
    await elsewhere.join()
    mine = await begin(Turns(database, before.id), "hello", chat="mine")
    await begin(Turns(database, elsewhere.id), "hello", chat="theirs")
    turns = Turns(database, after.id)
    assert await turns.abandoned([], 10) == []
    await after.join()
    assert [turn.id for turn in await turns.abandoned([], 10)] == [mine.id]
