"""What hooks are told of a turn's tool calls, and what they say to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from opencraw.hooks import Denied, Hooks, Point
from opencraw.model import ToolCall, ToolMessage
from opencraw.sessions.asker import Asker
from opencraw.tools.registry import Tool

_arguments = msgspec.json.Decoder(dict[str, Any])


class Checks:
    """The hooks around tool calls. Where nobody listens, they cost nothing."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def before(self, tool: Tool, call: ToolCall, asker: Asker) -> ToolCall | Denied:
        """The call as it may be made: with other arguments, perhaps. What the tool is given is what
        the hooks saw, and not the same text read a second time."""
        if not self._hooks.at(Point.BEFORE_TOOL_CALL):
            return call
        try:
            arguments = _arguments.decode(call.arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            return call  # the tool refuses it with words for the model, before anything happens
        facts = {**_facts(call, asker), "risk": tool.risk, "arguments": arguments}
        verdict = await self._hooks.ask(Point.BEFORE_TOOL_CALL, facts)
        if isinstance(verdict, Denied):
            return verdict
        allowed = verdict.changes.get("arguments", arguments)
        return ToolCall(call.id, call.name, msgspec.json.encode(allowed).decode())

    async def after(
        self, call: ToolCall, result: ToolMessage, asker: Asker, seconds: float
    ) -> None:
        """The call has its result, which is on record."""
        if self._hooks.at(Point.AFTER_TOOL_CALL):
            facts = {
                **_facts(call, asker),
                "failed": result.failed,
                "seconds": round(seconds, 3),
                "size": len(result.text),
                "text": result.text,
            }
            await self._hooks.tell(Point.AFTER_TOOL_CALL, facts)


def _facts(call: ToolCall, asker: Asker) -> Mapping[str, object]:
    return {**asker.facts, "call_id": call.id, "tool": call.name}
