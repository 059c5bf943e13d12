"""What only a bridge can do: come unsigned, hand over files, point elsewhere."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from aiohttp import web

from channels.http.channel import Http
from channels.http.receiving import take_all
from channels.http.settings import HttpSettings
from channels.marks import RECOVERED
from opencraw.contract import Address, Delivery, Envelope, Gateway, Line, Receipt
from opencraw.errors import QueueFull
from tests.channels.house import House, housed
from tests.channels.http.platform import CallingBridge, PolledBridge
from tests.channels.test_receiving import Doors
from tests.fakes.bridge import Bridge, signature
from tests.fakes.serving import Service
from tests.fixtures.core import until
from tests.fixtures.gateway import unheard

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
        signature(garbage, time.time() + 400),
        signature(garbage, secret="another secret of somebody"),
        signature(b"something else"),
    ):
        status, answer = await bridge.push(garbage, **headers)
        assert (status, answer["error"]["code"]) == (401, "invalid_signature")
    for table in ("inbox", "session", "pairing", "quarantined"):
        assert await house.count(table) == 0


async def test_whoever_signs_wrongly_is_slowed_down_and_nobody_else_is(house: House) -> None:
    bridge = caller(house)
    wrong = signature(b"{", secret="another secret of somebody")
    answers = [(await bridge.push(b"{", **wrong))[0] for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    # The bridge itself may stand behind the same proxy.
    assert (await bridge.push(HELLO))[0] == 200


async def test_only_json_is_taken_whoever_signed_it(house: House) -> None:
    for other in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream"):
        status, _ = await caller(house).push(HELLO, **{"Content-Type": other})
        assert status == 415
    assert await house.count("inbox") == 0


async def test_a_body_that_nobody_signed_is_not_even_waited_for(house: House) -> None:
    host, _, port = house.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /api/v1/os/channels/http/events HTTP/1.1\r\nHost: {host}:{port}\r\n"
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


async def test_a_slow_chat_of_a_list_holds_up_no_other_and_each_keeps_its_order() -> None:
    class Slow(Doors):
        async def accept(self, envelope: Envelope) -> Receipt:
            while envelope.text == "a1" and "b3" not in self.taken:
                await asyncio.sleep(0)
            return await super().accept(envelope)

    doors = Slow()
    events = [
        {**HELLO, "id": f"{chat}{number}", "chat": chat, "text": f"{chat}{number}"}
        for number in range(1, 4)
        for chat in "ab"
    ]
    bodies = [json.dumps(each).encode() for each in (*events, {"kind": "dance"})]
    async with asyncio.timeout(5):
        found = await take_all(cast("Gateway", doors), bodies, 10)
    assert [each.id for each in found] == [*(each["id"] for each in events), ""]
    assert doors.taken == ["b1", "b2", "b3", "a1", "a2", "a3"]


async def test_a_conversation_that_is_full_holds_up_no_other() -> None:
    doors = Doors(QueueFull("20 messages of this conversation wait already"))
    events = [HELLO, {**HELLO, "id": "2", "chat": "chat-b"}]
    bodies = [json.dumps(each).encode() for each in events]
    found = await take_all(cast("Gateway", doors), bodies, 10)
    assert [each.status for each in found] == ["refused", "taken"]
    [(told, _)] = doors.told
    assert "wait already" in told


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


async def test_files_come_with_the_first_copy_of_an_event_and_are_read_by_its_turn(
    house: House,
) -> None:
    bridge = caller(house)
    data = base64.b64encode(b"Buy milk.").decode()
    for status in ("taken", *["duplicate"] * 7):
        _, answer = await bridge.push(attached("list.txt", data=data))
        assert outcomes(answer) == [status]
    await house.sees("Hello.")
    assert await house.count("attachment") == 1
    assert await house.count("attachment WHERE text = 'Buy milk.'") == 1


async def test_of_the_files_of_an_event_no_more_are_kept_than_are_taken(house: House) -> None:
    bridge = caller(house)
    data = base64.b64encode(b"Buy milk.").decode()
    event = attached("list.txt", data=data)
    await bridge.push({**event, "attachments": event["attachments"] * 12})
    await house.sees("Hello.")
    assert await house.count("attachment") == 12
    assert await house.count("attachment WHERE state = 'stored'") == 10
    assert await house.count("attachment WHERE problem LIKE 'Of a message%'") == 2


async def test_files_that_are_too_many_at_once_are_the_bridge_s_to_send_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = caller(house)
    monkeypatch.setattr("opencraw.attachments.attachments.KEPT_PER_MINUTE", 5)
    event = attached("list.txt", data=base64.b64encode(b"Buy milk.").decode())
    status, answer = await bridge.push(event)
    assert status == 503
    assert "Too many files at once" in answer["error"]["message"]
    assert await house.count("inbox") == 0
    monkeypatch.undo()
    status, answer = await bridge.push(event)
    assert outcomes(answer) == ["taken"]
    await house.sees("Hello.")
    assert await house.count("attachment WHERE text = 'Buy milk.'") == 1


async def test_nothing_is_kept_for_a_message_that_is_not_taken() -> None:
    class Full(Doors):
        async def awaits(self, envelope: Envelope) -> bool:
            raise QueueFull("20 messages of this conversation wait already")

    doors = Full()
    event = json.dumps(attached("list.txt", data=base64.b64encode(b"Buy milk.").decode()))
    [found] = await take_all(cast("Gateway", doors), [event.encode()], 10)
    assert found.status == "refused"
    assert doors.taken == []


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


async def test_of_several_nodes_one_polls_and_another_takes_over(
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
        await one.becomes("running")
        await other.open()
        await other.becomes("standby")
        for number in range(10):
            await platform.says(f"[[say Answer {number}.]]")
        await one.sees(*(f"Answer {number}." for number in range(10)))
        await one.at_rest()
        assert (await other.channel())["state"] == "standby"
        assert await one.count("turn") == 10
        await one.close()
        await platform.says("[[say From the other.]]")
        await other.sees("From the other.")
        await other.at_rest()
        assert len(platform.shown()) == 11


async def test_of_several_nodes_a_bridge_may_call_any(tmp_path: Path, database_url: str) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    async with (
        CallingBridge() as platform,
        housed(platform, folders[0], database_url) as one,
        housed(platform, folders[1], database_url) as other,
    ):
        await one.open()
        await other.open()
        await other.becomes("standby")
        said = []
        for house in (one, other, one, other):
            platform.bridge.push_to = house.url
            said += outcomes((await platform.bridge.push(HELLO))[1])
        assert said == ["taken", *["duplicate"] * 3]
        await other.sees("Hello.")
        await other.at_rest()
        assert await one.count("turn") == 1


@pytest.mark.parametrize("knows_keys", [True, False])
async def test_only_a_bridge_that_knows_no_keys_is_told_of_a_second_copy(knows_keys: bool) -> None:
    async with PolledBridge() as platform:
        given = {**platform.settings(), "enabled": True, "idempotent": knows_keys}
        one = uuid4()
        line = Line(1, "reply", "Hello.", datetime.now(UTC), one)
        told: list[str] = []

        async def sent(platform_id: str) -> None:
            told.append(platform_id)

        channel = Http(HttpSettings.model_validate(given))
        await channel.send(Delivery(one, Address("http", "", "c"), line, recovered=True), sent)
        [shown] = platform.bridge.shown("c")
        assert told == [shown.id]
        assert shown.body is not None
        assert shown.body.recovered is not knows_keys
        assert (shown.text == "Hello.") is knows_keys


async def test_a_second_copy_that_says_so_is_no_longer_than_the_bridge_takes() -> None:
    async with PolledBridge() as platform:
        given = {**platform.settings(), "enabled": True, "idempotent": False}
        channel = Http(HttpSettings.model_validate(given))
        line = Line(1, "reply", "word " * 1000, datetime.now(UTC), uuid4())
        said = Delivery(uuid4(), Address("http", "", "c"), line, recovered=True)
        await channel.send(said, unheard)
        shown = [each.text for each in platform.bridge.shown("c")]
        assert shown[0].startswith(RECOVERED)
        assert max(map(len, shown)) <= platform.limit
