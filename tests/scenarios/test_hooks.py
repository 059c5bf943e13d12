"""Hooks of a real daemon: a third party's package, and an operator's programs."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

from opencraw.hooks import Point
from tests.fixtures.daemon import Daemon
from tests.hooks.test_docs import told
from tests.scenarios.world import TOOLS, World, until

CHECK = """\
import json, sys
asked = json.load(sys.stdin)
if asked["facts"]["arguments"].get("line") == "harmful":
    json.dump({"deny": "not this line"}, sys.stdout)
"""
#: What compaction tells is tested where conversations are long.
HERE = set(Point) - {Point.BEFORE_COMPACTION, Point.AFTER_COMPACTION}


def settings(folder: Path) -> str:
    check = folder / "check.py"
    check.write_text(CHECK)
    program = [sys.executable, "-I", "-S", str(check)]
    return f"""{TOOLS}
[hooks]
allow = ["write_down", "no_secrets"]

[[hooks.commands]]
point = "before_tool_call"
command = {json.dumps(program)}

[[hooks.commands]]
point = "turn_ended"
command = ["false"]
"""


def seen(ledger: Path) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for line in ledger.read_text().splitlines() if ledger.exists() else ():
        call = json.loads(line)
        found[call["point"]].append(call["facts"])
    return found


async def ask(daemon: Daemon, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {daemon.token}"}
    async with aiohttp.request("GET", f"{daemon.url}{path}", headers=headers) as response:
        body: dict[str, Any] = await response.json()
        return body


async def test_hooks_look_on_say_no_and_fail_and_the_daemon_goes_on(
    world: World, tmp_path: Path
) -> None:
    ledger = tmp_path / "hooks"
    daemon = world.daemon(extra=settings(tmp_path), environ={"HOOKS_LEDGER": str(ledger)})
    await daemon.start()
    tab = await world.tab()

    answer = await tab.ask('[[tool append_line {"line": "harmless"}]] [[next]] [[say done]]')
    assert answer["content"] == "done"
    await tab.ask('[[tool append_line {"line": "harmful"}]] [[next]] [[say denied]]')
    assert world.effects() == {"append_line harmless": 1}

    # A word is starred wherever it goes out, and was never shown before that.
    answer = await tab.ask("[[say the word is hunter2]]")
    assert answer["content"] == "the word is *******"
    assert "hunter2" not in str(tab.frames).replace("[[say the word is hunter2]]", "")

    refused = tab.say("something forbidden")
    await tab.until(lambda: refused in tab.refused, "a refusal")
    assert "it has a forbidden word" in str(tab.frames)

    # The program that fails is visible, and costs nobody anything.
    await until(lambda: len(seen(ledger)["turn_ended"]) == 3)
    body = await ask(daemon, "/api/v1/os/status")
    hooks = {each["name"].partition(" ")[0]: each for each in body["hooks"]}
    assert list(hooks) == ["write_down", "no_secrets", "hooks.commands[0]", "hooks.commands[1]"]
    assert hooks["no_secrets"]["denied"] == 1
    assert hooks["hooks.commands[0]"]["denied"] == 1
    assert hooks["hooks.commands[1]"]["last_failure"] == "it ended with status 1"
    health = await ask(daemon, "/api/v1/os/health")
    assert health["status"] == "degraded"
    assert list(health["remarks"]) == ["hook hooks.commands[1] (false)"]

    assert await daemon.stop() == 0
    found = seen(ledger)
    assert set(found) == HERE
    for point in HERE:
        for facts in found[point]:
            assert set(facts) == told(point), point
    assert len(found["gateway_start"]) == len(found["gateway_stop"]) == 1
    assert [each["tool"] for each in found["after_tool_call"]] == ["append_line"]
