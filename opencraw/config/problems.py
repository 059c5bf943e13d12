"""What pydantic refuses, in words for the person who edits the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from opencraw.config.environment import choices
from opencraw.config.schema import Key, Setting, as_section, dotted, inside, is_secret
from opencraw.config.source import Source
from opencraw.errors import ConfigProblem
from opencraw.settings import Section

#: What TOML calls the types, by the start of pydantic's error type.
EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text in quotes",
    "list": "a list in brackets",
    "tuple": "a list in brackets",
    "dict": "a table",
    "model": "a table",
}

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


def translate(
    error: ValidationError,
    root: tuple[str, ...],
    section: type[Section],
    source: Source,
    known: Sequence[Setting],
) -> list[ConfigProblem]:
    """Every error of one section, each where the operator can mend it."""
    found = []
    for details in error.errors(include_url=False):
        location = details["loc"]
        place = Place(root, section, location)
        found.append(
            ConfigProblem(source.where(place.key), place.name, *_words(details, place, known))
        )
    return found


class Place:
    """Where in a section an error is, and what may stand there."""

    def __init__(self, root: tuple[str, ...], section: type[Section], location: Key) -> None:
        self.parent: Any = section
        self.kind: Any = section
        self.field: FieldInfo | None = None
        way: list[str | int] = []
        for part in location:
            self.parent, self.kind = self.kind, inside(self.kind, part)
            if parent := as_section(self.parent):
                self.field = parent.model_fields.get(str(part))
            if self.kind is None:
                # An unknown key is named; what else pydantic adds is about its own types.
                way += [part] if as_section(self.parent) else []
                break
            way.append(part)
        self.secret = is_secret(self.parent if self.kind is None else self.kind)
        self.key: Key = (*root, *way)
        self.name = dotted(self.key)
        tail = 2 if isinstance(self.key[-1], int) else 1  # `scopes[1]` says more than `1`
        self.last = dotted(self.key[-tail:])


def unknown(key: Key, near: Iterable[str], known: Sequence[Setting]) -> tuple[str, str]:
    """Problem and fix of a key that nobody reads."""
    last = str(key[-1])
    if guess := get_close_matches(last, list(near), n=1, cutoff=0.6):
        return "unknown key", f"did you mean {dotted((*key[:-1], guess[0]))}?"
    elsewhere = [
        setting.dotted
        for setting in known
        # What another channel has is nothing that this one could want.
        if setting.key[-1] == last and not (key[0] == setting.key[0] == "channels")
    ]
    if elsewhere:
        return "unknown key", f"did you mean {' or '.join(elsewhere[:3])}?"
    return "unknown key", "remove it; config.example.toml shows every key"


def _words(details: ErrorDetails, place: Place, known: Sequence[Setting]) -> tuple[str, str]:
    kind = details["type"]
    parent = as_section(place.parent)
    if kind == "extra_forbidden":
        return unknown(place.key, parent.model_fields if parent else (), known)
    if kind == "missing" and as_section(inside(place.kind, "")):
        return "is missing", f"add [{place.name}.<a name>]"
    if kind == "missing":
        return "is missing", f"add {place.last} = … to [{dotted(place.key[:-1])}]"
    value = details["input"]
    if kind == "literal_error":
        return _word(place, value)
    found = "" if place.secret else f"; found {shown(value)}"
    if expected := _expected(kind):
        fix = f"write {place.last} as {expected}{_default(place)}"
        return f"must be {expected}{found}", fix
    if kind == "string_pattern_mismatch" and place.field is not None and not place.secret:
        return f"is not written as it has to be{found}", f"write it as in {_example(place.field)}"
    rule = _rule(details)
    if kind in {"value_error", "assertion_error"}:  # the section's own words
        return rule, f"change {place.name}" if place.field else f"mend [{place.name}]"
    return f"{rule}{found}", f"change {place.last}{_default(place)}"


def _word(place: Place, value: object) -> tuple[str, str]:
    allowed = choices(place.kind)
    listed = ", ".join(allowed)
    near = get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
    guess = f'did you mean "{near[0]}"?' if near else f"use one of: {listed}"
    found = "" if place.secret else f"; found {shown(value)}"
    return f"must be one of {listed}{found}", guess


def _expected(kind: str) -> str | None:
    stem, _, rest = kind.partition("_")
    return (
        EXPECTED.get(stem) if rest in {"type", "parsing", "from_float", "attributes_type"} else None
    )


def _rule(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text.replace("Input should be", "must be").replace("Input should", "must")


def _example(field: FieldInfo) -> str:
    """Patterns are for machines: the first quoted value of the help shows what is meant."""
    quoted = re.search(r'"[^"]+"', field.description or "")
    return quoted[0] if quoted else f'"{field.default}"'


def _default(place: Place) -> str:
    field = place.field
    if field is None or place.secret or not isinstance(field.default, (str, int, float)):
        return ""
    return f" (the default is {shown(field.default)})"


def shown(value: object) -> str:
    """A value as TOML would write it, without the password of a URL; of a table only its kind."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = _PASSWORD.sub("…@", value)
        return f'the text "{text[:60]}…"' if len(text) > 60 else f'the text "{text}"'
    if isinstance(value, (int, float)):
        return str(value)
    return (
        "a table" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "it"
    )
