"""`opencraw explain`, before a stand-in for the daemon that answers with real explanations."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from click.testing import CliRunner, Result

from opencraw.cli import root
from opencraw.explain.answer import as_json
from opencraw.explain.sentences import explain
from opencraw.explain.story import DeliveryState, Outcome, Story, TurnState
from tests.cli.daemons import answering
from tests.explain.stories import a_delivery, a_story, a_turn, ago, waiting
from tests.fixtures.daemon import Daemon

PATH = "/api/v1/os/messages"
DOCS = Path(__file__).parents[2] / "docs" / "explain.md"
STUCK = a_turn(TurnState.RUNNING)


def called(name: str, text: str, story: Story) -> Story:
    """The story of another message."""
    message = replace(story.message, id=UUID(f"{name}-0c1f-4f6a-8a55-1d2f6b0c9e11"), text=text)
    return replace(story, message=message)


EXAMPLE = called(
    "1b2c3d4e",
    "And book a table for four",
    a_story(
        Outcome.SUPERSEDED,
        superseded_by=UUID("5e0f9a77-0c1f-4f6a-8a55-1d2f6b0c9e11"),
        turn=a_turn(queue_dropped_messages=1),
        deliveries=(a_delivery(DeliveryState.DEAD, attempts=2, unknown=2),),
    ),
)
LIST = [
    called("c81d02f4", "Is it raining?", waiting(STUCK, accepted_at=ago(3))),
    called("77aa01be", "Look through all my photos, please", a_story(None, turn=STUCK)),
    called("5e0f9a77", "No, for five!", replace(EXAMPLE, message=a_story().message)),
    EXAMPLE,
    called("09d3b6c2", "Good morning", a_story()),
    called("f4410d5a", "Wrong chat, sorry", a_story(Outcome.WITHDRAWN)),
]


def answer(story: Story) -> Mapping[str, Any]:
    """What the daemon's route says of it."""
    body: Mapping[str, Any] = orjson.loads(orjson.dumps(as_json(story, explain(story))))
    return body


def opencraw(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["--config", str(folder / "config.toml"), *arguments])


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Terminals everywhere show the time of one place."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def explained(folder: Path, story: Story, *arguments: str) -> Result:
    with answering(folder, {f"{PATH}/1b2c3d4e": (200, answer(story))}):
        return opencraw(folder, "explain", "1b2c3d4e", *arguments)


def test_the_sentence_comes_first_and_then_what_to_do(tmp_path: Path) -> None:
    result = explained(tmp_path, waiting(STUCK, ahead=3))
    assert result.exit_code == 0
    sentence, what_to_do, empty, *rest = result.output.splitlines()
    assert sentence.startswith("Waits: 3 messages are ahead of it, and turn cccccccc has been")
    assert what_to_do.startswith("What to do: The turn hears it before its next tool call")
    assert empty == ""
    assert rest[0] == "12:00:00.000  accepted from Ada on telegram"


@pytest.mark.parametrize("story", LIST)
def test_every_explanation_fits_on_one_screen(tmp_path: Path, story: Story) -> None:
    result = explained(tmp_path, story)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) <= 23


def test_the_example_of_the_documentation_is_what_is_printed(tmp_path: Path) -> None:
    examples = re.findall(r"```console\n\$ (opencraw .*?)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    answers = {
        f"{PATH}/1b2c3d4e": (200, answer(EXAMPLE)),
        PATH: (200, {"messages": [answer(each) for each in LIST]}),
    }
    with answering(tmp_path, answers):
        printed = [
            (words, opencraw(tmp_path, *words.split()[1:]).output)
            for words in ("opencraw explain 1b2c3d4e", "opencraw explain")
        ]
    assert [(words, _without_padding(output)) for words, output in printed] == examples


def _without_padding(output: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines())


def test_without_an_id_the_last_messages_are_listed(tmp_path: Path) -> None:
    with answering(tmp_path, {PATH: (200, {"messages": [answer(each) for each in LIST]})}):
        result = opencraw(tmp_path, "explain")
    head, *rows = result.output.splitlines()
    assert head.split() == ["id", "age", "chat", "message", "what", "became", "of", "it"]
    assert len(rows) == len(LIST)
    assert [row.split()[0] for row in rows] == [str(each.message.id)[:8] for each in LIST]
    assert "taken back" in rows[-1]


def test_before_anybody_spoke_the_list_says_how_to_begin(tmp_path: Path) -> None:
    with answering(tmp_path, {PATH: (200, {"messages": []})}):
        assert "opencraw chat" in opencraw(tmp_path, "explain").output


def test_programs_get_all_of_it(tmp_path: Path) -> None:
    assert json.loads(explained(tmp_path, EXAMPLE, "--json").output) == answer(EXAMPLE)


def test_what_the_daemon_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    error = {"error": {"code": "NOT_FOUND", "message": "No message has this id. Look there."}}
    with answering(tmp_path, {f"{PATH}/1b2c3d4e": (404, error)}):
        result = opencraw(tmp_path, "explain", "1b2c3d4e")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "opencraw: No message has this id. Look there.\n"


def test_an_id_cannot_lead_to_another_address(tmp_path: Path) -> None:
    with answering(tmp_path, {}) as standin:
        opencraw(tmp_path, "explain", "../status?x=#")
    assert [asked[1] for asked in standin.asked] == [f"{PATH}/..%2Fstatus%3Fx%3D%23"]


@pytest.mark.parametrize("arguments", [[], ["1b2c3d4e"], ["--json"]])
def test_without_a_daemon_the_cause_and_the_next_step_are_told(
    tmp_path: Path, arguments: list[str]
) -> None:
    result = opencraw(tmp_path, "explain", *arguments)
    assert result.exit_code == 69
    assert "No daemon is running" in result.stderr
    assert "opencraw serve" in result.stderr


def in_terminal(folder: Path, *arguments: str) -> str:
    """What a terminal of 80 columns and 24 lines is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    config = ["--config", str(folder / "config.toml")]
    environ = {name: value for name, value in os.environ.items() if name not in _PLAIN}
    with subprocess.Popen(
        [sys.executable, "-m", "opencraw", *config, *arguments],
        stdout=theirs, stderr=theirs, env=environ | {"TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        # A terminal that everybody has left answers with an error, not with an end.
        with suppress(OSError):
            while piece := os.read(ours, 65_536):
                said += piece
        os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


#: What else might tell a program to speak plainly.
_PLAIN = {"NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"}


@pytest.mark.parametrize("story", LIST)
def test_in_a_terminal_it_is_dressed_and_still_one_screen(tmp_path: Path, story: Story) -> None:
    with answering(tmp_path, {f"{PATH}/1b2c3d4e": (200, answer(story))}):
        said = in_terminal(tmp_path, "explain", "1b2c3d4e")
    assert "\x1b[1m" in said
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24


def test_a_pipe_gets_no_colours(tmp_path: Path) -> None:
    assert "\x1b" not in explained(tmp_path, EXAMPLE).output


async def test_the_real_daemon_explains(daemon: Daemon) -> None:
    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "opencraw", "--config", str(daemon.config), *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    run("chat", "what is 6*7?")
    [row] = run("explain").splitlines()[1:]
    assert "webchat/main" in row
    assert "what is 6*7?" in row
    message = row.split()[0]
    assert run("explain", message).startswith("Answered by turn ")
    body = json.loads(run("explain", message, "--json"))
    assert body["turn"]["state"] == "done"
    assert body["message"]["outcome"] == "answered"
    by_turn = json.loads(run("explain", body["turn"]["id"], "--json"))
    assert by_turn["message_id"] == body["message_id"]
