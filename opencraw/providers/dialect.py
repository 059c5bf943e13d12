"""What sets one wire format apart from another, and what they share."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sized
from typing import Any, Protocol

import msgspec

from opencraw.model import ModelEvent, Picture, Prompt, ToolCall
from opencraw.providers.failures import Table, broken

Body = dict[str, Any]

#: Vendors' own limits are far below these.
LONGEST_ID = 512
LONGEST_NAME = 256
MOST_CALLS = 128

_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Reader(Protocol):
    """Turns the payloads of one answer into events. Does no input or output.

    Both methods raise `ModelFailure`. Nothing is read after the `ModelReply`.
    """

    def read(self, payloads: list[bytes]) -> list[ModelEvent]:
        """The events that these payloads mean; the last of them all is the `ModelReply`."""
        ...

    def end(self) -> list[ModelEvent]:
        """The stream ended, properly and by itself, before a `ModelReply` came."""
        ...


class Dialect(Protocol):
    """One vendor's wire format, without input or output."""

    url: str
    table: Table

    def headers(self, key: str | None) -> Mapping[str, str]:
        """How the key is shown."""
        ...

    def translate(self, prompt: Prompt) -> Body:
        """The request that asks for a prompt's answer, as a stream."""
        ...

    def reader(self) -> Reader:
        """A reader for one answer."""
        ...


def base64_of(picture: Picture) -> str:
    """A picture as requests carry it."""
    return base64.b64encode(picture.data).decode("ascii")


def data_url(picture: Picture) -> str:
    """A picture as an address that holds it."""
    return f"data:{picture.content_type};base64,{base64_of(picture)}"


def clean(text: str) -> str:
    """Text without NUL, which no database and no terminal takes."""
    return text.replace("\x00", "") if "\x00" in text else text


def cache_key(prompt: Prompt) -> str:
    """Names the conversation to a vendor that sends requests of one name to the machine that has
    their beginning in its cache. It says nothing about anybody."""
    first = prompt.messages[0].text if prompt.messages else ""
    return hashlib.sha256(f"{prompt.system}\0{first}".encode("utf-8", "replace")).hexdigest()[:32]


def tool_call(label: str, call_id: str | None, name: str | None, arguments: str) -> ToolCall:
    """A finished tool call. Raises unless it can be carried out: an id, a name and an object.

    A model that has nothing to say about a tool's arguments may leave them out.
    """
    if not call_id or not name:
        raise broken(label, "a tool call has no id or no name")
    if len(call_id) > LONGEST_ID or len(name) > LONGEST_NAME:
        raise broken(label, "a tool call's id or name is absurdly long")
    text = arguments.strip() or "{}"
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise broken(label, f"the arguments of tool {name} are not JSON") from error
    if not isinstance(found, dict):
        raise broken(label, f"the arguments of tool {name} are not an object")
    if "\\u0000" in text:
        text = _NUL_ESCAPE.sub(r"\1", text)
    return ToolCall(call_id, name, text)


def bounded(label: str, calls: Sized) -> None:
    """Refuse more calls than anybody means, as soon as there are more."""
    if len(calls) > MOST_CALLS:
        raise broken(label, f"it asked for more than {MOST_CALLS} tool calls at once")


def distinct(label: str, calls: list[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls, unless two share an id, so that a result could not be matched to its call."""
    bounded(label, calls)
    if len({call.id for call in calls}) < len(calls):
        raise broken(label, "two tool calls have the same id")
    return tuple(calls)


def as_object(arguments: str) -> dict[str, Any]:
    """The arguments of a call in the history, which another vendor may have written."""
    try:
        found = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
