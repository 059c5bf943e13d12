"""Every call of the model is paid for, and none is made that is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelEvent, ModelReply, Prompt, TextDelta, Usage
from opencraw.runtime.purse import Pay
from tests.fixtures.script import Script, calls
from tests.runtime.playing import World, play


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opencraw.runtime.retries.FIRST_PAUSE", 0.0)


class Book:
    """A purse with money for so many calls, and a book of what was done."""

    def __init__(self, script: Script, calls: int = 100) -> None:
        self.pages: list[str] = []
        self._script = script
        self._calls = calls

    async def admit(self, prompt: Prompt) -> Pay:
        if not self._calls:
            raise ModelFailure(FailureKind.SPEND_CAP, "nothing left")
        self._calls -= 1
        self.pages.append(f"admitted before call {len(self._script.prompts) + 1}")

        async def pay(usage: Usage) -> None:
            self.pages.append(f"paid {usage.prompt_tokens}+{usage.completion_tokens}")

        return pay


async def test_each_step_is_admitted_before_it_is_asked_and_paid_afterwards(
    world: World,
) -> None:
    script = Script(calls("read"), "It reads.")
    book = Book(script)
    await play(world, script, purse=book)
    assert book.pages == [
        "admitted before call 1", "paid 7+3", "admitted before call 2", "paid 10+5",
    ]  # fmt: skip


async def test_a_call_that_is_not_admitted_is_not_made_and_not_tried_again(world: World) -> None:
    script = Script(calls("read"), "It reads.")
    with pytest.raises(ModelFailure) as failure:
        await play(world, script, purse=Book(script, calls=1))
    assert failure.value.kind is FailureKind.SPEND_CAP
    assert len(script.prompts) == 1


@pytest.mark.parametrize(
    ("kind", "paid"),
    [
        (FailureKind.OVERLOADED, ["paid 0+0"]),
        (FailureKind.RATE_LIMITED, ["paid 0+0"]),
        (FailureKind.TIMEOUT, []),
        (FailureKind.UNREACHABLE, []),
    ],
)
async def test_every_try_is_admitted_anew_and_costs_nothing_only_if_it_was_turned_away(
    world: World, kind: FailureKind, paid: list[str]
) -> None:
    script = Script(ModelFailure(kind, "later"), "Here I am.")
    book = Book(script)
    await play(world, script, purse=book)
    assert book.pages == [
        "admitted before call 1", *paid, "admitted before call 2", "paid 10+5"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.BILLING, FailureKind.FORMAT])
async def test_what_a_provider_refuses_costs_nothing_if_it_says_why(
    world: World, kind: FailureKind
) -> None:
    script = Script(ModelFailure(kind, "no"))
    book = Book(script)
    with pytest.raises(ModelFailure):
        await play(world, script, purse=book)
    refused = [] if kind is FailureKind.FORMAT else ["paid 0+0"]
    assert book.pages == ["admitted before call 1", *refused]


async def test_a_call_that_broke_off_after_its_first_word_keeps_its_estimate(
    world: World,
) -> None:
    async def breaks_off(_: Prompt) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("I ")
        raise ModelFailure(FailureKind.OVERLOADED, "too many at once")

    script = Script(breaks_off, "Here I am.")
    book = Book(script)
    await play(world, script, purse=book)
    assert book.pages == ["admitted before call 1", "admitted before call 2", "paid 10+5"]


async def test_a_provider_that_counts_nothing_has_cost_the_most(world: World) -> None:
    script = Script(ModelReply("Free?"))
    book = Book(script)
    await play(world, script, purse=book)
    assert book.pages == ["admitted before call 1"]


@pytest.mark.parametrize(
    "told", [Usage(-1, -1), Usage(2**63, 5), Usage(7, -3), Usage(7, 3, 2**40), Usage()]
)
async def test_a_count_that_nobody_can_believe_leaves_the_estimate(
    world: World, told: Usage
) -> None:
    async def miscounts(_: Prompt) -> AsyncGenerator[ModelEvent]:
        yield ModelReply("Here I am.", usage=told)

    script = Script(miscounts)
    book = Book(script)
    await play(world, script, purse=book)
    assert book.pages == ["admitted before call 1"]
