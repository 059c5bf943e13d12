from __future__ import annotations

import re
from pathlib import Path

from opencraw.explain.sentences import explain
from tests.explain.stories import a_story
from tests.explain.test_sentences import DELIVERIES, IN_WORK, OUTCOMES, WAITING

DOCS = Path(__file__).parents[2] / "docs" / "explain.md"


def test_the_documentation_has_a_row_for_whatever_may_have_become_of_a_message() -> None:
    rows = set()
    for cell in re.findall(r"^\| (.+?) \| .+ \|$", DOCS.read_text(), re.MULTILINE):
        rows |= set(cell.removeprefix("…, ").split(", "))
    stories = [story for story, _ in [*WAITING, *OUTCOMES]]
    stories += [a_story(None, turn=turn) for turn, _ in IN_WORK]
    stories += [a_story(deliveries=(delivery,)) for delivery, _ in DELIVERIES]
    briefs = {part for story in stories for part in explain(story).brief.split(", ")}
    assert briefs <= rows
