from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from opencraw.errors import CannotStart
from opencraw.hooks import Denied, Go, Point
from opencraw.hooks.opening import open_hooks
from opencraw.hooks.settings import CommandSettings, HooksSettings
from tests.hooks.programs import program

PLUGIN = Path(__file__).parents[1] / "fixtures" / "hooks_plugin"
TOOL, SENDING = Point.BEFORE_TOOL_CALL, Point.MESSAGE_SENDING


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin as pip would have put it there."""
    monkeypatch.syspath_prepend(str(PLUGIN))


def names(settings: HooksSettings) -> list[object]:
    return [each["name"] for each in open_hooks(settings).status()]


def test_nothing_is_called_that_nobody_asked_for(installed: None) -> None:
    assert names(HooksSettings()) == []


async def test_installed_hooks_come_before_commands_in_the_order_of_the_file(
    installed: None, tmp_path: Path
) -> None:
    say = "import json, sys; print(json.dumps({'change': {'text': json.load(sys.stdin)['facts']"
    commands = [
        CommandSettings(
            point="message_sending", command=program(tmp_path, f"{say}['text'] + '{word}'}}}}))")
        )
        for word in (" one", " two")
    ]
    settings = HooksSettings(allow=["no_secrets"], commands=commands)
    assert [str(name).partition(" ")[0] for name in names(settings)] == [
        "no_secrets", "hooks.commands[0]", "hooks.commands[1]"
    ]  # fmt: skip
    hooks = open_hooks(settings)
    assert await hooks.ask(SENDING, {"text": "hunter2"}) == Go({"text": "******* one two"})
    denied = await hooks.ask(SENDING, {"text": "forbidden"})
    assert denied == Denied("it has a forbidden word")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_secrts", "Known: no_secrets"),
        ("not_a_hook", "no function under @opencraw.hooks.hook"),
        ("not_there", "cannot be loaded"),
    ],
)
def test_a_hook_that_is_not_there_is_found_at_the_start(
    installed: None, name: str, words: str
) -> None:
    with pytest.raises(CannotStart, match=words.partition(":")[0]) as refused:
        open_hooks(HooksSettings(allow=[name]))
    assert name in str(refused.value)


def test_a_program_that_is_not_there_is_found_at_the_start(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for command in ("no-such-program-anywhere", str(tmp_path / "missing"), str(plain)):
        given = CommandSettings(point="turn_ended", command=[command])
        with pytest.raises(CannotStart, match=r"hooks\.commands\[0\]: there is no program"):
            open_hooks(HooksSettings(commands=[given]))


async def test_a_program_is_found_by_its_name() -> None:
    given = CommandSettings(point="turn_ended", command=["true"])
    hooks = open_hooks(HooksSettings(commands=[given]))
    await hooks.tell(Point.TURN_ENDED, {})
    assert hooks.problems() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": []},
        {"command": [""]},
        {"command": ["./check"]},
        {"command": ["bin/check"]},
        {"command": ["check", "a\0b"]},
        {"command": "check"},
        {"point": "before_everything"},
        {"timeout_seconds": 0},
        {"timeout_seconds": 61},
        {"on_failure": "ignore"},
        {"point": "turn_ended", "on_failure": "deny"},
        {"shell": True},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    right = {"point": "before_tool_call", "command": ["check"]}
    CommandSettings.model_validate(right)
    with pytest.raises(ValidationError):
        CommandSettings.model_validate(right | wrong)
