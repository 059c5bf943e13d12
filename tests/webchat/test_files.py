"""Files that people hand in on the page, before the real daemon."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import AsyncIterator, Mapping

import aiohttp
from playwright.async_api import FilePayload, Page, expect

from tests.attachments import samples
from tests.fixtures.daemon import Daemon
from tests.webchat.browser import NewVisitor, say
from tests.webchat.test_page import PHONE

PNG = samples.png(300, 200)


def file(name: str, kind: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": data}


async def choose(page: Page, *files: FilePayload) -> None:
    await expect(page.locator("#attach")).to_be_visible()
    await page.locator("#pick").set_input_files(list(files))


async def test_files_go_out_with_a_message_and_are_shown(daemon: Daemon, visit: NewVisitor) -> None:
    visitor = await visit(daemon)
    page = await visitor.tab(daemon.link)
    notes = file("notes.pdf", "application/pdf", samples.pdf("the secret is 4711"))
    await choose(page, file("cat.png", "image/png", PNG), notes)
    await expect(page.locator("#files li.ready")).to_have_count(2)
    await say(page, "what is in these?")
    await expect(page.locator("#files")).to_be_hidden()
    said = page.locator("#lines .said")
    await _shows_picture(page)
    await expect(said.locator(".file b")).to_have_text("notes.pdf")
    # They came before the model.
    await expect(page.locator(".reply:not(.draft)")).to_contain_text("Picture: cat.png")
    other = await visitor.tab(daemon.url)
    await _shows_picture(other)


async def _shows_picture(page: Page) -> None:
    picture = page.locator("#lines .said .picture img")
    await expect(picture).to_have_js_property("naturalWidth", 300)


async def test_a_picture_alone_is_a_message_on_a_phone(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon, PHONE)).tab(daemon.link)
    await expect(page.locator("#send")).to_be_disabled()
    await choose(page, file("a long name of a picture from a telephone.png", "image/png", PNG))
    await expect(page.locator("#files li.ready")).to_have_count(1)
    await page.locator("#send").tap()
    await _shows_picture(page)
    await expect(page.locator("#lines .said .bubble")).to_be_hidden()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


async def test_a_file_is_taken_away_before_it_is_sent(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await choose(page, file("cat.png", "image/png", PNG))
    await expect(page.locator("#files li.ready")).to_have_count(1)
    await page.get_by_role("button", name="Remove cat.png").click()
    await expect(page.locator("#files")).to_be_hidden()
    await expect(page.locator("#send")).to_be_disabled()
    await say(page, "hello")
    await expect(page.locator("#lines .said .bubble")).to_have_text("hello")
    await expect(page.locator("#lines .sent")).to_have_count(0)


async def test_what_is_not_taken_is_said_at_once(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    problem = page.locator("#problems")
    await choose(page, file("big.png", "image/png", b"\x89PNG" + bytes(10_000_000)))
    await expect(problem).to_contain_text("it has 10 MB, and files may have 10 MB")
    await choose(page, file("a.exe", "application/x-msdownload", b"MZ"))
    await expect(problem).to_contain_text("files of this type (application/x-msdownload)")
    await choose(page, file("fake.png", "image/png", b"<svg onload='alert(1)'/>"))
    await expect(problem).to_contain_text("it is not what it is said to be")
    await choose(page, file("locked.pdf", "application/pdf", samples.locked_pdf()))
    await expect(problem).to_contain_text("it is encrypted")
    await expect(page.locator("#files")).to_be_hidden()


async def test_each_file_that_is_not_taken_is_named_until_the_message_is_sent(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    refusals = page.locator("#problems .refusal")
    await choose(
        page,
        file("tool.zip", "application/zip", b"PK"),
        file("big.pdf", "application/pdf", bytes(12_000_000)),
        file("empty.txt", "text/plain", b""),
        file("cat.png", "image/png", PNG),
    )
    await expect(refusals).to_have_count(3)
    for name in ("tool.zip", "big.pdf", "empty.txt"):
        await expect(refusals.filter(has_text=f"{name} was not taken")).to_have_count(1)
    await expect(refusals.filter(has_text="Taken are pictures, texts,")).to_have_count(1)
    await choose(page, file("b.exe", "application/x-msdownload", b"MZ"))
    await expect(refusals).to_have_count(4)
    await refusals.first.get_by_label("Dismiss").click()
    await expect(refusals).to_have_count(3)
    await expect(page.locator("#files li.ready")).to_have_count(1)
    await say(page, "look")
    await expect(page.locator("#lines .said .bubble")).to_have_text("look")
    await expect(refusals).to_have_count(0)


async def test_only_what_is_taken_fills_the_places_of_a_message(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    refusals, ready = page.locator("#problems .refusal"), page.locator("#files li.ready")
    wrong = [file(f"{number}.zip", "application/zip", b"PK\x03\x04") for number in range(10)]
    good = [file(f"{number}.png", "image/png", PNG) for number in range(11)]
    await choose(page, *wrong, *good)
    await expect(ready).to_have_count(10)
    await expect(refusals).to_have_count(11)
    await expect(refusals.filter(has_text="files of this type")).to_have_count(10)
    full = refusals.filter(has_text="a message may bring 10 files")
    await expect(full).to_contain_text("10.png was not taken")
    await page.get_by_role("button", name="Remove 0.png").click()
    await choose(page, good[10])
    await expect(ready).to_have_count(10)
    await expect(refusals).to_have_count(11)


async def test_a_document_beside_a_picture_is_as_high_as_its_words(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await choose(page, file("cat.png", "image/png", PNG), file("n.txt", "text/plain", b"note"))
    await expect(page.locator("#files li.ready")).to_have_count(2)
    await page.locator("#send").click()
    await _shows_picture(page)
    box = await page.locator("#lines .said .file").bounding_box()
    assert box is not None
    assert box["height"] < 60


async def test_a_name_that_turns_the_direction_of_writing_is_shown_as_it_is(
    daemon: Daemon, visit: NewVisitor
) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await choose(page, file("evil\u202egnp.exe", "text/plain", b"text"))
    await expect(page.locator("#files .name")).to_have_text("evilgnp.exe")


DROP = """([content, kind]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const brought = new DataTransfer();
  brought.items.add(new File([bytes], "brought.png", { type: "image/png" }));
  const more = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { ...more, clipboardData: brought })
    : new DragEvent(kind, { ...more, dataTransfer: brought });
  document.getElementById("text").dispatchEvent(event);
}"""


async def test_files_are_dropped_and_pasted(daemon: Daemon, visit: NewVisitor) -> None:
    page = await (await visit(daemon)).tab(daemon.link)
    await expect(page.locator("#attach")).to_be_visible()
    content = base64.b64encode(PNG).decode()
    for kind, count in (("dragover", 0), ("drop", 1), ("paste", 2)):
        await page.evaluate(DROP, [content, kind])
        await expect(page.locator("#files li.ready")).to_have_count(count)


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1_000_000)


async def test_a_body_that_is_too_large_is_not_read_to_its_end(daemon: Daemon) -> None:
    headers = {
        "Authorization": f"Bearer {daemon.token}",
        "Content-Type": "application/octet-stream",
    }

    async def status(data: object, more: Mapping[str, str]) -> int:
        async with aiohttp.ClientSession() as client:
            address = f"{daemon.url}/files?name=a.txt&type=text/plain"
            async with client.post(address, data=data, headers={**headers, **more}) as answer:
                return answer.status

    assert await status(b"text", {}) == 201
    assert await status(io.BytesIO(bytes(10_000_001)), {}) == 413
    assert await status(b"text", {"Content-Type": "text/plain"}) == 415
    assert await status(b"text", {"Content-Type": "application/json"}) == 415
    assert await status(b"text", {"Authorization": "Bearer nobody"}) == 401
    # The daemon may hang up before all of it was sent.
    with contextlib.suppress(aiohttp.ClientConnectionError):
        assert await status(_pieces(40), {}) == 413


async def test_files_are_handed_out_as_nothing_that_runs(daemon: Daemon) -> None:
    """Even a page that somebody sent as a text is a file to save."""
    hostile = b"<html><script>alert(1)</script></html>"
    names = {"evil.html": ("text/html", hostile), "cat.png": ("image/png", PNG)}
    headers = {"Authorization": f"Bearer {daemon.token}"}
    octets = {**headers, "Content-Type": "application/octet-stream"}
    async with aiohttp.ClientSession(daemon.url) as client:
        sources = []
        for name, (kind, data) in names.items():
            query = {"name": f"../../{name}", "type": kind}
            async with client.post("/files", params=query, data=data, headers=octets) as answer:
                sources.append((await answer.json())["source"])
        kept = sources[0].removeprefix("kept:")
        async with client.get(f"/api/v1/os/attachments/{kept}", headers=headers) as answer:
            # What came with no message belongs to nobody yet.
            assert answer.status == 404
        protocols = ("opencraw.v1", f"opencraw.token.{daemon.token}")
        async with client.ws_connect("/ws?chat=files", protocols=protocols) as socket:
            await socket.send_json({"type": "message", "content": "", "attachments": sources})
            while (frame := await socket.receive_json())["type"] != "said":
                pass
        page, picture = frame["files"]
        assert (page["name"], page["is_picture"]) == ("evil.html", False)
        for shown, kind in ((page, "application/octet-stream"), (picture, "image/png")):
            address = f"/api/v1/os/attachments/{shown['id']}"
            async with client.get(address) as answer:
                assert answer.status == 401
            async with client.get(address, headers=headers) as answer:
                assert answer.headers["Content-Type"] == kind
                assert answer.headers["Content-Disposition"].startswith("attachment;")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "sandbox" in answer.headers["Content-Security-Policy"]
                assert await answer.read() == names[shown["name"]][1]
        async with client.get("/api/v1/os/attachments/none", headers=headers) as answer:
            assert answer.status == 400
