"""Linear's production schema, rebuilt from what its official SDK says of it.

The package has no schema in GraphQL's own language, but the types that were generated from it. They
name every type, field, argument and enum; lost are defaults of arguments, directives and
descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from graphql import GraphQLSchema, build_schema

from tests.fakes.npm import package

_VERSION = "98.0.0"
_INTEGRITY = (
    "sha512-"
    "DRakJJiGe4QE2tc49+XQVE0lyeR9CUHJTpCPsx5291LsmDaMvhP8+beCgXQQ7jET+OshHEm2BYtMx6EUt9ZR8Q=="
)
_BUILT_IN = {"ID", "String", "Boolean", "Int", "Float"}
_ROOTS = ("Query", "Mutation", "Subscription")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FIELD = re.compile(r"^  (\w+)(\?)?: (.+);$", re.MULTILINE)
_OBJECT = re.compile(r"^type (\w+) = (?:Node & |\w+ & )*\{\n(.*?)^\};$", re.MULTILINE | re.DOTALL)
_UNION = re.compile(r"^type (\w+) = (\w+(?: \| \w+)*);$", re.MULTILINE)
_ENUM = re.compile(r"^declare enum (\w+) \{\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_WRAPPED = re.compile(r"(Maybe|InputMaybe|Array)<(.+)>")
_SCALAR = re.compile(r'Scalars\["(\w+)"\]')

Fields = Mapping[str, str]


@dataclass(frozen=True)
class _Source:
    objects: Mapping[str, Fields]
    unions: Mapping[str, tuple[str, ...]]
    enums: Mapping[str, tuple[str, ...]]
    scalars: tuple[str, ...]


@cache
def schema() -> GraphQLSchema:
    """What a request to Linear is checked against."""
    return build_schema(sdl())


@cache
def sdl() -> str:
    """The schema in GraphQL's own language."""
    source = _read()
    inputs = set(_inputs(source))
    lines = [f"scalar {name}" for name in source.scalars if name not in _BUILT_IN]
    lines += [f"enum {name} {{ {' '.join(values)} }}" for name, values in source.enums.items()]
    lines += [f"union {name} = {' | '.join(names)}" for name, names in source.unions.items()]
    for name, fields in source.objects.items():
        if name in inputs:
            lines.append(f"input {name} {{\n{_written(fields)}\n}}")
        elif "__typename" in fields or name in _ROOTS:
            arguments = {
                field: source.objects.get(f"{name}{field[0].upper()}{field[1:]}Args", {})
                for field in fields
            }
            lines.append(f"type {name} {{\n{_written(fields, arguments)}\n}}")
        elif not name.endswith("Args"):
            lines.append(f"interface {name} {{\n{_written(fields)}\n}}")
    return "\n\n".join(lines)


def _read() -> _Source:
    folder = package("@linear/sdk", _VERSION, _INTEGRITY) / "dist"
    (file,) = folder.glob("index-*.d.mts")
    text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
    text = re.sub(r"\n\s*\n", "\n", text)
    # Behind the schema come the SDK's own questions to it.
    text = text[: text.index("Fragment = ")]
    objects = {
        name: {field: kind if not optional else _nullable(kind)
               for field, optional, kind in _FIELD.findall(body)}
        for name, body in _OBJECT.findall(text)
    }  # fmt: skip
    scalars = tuple(objects.pop("Scalars"))
    objects.pop("Exact", None)
    unions = {
        name: tuple(names.split(" | "))
        for name, names in _UNION.findall(text)
        if all(each in objects for each in names.split(" | "))
    }
    enums = {name: tuple(re.findall(r'= "(\w+)"', body)) for name, body in _ENUM.findall(text)}
    return _Source(objects, unions, enums, scalars)


def _nullable(kind: str) -> str:
    return kind if kind.startswith(("Maybe<", "InputMaybe<")) else f"Maybe<{kind}>"


def _inputs(source: _Source) -> Iterator[str]:
    """Every type that can be reached from an argument."""
    seen: set[str] = set()
    waiting = [
        kind
        for name, fields in source.objects.items()
        # Some types of the schema are called so, too.
        if name.endswith("Args") and "__typename" not in fields
        for kind in fields.values()
    ]
    while waiting:
        name = _bare(waiting.pop())
        if name not in seen and name in source.objects:
            seen.add(name)
            waiting += source.objects[name].values()
            yield name


def _bare(kind: str) -> str:
    while wrapped := _WRAPPED.fullmatch(kind):
        kind = wrapped[2]
    scalar = _SCALAR.fullmatch(kind)
    return scalar[1] if scalar else kind


def _graphql(kind: str) -> str:
    wrapped = _WRAPPED.fullmatch(kind)
    if wrapped is None:
        return f"{_bare(kind)}!"
    if wrapped[1] == "Array":
        return f"[{_graphql(wrapped[2])}]!"
    return _graphql(wrapped[2]).removesuffix("!")


def _written(fields: Fields, arguments: Mapping[str, Fields] | None = None) -> str:
    lines = []
    for name, kind in fields.items():
        if name == "__typename":
            continue
        takes = (arguments or {}).get(name)
        inner = ", ".join(f"{each}: {_graphql(of)}" for each, of in takes.items()) if takes else ""
        lines.append(f"  {name}{f'({inner})' if inner else ''}: {_graphql(kind)}")
    return "\n".join(lines)
