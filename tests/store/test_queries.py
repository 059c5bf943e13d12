from __future__ import annotations

import ast
import importlib.resources
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from opencraw.contract import PEOPLE
from opencraw.store.queries import Queries, all_queries, load, parse

_LOAD = re.compile(r'^(\w+) = load\("([\w.]+)", "(\w+\.sql)"\)', re.MULTILINE)
_ORIGINS = re.compile(r"\borigin IN \(([^)]*)\)")
_IMPORT = re.compile(r"^from (opencraw[\w.]+) import (SQL)$", re.MULTILINE)

ROOT = Path(str(importlib.resources.files("opencraw")))


async def test_every_query_can_be_prepared_against_the_migrated_schema(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    refused = {}
    for query in all_queries():
        try:
            await connection.prepare(query.sql)
        except asyncpg.PostgresError as error:
            refused[f"{query.file}: {query.name}"] = str(error)
    await connection.close()
    assert refused == {}


def test_every_query_is_used_and_every_query_that_is_used_exists() -> None:
    there = {(query.file, query.name) for query in all_queries()}
    used = {use for module in ROOT.rglob("*.py") for use in _uses(module)}
    assert used == there


def _uses(module: Path) -> Iterator[tuple[str, str]]:
    """What a module takes from a file that it, or one that it imports from, has loaded."""
    source = module.read_text()
    files = _loaded(source)
    for origin, name in _IMPORT.findall(source):
        loader = ROOT.parent / f"{origin.replace('.', '/')}.py"
        files[name] = _loaded(loader.read_text())[name]
    for node in ast.walk(ast.parse(source)) if files else ():
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=query) if name in files:
                yield files[name], query
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(query))) if (
                name in files
            ):
                yield files[name], query


def _loaded(source: str) -> dict[str, str]:
    """The names under which a module has loaded files: `SQL = load("opencraw.queue", ...)`."""
    return {
        name: f"{package.replace('.', '/')}/{file}" for name, package, file in _LOAD.findall(source)
    }


def test_statements_that_ask_whether_a_person_spoke_name_all_that_are_people() -> None:
    named = [found for query in all_queries() for found in _ORIGINS.findall(query.sql)]
    assert named
    assert {tuple(sorted(re.findall(r"\w+", each))) for each in named} == {tuple(sorted(PEOPLE))}


def test_a_file_is_split_at_its_headers_and_keeps_its_comments() -> None:
    text = """
-- Lanes.

-- name: claim
-- Returns nothing if somebody was first.
SELECT 1;

-- name:release
SELECT 2
"""
    assert parse(text) == {
        "claim": "-- Returns nothing if somebody was first.\nSELECT 1;",
        "release": "SELECT 2",
    }


def test_sql_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="before the first"):
        parse("SELECT 1;\n-- name: claim\nSELECT 2;")


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse("-- name: claim\nSELECT 1;\n-- name: claim\nSELECT 2;")


def test_statements_are_found_by_name() -> None:
    queries = Queries("queue.sql", {"claim": "SELECT 1"})
    assert queries.claim == queries["claim"] == "SELECT 1"
    assert list(queries) == ["claim"]


def test_a_name_that_is_not_there_is_an_error_that_names_the_file() -> None:
    queries = Queries("queue.sql", {"claim": "SELECT 1"})
    with pytest.raises(KeyError, match=r"queue\.sql"):
        queries["release"]
    with pytest.raises(AttributeError, match=r"queue\.sql"):
        _ = queries.release


def test_a_file_is_loaded_from_beside_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "some.sql").write_text("-- name: answer\nSELECT 42")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("some_package", "some.sql").answer == "SELECT 42"
