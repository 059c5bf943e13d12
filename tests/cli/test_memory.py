"""`opencraw memory`, before the daemon's own routes and a real database."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root
from opencraw.contract import DEFAULT_TENANT
from opencraw.memory.items import Item, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, person_scope
from opencraw.store.database import Database
from tests.cli.daemons import announce, answering, holding
from tests.control.serving import TOKEN, serving

ANNA, BEN = person_scope("telegram", "123"), person_scope("telegram", "#4 & 5")
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url


@pytest.fixture
def memory(database: Database) -> Memory:
    return Memory(database)


@pytest.fixture
async def run(memory: Memory, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs `opencraw memory …` as somebody beside the daemon."""
    async with serving(memory=memory) as served:
        announce(tmp_path, served.url)
        (tmp_path / "data" / "access-token").write_text(TOKEN)

        def invoke(*arguments: str, answer: str = "") -> Result:
            config = ["--config", str(tmp_path / "config.toml")]
            return CliRunner().invoke(root, [*config, "memory", *arguments], input=answer)

        async def ran(*arguments: str, answer: str = "", fails: bool = False) -> Result:
            result = await asyncio.to_thread(invoke, *arguments, answer=answer)
            assert (result.exit_code != 0) is fails, result.output
            return result

        with holding(tmp_path):
            yield ran


async def remember(memory: Memory, scope: str, *texts: str) -> list[Item]:
    only = Scopes(DEFAULT_TENANT, scope, (scope,))
    return [await memory.save(only, Note(text)) for text in texts]


async def known(memory: Memory, scope: str) -> set[str]:
    return {item.text for item in await memory.items(Scopes(DEFAULT_TENANT, scope, (scope,)))}


async def test_scopes_are_listed_with_how_much_they_hold(memory: Memory, run: Run) -> None:
    assert "Nothing is remembered yet" in (await run("scopes")).output
    await remember(memory, ANNA, "one", "two")
    await remember(memory, AGENT_SCOPE, "three")
    shown = (await run("scopes")).output
    assert ANNA in shown
    assert "person" in shown
    listed = json.loads((await run("scopes", "--json")).output)["scopes"]
    assert {each["scope"]: each["items"] for each in listed} == {ANNA: 2, AGENT_SCOPE: 1}


async def test_the_only_scope_need_not_be_named(memory: Memory, run: Run) -> None:
    failed = await run("list", fails=True)
    assert "Nothing is remembered yet" in failed.output
    [item] = await remember(memory, BEN, "Ben likes tea")
    for arguments in (("list",), ("search", "tea")):
        shown = (await run(*arguments)).output
        assert str(item.id) in shown
        assert "Ben likes tea" in shown
    await remember(memory, ANNA, "Anna likes rice")
    failed = await run("list", fails=True)
    assert ANNA in failed.output
    assert BEN in failed.output
    found = json.loads((await run("search", "tea", "--scope", BEN, "--json")).output)
    assert [each["id"] for each in found["items"]] == [str(item.id)]


async def test_a_list_goes_on(memory: Memory, run: Run) -> None:
    await remember(memory, ANNA, "one", "two", "three")
    first = json.loads((await run("list", "--limit", "2", "--json")).output)
    rest = json.loads((await run("list", "--before", first["next"], "--json")).output)
    assert [each["text"] for each in first["items"] + rest["items"]] == ["three", "two", "one"]


async def test_something_is_added_corrected_and_forgotten(memory: Memory, run: Run) -> None:
    await run("add", "Ben is 41", "--scope", BEN)
    added = json.loads((await run("add", "Ben likes tea", "--json")).output)["item"]["id"]
    assert "Corrected" in (await run("correct", added, "Ben likes coffee")).output
    assert await known(memory, BEN) == {"Ben is 41", "Ben likes coffee"}
    assert "1 memory" in (await run("forget", added)).output
    assert await known(memory, BEN) == {"Ben is 41"}
    await run("add", "The office moves", "--everybody", "--importance", "0.9")
    assert await known(memory, AGENT_SCOPE) == {"The office moves"}
    failed = await run("forget", added, "--scope", BEN, fails=True)
    assert "no such memory" in failed.output


async def test_everything_is_forgotten_only_after_a_yes(memory: Memory, run: Run) -> None:
    await remember(memory, ANNA, "one", "two")
    asked = await run("forget", "--all", answer="n\n", fails=True)
    assert f"Forget everything in {ANNA} for good?" in asked.output
    assert await known(memory, ANNA) == {"one", "two"}
    assert "2 memories" in (await run("forget", "--all", answer="y\n")).output
    assert await known(memory, ANNA) == set()
    await remember(memory, ANNA, "three")
    await run("forget", "--all", "--yes", "--json")
    assert await known(memory, ANNA) == set()
    for wrong in (("forget",), ("forget", "--all", "3f2a")):
        assert "ids of memories, or else --all" in (await run(*wrong, fails=True)).output


async def test_an_export_is_a_private_file_with_every_memory(
    memory: Memory, run: Run, tmp_path: Path
) -> None:
    await remember(memory, ANNA, "one", "two\nlines")
    file = tmp_path / "memory.jsonl"
    assert "2 memories in" in (await run("export", "--to", str(file))).output
    head, *items = map(json.loads, file.read_text().splitlines())
    assert (head["schema_version"], head["scope"]) == (1, ANNA)
    assert {item["text"] for item in items} == {"one", "two\nlines"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = (await run("export")).output
    assert [json.loads(line)["id"] for line in printed.splitlines()[1:]] == [
        item["id"] for item in items
    ]


def test_an_export_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    path = "/api/v1/os/memory/export?scope=os.assistant"
    with answering(tmp_path, {path: (200, '{"schema_version": 1}\n')}) as standin:
        standin.breaks_off = True
        config = ["--config", str(tmp_path / "config.toml")]
        arguments = ["memory", "export", "--scope", "os.assistant", "--to", str(file)]
        result = CliRunner().invoke(root, [*config, *arguments])
    assert result.exit_code == 69
    assert "does not answer" in result.output
    assert list(tmp_path.glob("memory.jsonl*")) == []


def test_memory_that_is_off_is_said_in_words(tmp_path: Path) -> None:
    words = "Memory is off: set enabled = true under [memory]."
    refused = {"error": {"code": "MEMORY_DISABLED", "message": words}}
    with answering(tmp_path, {"/api/v1/os/memory/scopes": (503, refused)}):
        config = ["--config", str(tmp_path / "config.toml")]
        result = CliRunner().invoke(root, [*config, "memory", "list"])
    assert result.exit_code == 69
    assert words in result.output


@pytest.mark.parametrize("name", ["scopes", "list", "search", "add", "correct", "forget", "export"])
def test_each_of_them_explains_itself_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(root, ["memory", name, "--help"]).output
    assert f"Example: opencraw memory {name}" in shown
    assert "--json" in shown
