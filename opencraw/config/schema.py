"""Every setting there is, read off the sections: its key, its variable, its type, its help."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from opencraw.config.model import Configuration
from opencraw.contract import ChannelKind
from opencraw.settings import FromEnvironment, Section

#: A key as its parts. Numbers are places in a list; `ANY` is a name that the operator chooses.
Key = tuple[str | int, ...]
ANY = "*"

PREFIX = "OPENCRAW_"


@dataclass(frozen=True)
class Setting:
    """One key that an operator may set."""

    key: tuple[str, ...]
    field: FieldInfo

    @property
    def dotted(self) -> str:
        return dotted(self.key)

    @property
    def variable(self) -> str:
        """The name that works for every setting: sections and keys joined by two underscores."""
        return PREFIX + "__".join(self.key).upper().replace("-", "_")

    @property
    def borrowed(self) -> str | None:
        """The variable, outside our prefix, that may hold the value as well."""
        markers = (mark for mark in self.field.metadata if isinstance(mark, FromEnvironment))
        return next((mark.variable for mark in markers), None)

    @property
    def enables(self) -> bool:
        """Whether giving it says that its channel is to run."""
        markers = (mark for mark in self.field.metadata if isinstance(mark, FromEnvironment))
        return any(mark.enables for mark in markers)

    @property
    def secret(self) -> bool:
        return is_secret(self.field.annotation)


def sections(kinds: Mapping[str, ChannelKind]) -> dict[tuple[str, ...], type[Section]]:
    """The class of every section, by its key."""
    found: dict[tuple[str, ...], type[Section]] = {}
    for name, field in Configuration.model_fields.items():
        section = as_section(field.annotation)
        if section is not None:
            found[(name,)] = section
    for name, kind in kinds.items():
        found["channels", name] = kind.settings
    return found


def settings(roots: Mapping[tuple[str, ...], type[Section]]) -> list[Setting]:
    """Every setting of these sections, in the order in which they are written."""
    return [setting for key, section in roots.items() for setting in _walk(key, section)]


def _walk(key: tuple[str, ...], section: type[Section]) -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        inner = as_section(field.annotation)
        entry = as_section(inside(field.annotation, ""))
        if inner is not None:
            yield from _walk((*key, name), inner)
        elif entry is not None and get_origin(bare(field.annotation)) is dict:
            yield from _walk((*key, name, ANY), entry)
        else:
            yield Setting((*key, name), field)


def bare(annotation: Any) -> Any:
    """A type without `| None` and without annotations."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        rest = [option for option in get_args(annotation) if option is not type(None)]
        if len(rest) == 1:
            return bare(rest[0])
    return annotation


def as_section(annotation: Any) -> type[Section] | None:
    kind = bare(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def inside(annotation: Any, part: str | int) -> Any:
    """The type of what lies at `part` of a value of this type; None when nothing can lie there."""
    kind = bare(annotation)
    if section := as_section(kind):
        field = section.model_fields.get(str(part))
        return field.annotation if field is not None else None
    arguments = get_args(kind)
    if get_origin(kind) is dict and isinstance(part, str):
        return arguments[1]
    if get_origin(kind) in {list, tuple} and arguments:
        return arguments[0]
    return None


def is_secret(annotation: Any) -> bool:
    """A value of this type is a secret or has one somewhere inside."""
    kind = bare(annotation)
    if kind in {SecretStr, SecretBytes}:
        return True
    if section := as_section(kind):
        return any(is_secret(field.annotation) for field in section.model_fields.values())
    return any(is_secret(argument) for argument in get_args(kind) if argument is not Ellipsis)


def dotted(key: Key) -> str:
    """A key as people write it: `security.control_api_keys[0].token`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")
