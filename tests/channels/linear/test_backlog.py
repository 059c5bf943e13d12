"""Much was written while nobody listened: all of it is taken, in order, whatever comes between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from channels.linear.api import Api
from channels.linear.outgoing import Pen
from channels.linear.reading import Reader
from channels.linear.settings import LinearSettings
from opencraw.contract import Address, Envelope, Line, Receipt
from opencraw.contract import Reader as Conversations
from tests.channels.house import housed
from tests.channels.linear.platform import LinearPlatform
from tests.fakes.linear import KEY, LinearServer, id_of
from tests.fixtures.gateway import Unasked

BEGAN = datetime.now(UTC) - timedelta(days=2)


class CutOff(Exception):
    """The daemon ends here."""


class Empty:
    """Nothing was said before."""

    async def history(
        self, address: Address, *, before: int | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Line]:
        return ()


class Inbox(Unasked):
    """Notes what it is given, until there is no more `room`."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.room = 10_000
        began = BEGAN.isoformat()
        self.cursors: dict[str, Any] = {id_of("workspace"): {"began": began, "at": began}}

    async def accept(self, envelope: Envelope) -> Receipt:
        if len(self.taken) == self.room:
            raise CutOff
        duplicate = envelope.text in self.taken
        self.taken.append(envelope.text)
        return Receipt(uuid4(), duplicate)

    async def cursor(self, channel: str, account: str, name: str = "") -> str | None:
        found = self.cursors.get(account)
        return json.dumps(found) if found is not None else None

    async def move_cursor(self, channel: str, account: str, value: str, name: str = "") -> None:
        self.cursors[account] = json.loads(value)

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.cursors[id_of("workspace")]["at"])

    @property
    def reader(self) -> Conversations:
        return Empty()  # type: ignore[return-value]  # nothing else is asked of it


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.linear.reading._A_PAGE", 5)
    monkeypatch.setattr("channels.linear.reading._A_WINDOW", 20)


def restarted(server: LinearServer, heard: Callable[[], None] = lambda: None) -> Reader:
    """What a daemon reads with that was just started."""
    given = {"enabled": True, "api_key": KEY, "graphql_url": f"{server.url}/graphql"}
    settings = LinearSettings.model_validate(given)
    api = Api(settings)
    return Reader(api, Pen(api, 1_000), settings, heard)


def written(server: LinearServer, count: int, every: timedelta) -> list[str]:
    """Comments in one thread, the first of them a day ago."""
    root, texts = "", []
    for number in range(count):
        at = (BEGAN + timedelta(days=1) + number * every).isoformat()
        said = server.says(
            server.issue("a"), f"{number}", by=server.person("a"), parent=root,
            mention=False, createdAt=at, updatedAt=at,
        )  # fmt: skip
        root = root or said["id"]
        texts.append(f"{number}")
    return texts


def numbers(inbox: Inbox) -> list[str]:
    """What was taken, without the issue that the first word comes with."""
    return [text.rpartition("\n")[2] for text in inbox.taken]


async def test_a_catch_up_that_is_interrupted_keeps_what_it_has(server: LinearServer) -> None:
    texts, inbox = written(server, 90, timedelta(minutes=1)), Inbox()
    inbox.room = 60
    with pytest.raises(CutOff):
        await restarted(server).poll(inbox)
    assert numbers(inbox) == texts[:60]
    assert inbox.at == BEGAN + timedelta(days=1, minutes=49), "behind what is whole"
    inbox.room, inbox.taken = 10_000, []
    await restarted(server).poll(inbox)
    assert numbers(inbox) == texts[49:]
    assert inbox.at == BEGAN + timedelta(days=1, minutes=89)


async def test_more_comments_of_one_moment_than_are_dealt_with_at_once_are_all_taken(
    server: LinearServer,
) -> None:
    texts, inbox = written(server, 70, timedelta(0)), Inbox()
    await restarted(server).poll(inbox)
    assert sorted(numbers(inbox)) == sorted(texts)


async def test_of_more_than_can_be_caught_up_on_the_newest_are_taken(
    server: LinearServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("channels.linear.reading._MOST_WINDOWS", 2)
    texts, inbox = written(server, 90, timedelta(minutes=1)), Inbox()
    await restarted(server).poll(inbox)
    assert numbers(inbox) == texts[50:]
    assert "too many comments changed at once" in caplog.text


async def test_what_is_dealt_with_was_heard_just_now(server: LinearServer) -> None:
    written(server, 4, timedelta(minutes=1))
    beats: list[int] = []
    inbox = Inbox()
    reader = restarted(server, lambda: beats.append(len(inbox.taken)))
    await reader.poll(inbox)
    assert beats == [0, 1, 2, 3, 4]


async def test_what_linear_told_by_itself_moves_the_cursor_of_the_next_poll(
    server: LinearServer,
) -> None:
    written(server, 1, timedelta(0))
    inbox, reader = Inbox(), restarted(server)
    [comment] = server.comments
    await reader.look_at(inbox, comment)
    await reader.poll(inbox)
    assert len(inbox.taken) == 1
    assert inbox.at == BEGAN + timedelta(days=1)


async def test_with_the_key_of_another_workspace_nothing_old_is_answered(
    server: LinearServer,
) -> None:
    written(server, 3, timedelta(minutes=1))
    server.workspace, inbox = id_of("another workspace"), Inbox()
    await restarted(server).poll(inbox)
    assert inbox.taken == []
    assert inbox.at == BEGAN


async def test_a_backlog_that_takes_longer_than_the_patience_is_no_silence(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.linear.reading._A_WINDOW", 200)
    async with LinearPlatform() as linear, housed(linear, tmp_path, database_url) as house:
        await house.open()
        await linear.says("[[say Before.]]")
        await house.sees("Before.")
        await house.close()
        for _ in range(80):
            await linear.says("Not for you.", chat="b", mention=False)
        await linear.says("[[say At last.]]")
        linear.server.thinks = 0.25
        await house.open()
        await house.sees("Before.", "At last.")
        happened = await house.asks("/api/v1/os/channels/linear/logs")
        assert "silent" not in json.dumps(happened)
