"""`config.example.toml`, written from the settings so that it cannot lag behind them.

`python -m opencraw.config.example > config.example.toml` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, get_origin

import tomlkit
from pydantic.fields import FieldInfo

from opencraw.config.channels import installed
from opencraw.config.environment import choices
from opencraw.config.schema import Setting, as_section, bare, inside, is_secret, sections
from opencraw.settings import Section

WIDTH = 98

HEADER = """\
# Every setting of OpenCraw with its default. A key that is commented out has none.
# This file is written by `python -m opencraw.config.example`; copy from it what you need.
# Unknown keys are refused. Environment variables win over the file: see docs/configuration.md.
"""

#: The name in the example of what operators name themselves.
NAME = "main"

#: Tables whose names are those of channels.
BY_CHANNEL = {("sessions", "reset_by_channel")}

#: What the example says where a setting must be given.
REQUIRED: dict[tuple[str, ...], object] = {
    ("llm", "active_profile"): NAME,
    ("llm", "profiles", NAME, "provider"): "demo",
    ("llm", "profiles", NAME, "model"): "assistant",
}

#: What it says of keys without a default, where nothing of their type would be refused.
SAMPLES: dict[tuple[str, ...], object] = {
    ("llm", "profiles", NAME, "base_url"): "http://localhost:11434/v1",
    ("llm", "profiles", NAME, "context_window"): 128_000,
    ("runtime", "bind_addr"): "10.0.0.5:3000",
    ("hooks", "commands", "point"): "before_tool_call",
    ("hooks", "commands", "command"): ["/usr/local/bin/check"],
    ("queue", "send_policy", "action"): "deny",
    ("queue", "send_policy", "channel"): "webchat",
    ("queue", "send_policy", "session"): "default/main/webchat/",
}


def example() -> str:
    """The whole file."""
    parts = [HEADER]
    for key, section in sections(installed()).items():
        parts += _section(key, section, f"[{'.'.join(key)}]")
    return "\n".join(parts)


def name_in(table: tuple[str, ...]) -> str:
    """What the example calls the one entry of a table whose entries have names."""
    return next(iter(installed())) if table in BY_CHANNEL else NAME


def _section(key: tuple[str, ...], section: type[Section], header: str) -> Iterator[str]:
    """The section's own keys, then the tables inside it, as TOML wants them."""
    yield f"\n{_comment(section.__doc__ or '')}\n{header}\n"
    inner: list[Iterator[str]] = []
    for name, field in section.model_fields.items():
        at = (*key, name)
        kind = bare(field.annotation)
        if table := as_section(kind):
            inner.append(_section(at, table, f"[{'.'.join(at)}]"))
        elif (entry := as_section(inside(kind, ""))) and get_origin(kind) is dict:
            named = (*at, name_in(at))
            inner.append(_section(named, entry, f"[{'.'.join(named)}]"))
        elif entry := as_section(inside(kind, 0)):
            inner.append(_list_of_tables(at, field, entry))
        else:
            yield _key(at, field)
    for table_text in inner:
        yield from table_text


def _list_of_tables(key: tuple[str, ...], field: FieldInfo, entry: type[Section]) -> Iterator[str]:
    lines = [f"# [[{'.'.join(key)}]]"]
    for name, part in entry.model_fields.items():
        lines.append(f"# {_assignment((*key, name), part)}    {_comment(part.description or '')}")
    yield f"{_comment(field.description or '')}\n" + "\n".join(lines) + "\n"


def _key(key: tuple[str, ...], field: FieldInfo) -> str:
    secret = is_secret(field.annotation)
    setting = Setting(key, field)
    better = f" Better in the environment: {setting.borrowed or setting.variable}."
    text = f"{_comment(_help(field) + (better if secret else ''))}\n"
    value = REQUIRED.get(
        key, None if field.is_required() else field.get_default(call_default_factory=True)
    )
    if value is None or secret:
        return f"{text}# {_assignment(key, field)}\n"
    return f"{text}{key[-1]} = {_toml(value)}\n"


def _toml(value: object) -> str:
    if not isinstance(value, dict):
        return tomlkit.item(value).as_string()
    table = tomlkit.inline_table()
    table.update(value)
    return table.as_string()


def _assignment(key: tuple[str, ...], field: FieldInfo) -> str:
    """What to write for a key that is commented out: what would be accepted if it were not. That
    is its default, if it has one, or the least of its type."""
    kind = bare(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    words = choices(kind)
    empty: Any = words[0] if words else ""
    if kind in {int, float, bool}:
        above_zero = any(getattr(rule, "gt", None) is not None for rule in field.metadata)
        empty = kind(above_zero)
    elif get_origin(kind) is list:
        empty = []
    said = SAMPLES.get(key, empty if default is None else default)
    return f"{key[-1]} = {tomlkit.item(said).as_string()}"


def _help(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    words = choices(field.annotation)
    if words and not all(word in text for word in words):
        text += f" One of: {', '.join(words)}."
    return text


def _comment(text: str) -> str:
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return "\n".join(f"# {line}" for line in wrap(paragraph, WIDTH))


if __name__ == "__main__":
    sys.stdout.write(example())
