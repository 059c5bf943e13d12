"""How much a model is sent before anybody has said much."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from opencraw.context.workspace import NAMES
from opencraw.resources import prompt
from tests.scenarios.world import World

#: What `opencraw init` turns on for new users.
NEW_USER = """
[memory]
enabled = true

[context]
compaction_enabled = true
"""
MOST_BYTES = 12 * 1024
MEMORY_TOOLS = {"memory_search", "memory_get", "memory_summarize", "memory_save"}


async def newest_request(world: World) -> tuple[int, dict[str, Any]]:
    """What the model was sent last: the bytes of the body, and what was in it."""
    async with aiohttp.request("GET", f"{world.model.url}/_control") as response:
        seen = await response.json()
    return seen["sizes"][-1], seen["requests"][-1]


@pytest.mark.parametrize("wire", ["openai", "openai-responses", "anthropic"])
async def test_the_first_prompt_of_a_new_user_is_small(world: World, wire: str) -> None:
    daemon = world.daemon(profile=world.model.profile(wire), extra=NEW_USER)
    workspace = daemon.data_dir / "workspace"
    workspace.mkdir()
    for name in NAMES:
        (workspace / name).write_text(prompt(f"workspace/{name}"))
    await daemon.start()
    tab = await world.tab()
    world.say(tab, "Hello! Who are you?")
    await world.all_is_well()

    size, body = await newest_request(world)
    names = {tool.get("name") or tool["function"]["name"] for tool in body["tools"]}
    assert names >= MEMORY_TOOLS
    assert size <= MOST_BYTES


async def test_a_file_of_the_workspace_reaches_the_model_while_the_daemon_runs(
    world: World,
) -> None:
    daemon = world.daemon(environ={"OPENCRAW_GENERAL__WORKSPACE": "mine"})
    await daemon.start()
    tab = await world.tab()
    world.say(tab)
    await world.all_is_well()
    assert "Miss Marple" not in str(await newest_request(world))

    (daemon.data_dir / "mine").mkdir()
    (daemon.data_dir / "mine" / "SOUL.md").write_text("You are Miss Marple.")
    while "Miss Marple" not in str(await newest_request(world)):
        world.say(tab)
        await world.all_is_well()
