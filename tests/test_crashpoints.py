from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from opencraw import crashpoints

PROGRAM = """
from opencraw import crashpoints
for number in range(3):
    crashpoints.reach("tool_done")
    crashpoints.reach("before_send")
    print(number, flush=True)
"""


def _run(order: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OPENCRAW_CRASHPOINT"}
    if order is not None:
        environment["OPENCRAW_CRASHPOINT"] = order
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_without_an_order_nothing_happens() -> None:
    assert _run(None).stdout.split() == ["0", "1", "2"]


def test_the_process_is_killed_where_it_was_asked_for() -> None:
    ended = _run("before_send")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == ""


def test_the_point_may_be_passed_before() -> None:
    ended = _run("before_send:3")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["0", "1"]


@pytest.mark.parametrize("order", ["no_such_point", "before_send:x", "before_send:0", ":1"])
def test_an_order_that_would_never_be_carried_out_is_refused(order: str) -> None:
    ended = _run(order)
    assert ended.returncode == 1
    assert "names no crash point" in ended.stderr


def test_reaching_a_point_needs_no_order() -> None:
    for name in crashpoints.NAMES:
        crashpoints.reach(name)
