"""D6: pairing lived in memory and nobody could approve it. Now there are three ways, and each
outlives the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_pairing import beside
from tests.control.test_pairing import asking
from tests.fixtures.core import Core, running
from tests.fixtures.people import PAIRING, admitted, knocks, refusal, says

ACCESS = {"test": PAIRING}


async def approve(core: Core, way: str, code: str, folder: Path) -> None:
    match way:
        case "cli":
            async with beside(core, folder) as run:
                await run("approve", code)
        case "http":
            async with asking(core) as client:
                await client.post("approve", code=code)
        case _:
            assert await admitted(core, says(f"/pair approve {code}", "boss"))


@pytest.mark.parametrize("way", ["cli", "http", "chat"])
async def test_d06_pairing_approvable_and_durable(
    database_url: str, tmp_path: Path, way: str
) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        core.dies = True
    async with running(database_url, access=ACCESS) as core:
        assert await refusal(core, says("hello?", "anna")) == "pending_approval_required"
        await approve(core, way, code, tmp_path)
        assert await admitted(core, says("hello", "anna"))
        await core.settled()
    async with running(database_url, access=ACCESS) as core:
        assert await admitted(core, says("hello again", "anna"))
        await core.settled()
        assert "echo hello again" in core.channel.texts("anna")
