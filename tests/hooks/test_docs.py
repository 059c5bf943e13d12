from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli

from opencraw.hooks import Denied, Hooks, Point
from opencraw.hooks.hook import Hook
from opencraw.hooks.opening import open_hooks
from opencraw.hooks.settings import HooksSettings
from opencraw.tools.builtin import BUILTIN

DOCS = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("facts", "denied"),
    [
        ({"tool": "calculate", "arguments": {"expression": "2**10"}}, True),
        ({"tool": "calculate", "arguments": {"expression": "6*7"}}, False),
        ({"tool": "another", "arguments": {"expression": "2**10"}}, False),
        ({"tool": "current_time", "arguments": {}}, False),
    ],
    ids=str,
)
async def test_the_program_and_its_settings_work_as_written(
    tmp_path: Path, facts: dict[str, object], denied: bool
) -> None:
    check = tmp_path / "check"
    check.write_text(blocks("python")[0])
    check.chmod(0o755)
    given = tomli.loads(blocks("toml")[0].replace("/usr/local/bin/check", str(check)))
    # As the daemon reads it: 5 is a number of seconds, too.
    [command] = given["hooks"]["commands"]
    assert (command["timeout_seconds"], command["on_failure"]) == (5, "deny")
    hooks = open_hooks(HooksSettings.model_validate(given["hooks"]))
    verdict = await hooks.ask(Point.BEFORE_TOOL_CALL, facts)
    assert isinstance(verdict, Denied) == denied
    assert hooks.problems() == {}
    if isinstance(verdict, Denied):
        assert "so not 2**10" in verdict.reason


async def test_the_python_hook_works_as_written() -> None:
    module: dict[str, object] = {}
    exec(blocks("python")[1], module)
    hook = module["no_sums"]
    assert isinstance(hook, Hook)
    hooks = Hooks({"no_sums": hook})
    verdict = await hooks.ask(Point.BEFORE_TOOL_CALL, {"tool": "calculate", "arguments": {}})
    assert verdict == Denied("nothing is worked out today")
    assert "calculate" in {tool.spec.name for tool in BUILTIN}


def rows(heading: str) -> dict[str, set[str]]:
    """The tables below a heading: what each point's row has in backticks."""
    below = DOCS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for line in below.splitlines():
        cells = line.strip("|").split("|")
        if line.startswith("|"):
            for name in re.findall(r"`(\w+)`", cells[0]) or [cells[0].strip()]:
                found[name] = set(re.findall(r"`(\w+)`", cells[1]))
    return found


def test_every_point_has_its_rows() -> None:
    assert set(Point) <= set(rows("The points"))
    assert set(Point) <= set(rows("What hooks are told"))


def told(point: Point) -> set[str]:
    """The facts of a point, as documented."""
    facts = rows("What hooks are told")
    of_turns = {"turn_started", "turn_ended", "before_tool_call", "after_tool_call",
                "before_compaction", "after_compaction"}  # fmt: skip
    turn = next(names for row, names in facts.items() if row.startswith("all points of a turn"))
    return facts[point] | (turn if point in of_turns else set())
