"""Whatever a model does, each message has one answer or one notice, and the next one works."""

from __future__ import annotations

import pytest

from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)

#: What passes: tried again, the answer comes.
PASSING = (
    "status 429 retry-after 0",
    "status 500",
    "status 503",
    "cut",
    "short",
    "error-mid-stream",
    "stall",
    "silent",
    "status 500 times 2",
    "overflow",
)
#: What does not pass, or not soon enough: the person is told.
LASTING = (
    "status 429 times 3",
    "status 500 times 3",
    "cut times 3",
    "stall times 3",
    "error-mid-stream times 3",
    "status 401",
    "status 404",
    "billing",
    "overflow times 4",
    "redirect",
)
#: What nobody can make sense of: an answer or a notice, as the second try goes.
NONSENSE = ("garbage", "missing", "huge-line", "html", "json")


@pytest.mark.parametrize("wire", ["openai", "openai-responses", "anthropic"])
async def test_one_answer_or_one_notice_and_the_next_message_works(world: World, wire: str) -> None:
    daemon = world.daemon(
        profile=world.model.profile(wire, "idle_timeout_seconds = 1"),
        environ={"OPENCRAW_QUEUE_MAX_CONCURRENCY": "64"},
    )
    await daemon.start()
    troubles = dict.fromkeys(PASSING, "reply") | dict.fromkeys(LASTING, "notice")
    said = {}
    for number, trouble in enumerate([*troubles, *NONSENSE]):
        tab = await world.tab(f"chat{number}")
        said[trouble] = (tab, world.say(tab, f"[[words 20]] [[{trouble}]]"), world.say(tab))
    kinds = {}
    for trouble, (tab, troubled, next_one) in said.items():
        answer, after = await tab.answered(troubled, next_one)
        kinds[trouble] = answer["kind"]
        assert after["kind"] == "reply", f"after {trouble}: {after['content']}"
    assert {trouble: kinds[trouble] for trouble in troubles} == troubles
    await world.all_is_well()


async def test_the_next_message_is_answered_when_the_trouble_is_over(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    troubled = world.say(tab, "[[status 401]]")
    [notice] = await tab.answered(troubled)
    assert notice["kind"] == "notice"
    assert "key" in notice["content"]
    [answer] = await tab.answered(world.say(tab))
    assert answer["kind"] == "reply"
    await world.all_is_well()


async def test_a_model_that_is_not_there_is_named_and_others_do_not_wait(world: World) -> None:
    profile = 'provider = "openai"\nmodel = "gone"\nbase_url = "http://127.0.0.1:9/v1"'
    daemon = world.daemon(profile=profile)
    await daemon.start()
    tabs = [await world.tab(chat) for chat in ("a", "b")]
    for tab in tabs:
        [notice] = await tab.answered(world.say(tab))
        assert notice["kind"] == "notice"
        assert "openai/gone" in notice["content"]
    await world.all_is_well()
