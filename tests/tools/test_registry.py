from __future__ import annotations

import json

import pytest

from opencraw.errors import CannotStart
from opencraw.tools.builtin import BUILTIN
from opencraw.tools.registry import ArgumentsInvalid, Risk, Tool, Toolbox, open_toolbox, tool
from opencraw.tools.settings import ToolsSettings
from tests.fixtures.askers import SOMEBODY


@tool(risk=Risk.EFFECT)
async def remind(what: str, minutes: int, loud: bool = False, tags: list[str] | None = None) -> str:
    """Remind somebody.

    Later.
    """
    return f"{what} {minutes} {loud} {tags}"


def test_a_model_sees_the_name_the_docstring_and_the_signature() -> None:
    assert remind.spec.name == "remind"
    assert remind.spec.description == "Remind somebody.\n\nLater."
    parameters = remind.spec.parameters
    assert parameters["type"] == "object"
    assert parameters["required"] == ["what", "minutes"]
    assert parameters["additionalProperties"] is False
    properties = parameters["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["what", "minutes", "loud", "tags"]
    assert properties["minutes"] == {"type": "integer"}
    assert remind.risk is Risk.EFFECT


@pytest.mark.parametrize("each", BUILTIN, ids=lambda each: each.spec.name)
def test_every_tool_in_the_box_is_described_in_plain_json_schema(each: Tool) -> None:
    assert each.spec.description
    assert "$ref" not in json.dumps(each.spec.parameters)


async def test_arguments_reach_the_function() -> None:
    assert await remind.run('{"what": "tea", "minutes": 5}', SOMEBODY) == "tea 5 False None"
    given = '{"what": "tea", "minutes": 5, "loud": true, "tags": ["a"]}'
    assert await remind.run(given, SOMEBODY) == "tea 5 True ['a']"


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{}",
        "null",
        "[]",
        "{",
        '{"what": "tea"}',
        '{"what": "tea", "minutes": "5"}',
        '{"what": "tea", "minutes": 5.5}',
        '{"what": "tea", "minutes": true}',
        '{"what": null, "minutes": 5}',
        '{"what": "tea", "minutes": 5, "tags": [1]}',
        '{"what": "tea", "minutes": 5, "more": 1}',
        '{"what": "\\ud800", "minutes": 5}',
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_happens(
    arguments: str,
) -> None:
    with pytest.raises(ArgumentsInvalid):
        await remind.run(arguments, SOMEBODY)


def names(toolbox: Toolbox) -> list[str]:
    return [spec.name for spec in toolbox.specs]


def test_only_what_is_allowed_is_offered() -> None:
    assert names(open_toolbox(ToolsSettings())) == ["current_time", "calculate"]
    assert names(open_toolbox(ToolsSettings(allow=["calculate"]))) == ["calculate"]
    assert names(open_toolbox(ToolsSettings(deny=["calculate"]))) == ["current_time"]
    nothing = open_toolbox(ToolsSettings(allow=[]))
    assert names(nothing) == []
    assert nothing.get("calculate") is None


def test_a_name_that_nothing_provides_is_found_at_the_start() -> None:
    with pytest.raises(CannotStart, match="'calculte'") as refused:
        open_toolbox(ToolsSettings(allow=["calculte"]))
    assert "Known: calculate, current_time" in str(refused.value)
    with pytest.raises(CannotStart, match="'shel'"):
        open_toolbox(ToolsSettings(deny=["shel"]))
