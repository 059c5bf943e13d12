"""A real browser whose every profile minds what a page does."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.fixtures.daemon import Daemon

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = {"viewport": {"width": 1100, "height": 800}}
#: What a browser writes to its console when a daemon is away or says no, or that the page asked it
#: whether its token is good (426); nobody can prevent it.
EXPECTED = re.compile(r"net::ERR_|WebSocket connection to .* failed|status of (?:40[0134]|426|503)")

expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    assert executable, "these tests need Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        await browser.close()


class Visitor:
    """One browser profile. It minds errors, and requests to anybody but the daemon."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.origin = origin
        self.complaints: list[str] = []

    async def tab(self, address: str) -> Page:
        page = await self.context.new_page()
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))
        await page.goto(address)
        return page

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not EXPECTED.search(text):
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        sockets = self.origin.replace("http", "ws", 1)
        own = url.startswith((self.origin, sockets, "data:", f"blob:{self.origin}"))
        if not own:
            self.complaints.append(f"asked somebody else: {url}")


NewVisitor = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[NewVisitor]:
    """Opens profiles; fails the test if one of them had a complaint."""
    visitors: list[Visitor] = []

    async def make(daemon: Daemon, device: Mapping[str, object] = DESKTOP) -> Visitor:
        context = await browser.new_context(**device)  # type: ignore[arg-type]
        visitors.append(Visitor(context, daemon.url))
        return visitors[-1]

    yield make
    for visitor in visitors:
        await visitor.context.close()
        assert visitor.complaints == [], visitor.complaints


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")
