"""Drafts against a scripted clock: the loop's time jumps to whatever is waited for."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, Self
from uuid import UUID, uuid4

import pytest

from channels import live as module
from channels.live import Live
from opencraw.contract import Address, TurnShown
from opencraw.errors import NotSent
from opencraw.events import DraftGrew, Event, ToolShown, TurnEnded, TurnStarted

CHAT = Address("test", "", "a")
INTERVAL = 1.0


class _Jumping(selectors.DefaultSelector):
    """Never sleeps: the clock is put forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


def in_scripted_time(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story whose waits take no time."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    clock = pytest.MonkeyPatch()
    clock.setattr("channels.live.time.monotonic", lambda: selector.now)
    try:
        loop.run_until_complete(story())
        assert not asyncio.all_tasks(loop)
    finally:
        clock.undo()
        loop.close()


class Page:
    """One address of a platform that takes its time and has bad moments."""

    def __init__(self, slow: float = 0.0, trouble: Callable[[], bool] = lambda: False) -> None:
        self.drawn: list[tuple[float, str, str]] = []
        self.typed: list[float] = []
        self.notes: dict[UUID, str] = {}
        self.replies: list[str] = []
        self.at_once = self.most_at_once = 0
        self._slow = slow
        self._trouble = trouble

    async def put(self, text: str, reply_context: str) -> str:
        self.replies.append(reply_context)
        await self._draw("put", text)
        return f"m{len(self.drawn)}"

    async def change(self, platform_id: str, text: str) -> None:
        await self._draw(platform_id, text)

    async def type(self) -> None:
        self.typed.append(asyncio.get_running_loop().time())

    async def _draw(self, what: str, text: str) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(self._slow)
            if self._trouble():
                raise NotSent("not now")
            self.drawn.append((began, what, text))
        finally:
            self.at_once -= 1

    async def shown(self, turn_id: UUID, platform_id: str) -> None:
        self.notes[turn_id] = platform_id

    async def known(self, turn_id: UUID) -> TurnShown:
        return TurnShown(self.notes.get(turn_id, ""), "the question")

    @property
    def texts(self) -> list[str]:
        return [text for _, _, text in self.drawn]


class Ghostly(Page):
    """What is put here has no id."""

    async def put(self, text: str, reply_context: str) -> str:
        await super().put(text, reply_context)
        return ""


class Drawn:
    """A `Live` at work on one page, where drafts without an id vanish after a while."""

    def __init__(self, page: Page, *, typing: float = math.inf, interval: float = INTERVAL) -> None:
        self.page = page
        self.live = Live(
            lambda _: page,
            interval=lambda _: interval,
            typing_seconds=typing,
            shown=page.shown,
            known=page.known,
            fading_seconds=20.0,
        )

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.live.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def hear(self, *events: Event) -> None:
        for event in events:
            self.live.show(CHAT, event)


class Turn:
    """The events of one turn."""

    def __init__(self, attempt: int = 1, turn_id: UUID | None = None) -> None:
        self.id = turn_id or uuid4()
        self.attempt = attempt
        self._length = 0

    def starts(self) -> TurnStarted:
        return TurnStarted(self.id, self.attempt)

    def says(self, text: str) -> DraftGrew:
        offset, self._length = self._length, self._length + len(text)
        return DraftGrew(self.id, self.attempt, offset, text)

    def tool(self, state: Any, name: str = "web_search") -> Event:
        return ToolShown(self.id, self.attempt, name, name, state, "")

    def ends(self) -> TurnEnded:
        return TurnEnded(self.id, self.attempt, "done")


def words(count: int = 10) -> str:
    return "word " * count


def test_a_draft_is_put_once_and_then_changed_at_its_pace() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            for _ in range(50):
                drawn.hear(turn.says(words()))
                await asyncio.sleep(0.1)
            assert [what for _, what, _ in drawn.page.drawn[:2]] == ["put", "m1"]
            times = [at for at, _, _ in drawn.page.drawn]
            assert len(times) == 5
            assert all(after - before >= INTERVAL for before, after in pairwise(times))
            assert drawn.page.notes == {turn.id: "m1"}
            assert drawn.page.replies == ["the question"]
            assert await drawn.live.finish(turn.id) == "m1"

    in_scripted_time(story)


def test_a_few_words_wait_for_more_of_them_but_not_for_long() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("Well"))
            await asyncio.sleep(0.9)
            assert not drawn.page.drawn
            await asyncio.sleep(0.2)
            assert drawn.page.texts == ["Well"]

    in_scripted_time(story)


def test_an_answer_that_comes_at_once_has_no_draft() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says("Yes."), turn.ends())
            assert await drawn.live.finish(turn.id) == ""
            await asyncio.sleep(5)
            assert not drawn.page.drawn

    in_scripted_time(story)


def test_a_slow_platform_misses_drafts_and_never_queues_them() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=5.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            for number in range(100):
                drawn.hear(turn.says(f"{number} is a number. "))
                await asyncio.sleep(0.2)
            assert drawn.page.most_at_once == 1
            assert 3 <= len(drawn.page.drawn) <= 5

    in_scripted_time(story)


def test_a_tool_is_a_short_line_while_it_runs() -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()), turn.tool("started"))
            await asyncio.sleep(2.5)
            assert drawn.page.texts[-1].endswith("\n\n… web search")
            drawn.hear(turn.tool("finished"))
            await asyncio.sleep(2.5)
            assert drawn.page.texts[-1] == words().strip()

    in_scripted_time(story)


def test_nothing_is_drawn_after_the_answer_is_on_its_way() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=3.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(1)
            assert await drawn.live.finish(turn.id) == "m1"
            assert len(drawn.page.drawn) == 1
            drawn.hear(
                turn.says(words()), Turn(2, turn.id).starts(), Turn(2, turn.id).says(words())
            )
            await asyncio.sleep(60)
            assert len(drawn.page.drawn) == 1

    in_scripted_time(story)


def test_the_answer_does_not_wait_for_a_draw_that_never_ends() -> None:
    async def story() -> None:
        async with Drawn(Page(slow=10_000.0)) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            assert await drawn.live.finish(turn.id) == ""
            assert asyncio.get_running_loop().time() - began <= module.DRAW_SECONDS

    in_scripted_time(story)


@pytest.mark.parametrize("ended", [True, False])
def test_a_second_attempt_takes_up_the_draft_of_the_first(ended: bool) -> None:
    async def story() -> None:
        async with Drawn(Page()) as drawn:
            first = Turn()
            drawn.hear(first.starts(), first.says(words()))
            await asyncio.sleep(0.1)
            if ended:
                drawn.hear(first.ends())
            second = Turn(2, first.id)
            drawn.hear(second.starts(), second.says("Once more, from the beginning."))
            await asyncio.sleep(2)
            assert [what for _, what, _ in drawn.page.drawn] == ["put", "m1"]

    in_scripted_time(story)


def test_another_process_takes_up_the_draft_that_is_on_record() -> None:
    async def story() -> None:
        page, first = Page(), Turn()
        async with Drawn(page) as drawn:
            drawn.hear(first.starts(), first.says(words()))
            await asyncio.sleep(0.1)
        async with Drawn(page) as drawn:
            second = Turn(2, first.id)
            drawn.hear(second.starts(), second.says(words(20)))
            await asyncio.sleep(0.1)
            assert [what for _, what, _ in page.drawn] == ["put", "m1"]
            assert await drawn.live.finish(first.id) == "m1"

    in_scripted_time(story)


def test_typing_is_shown_again_and_again_until_there_is_a_text() -> None:
    async def story() -> None:
        async with Drawn(Page(), typing=4.0) as drawn:
            turn = Turn()
            drawn.hear(turn.starts())
            await asyncio.sleep(10)
            assert len(drawn.page.typed) == 3
            drawn.hear(turn.says(words()))
            await asyncio.sleep(20)
            assert len(drawn.page.typed) == 3

    in_scripted_time(story)


def test_where_no_drafts_are_shown_somebody_types_all_the_time() -> None:
    async def story() -> None:
        async with Drawn(Page(), typing=4.0, interval=math.inf) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(10)
            assert (len(drawn.page.typed), drawn.page.drawn) == (3, [])

    in_scripted_time(story)


@pytest.mark.parametrize(("page", "times"), [(Ghostly, [0, 20, 40]), (Page, [0])])
def test_a_draft_that_vanishes_by_itself_is_drawn_again_while_its_turn_runs(
    page: type[Page], times: list[float]
) -> None:
    async def story() -> None:
        async with Drawn(page()) as drawn:
            turn = Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(50)
            began = drawn.page.drawn[0][0]
            assert [at - began for at, _, _ in drawn.page.drawn] == pytest.approx(times)
            assert set(drawn.page.texts) == {words().strip()}
            drawn.hear(turn.ends())
            await asyncio.sleep(50)
            assert len(drawn.page.drawn) == len(times)

    in_scripted_time(story)


def test_a_platform_that_refuses_drafts_ends_nothing() -> None:
    async def story() -> None:
        async with Drawn(Page(trouble=lambda: True)) as drawn:
            turn, other = Turn(), Turn()
            drawn.hear(turn.starts(), turn.says(words()))
            await asyncio.sleep(3)
            assert await drawn.live.finish(turn.id) == ""
            drawn.page._trouble = lambda: False
            drawn.hear(other.starts(), other.says(words()))
            await asyncio.sleep(3)
            assert drawn.page.texts == [words().strip()]

    in_scripted_time(story)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_newest_text_is_drawn_at_the_platforms_pace(seed: int) -> None:
    dice = random.Random(seed)

    async def story() -> None:
        page = Page(slow=dice.random() * 3, trouble=lambda: dice.random() < 0.2)
        async with Drawn(page, typing=dice.choice([2.0, math.inf])) as drawn:
            for _ in range(20):
                turn, said = Turn(), ""
                drawn.hear(turn.starts())
                for _ in range(dice.randrange(30)):
                    said += (more := f"{dice.randrange(10_000)} is a number. ")
                    drawn.hear(turn.says(more))
                    await asyncio.sleep(dice.random())
                before = len(page.drawn)
                if dice.random() < 0.8:
                    drawn.hear(turn.ends())
                assert await drawn.live.finish(turn.id) == page.notes.get(turn.id, "")
                assert len(page.drawn) <= before + 1
                assert all(text in said for _, _, text in page.drawn[before:])
            assert page.most_at_once <= 1
            times = [at for at, what, _ in page.drawn if what != "put"]
            assert all(after - before >= INTERVAL for before, after in pairwise(times))
        assert not drawn.live._scenes

    in_scripted_time(story)


def test_events_of_turns_that_nobody_draws_are_forgotten() -> None:
    drawing = Live(
        lambda _: Page(), interval=lambda _: 1.0, typing_seconds=4.0, shown=_never, known=_never
    )
    for _ in range(100):
        drawing.show(CHAT, Turn().starts())
    assert not drawing._drawings


async def _never(*_: object) -> Any:
    raise AssertionError
