"""Reads JSON from people we do not trust: bounded, parsed once, ambiguous texts refused."""

from __future__ import annotations

import json
import math
import re
from typing import TypeVar

import msgspec
from aiohttp import web

from opencraw.control.errors import BadField
from opencraw.errors import Refused

LARGEST_BODY = 1024 * 1024
_DEEPEST = 64
_LARGEST_INTEGER = 2**63
_LONE = re.compile("[\ud800-\udfff]")
_FIELD = re.compile(r"`\$\.?([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")

_T = TypeVar("_T")


async def read(request: web.Request, shape: type[_T]) -> _T:
    """Return the body as a `shape`. Raises `Refused`; the library answers 413 for a large body."""
    tree = parse(await request.read())
    try:
        return msgspec.convert(tree, shape, strict=True)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error)) from None


def parse(body: bytes) -> object:
    """Return what a JSON text says, when it says it in one way only. Raises `Refused`.

    Duplicate keys, NaN, numbers beyond 64 bits, deep nesting and texts that the database could not
    keep are refused: what two readers understand differently is how checks are got around.
    """
    try:
        tree = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except (ValueError, RecursionError) as error:
        # The parser's own words quote the body or name our limits.
        raise Refused("The body is not JSON as we take it; correct it.") from error
    _refuse_hostile(tree)
    return tree


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise Refused("The body has the same key twice in one object; send it once.")
    return result


def _constant(name: str) -> object:
    raise Refused(f"{name} is not JSON; leave the field out or send a number.")


def _integer(digits: str) -> int:
    # Thousands of digits, which are slow to convert, Python refuses by itself.
    value = int(digits)
    if not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        raise Refused("The body has a number beyond 64 bits; send a smaller one.")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Refused("The body has a number beyond 64 bits; send a smaller one.")
    return value


def _refuse_hostile(tree: object) -> None:
    open_nodes = [(tree, 1)]
    while open_nodes:
        node, depth = open_nodes.pop()
        if depth > _DEEPEST:
            raise Refused(f"The body is nested deeper than {_DEEPEST} levels; flatten it.")
        match node:
            case str():
                _refuse_unstorable(node)
            case dict():
                open_nodes.extend((key, depth) for key in node)
                open_nodes.extend((value, depth + 1) for value in node.values())
            case list():
                open_nodes.extend((value, depth + 1) for value in node)


def _refuse_unstorable(text: str) -> None:
    # Half of a surrogate pair is what UTF-8 cannot say.
    if "\0" in text or (not text.isascii() and _LONE.search(text)):
        raise Refused("The body has a NUL or half a character in a text; take it out.")


def _field_problem(text: str) -> BadField:
    if missing := _MISSING.search(text):
        return BadField(
            f"The field {missing[1]} is missing; add it.", code="MISSING_FIELD", field=missing[1]
        )
    named = _UNKNOWN.search(text) or _FIELD.search(text)
    name = named[1] if named else ""
    # The library's words name types and fields, never values.
    return BadField(f"{text}; correct it.", code="INVALID_FIELD", field=name)
