"""Where a value comes from: defaults, under the file, under the environment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import SecretStr

from opencraw.config import Configuration, load
from opencraw.config.channels import installed
from opencraw.config.environment import FLAT, MODEL, OTHER, find, overlay, read
from opencraw.config.schema import Setting, bare, sections, settings
from opencraw.config.source import Source
from opencraw.errors import ConfigInvalid
from opencraw.settings import ChannelSettings, FromEnvironment

DEMO = {"OPENCRAW_MODEL": "demo/assistant"}
KNOWN = settings(sections(installed()))


class PigeonSettings(ChannelSettings):
    """A channel of somebody else's."""

    token: Annotated[SecretStr | None, FromEnvironment("PIGEON_TOKEN", enables=True)] = None
    """The pigeon's ring."""


def loaded(text: str, folder: Path, **environ: str) -> Configuration:
    path = folder / "config.toml"
    path.write_text(text)
    return load(path, DEMO | environ).configuration


@pytest.mark.parametrize(
    ("text", "environ", "mode"),
    [
        ("", {}, "steer"),
        ('[queue]\nmode = "collect"', {}, "collect"),
        ('[queue]\nmode = "collect"', {"OPENCRAW_QUEUE_MODE": "followup"}, "followup"),
        ('[queue]\nmode = "collect"', {"OPENCRAW_QUEUE__MODE": "followup"}, "followup"),
        ("", {"OPENSHELL_QUEUE_MODE": "followup"}, "followup"),
        (
            "",
            {"OPENSHELL_QUEUE_MODE": "followup", "OPENCRAW_QUEUE_MODE": "interrupt"},
            "interrupt",
        ),
        ("", {"OPENCRAW_QUEUE_MODE": "collect", "OPENCRAW_QUEUE__MODE": "collect"}, "collect"),
        ('[queue]\nmode = "collect"', {"OPENCRAW_QUEUE_MODE": ""}, "collect"),
    ],
)
def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    tmp_path: Path, text: str, environ: dict[str, str], mode: str
) -> None:
    assert loaded(text, tmp_path, **environ).queue.mode == mode


def test_without_a_file_the_environment_is_enough() -> None:
    result = load(None, DEMO)
    assert result.configuration.llm.profiles["main"].label == "demo/assistant"
    assert (result.path, result.sha256, result.warnings) == (None, None, ())


def test_what_was_loaded_is_told_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"# n\xc3\xb6thing\n")
    assert load(path, DEMO).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_vendors_key_is_found_under_its_own_name(tmp_path: Path) -> None:
    text = '[keys]\nanthropic_api_key = "of the file"'
    keys = loaded(text, tmp_path, ANTHROPIC_API_KEY="of the environment").keys
    assert keys.anthropic_api_key == SecretStr("of the environment")
    assert "of the" not in repr(keys)


def test_our_own_name_for_a_key_wins_over_the_vendors(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "general", "OPENCRAW_KEYS__ANTHROPIC_API_KEY": "ours"}
    assert loaded("", tmp_path, **environ).keys.anthropic_api_key == SecretStr("ours")


PROFILES = """\
[llm]
active_profile = "local"
[llm.profiles.local]
provider = "openai"
model = "llama"
base_url = "http://localhost:1/v1"
[llm.profiles.other]
provider = "demo"
model = "assistant"
"""


@pytest.mark.parametrize(
    ("model", "label", "base_url"),
    [
        ("openai/qwen", "openai/qwen", "http://localhost:1/v1"),
        ("qwen", "openai/qwen", "http://localhost:1/v1"),
        ("meta-llama/qwen", "openai/meta-llama/qwen", "http://localhost:1/v1"),
        # An address of one vendor means nothing to another.
        ("anthropic/claude", "anthropic/claude", None),
    ],
)
def test_a_model_from_the_environment_goes_to_the_active_profile(
    tmp_path: Path, model: str, label: str, base_url: str | None
) -> None:
    llm = loaded(PROFILES, tmp_path, OPENCRAW_MODEL=model, ANTHROPIC_API_KEY="k").llm
    assert llm.profiles["local"].label == label
    assert llm.profiles["local"].base_url == base_url
    assert llm.profiles["other"].label == "demo/assistant"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (bool, "TRUE", True),
        (bool, "off", False),
        (bool, "perhaps", "perhaps"),
        (int, "12", 12),
        (int | None, "12", 12),
        (int, "1.5", "1.5"),
        (float, "1.5", 1.5),
        (str, "[1]", "[1]"),
        (str | None, "a,b", "a,b"),
        (list[str], "a, b,,c", ["a", "b", "c"]),
        (list[str], '["a,b"]', ["a,b"]),
        (list[str], "[broken", "[broken"),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (SecretStr | None, "12", "12"),
    ],
)
def test_a_variables_text_becomes_what_the_setting_is(
    annotation: Any, text: str, value: object
) -> None:
    assert read(annotation, text) == value


@pytest.mark.parametrize("setting", KNOWN, ids=lambda setting: setting.dotted)
def test_every_setting_has_a_variable(setting: Setting) -> None:
    variable = setting.variable.replace("*", "MAIN")
    (assignment,) = find({variable: "x"}, KNOWN).assignments
    assert assignment.key == tuple("main" if part == "*" else part for part in setting.key)


@pytest.mark.parametrize("name", sorted(FLAT))
def test_every_documented_name_sets_something_that_exists(name: str) -> None:
    keys = {setting.key for setting in KNOWN} | {MODEL}
    assert FLAT[name] in keys


def test_variables_of_others_and_those_that_are_no_settings_are_left_alone() -> None:
    environ = dict.fromkeys(["PATH", "OPENSHELL_GATEWAY", "OPENCRAWL", *OTHER], "x")
    found = find(environ, KNOWN)
    assert (found.assignments, found.problems, found.deprecated) == ([], [], [])


def test_a_token_also_enables_its_channel_unless_the_file_says_no() -> None:
    token = Setting(("channels", "pigeon", "token"), PigeonSettings.model_fields["token"])
    assignments = find({"PIGEON_TOKEN": "coo"}, [token]).assignments
    silent = Source(None)
    outspoken = Source(None, document={"channels": {"pigeon": {"enabled": False}}})
    for source in (silent, outspoken):
        overlay(source, assignments)
    assert silent.document["channels"]["pigeon"] == {"token": "coo", "enabled": True}
    assert outspoken.document["channels"]["pigeon"] == {"token": "coo", "enabled": False}


def test_the_data_folder_lies_beside_the_file(tmp_path: Path) -> None:
    assert loaded("", tmp_path).runtime.data_dir == str(tmp_path / "data")
    assert loaded("", tmp_path, OPENCRAW_DATA_DIR="/srv/x").runtime.data_dir == "/srv/x"


def test_nothing_that_was_loaded_shows_a_secret(tmp_path: Path) -> None:
    text = '[security]\ncontrol_api_key = "correct-horse-battery"\n'
    configuration = loaded(text, tmp_path, OPENAI_API_KEY="hunter2")
    for shown in (repr(configuration), str(configuration), configuration.model_dump_json()):
        assert "horse" not in shown
        assert "hunter2" not in shown


def test_what_sounds_like_a_secret_is_one() -> None:
    sounds = ("key", "token", "secret", "password")
    for setting in KNOWN:
        text = setting.key[-1].rstrip("s")
        if text.endswith(sounds) and bare(setting.field.annotation) not in {int, float}:
            assert setting.secret, setting.dotted


def test_a_configuration_never_changes(tmp_path: Path) -> None:
    configuration = loaded("", tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        configuration.queue.mode = "collect"


def test_a_table_where_a_value_should_be_is_refused_even_under_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="queue: must be a table"):
        loaded("queue = 3", tmp_path, OPENCRAW_QUEUE_MODE="steer")


def test_the_page_about_configuration_names_every_variable() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    borrowed = {setting.borrowed for setting in KNOWN if setting.borrowed}
    names = {f"OPENCRAW_{name}" for name in FLAT} | OTHER | borrowed
    assert {name for name in names if f"`{name}`" not in page} == set()
