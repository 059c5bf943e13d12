"""The page "What I know" in a real browser, before a real database."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, Route, expect

from opencraw.contract import DEFAULT_TENANT
from opencraw.control.settings import ApiKey, SecuritySettings
from opencraw.memory.items import Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, conversation_scope, person_scope
from opencraw.store.database import Database
from tests.control.serving import TOKEN, Served, serving
from tests.fixtures.core import until
from tests.fixtures.daemon import DaemonFactory
from tests.webchat.browser import DESKTOP, NewVisitor, say

OWNER = person_scope("webchat", "owner")
GROUP = conversation_scope("discord", "8812")
READER = "key-of-somebody-who-only-reads-0123456789"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
Open = Callable[..., Awaitable[Page]]


def only(scope: str) -> Scopes:
    return Scopes(DEFAULT_TENANT, scope, (scope,))


@pytest.fixture
async def memory(database: Database) -> Memory:
    await database.fetch("DELETE FROM memory")
    return Memory(database)


@pytest.fixture
async def served(memory: Memory) -> AsyncIterator[Served]:
    keys = [ApiKey.model_validate({"token": READER, "scopes": ["memory:read"]})]
    async with serving(SecuritySettings(control_api_keys=keys), memory=memory) as running:
        yield running


@pytest.fixture
def open_page(served: Served, visit: NewVisitor) -> Open:
    """Opens the page as somebody who came with the link."""

    async def opened(device: Mapping[str, object] = DESKTOP, token: str = TOKEN) -> Page:
        visitor = await visit(served, device)
        return await visitor.tab(f"{served.url}/memory#token={token}")

    return opened


async def remember(memory: Memory, *texts: str, scope: str = OWNER) -> None:
    for text in texts:
        await memory.save(only(scope), Note(text))


async def texts(memory: Memory, scope: str = OWNER) -> set[str]:
    return {item.text for item in await memory.items(only(scope))}


async def act(page: Page, what: str, text: str) -> None:
    await page.get_by_role("button", name=f"{what}: {text}").click()


async def test_memories_are_shown_the_newest_first(memory: Memory, open_page: Open) -> None:
    await remember(memory, "Anna likes tea", "Her train leaves at nine")
    page = await open_page()
    await expect(page.locator(".item p")).to_have_text(
        ["Her train leaves at nine", "Anna likes tea"]
    )
    await expect(page.locator("#count")).to_have_text("2 memories about webchat · owner")
    await expect(page.locator("#whose")).to_be_hidden()
    await expect(page.get_by_role("link", name="Chat")).to_be_visible()
    assert page.url.endswith("/memory")


async def test_what_is_remembered_is_never_code(memory: Memory, open_page: Open) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    await remember(memory, hostile)
    page = await open_page()
    await expect(page.locator(".item p")).to_have_text(hostile)
    await expect(page.locator(".item img, .item script")).to_have_count(0)
    await act(page, "Correct", "<img")
    await expect(page.locator("textarea")).to_have_value(hostile)


async def test_a_search_finds_and_says_when_nothing_fits(memory: Memory, open_page: Open) -> None:
    await remember(memory, "Anna likes tea", "Her train leaves at nine")
    page = await open_page()
    await page.get_by_label("Search").fill("train")
    await expect(page.locator(".item p")).to_have_text(["Her train leaves at nine"])
    await expect(page.locator("#count")).to_contain_text("1 found")
    await page.get_by_label("Search").fill("submarine")
    await expect(page.locator(".item")).to_have_count(0)
    await expect(page.locator("#count")).to_contain_text("Nothing about webchat · owner fits")
    await page.get_by_label("Search").fill("")
    await expect(page.locator(".item")).to_have_count(2)


async def test_a_memory_is_corrected_in_its_place_with_the_keyboard(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna is 41")
    page = await open_page()
    await page.get_by_role("button", name="Correct: Anna is 41").press("Enter")
    text = page.get_by_label("What it is instead")
    await expect(text).to_be_focused()
    await text.fill("never mind")
    await page.keyboard.press("Escape")
    await expect(page.locator(".item p")).to_have_text("Anna is 41")
    await expect(page.get_by_role("button", name="Correct: Anna is 41")).to_be_focused()
    await page.keyboard.press("Enter")
    await text.fill("Anna is 42")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".item p")).to_have_text("Anna is 42")
    await expect(page.locator(".about")).to_contain_text("corrected")
    await expect(page.get_by_role("button", name="Correct: Anna is 42")).to_be_focused()
    assert await texts(memory) == {"Anna is 42"}


async def test_a_correction_that_is_refused_says_why_and_keeps_the_words(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna is 41")
    page = await open_page()
    await act(page, "Correct", "Anna")
    await page.get_by_label("What it is instead").fill("x" * 2_001)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".refused")).to_contain_text("2,000")
    await expect(page.get_by_label("What it is instead")).to_have_value("x" * 2_001)


async def test_what_is_forgotten_can_be_brought_back_for_a_while(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea")
    page = await open_page()
    await act(page, "Forget", "Anna")
    await expect(page.locator(".item")).to_contain_text("Forgotten: Anna likes tea")
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".item p")).to_have_text("Anna likes tea")
    assert await texts(memory) == {"Anna likes tea"}


async def test_what_is_forgotten_is_gone_a_little_later(memory: Memory, open_page: Open) -> None:
    await remember(memory, "one", "two")
    page = await open_page()
    await act(page, "Forget", "one")
    await expect(page.locator(".item")).to_have_count(1)
    await expect(page.locator("#count")).to_have_text("1 memory about webchat · owner")
    assert await texts(memory) == {"two"}
    await act(page, "Forget", "two")
    await expect(page.locator("#empty")).to_contain_text("Memories come by themselves")


async def test_who_forgets_and_leaves_meant_it(memory: Memory, open_page: Open) -> None:
    await remember(memory, "one", "two")
    page = await open_page()
    await act(page, "Forget", "one")
    await page.get_by_role("link", name="Chat").click()

    async def gone() -> bool:
        return await texts(memory) == {"two"}

    await until(gone, "the memory is forgotten")


async def test_a_search_does_not_bring_back_what_was_just_forgotten(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea", "Anna likes rice")
    page = await open_page()
    await act(page, "Forget", "Anna likes tea")
    await page.get_by_label("Search").fill("anna")
    await expect(page.locator(".item p")).to_have_text(["Anna likes rice"])


async def test_a_search_after_the_last_one_was_forgotten_ends_in_an_empty_page(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea")
    page = await open_page()
    await act(page, "Forget", "Anna")
    await page.get_by_label("Search").fill("tea")
    await expect(page.locator("#empty")).to_be_visible()
    await expect(page.get_by_role("alert")).to_be_empty()


async def test_somebody_who_may_only_read_hears_so_and_keeps_the_memory(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea")
    page = await open_page(token=READER)
    await act(page, "Forget", "Anna")
    await expect(page.get_by_role("alert")).to_contain_text("memory:write")
    await expect(page.locator(".item p")).to_have_text("Anna likes tea")


async def test_what_could_not_be_forgotten_is_not_passed_over_by_a_search(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea")
    page = await open_page(token=READER)
    await act(page, "Forget", "Anna")
    await page.get_by_label("Search").fill("tea")
    await expect(page.locator(".item p")).to_have_text("Anna likes tea")
    await expect(page.get_by_role("alert")).to_contain_text("memory:write")


async def test_each_scope_is_looked_at_by_itself(memory: Memory, open_page: Open) -> None:
    await remember(memory, "Anna likes tea")
    await remember(memory, "The house meets on Fridays", scope=GROUP)
    await remember(memory, "The office moves in June", scope=AGENT_SCOPE)
    page = await open_page()
    chooser = page.get_by_label("About")
    await expect(chooser.locator("option")).to_have_count(3)
    await chooser.select_option(label="discord · 8812 (shared) (1)")
    await expect(page.locator(".item p")).to_have_text(["The house meets on Fridays"])
    await page.reload()
    await expect(page.locator(".item p")).to_have_text(["The house meets on Fridays"])
    await chooser.select_option(label="the assistant itself, for everybody (1)")
    await expect(page.locator(".item p")).to_have_text(["The office moves in June"])


async def test_all_of_a_scope_is_forgotten_after_a_question(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "one", "two")
    await remember(memory, "three", scope=GROUP)
    page = await open_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    await page.get_by_label("About").select_option(OWNER)
    await page.get_by_role("button", name="Forget all of it …").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("2 memories about webchat · owner")
    await expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    for keeps in ("Enter", "Escape"):
        await page.keyboard.press(keeps)
        await expect(dialog).to_be_hidden()
        await expect(page.locator(".item")).to_have_count(2)
        await page.get_by_role("button", name="Forget all of it …").click()
    await dialog.get_by_role("button", name="Forget all of it").click()
    await expect(page.locator(".item p")).to_have_text(["three"])
    assert await texts(memory) == set()
    assert sum(url.endswith("/forget") for url in sent) == 1


async def test_all_of_it_can_be_taken_along(
    memory: Memory, open_page: Open, tmp_path: Path
) -> None:
    await remember(memory, "one", "two")
    page = await open_page()
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Download all of it").click()
    file = tmp_path / "memory.jsonl"
    await (await started.value).save_as(file)
    head, *items = [json.loads(line) for line in file.read_text().splitlines()]
    assert head["scope"] == OWNER
    assert {item["text"] for item in items} == {"one", "two"}


async def test_older_memories_are_loaded_when_asked_for(memory: Memory, open_page: Open) -> None:
    await remember(memory, *(f"fact {number}" for number in range(120)))
    page = await open_page()
    for shown in (50, 100, 120):
        await expect(page.locator(".item")).to_have_count(shown)
        if shown < 120:
            await page.get_by_role("button", name="Load older").click()
    await expect(page.get_by_role("button", name="Load older")).to_be_hidden()
    assert len(set(await page.locator(".item p").all_text_contents())) == 120


async def test_a_long_memory_is_folded(memory: Memory, open_page: Open) -> None:
    await remember(memory, "On and on it goes. " * 60)
    page = await open_page(PHONE)
    text = page.locator(".item p")
    folded = await text.bounding_box()
    await page.get_by_role("button", name="Show all of it").click()
    whole = await text.bounding_box()
    assert folded is not None
    assert whole is not None
    assert whole["height"] > 2 * folded["height"]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_daemon_that_is_away_is_a_state_and_not_an_empty_page(
    memory: Memory, open_page: Open
) -> None:
    await remember(memory, "Anna likes tea")
    page = await open_page()
    await expect(page.locator(".item")).to_have_count(1)

    async def away(route: Route) -> None:
        await route.abort()

    await page.route(re.compile("/api/"), away)
    await page.get_by_label("Search").fill("tea")
    problem = page.get_by_role("alert")
    await expect(problem).to_contain_text("OpenCraw does not answer")
    await expect(page.locator(".item")).to_have_count(1)
    await page.unroute(re.compile("/api/"), away)
    await problem.get_by_role("button", name="Try again").click()
    await expect(problem).to_be_empty()
    await expect(page.locator(".item p")).to_have_text(["Anna likes tea"])


async def test_nothing_remembered_yet_is_explained(open_page: Open) -> None:
    page = await open_page()
    await expect(page.locator("#empty")).to_contain_text("Memories come by themselves")
    await expect(page.locator("#look")).to_be_hidden()


async def test_memory_that_is_off_says_how_to_turn_it_on(visit: NewVisitor) -> None:
    async with serving() as served:
        page = await (await visit(served)).tab(f"{served.url}/memory#token={TOKEN}")
        await expect(page.locator("#off")).to_contain_text("enabled = true")
        await expect(page.locator("#look")).to_be_hidden()


async def test_without_a_token_the_page_asks_for_one(
    memory: Memory, served: Served, visit: NewVisitor
) -> None:
    await remember(memory, "Anna likes tea")
    visitor = await visit(served)
    page = await visitor.tab(f"{served.url}/memory")
    token = page.get_by_label("paste the link")
    await token.fill("no token")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#sign-in-reason")).to_contain_text("does not look like")
    await token.fill("a-token-that-nobody-issued")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("#sign-in-reason")).to_contain_text("not valid")
    await token.fill(f"{served.url}/#token={TOKEN}")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator(".item p")).to_have_text(["Anna likes tea"])


async def test_the_chat_leads_here_and_back(
    memory: Memory, served: Served, visit: NewVisitor
) -> None:
    await remember(memory, "Anna likes tea")
    visitor = await visit(served)
    page = await visitor.tab(f"{served.url}/memory#token={TOKEN}")
    await page.get_by_role("link", name="Chat").click()
    await page.get_by_role("link", name="Memory").click()
    await expect(page.locator(".item p")).to_have_text(["Anna likes tea"])


async def test_its_files_are_fenced_in_and_need_no_token(served: Served) -> None:
    for path in ("/memory", "/console/memory.js", "/console/access.js", "/console/memory.css"):
        async with served.client.get(path) as response:
            assert response.status == 200
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert "unsafe" not in policy
            known = {"If-None-Match": response.headers["ETag"]}
        async with served.client.get(path, headers=known) as response:
            assert response.status == 304
    for name in ("nothing.js", "__init__.py", "..%2F__init__.py"):
        async with served.client.get(f"/console/{name}") as response:
            assert response.status == 404


async def test_what_a_person_has_remembered_is_on_the_page_and_in_the_chat(
    make_daemon: DaemonFactory, visit: NewVisitor
) -> None:
    daemon = make_daemon(extra="\n[memory]\nenabled = true\n")
    await daemon.start()
    async with ClientSession(headers={"Authorization": f"Bearer {daemon.token}"}) as client:
        items = f"{daemon.url}/api/v1/os/memory/items"
        body = {"text": "Anna likes tea"}
        async with client.post(items, params={"scope": OWNER}, json=body) as response:
            assert response.status == 201
    page = await (await visit(daemon)).tab(daemon.link)
    await say(page, "/memory")
    await expect(page.locator(".notice")).to_contain_text("Anna likes tea")
    await page.get_by_role("link", name="Memory").click()
    await expect(page.locator(".item p")).to_have_text(["Anna likes tea"])
