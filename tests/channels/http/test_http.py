"""What only a bridge can do: come unsigned, hand over files, point elsewhere."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.channels.house import House, housed
from tests.channels.http.platform import CallingBridge, PolledBridge
from tests.fakes.bridge import Bridge, signature
from tests.fakes.serving import Service
from tests.fixtures.core import until

HELLO = {
    "kind": "message",
    "id": "first",
    "chat": "chat-a",
    "sender": {"id": "person-a"},
    "text": "[[say Hello.]]",
}


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with CallingBridge() as platform, housed(platform, tmp_path, database_url) as house:
        await house.open()
        yield house


def caller(house: House) -> Bridge:
    assert isinstance(house.platform, CallingBridge)
    return house.platform.bridge


def outcomes(answer: Any) -> list[str]:
    return [each["status"] for each in answer["results"]]


async def test_what_nobody_signed_leaves_no_trace(house: House) -> None:
    bridge = caller(house)
    garbage = b"{"
    for headers in (
        {"X-OpenCraw-Signature": ""},
        {"X-OpenCraw-Signature": "0" * 64},
        {"X-OpenCraw-Timestamp": "yesterday"},
        {"X-OpenCraw-Timestamp": "9" * 400},
        signature(garbage, time.time() - 301),
        signature(garbage, time.time() + 301),
        signature(garbage, secret="another secret of somebody"),
        signature(b"something else"),
    ):
        status, answer = await bridge.push(garbage, **headers)
        assert (status, answer["error"]["category"]) == (401, "client_error")
    for table in ("inbox", "session", "pairing", "quarantined"):
        assert await house.count(table) == 0


async def test_a_body_that_nobody_signed_is_not_even_waited_for(house: House) -> None:
    host, _, port = house.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /channels/http/events HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_too_much_at_once_is_refused_before_it_is_read(house: House) -> None:
    status, _ = await caller(house).push(b" " * (1024 * 1024 + 1))
    assert status == 413


async def test_what_was_signed_is_taken_once_within_the_window(house: House) -> None:
    bridge = caller(house)
    answers = await asyncio.gather(*(bridge.push(HELLO) for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    said = sorted(status for _, answer in answers for status in outcomes(answer))
    assert said == ["duplicate"] * 19 + ["taken"]
    await house.sees("Hello.")


async def test_each_event_of_a_list_has_its_own_answer(house: House) -> None:
    stranger = {**HELLO, "id": "2", "chat": "chat-x", "sender": {"id": "person-x"}}
    events = [HELLO, stranger, {"kind": "dance"}, {**HELLO, "id": "3", "words": 1}, HELLO]
    status, answer = await caller(house).push(events)
    assert status == 200
    assert outcomes(answer) == ["taken", "ignored", "invalid", "invalid", "duplicate"]
    assert await house.count("quarantined") == 2


async def test_a_request_without_a_single_event_is_wrong(house: House) -> None:
    bridge = caller(house)
    for body in (b"", b"nothing", {"kind": "message"}, [{"kind": 7}], b"[" * 5000, b'"\xff"'):
        status, answer = await bridge.push(body)
        assert (status, answer["error"]["category"]) == (400, "client_error")
    status, _ = await bridge.push([HELLO] * 101)
    assert status == 400
    assert await bridge.push([]) == (200, {"results": []})


async def test_a_message_is_changed_and_taken_back_while_it_waits(
    tmp_path: Path, database_url: str
) -> None:
    async with CallingBridge() as platform, housed(platform, tmp_path, database_url) as house:
        await house.open(debounce_ms=60_000)
        bridge = caller(house)
        about = {"chat": "chat-a", "sender": {"id": "person-a"}, "message": "first"}
        await bridge.push(HELLO)
        edit = {"kind": "edit", "id": "2", "text": "Bye", **about}
        assert outcomes((await bridge.push(edit))[1]) == ["taken"]
        assert await house.count("inbox WHERE text = 'Bye'") == 1
        foreign = {**edit, "id": "3", "sender": {"id": "person-b"}}
        assert outcomes((await bridge.push(foreign))[1]) == ["ignored"]
        delete = {"kind": "delete", "id": "4", **about}
        assert outcomes((await bridge.push(delete))[1]) == ["taken"]
        assert await house.count("inbox WHERE outcome = 'withdrawn'") == 1


# Files.


def attached(name: str, **more: object) -> dict[str, Any]:
    file = {"name": name, "content_type": "text/plain", **more}
    return {**HELLO, "id": name, "attachments": [file]}


async def test_a_file_that_is_handed_over_is_kept_for_those_who_may_talk(house: House) -> None:
    bridge = caller(house)
    data = base64.b64encode(b"Buy milk.").decode()
    await bridge.push({**attached("no.txt", data=data), "sender": {"id": "person-x"}})
    assert await house.count("attachment") == 0
    await bridge.push(attached("list.txt", data=data))
    await house.sees("Hello.")
    assert await house.count("attachment WHERE name = 'list.txt' AND state = 'stored'") == 1


async def test_a_file_is_fetched_from_the_bridge_and_from_nowhere_else(house: House) -> None:
    bridge, elsewhere = caller(house), Service(0, None)
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"secret")

    elsewhere.app.router.add_get("/{any}", note)
    async with elsewhere:
        await bridge.push(attached("private.txt", url=f"{elsewhere.url}/private"))
        await house.sees("Hello.")
        bridge.redirects["moved"] = f"{elsewhere.url}/private"
        await bridge.push(attached("moved.txt", url=f"{bridge.url}/files/moved"))
        await house.sees("Hello.", "Hello.")
        bridge.files["here"] = b"Buy milk."
        await bridge.push(attached("here.txt", url=f"{bridge.url}/files/here"))
        await house.sees("Hello.", "Hello.", "Hello.")
    assert asked == []
    rows = await house.database.fetch("SELECT name, state FROM attachment ORDER BY name")
    states = {row["name"]: row["state"] for row in rows}
    assert states["here.txt"] == "stored"
    assert "stored" not in {states["moved.txt"], states["private.txt"]}


# Going out.


async def test_an_operator_can_ask_whether_the_bridge_is_there(house: House) -> None:
    answer = await house.asks("/api/v1/os/channels/http/probe")
    assert "200" in str(answer)


async def test_what_is_polled_first_is_not_answered(tmp_path: Path, database_url: str) -> None:
    async with PolledBridge() as platform, housed(platform, tmp_path, database_url) as house:
        await platform.says("[[say Old.]]")
        platform.bridge.now = 1
        await house.open()
        await platform.says("[[say New.]]")
        await house.sees("New.")
        await house.at_rest()
        assert await house.count("inbox") == 1


async def test_a_cursor_does_not_move_past_what_is_not_durable(
    tmp_path: Path, database_url: str
) -> None:
    async with PolledBridge() as platform, housed(platform, tmp_path, database_url) as house:
        await house.open()
        await platform.says("[[say One.]]")
        await house.sees("One.")

        async def noted() -> bool:
            return await house.count("cursor_position WHERE channel = 'http' AND value = '0-1'") > 0

        await until(noted)


async def test_of_several_nodes_that_poll_side_by_side_each_message_has_one_answer(
    tmp_path: Path, database_url: str
) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    async with (
        PolledBridge() as platform,
        housed(platform, folders[0], database_url) as one,
        housed(platform, folders[1], database_url) as other,
    ):
        await one.open()
        await other.open()
        for number in range(10):
            await platform.says(f"[[say Answer {number}.]]")
        await one.sees(*(f"Answer {number}." for number in range(10)))
        await one.at_rest()
        assert len(platform.shown()) == 10
        assert await one.count("turn") == 10
