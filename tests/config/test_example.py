"""`config.example.toml` is written by the code and lags behind nothing."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest
import tomli

from opencraw.config import load
from opencraw.config.channels import installed
from opencraw.config.example import example, name_in
from opencraw.config.schema import Setting, as_section, inside, sections, settings
from opencraw.settings import Section

#: A key that is commented out; in lists of tables its help follows it.
KEY = re.compile(r"^# (?P<line>(?P<name>[a-z_]+) = .+?)(?P<help>    # .*)?$", re.MULTILINE)

FILE = Path(__file__).parents[2] / "config.example.toml"
ROOTS = sections(installed())
SETTINGS = settings(ROOTS)


def in_the_example(setting: Setting) -> list[str]:
    """Where the example shows a setting."""
    key: list[str] = []
    for part in setting.key:
        key.append(name_in(tuple(key)) if part == "*" else part)
    return key


def test_the_committed_file_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == example(), (
        "write it anew: python -m opencraw.config.example > config.example.toml"
    )


def test_it_loads_and_says_nothing_but_defaults() -> None:
    of_the_example = load(FILE, {}).configuration
    of_nothing = load(None, {"OPENCRAW_MODEL": "demo/assistant"}).configuration
    assert of_the_example.llm == of_nothing.llm
    plain = {"general", "database", "queue", "context", "tools", "security", "channels", "keys"}
    assert of_the_example.model_dump(include=plain) == of_nothing.model_dump(include=plain)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.dotted)
def test_it_shows_every_setting_under_its_help(setting: Setting) -> None:
    *table, name = in_the_example(setting)
    header = f"\n[{'.'.join(table)}]\n"
    block = example().partition(header)[2].split("\n[", maxsplit=1)[0]
    described = (setting.field.description or "").split()[0]
    assert described in block
    if as_section(inside(setting.field.annotation, 0)):
        assert f"# [[{setting.dotted}]]" in block
    else:
        assert f"\n{name} = " in block or f"\n# {name} = " in block


def test_a_setting_that_is_commented_out_has_no_default_or_is_a_secret() -> None:
    document = tomli.loads(example())
    for setting in SETTINGS:
        value: object = document
        for part in in_the_example(setting):
            value = value.get(part) if isinstance(value, dict) else None
        if setting.secret:
            assert value is None, setting.dotted
        elif as_section(inside(setting.field.annotation, 0)):
            assert (value, setting.field.default) == (None, []), setting.dotted
        elif value is None:
            assert setting.field.default is None, setting.dotted


def test_what_is_commented_out_counts_once_it_is_not(tmp_path: Path) -> None:
    """Each on its own; but nobody should have a secret that everybody can read."""
    secrets = {setting.key[-1] for setting in SETTINGS if setting.secret}
    text = example()
    keys = [each for each in KEY.finditer(text) if not each["help"] and each["name"] not in secrets]
    assert len(keys) > 20
    config = tmp_path / "config.toml"
    for each in keys:
        config.write_text(f"{text[: each.start()]}{each['line']}{text[each.end() :]}")
        load(config, {})


@pytest.mark.parametrize("name", ["queue.send_policy", "hooks.commands"])
def test_a_table_that_is_commented_out_counts_as_a_whole_once_it_is_not(
    name: str, tmp_path: Path
) -> None:
    before, header, rest = example().partition(f"# [[{name}]]\n")
    lines = takewhile(lambda line: line.startswith("# "), rest.splitlines())
    table = "\n".join(key["line"] for line in lines if (key := KEY.match(line)))
    after = example().partition(header)[2].partition("\n\n")[2]
    config = tmp_path / "config.toml"
    config.write_text(f"{before}{header.removeprefix('# ')}{table}\n\n{after}")
    load(config, {})


@pytest.mark.parametrize("root", sorted(ROOTS), ids=".".join)
def test_every_section_and_every_field_has_help(root: tuple[str, ...]) -> None:
    assert _without_help(ROOTS[root]) == []


def _without_help(section: type[Section]) -> list[str]:
    found = [] if section.__doc__ else [section.__name__]
    for name, field in section.model_fields.items():
        if not (field.description or "").strip().endswith((".", ")")):
            found.append(f"{section.__name__}.{name}")
        for part in ("", 0):
            inner = as_section(inside(field.annotation, part))
            found += _without_help(inner) if inner else []
    return found
