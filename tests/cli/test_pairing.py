"""`opencraw pairing`, before the daemon's own routes and a real database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from opencraw.cli import root
from opencraw.control.pairing import PairingApi
from tests.cli.daemons import announce, holding
from tests.control.serving import TOKEN, serving
from tests.fixtures.core import Core, running
from tests.fixtures.people import PAIRING, admitted, knocks, says

Run = Callable[..., Awaitable[Result]]
NO_OWNER = PAIRING.model_copy(update={"owners": []})


@asynccontextmanager
async def beside(core: Core, folder: Path) -> AsyncIterator[Run]:
    """Runs `opencraw pairing …` as somebody beside the daemon."""
    async with serving(routes=PairingApi(core.opened.entrance.strangers).routes()) as served:
        announce(folder, served.url)
        (folder / "data" / "access-token").write_text(TOKEN)

        def invoke(*arguments: str) -> Result:
            config = ["--config", str(folder / "config.toml")]
            return CliRunner().invoke(root, [*config, "pairing", *arguments])

        async def run(*arguments: str, fails: bool = False) -> Result:
            result = await asyncio.to_thread(invoke, *arguments)
            assert (result.exit_code != 0) is fails, result.output
            return result

        with holding(folder):
            yield run


async def test_people_are_listed_let_in_and_sent_away(database_url: str, tmp_path: Path) -> None:
    async with (
        running(database_url, access={"test": PAIRING}) as core,
        beside(core, tmp_path) as run,
    ):
        assert (await run("list")).output.startswith("Nobody was let in")
        code = await knocks(core, "anna")
        assert re.search(rf"{code} .* \d\d:\d\d \S+\n", (await run("list")).output), "with the zone"
        approved = await run("approve", code.lower())
        assert approved.output == "Some Body, test id anna is let in as a guest.\n"
        assert await admitted(core, says("hello", "anna"))
        shown = (await run("list")).output
        assert "approved" in shown
        assert code not in shown, "it is of no use any more"
        assert (await run("revoke", "test", "anna")).output == "anna may talk on test no more.\n"
        assert not await admitted(core, says("hello", "anna"))
        assert "Nobody with the id anna" in (await run("revoke", "test", "anna", fails=True)).output
        assert "no channel tset" in (await run("revoke", "tset", "anna", fails=True)).output


async def test_somebody_is_rejected(database_url: str, tmp_path: Path) -> None:
    async with (
        running(database_url, access={"test": PAIRING}) as core,
        beside(core, tmp_path) as run,
    ):
        code = await knocks(core, "anna")
        assert "is not let in" in (await run("reject", code, "--note", "unknown")).output
        assert "already resolved" in (await run("approve", code, fails=True)).output
        assert "No request has this code" in (await run("reject", "AAAAAAAA", fails=True)).output


async def test_the_first_person_of_a_channel_is_told_how_to_become_its_owner(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running(database_url, access={"test": NO_OWNER}) as core,
        beside(core, tmp_path) as run,
    ):
        output = (await run("approve", await knocks(core, "anna"))).output
        assert "Nobody is the owner on test yet" in output
        assert 'owners = ["anna"]' in output
        output = (await run("approve", await knocks(core, "ben"), "--owner")).output
        assert output == "Some Body, test id ben is let in as the owner.\n"


async def test_programs_get_json(database_url: str, tmp_path: Path) -> None:
    async with (
        running(database_url, access={"test": PAIRING}) as core,
        beside(core, tmp_path) as run,
    ):
        codes = [await knocks(core, name) for name in ("anna", "ben")]
        listed = json.loads((await run("list", "--json")).output)["requests"]
        assert [each["code"] for each in listed] == codes
        approved = json.loads((await run("approve", codes[0], "--json")).output)
        assert approved["request"]["sender_id"] == "anna"
        rejected = json.loads((await run("reject", codes[1], "--json")).output)
        assert rejected["status"] == "rejected"
        revoke = ("revoke", "test", "anna", "--account", "account", "--json")
        assert json.loads((await run(*revoke)).output)["revoked"] == 1
