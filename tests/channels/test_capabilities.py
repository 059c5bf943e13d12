"""The table of docs/channels.md says what the conformance suite sees each channel do."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.channels.conformance import InGroups, WithChanges, WithDrafts, WithReactions, WithTyping

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"
CASES = {
    "drafts": WithDrafts.test_a_draft_grows_at_the_platforms_pace_and_becomes_the_answer,
    "reactions": WithReactions.test_a_reaction_is_noted_for_the_answer_that_it_is_put_to,
    "edits": WithChanges.test_a_message_that_waits_says_what_it_says_after_an_edit,
    "typing": WithTyping.test_somebody_is_seen_typing_until_there_is_a_text,
    "groups": InGroups.test_in_a_group_only_those_who_are_known_are_heard_when_they_speak_to_us,
}
ROWS = {
    "telegram": "Telegram",
    "discord": "Discord",
    "gmail": "Gmail, any mailbox",
    "email": "Gmail, any mailbox",
    "linear": "Linear",
    "http": "http",
}


def rows() -> dict[str, dict[str, str]]:
    [table] = re.findall(r"^\| \| threads .*?\n\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    head, _, *lines = [[*map(str.strip, line.split("|")[1:-1])] for line in table.split("\n")[:-2]]
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


@pytest.mark.parametrize("channel", ROWS)
def test_what_the_table_says_of_a_channel_is_a_case_that_it_passes(channel: str) -> None:
    suite = importlib.import_module(f"tests.channels.{channel}.test_conformance")
    run = {
        case
        for each in vars(suite).values()
        if isinstance(each, type) and each.__module__ == suite.__name__
        for case in (getattr(each, name) for name in dir(each) if name.startswith("test_"))
    }
    said = rows()[ROWS[channel]]
    assert {name: said[name] != "–" for name in CASES} == {
        name: case in run for name, case in CASES.items()
    }
