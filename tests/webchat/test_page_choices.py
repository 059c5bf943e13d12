"""What an owner sees on the page of people who ask to be let in elsewhere."""

from __future__ import annotations

from playwright.async_api import expect

from tests.fakes.bridge import SECRET, Bridge
from tests.fixtures.core import until
from tests.fixtures.daemon import DaemonFactory
from tests.fixtures.people import code_in
from tests.webchat.browser import NewVisitor, say


def attached(bridge: Bridge) -> str:
    """The configuration of a daemon with this bridge."""
    return f"""
[channels.http]
enabled = true
secret = "{SECRET}"
send_url = "{bridge.url}/send"
poll_url = "{bridge.url}/poll"
poll_interval_ms = 20
long_poll_timeout_seconds = 2.0
"""


def writes(name: str, number: int) -> dict[str, object]:
    return {
        "id": f"e-{name}-{number}",
        "kind": "message",
        "chat": f"chat-{name}",
        "chat_type": "direct",
        "sender": {"id": f"person-{name}", "name": name.title()},
        "text": "what is 6*7?",
    }


async def test_an_owner_lets_somebody_in_with_a_button(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    async with Bridge() as bridge:
        daemon = make_daemon(extra=attached(bridge))
        await daemon.start()
        page = await (await visit(daemon)).tab(daemon.link)
        await say(page, "hello")
        await expect(page.locator(".reply:not(.draft)")).to_be_visible()
        bridge.publish(writes("anna", 1))
        question = page.locator(".notice").filter(has_text="asks to be let in")
        await expect(question).to_contain_text("Anna, http id person-anna")
        await until(lambda: bridge.shown("chat-anna"), "the notice")
        code = code_in(bridge.shown("chat-anna")[0].text)
        await expect(question).to_contain_text(code)
        await page.reload()
        await expect(question.get_by_role("button", name="Reject")).to_be_enabled()
        await question.get_by_role("button", name="Let in as guest").click()
        await expect(question).to_contain_text("Status: approved")
        await expect(question.get_by_role("button", name="Reject")).to_have_count(0)
        bridge.publish(writes("anna", 2))
        await until(lambda: any("42" in each.text for each in bridge.shown("chat-anna")))
        await page.reload()
        await expect(question).to_contain_text("Status: approved")
        await expect(question.get_by_role("button", name="Reject")).to_have_count(0)


async def test_whoever_is_too_late_hears_how_it_was_decided(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    async with Bridge() as bridge:
        daemon = make_daemon(extra=attached(bridge))
        await daemon.start()
        page = await (await visit(daemon)).tab(daemon.link)
        await say(page, "hello")
        await expect(page.locator(".reply:not(.draft)")).to_be_visible()
        bridge.publish(writes("ben", 1))
        await until(lambda: bridge.shown("chat-ben"), "the notice")
        code = code_in(bridge.shown("chat-ben")[0].text)
        question = page.locator(".notice").filter(has_text="asks to be let in")
        await expect(question.get_by_role("button", name="Reject")).to_be_enabled()
        await say(page, f"/pair reject {code}")
        await expect(page.locator(".notice").last).to_contain_text("was rejected")
        await expect(question).to_contain_text("Status: denied")
        assert len(bridge.shown("chat-ben")) == 1, "nobody tells a stranger"
