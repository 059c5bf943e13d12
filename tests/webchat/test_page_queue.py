"""What a person sees on the page of messages that wait, give up their places or are refused."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from tests.fixtures.daemon import DaemonFactory
from tests.webchat.browser import NewVisitor, say

FULL = 'debounce_ms = 0\nmode = "followup"\ncap = 1\n'
SUMMARY = "answered from a summary"


async def filled(page: Page, *texts: str) -> Locator:
    """Say `texts` while an answer of some seconds runs; returns the messages that wait."""
    await say(page, "count to 400")
    await expect(page.locator(".draft")).to_contain_text("5")
    waiting = page.locator(".waiting")
    for number, text in enumerate(texts, start=1):
        await say(page, text)
        await expect(waiting).to_have_count(number)
    return waiting


async def test_a_message_that_gives_up_its_place_says_so_until_its_summary_is_there(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(queue=FULL)
    await daemon.start()
    page = await (await visit(daemon)).tab(daemon.link)
    waiting = await filled(page, "first", "second", "third")
    for gone in ("first", "second"):
        await expect(waiting.filter(has_text=gone)).to_contain_text(SUMMARY)
    await expect(waiting.filter(has_text="third")).to_contain_text("Waiting for its turn")
    await page.reload()
    await expect(waiting.filter(has_text="second")).to_contain_text(SUMMARY)
    await waiting.filter(has_text="first").get_by_role("button", name="Withdraw").click()
    await expect(waiting).to_have_count(2)
    await expect(page.locator(".notice").filter(has_text="second")).to_be_visible()
    await expect(page.locator(".said").filter(has_text="third")).to_be_visible()
    await expect(waiting).to_have_count(0)
    await expect(page.locator(".reply:not(.draft)")).to_have_count(2)


async def test_a_full_queue_leaves_the_message_with_whoever_wrote_it(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(queue=f'{FULL}drop = "block"\n')
    await daemon.start()
    page = await (await visit(daemon)).tab(daemon.link)
    await filled(page, "first")
    await say(page, "second")
    refused = page.locator(".failed")
    await expect(refused).to_contain_text("wait already; this one was not taken")
    await page.keyboard.press("Escape")
    await expect(page.locator(".mark")).to_be_visible()
    await refused.get_by_role("button", name="Try again").click()
    await expect(page.locator(".said").last).to_contain_text("second")
    await expect(page.locator(".reply:not(.draft)")).to_have_count(2)


async def test_whoever_is_too_fast_keeps_what_was_written(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(limits="messages_per_minute = 1")
    await daemon.start()
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "what is 6*7?")
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("42")
    await say(page, "and 6*8?")
    refused = page.locator(".failed")
    await expect(refused).to_contain_text("this one was not kept")
    await refused.get_by_role("button", name="Discard").click()
    await expect(refused).to_have_count(0)


async def test_every_message_has_its_id_at_hand(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(queue=FULL)
    await daemon.start()
    visitor = await visit(daemon)
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await visitor.tab(daemon.link)
    await say(page, "/status")
    await expect(page.locator(".notice")).to_be_visible()
    await filled(page, "first")
    # The command and its answer, the question, and what waits.
    ids = page.get_by_title(re.compile("the id .*, for opencraw explain"))
    await expect(ids).to_have_count(4)
    waits = page.locator(".waiting").get_by_role("button", name="Id")
    await waits.click()
    copied = await page.evaluate("() => navigator.clipboard.readText()")
    assert copied in (await waits.get_attribute("title") or "")
    assert re.fullmatch(r"[0-9a-f-]{36}", copied)
    await page.keyboard.press("Escape")
    await expect(page.locator(".mark")).to_be_visible()
