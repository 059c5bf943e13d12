"""The bus, over a real Redis that is killed, frozen, erased and spammed."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from opencraw.bus import redis as bus_over_redis
from opencraw.bus.messages import LetGo, Message, Paced, Stopped
from opencraw.bus.redis import MOST_WAITING, STALE_SECONDS, RedisBus
from tests.fixtures.core import until
from tests.fixtures.redis import RedisServer


class Listener:
    """One node's bus and what it heard."""

    def __init__(self, url: str, prefix: str = "test") -> None:
        self.bus = RedisBus(url, prefix, uuid4())
        self.heard: list[Message] = []
        for kind in (LetGo, Paced, Stopped):
            self.bus.on(kind, self.heard.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.bus.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def connected(self) -> None:
        await until(lambda: self.bus.problem is None, "a connection")


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[tuple[Listener, Listener]]:
    one, other = Listener(redis_server.url), Listener(redis_server.url)
    async with one.running(), other.running():
        await one.connected()
        await other.connected()
        yield one, other


_counts = itertools.count(1)


async def understand_each_other(one: Listener, other: Listener) -> None:
    """Return when each hears what the other says now."""
    for speaker, hearer in ((one, other), (other, one)):
        word = Paced(f"again {next(_counts)}")

        def heard(
            speaker: Listener = speaker, hearer: Listener = hearer, word: Paced = word
        ) -> bool:
            # What is said while the way is broken is lost, so it is said until it is heard.
            speaker.bus.publish(word)
            return word in hearer.heard

        await until(heard, "the other node is heard")


async def test_others_hear_what_is_published_and_in_order(two: tuple[Listener, Listener]) -> None:
    one, other = two
    said = [Paced(f"sender {count}") for count in range(2_500)]
    for each in said:
        one.bus.publish(each)
    await until(lambda: len(other.heard) == len(said))
    assert other.heard == said


async def test_a_node_does_not_hear_itself(two: tuple[Listener, Listener]) -> None:
    one, other = two
    one.bus.publish(LetGo())
    await until(lambda: other.heard == [LetGo()])
    await understand_each_other(one, other)
    assert LetGo() not in one.heard


async def test_other_prefixes_are_other_buses(
    redis_server: RedisServer, two: tuple[Listener, Listener]
) -> None:
    stranger = Listener(redis_server.url, prefix="somebody else")
    async with stranger.running():
        await stranger.connected()
        two[0].bus.publish(LetGo())
        await until(lambda: two[1].heard == [LetGo()])
        stranger.bus.publish(Paced("stranger"))
        await stranger.bus.drained()
        await understand_each_other(*two)
    assert stranger.heard == []
    assert Paced("stranger") not in two[0].heard


async def test_all_that_waits_goes_out_as_one_parcel(redis_server: RedisServer) -> None:
    one, other = Listener(redis_server.url), Listener(redis_server.url)
    async with other.running():
        await other.connected()
        for count in range(100):
            one.bus.publish(Paced(f"sender {count}"))
        before = await _published(redis_server)
        async with one.running():
            await until(lambda: len(other.heard) == 100)
            await one.bus.drained()
        assert await _published(redis_server) - before < 20


async def _published(server: RedisServer) -> int:
    stats = await server.ask("INFO", "commandstats")
    assert isinstance(stats, dict)
    return int(stats["cmdstat_publish"]["calls"])


async def test_publishing_without_redis_never_waits_and_forgets_the_oldest(
    redis_server: RedisServer,
) -> None:
    await redis_server.kill()
    lonely = Listener(redis_server.url)
    async with lonely.running():
        for count in range(MOST_WAITING + 10):
            lonely.bus.publish(Paced(f"sender {count}"))
        await until(lambda: "Redis does not work" in (lonely.bus.problem or ""))
        waiting = [message for _, message in lonely.bus._waiting]
        assert len(waiting) == MOST_WAITING
        assert waiting[-1] == Paced(f"sender {MOST_WAITING + 9}")


async def test_what_could_not_be_said_in_time_is_not_said_at_all(
    redis_server: RedisServer,
) -> None:
    hours = iter([0.0])
    now = 0.0
    late = RedisBus(redis_server.url, "test", uuid4(), clock=lambda: next(hours, now))
    late.publish(LetGo())
    now = STALE_SECONDS + 1
    late.publish(Paced("fresh"))
    assert late._take() == [Paced("fresh")]


@pytest.mark.parametrize("after", ["killed", "frozen", "cut off"])
async def test_nodes_find_each_other_again_when_redis_was(
    redis_server: RedisServer, two: tuple[Listener, Listener], after: str
) -> None:
    match after:
        case "killed":
            await redis_server.kill()
            await until(lambda: all(each.bus.problem for each in two))
            await redis_server.start()
        case "frozen":
            redis_server.freeze()
            await until(lambda: all(each.bus.problem for each in two))
            redis_server.thaw()
        case _:
            await redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await redis_server.ask("CLIENT", "KILL", "TYPE", "normal")
    await understand_each_other(*two)
    assert two[0].bus.problem is None


async def test_a_subscription_that_went_dead_in_silence_is_made_anew(
    redis_server: RedisServer,
) -> None:
    """What we publish still goes through; only nothing comes back."""
    withheld = asyncio.Event()
    connections = 0

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_subscription = connections == 1
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", redis_server.port)

        async def back() -> None:
            while data := await from_redis.read(65_536):
                if not (is_subscription and withheld.is_set()):
                    writer.write(data)

        returning = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                to_redis.write(data)
        returning.cancel()
        to_redis.close()
        writer.close()

    line = await asyncio.start_server(carry, "127.0.0.1", 0)
    port = line.sockets[0].getsockname()[1]
    node = Listener(redis_server.url.replace(str(redis_server.port), str(port)))
    async with line, node.running():
        await node.connected()
        withheld.set()
        await until(lambda: "nothing was heard" in (node.bus.problem or ""))
        await node.connected()
    assert connections >= 4


async def test_erasing_redis_changes_nothing(
    redis_server: RedisServer, two: tuple[Listener, Listener]
) -> None:
    await redis_server.ask("FLUSHALL")
    two[0].bus.publish(LetGo())
    await until(lambda: two[1].heard == [LetGo()])


async def test_garbage_on_the_channel_is_noted_once_and_ignored(
    redis_server: RedisServer,
    two: tuple[Listener, Listener],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "opencraw.bus.redis"):
        for garbage in (b"", b"hello", b"\xff" * 100, b"0" * 16 + b"\x91\x80", b"x" * 1_000_000):
            await redis_server.ask("PUBLISH", "test:nodes", garbage)
        await understand_each_other(*two)
    noted = [record for record in caplog.records if "not understood" in record.message]
    assert len(noted) == len(two)


async def test_a_wrong_password_is_told_and_nothing_else_happens(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    await redis_server.ask("CONFIG", "SET", "requirepass", "right")
    wrong = redis_server.url.replace(":@", ":wrong-one@")
    shut_out = Listener(wrong)
    with caplog.at_level(logging.WARNING, "opencraw.bus.redis"):
        async with shut_out.running():
            await until(lambda: "Redis does not work" in (shut_out.bus.problem or ""))
            shut_out.bus.publish(LetGo())
    assert "password" in (shut_out.bus.problem or "").lower()
    assert "wrong-one" not in caplog.text


async def test_an_ear_that_fails_ends_nothing(
    two: tuple[Listener, Listener], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = two

    def fail(_: LetGo) -> None:
        raise ZeroDivisionError

    other.bus.on(LetGo, fail)
    with caplog.at_level(logging.ERROR, "opencraw.bus"):
        one.bus.publish(LetGo())
        await understand_each_other(one, other)
    assert "a LetGo from another node" in caplog.text


def test_the_bus_notices_silence_before_what_it_would_say_is_stale() -> None:
    assert bus_over_redis.HEARTBEAT_SECONDS < bus_over_redis.SILENCE_SECONDS


@pytest.mark.parametrize(
    "answer", [b":abc\r\n", b"$abc\r\n", b"*abc\r\n", b"(abc\r\n", b",abc\r\n", b"*1\r\n" * 5_000]
)
async def test_whatever_answers_on_that_port_the_bus_lives(answer: bytes) -> None:
    asked = asyncio.Event()

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.write(answer * 20)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    listener = Listener(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    async with server, listener.running():
        await asked.wait()
        await until(lambda: (listener.bus.problem or "").startswith("Redis does not work"))
