from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import UUID

import pytest
from aiohttp import WSMsgType

from channels.webchat import outgoing as module
from channels.webchat.frames import Delta, Queue, encode
from channels.webchat.outgoing import Outgoing
from opencraw.events import DraftGrew, utf16_length

TURN = UUID(int=1)


class Reader:
    """The other end of a socket, which reads only while `reading` is set."""

    def __init__(self) -> None:
        self.frames: list[dict[str, object]] = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def send(self, frame: bytes, kind: WSMsgType) -> None:
        await self.reading.wait()
        assert kind is WSMsgType.TEXT
        self.frames.append(json.loads(frame))

    def draft(self) -> str:
        """The draft as a page would have it: cut at the offset, then append."""
        text = b""
        for frame in self.frames:
            if frame["type"] == "delta":
                text = text[: 2 * int(str(frame["offset"]))] + str(frame["content"]).encode(
                    "utf-16-le", "surrogatepass"
                )
        return text.decode("utf-16-le")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class Typist:
    """Grows a draft and tells `Outgoing` so."""

    def __init__(self) -> None:
        self.outgoing = Outgoing(self.snapshot)
        self.text = ""
        self.attempt = 1

    def type(self, text: str) -> None:
        event = DraftGrew(TURN, self.attempt, utf16_length(self.text), text)
        self.text += text
        frame = encode(Delta(event.text, event.offset, event.turn_id, event.attempt))
        self.outgoing.put_delta(event, frame)

    def snapshot(self) -> bytes:
        return encode(Delta(self.text, 0, TURN, self.attempt))


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def typist(reader: Reader) -> Typist:
    return Typist()


def writing(typist: Typist, reader: Reader) -> asyncio.Task[None]:
    return asyncio.create_task(typist.outgoing.write_to(reader.send))


async def test_frames_are_written_in_order(typist: Typist, reader: Reader) -> None:
    task = writing(typist, reader)
    for number in range(5):
        typist.outgoing.put(b'{"type":"x","n":%d}' % number)
        await asyncio.sleep(0)
    await until(lambda: len(reader.frames) == 5)
    assert [frame["n"] for frame in reader.frames] == list(range(5))
    task.cancel()


async def test_deltas_that_pile_up_are_joined(typist: Typist, reader: Reader) -> None:
    for piece in ["one ", "two ", "\U0001f600 ", "three"]:
        typist.type(piece)
    task = writing(typist, reader)
    await until(lambda: bool(reader.frames))
    assert reader.frames == [
        {
            "type": "delta",
            "content": "one two \U0001f600 three",
            "offset": 0,
            "run_id": str(TURN),
            "attempt": 1,
        }
    ]
    task.cancel()


async def test_a_delta_is_not_joined_across_another_frame_or_attempt(
    typist: Typist, reader: Reader
) -> None:
    typist.type("one ")
    typist.outgoing.put(b'{"type":"tool"}')
    typist.type("two")
    typist.text, typist.attempt = "", 2
    typist.type("again")
    task = writing(typist, reader)
    await until(lambda: len(reader.frames) == 4)
    assert reader.draft() == "again"
    task.cancel()


async def test_a_delta_that_cuts_the_draft_is_not_joined(typist: Typist, reader: Reader) -> None:
    typist.type("a thought")
    typist.text = "a "
    typist.type("better one")
    task = writing(typist, reader)
    await until(lambda: len(reader.frames) == 2)
    assert reader.draft() == "a better one"
    task.cancel()


async def test_too_many_deltas_give_way_to_one_snapshot(typist: Typist, reader: Reader) -> None:
    reader.reading.clear()
    task = writing(typist, reader)
    typist.outgoing.put(b'{"type":"said"}')
    await asyncio.sleep(0)
    for _ in range(3000):
        typist.type("word " * 40)
    typist.outgoing.put(b'{"type":"message"}')
    typist.type("the end")
    reader.reading.set()
    await until(lambda: reader.draft() == typist.text)
    kinds = [frame["type"] for frame in reader.frames]
    assert kinds == ["said", "message", "delta"]
    typist.type(" and on it goes")
    await until(lambda: reader.draft() == typist.text)
    task.cancel()


async def test_only_the_newest_queue_is_told(typist: Typist, reader: Reader) -> None:
    for _ in range(3):
        typist.outgoing.put_queue(encode(Queue([])))
    typist.outgoing.put(b'{"type":"said"}')
    task = writing(typist, reader)
    await until(lambda: len(reader.frames) == 2)
    typist.outgoing.put_queue(encode(Queue([])))
    await until(lambda: len(reader.frames) == 3)
    assert [frame["type"] for frame in reader.frames] == ["queue", "said", "queue"]
    task.cancel()


async def test_a_reader_too_far_behind_is_sent_away(typist: Typist) -> None:
    line = b"x" * 100_000
    for _ in range(module.BACKLOG_LIMIT // len(line)):
        typist.outgoing.put(line)
    assert not typist.outgoing.ended.done()
    typist.outgoing.put(line)
    assert typist.outgoing.ended.result() == 1013


async def test_one_frame_may_be_larger_than_all_that_may_wait(typist: Typist) -> None:
    typist.outgoing.put(b"x" * (module.BACKLOG_LIMIT + 1))
    assert not typist.outgoing.ended.done()


async def test_a_replay_waits_for_room(typist: Typist, reader: Reader) -> None:
    reader.reading.clear()
    task = writing(typist, reader)
    typist.outgoing.put(b"{}")
    await asyncio.sleep(0)
    typist.outgoing.put(json.dumps({"type": "x" * (module.ROOM + 1)}).encode())
    waiting = asyncio.create_task(typist.outgoing.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    reader.reading.set()
    assert await waiting
    task.cancel()


async def test_a_replay_to_a_reader_who_is_gone_ends(typist: Typist) -> None:
    typist.outgoing.put(b"{}")
    typist.outgoing.put(b"x" * (module.ROOM + 1))
    waiting = asyncio.create_task(typist.outgoing.room())
    await asyncio.sleep(0)
    typist.outgoing.end(1000)
    assert not await waiting


async def test_the_writer_ends_with_its_socket(typist: Typist) -> None:
    async def send(frame: bytes, kind: WSMsgType) -> None:
        raise ConnectionResetError

    typist.outgoing.put(b"{}")
    await typist.outgoing.write_to(send)
