"""Discord's own description of its HTTP API, as JSON Schemas to hold what we send against.

The package is made from Discord's published OpenAPI specification every day; ours is one day's.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from tests.fakes.npm import node, package

SPECIFICATION = (
    "discord-api-spec",
    "10.0.266135",
    "sha512-i3VwDwUqN6xFQtXbxIUgdzGrXNef/AaSJLx2MyP5lKu4NKc2Pd3p2zW7eUurHeQUMoIh27DXt1ODUoCJLgsW7g==",
)
ZOD = (
    "zod",
    "4.6.7",
    "sha512-g8W2D2kU6a8untc053fX1uVBKzM7yqAxW/3zwk83+6RyF2+SKOuV+c0wBDhUwzV1PaGapmZH+rmcUzPf+3CGwg==",
)
_CONVERT = """
import * as z from "zod";
import * as specification from "discord-api-spec/zod";
const schemas = {};
for (const name of process.argv.slice(2))
  schemas[name] = z.toJSONSchema(specification[name], {unrepresentable: "any", io: "input"});
process.stdout.write(JSON.stringify(schemas));
"""

#: The requests that we make, by what is sent to where, and the answers that the fake makes up.
NAMES = (
    "ApplicationCommandUpdateRequestSchema",
    "CreateMessageInteractionCallbackRequestSchema",
    "CreatePrivateChannelRequestSchema",
    "GatewayBotResponseSchema",
    "IncomingWebhookUpdateRequestPartialSchema",
    "MessageCreateRequestSchema",
    "MessageEditRequestPartialSchema",
    "MessageResponseSchema",
    "PrivateChannelResponseSchema",
    "UserPIIResponseSchema",
)


@functools.cache
def schemas() -> Mapping[str, Draft202012Validator]:
    """Validators by the names of the specification."""
    packages = {name: package(name, *pin) for name, *pin in (SPECIFICATION, ZOD)}
    made = json.loads(node(_CONVERT, packages=packages, arguments=NAMES))
    return {
        name: Draft202012Validator(_corrected(schema, closed="Request" in name))
        for name, schema in made.items()
    }


def problems(name: str, body: object) -> list[str]:
    """What Discord would find wrong with `body`."""
    found = schemas()[f"{name}Schema"].iter_errors(body)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def _corrected(schema: Any, *, closed: bool) -> Any:
    """Without the patterns of times, which the conversion gets wrong. A `closed` one takes no
    fields that nobody knows: Discord lets them pass, but whoever sends one meant another."""
    if isinstance(schema, list):
        return [_corrected(each, closed=closed) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _corrected(value, closed=closed) for key, value in schema.items()}
    if made.get("format") == "date-time":
        made.pop("pattern", None)
    if closed and made.get("type") == "object" and "properties" in made:
        made["additionalProperties"] = False
    return made
