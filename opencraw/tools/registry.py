"""Tools: async functions with a risk.

A tool is offered only when the configuration allows it. Third parties register theirs through the
entry-point group `opencraw.tools`; an entry point names a `Tool`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, get_type_hints

import msgspec

from opencraw.errors import NotInstalled
from opencraw.model import ToolSpec
from opencraw.sessions.asker import Asker
from opencraw.tools.settings import ToolsSettings


class Risk(StrEnum):
    """What running a tool twice, or wrongly, can cost."""

    #: It changes nothing: after a crash it may simply run again.
    READ = "read"
    #: It changes something: it is never repeated on its own.
    EFFECT = "effect"


class ArgumentsInvalid(Exception):
    """The model's arguments do not fit the tool. The text is for the model."""


@dataclass(frozen=True)
class Tool:
    """One function that a model may call."""

    spec: ToolSpec
    risk: Risk
    _arguments: type[msgspec.Struct]
    _function: Callable[..., Awaitable[str]]
    #: The parameter that takes the `Asker`, if there is one. The model never sees it.
    _asker: str | None = None
    #: It brings in what others wrote: its results are fenced.
    outside: bool = False

    async def run(self, arguments: str, asker: Asker) -> str:
        """Call it for `asker` with the JSON text of its arguments. Raises `ArgumentsInvalid` before
        anything happens, and whatever the tool itself raises."""
        try:
            given = msgspec.json.decode(arguments or "{}", type=self._arguments)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ArgumentsInvalid(str(error)) from error
        whom = {self._asker: asker} if self._asker is not None else {}
        return await self._function(**msgspec.structs.asdict(given), **whom)


def tool(risk: Risk, *, outside: bool = False) -> Callable[[Callable[..., Awaitable[str]]], Tool]:
    """Make a tool of an async function: its name, its docstring and its signature are what the
    model sees. Parameters are plain types with annotations; unknown ones are refused. One that is
    annotated as `Asker` is told for whom the tool runs; no argument of the model's gets there.
    What a tool brings in from `outside`, a page or a mail, is shown to the model as data."""

    def decorate(function: Callable[..., Awaitable[str]]) -> Tool:
        hints = get_type_hints(function)
        fields: list[Any] = []
        parameters = dict(inspect.signature(function).parameters)
        asker = next((name for name in parameters if hints[name] is Asker), None)
        parameters.pop(asker or "", None)
        for name, parameter in parameters.items():
            required = parameter.default is inspect.Parameter.empty
            fields.append(
                (name, hints[name]) if required else (name, hints[name], parameter.default)
            )
        arguments = msgspec.defstruct(
            function.__name__, fields, kw_only=True, forbid_unknown_fields=True
        )
        schema = msgspec.json.schema(arguments)["$defs"][function.__name__]
        spec = ToolSpec(
            name=function.__name__,
            description=inspect.cleandoc(function.__doc__ or ""),
            parameters={
                "type": "object",
                "properties": schema["properties"],
                "required": schema["required"],
                "additionalProperties": False,
            },
        )
        return Tool(spec, risk, arguments, function, asker, outside)

    return decorate


class Toolbox:
    """The tools that this configuration offers."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self.specs = tuple(tool.spec for tool in self._tools.values())

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)


def open_toolbox(settings: ToolsSettings, more: Iterable[Tool] = ()) -> Toolbox:
    """The allowed tools, and `more` that another setting turned on. Raises `NotInstalled` for a
    name that nothing provides."""
    from opencraw.tools.builtin import BUILTIN
    from opencraw.tools.memory import NAMES

    on = {tool.spec.name: tool for tool in more}
    known = {tool.spec.name: tool for tool in BUILTIN} | on
    plugins = {point.name: point for point in entry_points(group="opencraw.tools")}
    for name in [*settings.allow, *settings.deny]:
        if name in NAMES and name in settings.deny:
            continue  # whether memory is on or not
        if name not in known and name not in plugins:
            raise NotInstalled(
                f"[tools] names {name!r}, but no installed tool has that name. Remove it, or"
                f" install what provides it. Known: {', '.join(sorted({*known, *plugins}))}."
            )
    allowed = dict.fromkeys([*settings.allow, *on])
    wanted = [name for name in allowed if name not in settings.deny]
    return Toolbox(known[name] if name in known else plugins[name].load() for name in wanted)
