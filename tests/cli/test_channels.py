"""`opencraw channels` and `opencraw deliveries`, before the daemon's own routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root
from opencraw.errors import AccountRefused, NotSent
from opencraw.outbox.deliveries import Deliveries
from opencraw.store.database import Database
from tests.cli.daemons import announce, holding
from tests.control.serving import TOKEN, Radio, serving
from tests.fixtures.core import until
from tests.outbox.test_deliveries import dead, office, words
from tests.outbox.test_sender import Office, working

Run = Callable[..., Awaitable[Result]]
__all__ = ["office"]


@pytest.fixture
def radio() -> Radio:
    return Radio()


@pytest.fixture
async def run(radio: Radio, database: Database, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs `opencraw …` as somebody beside the daemon; returns what it printed."""
    async with serving(channels=radio, deliveries=Deliveries(database)) as served:
        announce(tmp_path, served.url)
        (tmp_path / "data" / "access-token").write_text(TOKEN)

        def invoke(*arguments: str) -> Result:
            config = ["--config", str(tmp_path / "config.toml")]
            return CliRunner().invoke(root, [*config, *arguments])

        async def ran(*arguments: str, fails: bool = False) -> Result:
            result = await asyncio.to_thread(invoke, *arguments)
            assert (result.exit_code != 0) is fails, result.output
            return result

        with holding(tmp_path):
            yield ran


async def test_channels_are_listed_with_what_came_and_went(run: Run) -> None:
    shown = (await run("channels", "list")).output
    assert "radio" in shown
    assert "running" in shown
    listed = json.loads((await run("channels", "list", "--json")).output)
    assert listed["channels"][0]["counts"]["accepted"] == 3


async def test_whoever_was_turned_away_is_counted_as_refused_and_not_as_failed(run: Run) -> None:
    names, counts = (await run("channels", "list")).output.splitlines()[:2]
    assert names.split()[-4:] == ["taken", "sent", "failed", "refused"]
    assert counts.split()[-4:] == ["3", "2", "1", "4"]


async def test_what_has_to_be_copied_is_on_one_line(run: Run, radio: Radio) -> None:
    name = "OPENCRAW_CHANNELS__RADIO__PASSWORD"
    radio.state = ("refused", f"The radio refuses the password: {'set it anew, ' * 9}as {name}")
    lines = (await run("channels", "list")).output.splitlines()
    assert lines[-1].startswith("radio: The radio refuses")
    assert lines[-1].endswith(name)
    assert max(map(len, lines[:-1])) < 100


async def test_a_probe_tells_who_we_are(run: Run) -> None:
    assert "radio answers" in (await run("channels", "probe", "radio")).output
    asked = json.loads((await run("channels", "probe", "radio", "--json")).output)
    assert asked["account"] == {"name": "a radio"}


async def test_a_probe_of_an_account_that_is_refused_fails(run: Run, radio: Radio) -> None:
    radio.refusal = AccountRefused("The token was revoked. Get a new one.")
    shown = (await run("channels", "probe", "radio", fails=True)).output
    assert "The token was revoked. Get a new one." in shown


async def test_a_probe_that_is_answered_starts_what_waited(run: Run, radio: Radio) -> None:
    radio.state = ("refused", "The token was revoked; starting again in 600 s")
    shown = (await run("channels", "probe", "radio")).output
    assert "radio answers" in shown
    assert "was refused, and is being started now" in shown
    assert "600 s" not in shown


@pytest.mark.parametrize("what", ["probe", "logs", "quarantine"])
async def test_a_channel_that_is_not_there_is_named_with_those_that_are(
    run: Run, what: str
) -> None:
    assert "Channels: radio" in (await run("channels", what, "pigeons", fails=True)).output


async def test_what_happened_and_what_was_not_understood_is_shown(run: Run) -> None:
    assert "it creaks" in (await run("channels", "logs", "radio")).output
    assert "no JSON" in (await run("channels", "quarantine", "radio")).output
    shown = json.loads((await run("channels", "quarantine", "radio", "--json")).output)
    assert shown["quarantined"][0]["payload"] == "{"


async def test_a_dead_letter_is_found_and_tried_again(run: Run, office: Office) -> None:
    assert "Everything was delivered" in (await run("deliveries", "list")).output
    delivery = await dead(office, "one", at="one")
    shown = (await run("deliveries", "list")).output
    assert str(delivery.delivery_id)[:8] in shown
    assert "the chat is gone" in shown
    await run("deliveries", "retry", str(delivery.delivery_id)[:8])
    assert await office.states() == [("pending", 1, 0)]
    assert words(office).there == []


async def test_deliveries_of_a_channel_that_is_not_there_are_an_error(run: Run) -> None:
    shown = (await run("deliveries", "list", "--channel", "pigeons", fails=True)).output
    assert "Channels: radio" in shown
    shown = (await run("deliveries", "list", "--channel", "radio")).output
    assert "Everything was delivered" in shown


async def test_a_dead_letter_is_dropped_by_whoever_means_it(run: Run, office: Office) -> None:
    delivery = await dead(office, "one", at="one")
    name = str(delivery.delivery_id)
    assert "--yes" in (await run("deliveries", "drop", name, fails=True)).output
    done = json.loads((await run("deliveries", "drop", name, "--yes", "--json")).output)
    assert done["delivery_ids"] == [name]
    assert "Everything was delivered" in (await run("deliveries", "list")).output


async def test_a_delivery_that_nobody_knows_is_an_error(run: Run) -> None:
    shown = (await run("deliveries", "retry", "00000000", fails=True)).output
    assert "opencraw deliveries list" in shown


async def test_what_waits_is_listed_with_why_it_does(run: Run, office: Office) -> None:
    words(office).troubles["one"] = (False, NotSent("nobody is there", retry_after=60.0))
    [delivery] = await office.written("one")
    async with working(office):
        office.post([delivery])

        async def tried() -> bool:
            return await office.states() == [("pending", 1, 0)]

        await until(tried, "it was tried")
    assert "pending: nobody is there" in (await run("deliveries", "list", "--state", "open")).output
