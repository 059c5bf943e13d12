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
SCOPES = "/api/v1/os/memory/scopes"
ONE_SCOPE = {"scopes": [{"scope": "os.assistant", "kind": "agent"}]}
ITEM = "0b0c0d0e-0000-4000-8000-00000000000"


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


async def test_a_single_person_is_meant_unless_somebody_else_is_named(
    memory: Memory, run: Run
) -> None:
    await remember(memory, ANNA, "Anna likes rice")
    await run("add", "The office moves", "--everybody")
    assert "Anna likes rice" in (await run("list")).output
    assert "Anna likes rice" in (await run("search", "rice")).output
    await run("add", "Anna is 42")
    assert await known(memory, ANNA) == {"Anna likes rice", "Anna is 42"}


async def test_where_nothing_is_known_that_is_said_and_is_no_mistake(run: Run) -> None:
    for arguments in (("scopes",), ("list",), ("search", "tea"), ("list", "--scope", ANNA)):
        assert "begins anew" in (await run(*arguments)).output
    assert json.loads((await run("list", "--json")).output) == {"items": [], "next": None}
    assert "0 memories" in (await run("forget", "--all", "--yes")).output
    assert "--scope" in (await run("add", "Anna is 42", fails=True)).output
    assert "Nothing was exported" in (await run("export", fails=True)).output


async def test_a_scope_that_holds_nothing_is_not_taken_for_an_empty_one(
    memory: Memory, run: Run, tmp_path: Path
) -> None:
    await remember(memory, ANNA, "one")
    file = tmp_path / "memory.jsonl"
    for command in (("list",), ("search", "one"), ("export", "--to", str(file))):
        failed = await run(*command, "--scope", BEN, fails=True)
        assert f"Nothing is remembered in {BEN}" in failed.output
        assert "opencraw memory scopes" in failed.output
    assert not file.exists()


async def test_the_beginning_of_an_id_is_enough_in_whatever_scope(memory: Memory, run: Run) -> None:
    [hers] = await remember(memory, ANNA, "Anna is 41")
    [his] = await remember(memory, BEN, "Ben is 41")
    [ours] = await remember(memory, AGENT_SCOPE, "The office moves")
    await run("correct", str(hers.id)[:13], "Anna is 42")
    await run("forget", his.id.hex[:8], str(ours.id))
    assert await known(memory, ANNA) == {"Anna is 42"}
    assert await known(memory, BEN) == await known(memory, AGENT_SCOPE) == set()


async def test_an_id_that_means_nothing_or_too_much_changes_nothing(
    memory: Memory, run: Run
) -> None:
    [one] = await remember(memory, ANNA, "one")
    for name, words in (("zebra", "is not the id of a memory"), ("00000000", "no such memory")):
        failed = await run("forget", one.id.hex, name, fails=True)
        assert words in failed.output
        assert "Nothing was changed" in failed.output
        assert "opencraw memory list" in failed.output
    assert await known(memory, ANNA) == {"one"}


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
    await remember(memory, ANNA, "four")
    nobody = await run("forget", "--all", fails=True)
    assert "--yes" in nobody.output
    assert await known(memory, ANNA) == {"four"}
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


@pytest.mark.parametrize("place", ["nope/m.jsonl", "file/m.jsonl"])
def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    path = "/api/v1/os/memory/export?scope=os.assistant"
    answers = {SCOPES: (200, ONE_SCOPE), path: (200, '{"schema_version": 1}\n')}
    with answering(tmp_path, answers):
        config = ["--config", str(tmp_path / "config.toml")]
        arguments = ["memory", "export", "--scope", "os.assistant", "--to", str(tmp_path / place)]
        result = CliRunner().invoke(root, [*config, *arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    for words in ("cannot be written", "Nothing was exported", "Name another file with --to"):
        assert words in result.stderr


def test_an_export_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    path = "/api/v1/os/memory/export?scope=os.assistant"
    answers = {SCOPES: (200, ONE_SCOPE), path: (200, '{"schema_version": 1}\n')}
    with answering(tmp_path, answers) as standin:
        standin.breaks_off = True
        config = ["--config", str(tmp_path / "config.toml")]
        arguments = ["memory", "export", "--scope", "os.assistant", "--to", str(file)]
        result = CliRunner().invoke(root, [*config, *arguments])
    assert result.exit_code == 69
    assert "does not answer" in result.output
    assert list(tmp_path.glob("memory.jsonl*")) == []


def test_two_memories_that_begin_alike_are_both_left(tmp_path: Path) -> None:
    items = [{"id": f"{ITEM}{end}", "scope": "os.assistant"} for end in "12"]
    asked = "/api/v1/os/memory/items?scope=os.assistant&id=0b0c0d0e"
    answers = {SCOPES: (200, ONE_SCOPE), asked: (200, {"items": items})}
    with answering(tmp_path, answers) as daemon:
        config = ["--config", str(tmp_path / "config.toml")]
        result = CliRunner().invoke(root, [*config, "memory", "forget", "0b0c0d0e"])
    assert result.exit_code == 1
    assert "Write more of the id" in result.stderr
    assert "DELETE" not in {each[0] for each in daemon.asked}


def test_a_daemon_that_answers_with_other_memories_has_none_of_them_forgotten(
    tmp_path: Path,
) -> None:
    asked = "/api/v1/os/memory/items?scope=os.assistant&id=77777777"
    items = {"items": [{"id": f"{ITEM}1", "scope": "os.assistant"}]}
    with answering(tmp_path, {SCOPES: (200, ONE_SCOPE), asked: (200, items)}) as daemon:
        config = ["--config", str(tmp_path / "config.toml")]
        result = CliRunner().invoke(root, [*config, "memory", "forget", "77777777"])
    assert "no such memory" in result.stderr
    assert "DELETE" not in {each[0] for each in daemon.asked}


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
