"""The page in a real browser, before the real daemon."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.fixtures.daemon import Daemon, DaemonFactory
from tests.webchat.browser import NewVisitor, say

LOW = {"viewport": {"width": 1100, "height": 420}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


async def test_a_message_is_answered(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.locator("#demo")).to_contain_text("no language model is connected")
    await expect(page.locator("#model")).to_have_text("demo/assistant")
    await say(page, "show markdown")
    await expect(page.locator(".said .bubble")).to_have_text("show markdown")
    reply = page.locator(".reply:not(.draft)")
    await expect(reply.locator("h2")).to_have_text("A heading")
    await expect(reply.locator("pre .nf")).to_have_text("greet")
    await expect(reply.locator("td")).to_have_count(4)
    await expect(page.locator("#stop")).to_be_hidden()


async def test_the_token_leaves_the_address_bar_and_stays_known(
    daemon: Daemon, visit: NewVisitor
) -> None:
    visitor = await visit(daemon)
    page = await visitor.tab(daemon.link)
    await expect(page.locator("#connection")).to_have_text("Connected")
    assert page.url == f"{daemon.url}/"
    second = await visitor.tab(daemon.url)
    await expect(second.locator("#connection")).to_have_text("Connected")


async def test_without_a_token_the_page_explains_where_to_find_one(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.url)
    await expect(page.locator("#sign-in")).to_contain_text("opencraw status --link")
    token = page.get_by_label("paste the link")
    await token.fill("no token")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#sign-in-reason")).to_contain_text("does not look like")
    await token.fill("a-token-that-nobody-issued")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#sign-in-reason")).to_contain_text("not valid")
    await token.fill(daemon.link)
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#connection")).to_have_text("Connected")


async def test_an_address_cannot_name_another_server(daemon: Daemon, visit: NewVisitor) -> None:
    evil = "ws://evil.example/ws"
    address = f"{daemon.url}/?gatewayUrl={evil}&ws={evil}#url={evil}&token={daemon.token}"
    page = await (await visit(daemon)).tab(address)
    await expect(page.locator("#connection")).to_have_text("Connected")
    assert page.url == f"{daemon.url}/"


async def test_an_answer_is_shown_while_it_is_written(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "count to 200")
    draft = page.locator(".draft")
    await expect(draft).to_contain_text("10")
    await expect(draft).to_contain_text("40")
    await expect(page.get_by_label("Stop answering")).to_be_visible()
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("200")
    await expect(draft).to_have_count(0)


async def test_a_tool_is_shown(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "what time is it?")
    await expect(page.locator(".reply:not(.draft) .tool")).to_contain_text("current_time")


async def test_a_reload_shows_what_was_said(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "what is 6*7?")
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("42")
    await page.reload()
    await expect(page.locator(".said")).to_have_count(1)
    await expect(page.locator(".reply")).to_have_count(1)
    await expect(page.locator(".reply")).to_contain_text("42")


async def test_a_reload_in_the_middle_shows_the_answer_so_far(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "count to 200")
    await expect(page.locator(".draft")).to_contain_text("20")
    await page.reload()
    await expect(page.locator(".draft")).to_contain_text("1")
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("200")
    await expect(page.locator(".reply")).to_have_count(1)


async def test_an_answer_survives_the_death_of_the_daemon(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon()
    await daemon.start()
    fixed = daemon.config.read_text().replace("port = 0", f"port = {daemon.url.rpartition(':')[2]}")
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "count to 120")
    await expect(page.locator(".draft")).to_contain_text("20")
    await daemon.kill()
    await expect(page.locator("#connection")).to_contain_text("Not connected")
    await say(page, "what is 6*7?")
    await expect(page.locator(".sending .fate")).to_contain_text("when the connection is back")
    # The page comes back to the address it knows.
    daemon.config.write_text(fixed)
    await daemon.start()
    await expect(page.locator("#connection")).to_have_text("Connected")
    await expect(page.locator(".reply:not(.draft)").last).to_contain_text("42")
    await expect(page.locator(".reply")).to_have_count(2)
    await expect(page.locator(".said")).to_have_count(2)
    await expect(page.locator(".reply").first).to_contain_text("120")


async def test_what_was_not_sent_survives_a_reload(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await expect(page.locator("#connection")).to_have_text("Connected")
    # A network that opens connections and then carries nothing.
    await page.route_web_socket(re.compile(r"/ws\b"), lambda socket: None)
    await page.reload()
    await say(page, "what is 6*7?")
    await expect(page.locator(".sending")).to_have_count(1)
    await page.route_web_socket(re.compile(r"/ws\b"), _pass_on)
    await page.reload()
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("42")
    await expect(page.locator(".said")).to_have_count(1)


def _pass_on(socket: WebSocketRoute) -> None:
    socket.connect_to_server()


async def test_escape_stops_an_answer(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "tell me a long story")
    await expect(page.locator(".draft")).to_contain_text("Part 2")
    await page.keyboard.press("Escape")
    await expect(page.locator(".reply:not(.draft) .mark")).to_have_text("Stopped before the end")
    await expect(page.locator("#stop")).to_be_hidden()
    await expect(page.locator(".draft")).to_have_count(0)


async def test_two_tabs_stay_in_step(daemon: Daemon, visit: NewVisitor) -> None:
    visitor = await visit(daemon)
    first = await visitor.tab(daemon.link)
    second = await visitor.tab(daemon.url)
    await expect(second.locator("#connection")).to_have_text("Connected")
    await say(first, "count to 60")
    for page in (first, second):
        await expect(page.locator(".said .bubble")).to_have_text("count to 60")
        await expect(page.locator(".reply:not(.draft)")).to_contain_text("60")
        await expect(page.locator(".reply")).to_have_count(1)


async def test_a_waiting_message_can_be_taken_back(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(queue='debounce_ms = 0\nmode = "followup"')
    await daemon.start()
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "tell me a long story")
    await expect(page.locator(".draft")).to_contain_text("Part 1")
    await say(page, "and what is 6*7?")
    waiting = page.locator(".waiting")
    await expect(waiting).to_contain_text("Waiting for its turn")
    await waiting.get_by_role("button", name="Withdraw").click()
    await expect(waiting).to_have_count(0)
    await expect(page.get_by_label("Message", exact=True)).to_have_value("and what is 6*7?")
    await page.keyboard.press("Escape")
    await expect(page.locator(".mark")).to_be_visible()
    await expect(page.locator(".said")).to_have_count(1)


async def test_a_command_is_answered_below_it(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "/status")
    await expect(page.locator(".notice")).to_be_visible()
    lines = page.locator(".message")
    await expect(lines).to_have_count(2)
    await expect(lines.first).to_contain_text("/status")


async def test_a_message_that_nobody_answers_stays_in_sight_and_is_explained(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "/send off")
    await expect(page.locator(".notice")).to_contain_text("silent here")
    await say(page, "Is anybody there?")
    await expect(page.locator(".problem")).to_contain_text("kept, and not answered")
    await expect(page.locator(".message").last).to_contain_text("Is anybody there?")


async def test_conversations_are_apart(daemon: Daemon, visit: NewVisitor) -> None:
    visitor = await visit(daemon)
    main = await visitor.tab(daemon.link)
    await say(main, "what is 6*7?")
    await expect(main.locator(".reply:not(.draft)")).to_contain_text("42")
    work = await visitor.tab(f"{daemon.url}/#chat=work")
    await expect(work.locator("#chat-name")).to_have_text("work")
    await expect(work.locator("#empty")).to_be_visible()
    await work.get_by_role("button", name="What can you do for me?").click()
    await expect(work.locator(".reply:not(.draft)")).to_contain_text("demonstration")
    await expect(main.locator(".message")).to_have_count(2)


async def test_one_conversation_may_go_on_in_every_chat(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(extra='\n[sessions]\ndm_scope = "main"\n')
    await daemon.start()
    visitor = await visit(daemon)
    main = await visitor.tab(daemon.link)
    await say(main, "what is 6*7?")
    await expect(main.locator(".reply:not(.draft)")).to_contain_text("42")
    work = await visitor.tab(f"{daemon.url}/#chat=work")
    await expect(work.locator(".reply:not(.draft)")).to_contain_text("42")
    await say(work, "count to 5")
    await expect(work.locator(".reply:not(.draft)").last).to_contain_text("5")
    await expect(main.locator(".reply:not(.draft)").last).to_contain_text("5")
    await expect(main.locator(".message")).to_have_count(4)


async def test_a_page_that_stays_open_shows_the_conversation_that_goes_on_there_now(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon()
    await daemon.start()
    apart = daemon.config.read_text().replace("port = 0", f"port = {daemon.url.rpartition(':')[2]}")
    shared = f'{apart}\n[sessions]\ndm_scope = "main"\n'
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "what is 6*7?")
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("42")

    async def restarted(config: str) -> None:
        await daemon.stop()
        daemon.config.write_text(config)
        await daemon.start()
        await expect(page.locator("#connection")).to_have_text("Connected")

    await restarted(shared)
    await expect(page.locator(".message")).to_have_count(0)
    for number, text in enumerate(("count to 5", "count to 6"), 1):
        await say(page, text)
        await expect(page.locator(".reply:not(.draft)")).to_have_count(number)
    await restarted(apart)
    await expect(page.locator(".said .bubble")).to_have_text(["what is 6*7?"])
    await restarted(shared)
    await expect(page.locator(".said .bubble")).to_have_text(["count to 5", "count to 6"])
    await expect(page.locator(".reply:not(.draft)")).to_have_count(2)


async def test_what_people_say_is_never_html(daemon: Daemon, visit: NewVisitor) -> None:
    attack = (
        "<img src=x onerror=alert(1)> [x](javascript:alert(1)) ![y](https://evil.example/y.png)"
    )
    page = await (await visit(daemon)).tab(daemon.link)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    await say(page, f"remember that {attack}")
    await expect(page.locator(".reply:not(.draft)")).to_be_visible()
    await say(page, "what do you remember?")
    await expect(page.locator(".reply:not(.draft)")).to_have_count(2)
    await expect(page.locator("#lines img")).to_have_count(0)
    await expect(page.locator("#lines a[href^=javascript]")).to_have_count(0)


async def test_on_a_phone_everything_is_within_reach(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon, PHONE)).tab(daemon.link)
    await page.get_by_role("button", name="Markdown").tap()
    await expect(page.locator(".reply:not(.draft) pre")).to_be_visible()
    width = await page.evaluate("() => document.documentElement.scrollWidth")
    assert width == 390
    await page.get_by_label("Message", exact=True).fill("count to 300")
    await page.get_by_label("Send", exact=True).tap()
    await expect(page.locator(".draft")).to_contain_text("20")
    await page.get_by_label("Stop answering").tap()
    await expect(page.locator(".mark")).to_be_visible()


async def test_on_a_phone_the_way_back_is_within_reach(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon()
    await daemon.start()
    narrow = {**PHONE, "viewport": {"width": 360, "height": 640}}
    page = await (await visit(daemon, narrow)).tab(f"{daemon.link}&chat={'long-name-' * 6}")
    await expect(page.locator("#connection")).to_have_text("Connected")
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
    await daemon.kill()
    await expect(page.locator("#connection button")).to_be_in_viewport(ratio=1)
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 360


async def test_the_view_stays_where_somebody_reads(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon, LOW)).tab(daemon.link)
    await say(page, "tell me a long story")
    await expect(page.locator(".draft")).to_contain_text("Part 5")
    scroller = page.locator("#scroller")
    await scroller.evaluate("(element) => element.scrollTo(0, 0)")
    await expect(page.locator("#newest")).to_be_visible()
    await expect(page.locator(".draft")).to_contain_text("Part 8")
    assert await scroller.evaluate("(element) => element.scrollTop") == 0
    await page.locator("#newest").click()
    await expect(page.locator("#newest")).to_be_hidden()
    await expect(page.locator(".draft")).to_contain_text("Part 11")
    await page.keyboard.press("Escape")
    await expect(page.locator(".mark")).to_be_visible()
    at_end = "(e) => e.scrollHeight - e.scrollTop - e.clientHeight < 2"
    async with asyncio.timeout(5):
        while not await scroller.evaluate(at_end):
            await asyncio.sleep(0.05)
