"""Whatever comes in over the real socket gets a clear refusal, and the next message an answer."""

from __future__ import annotations

import json

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import PROTOCOL, Tab
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)


def message(**fields: object) -> str:
    return json.dumps({"type": "message", **fields})


NOT_A_FRAME = {
    "nothing": "",
    "no JSON": "{not json",
    "half a frame": '{"type":"message","content":"x"',
    "a list": "[]",
    "a text": '"hello"',
    "a number": "42",
    "nothing in JSON": "null",
    "not a number": '{"type":"message","content":NaN}',
    "without a type": '{"content":"x"}',
    "an unknown type": '{"type":"become_admin"}',
    "a type that is no text": '{"type":["message"]}',
    "a server's frame": '{"type":"hello","chat":"main"}',
    "an unknown field": message(content="x", admin=True),
    "without content": message(),
    "a number as content": message(content=5),
    "null as content": message(content=None),
    "empty content": message(content=""),
    "blank content": message(content=" \n\t"),
    "an empty id": message(content="x", client_message_id=""),
    "a long id": message(content="x", client_message_id="x" * 129),
    "NUL in an id": message(content="x", client_message_id="a\0b"),
    "half a character in an id": message(content="x", client_message_id="a\ud800b"),
    "deep": '{"type":"message","content":' + "[" * 100_000,
    "deep and closed": '{"type":"message","content":' + "[" * 100_000 + "]" * 100_000 + "}",
    "resume of another chat": '{"type":"resume","resume_token":"nonsense","last_seq":0}',
    "resume from before": '{"type":"resume","resume_token":"x","last_seq":-1}',
    "resume from a fraction": '{"type":"resume","resume_token":"x","last_seq":1.5}',
    "resume from far": '{"type":"resume","resume_token":"x","last_seq":' + "9" * 5_000 + "}",
    "history of nothing": '{"type":"history","limit":0}',
    "history of too much": '{"type":"history","limit":201}',
    "history before a word": '{"type":"history","before":"now"}',
    "withdraw what is no id": '{"type":"withdraw","message_id":"x"}',
    "a million and one characters": message(content="x" * 1_000_001),
}


async def refusal(tab: Tab, frame: str | bytes) -> dict[str, object]:
    """Send something wrong; returns the error frame that answers it."""
    before = len(tab.errors)
    await tab.send(frame)
    await tab.until(lambda: len(tab.errors) > before, f"a refusal of {frame[:80]!r}")
    return tab.errors[before]


@pytest.fixture
async def daemon(world: World) -> Daemon:
    made = world.daemon()
    await made.start()
    return made


@pytest.mark.usefixtures("daemon")
async def test_what_is_no_frame_is_refused_in_words_and_the_socket_lives(world: World) -> None:
    tab = await world.tab()
    for what, frame in NOT_A_FRAME.items():
        error = await refusal(tab, frame)
        assert error["code"] in ("INVALID_REQUEST", "INVALID_FIELD"), what
        assert len(str(error["message"])) > 15, what
        assert not error["retryable"], what
        assert "Traceback" not in str(error), what
    error = await refusal(tab, b"\x00\x01binary")
    assert error["code"] == "INVALID_REQUEST"
    await tab.answered(world.say(tab))
    assert tab.sockets == 1
    assert len(tab.errors) == len(NOT_A_FRAME) + 1
    await world.all_is_well()


@pytest.mark.usefixtures("daemon")
async def test_a_refusal_names_the_message_that_was_meant(world: World) -> None:
    tab = await world.tab()
    for content in (5, "", "x" * 1_000_001):
        error = await refusal(tab, message(content=content, client_message_id="mine"))
        assert error["client_message_id"] == "mine"
    await world.all_is_well()


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    "text",
    [
        "before \0 after",
        "\0",
        "half an emoji \ud83d here",
        "the other half \udc00",
        "\u202eright to left",
        "zero\u200bwidth \ufeff and a flag 🇩🇪",
        "\x1b[31mred\x07",
        "'; DROP TABLE inbox; --",
        "<script>alert(1)</script>",
    ],
)
async def test_odd_texts_are_taken_and_answered(world: World, text: str) -> None:
    tab = await world.tab()
    await tab.answered(world.say(tab, text), world.say(tab))
    [said, *_] = tab.history()
    assert "\0" not in said["content"]
    said["content"].encode()
    assert "<script" not in str([line.get("html") for line in tab.history()])
    await world.all_is_well()
    assert tab.sockets == 1


@pytest.mark.usefixtures("daemon")
async def test_a_million_characters_are_taken_and_a_larger_frame_closes_the_socket(
    world: World,
) -> None:
    tab = await world.tab()
    nonce = len("<<00000000-main-0>> [[words 3]] ")
    large = world.say(tab, "[[words 3]] " + "x" * (1_000_000 - nonce))
    await tab.answered(large)
    assert len(tab.saids(large)[0]["content"]) == 1_000_000
    assert tab.sockets == 1
    await tab.send(message(content="x" * 1_200_001))
    await tab.until(lambda: tab.closed_with)
    assert tab.closed_with == [1009]
    await tab.answered(world.say(tab))
    await world.all_is_well()


@pytest.mark.usefixtures("daemon")
async def test_bytes_that_are_no_text_cost_only_their_socket(world: World) -> None:
    tab = await world.tab()
    assert tab._socket is not None
    await tab._socket.send_frame(b"\xff\xfe\xfd", WSMsgType.TEXT)
    await tab.until(lambda: tab.closed_with)
    await tab.answered(world.say(tab))
    await world.all_is_well()


async def handshake(daemon: Daemon, query: str = "", **headers: str) -> int:
    """The status with which a WebSocket is opened (101) or refused."""
    async with aiohttp.ClientSession() as session:
        try:
            socket = await session.ws_connect(
                f"{daemon.url}/ws{query}", headers=headers, protocols=(PROTOCOL,)
            )
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        await socket.close()
        return 101


async def test_who_may_open_a_socket(world: World, daemon: Daemon) -> None:
    bearer = f"Bearer {daemon.token}"
    own = daemon.url
    assert await handshake(daemon, Authorization=bearer) == 101
    assert await handshake(daemon, Authorization=bearer, Origin=own) == 101
    assert await handshake(daemon) == 401
    assert await handshake(daemon, Authorization="Bearer wrong") == 401
    assert await handshake(daemon, Authorization=f"Basic {daemon.token}") == 401
    assert await handshake(daemon, f"?token={daemon.token}") == 401
    assert await handshake(daemon, f"?token={daemon.token}", Authorization=bearer) == 401
    assert await handshake(daemon, f"?access_token={daemon.token}") == 401
    for origin in ("https://evil.example", "null", own.replace("127.0.0.1", "127.0.0.1.evil")):
        assert await handshake(daemon, Authorization=bearer, Origin=origin) == 403
    for host in ("evil.example", "127.0.0.1.evil.example"):
        assert await handshake(daemon, Authorization=bearer, Host=host) == 403
    for chat in ("UPPER", "a/b", "x" * 65, "", "%00"):
        assert await handshake(daemon, f"?chat={chat}", Authorization=bearer) == 400
    tab = await world.tab()
    await tab.answered(world.say(tab))
    await world.all_is_well()


async def test_a_flood_of_nonsense_leaves_the_other_chat_alone(
    world: World, daemon: Daemon
) -> None:
    loud, quiet = await world.tab("loud"), await world.tab("quiet")
    frames = list(NOT_A_FRAME.values())[:20]
    for _ in range(25):
        for frame in frames:
            await loud.send(frame)
    await quiet.answered(world.say(quiet))
    await loud.until(lambda: len(loud.errors) == 500, "500 refusals")
    await loud.answered(world.say(loud))
    await world.all_is_well()
    assert (loud.sockets, quiet.sockets) == (1, 1)
    assert daemon.process is not None
    assert daemon.process.returncode is None
