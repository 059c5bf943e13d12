"""What people are told of a wrong configuration: every problem at once, each with a fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from opencraw.config import load
from opencraw.config.environment import choices
from opencraw.errors import ConfigInvalid, ConfigProblem

MODEL = """\
[llm]
active_profile = "main"
[llm.profiles.main]
provider = "demo"
model = "assistant"
"""
LINES = MODEL.count("\n")


def refused(folder: Path, text: str, **environ: str) -> list[ConfigProblem]:
    path = folder / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid) as refusal:
        load(path, environ)
    return refusal.value.problems


def only(folder: Path, text: str, **environ: str) -> ConfigProblem:
    (problem,) = refused(folder, text, **environ)
    return problem


@pytest.mark.parametrize(
    ("text", "line", "key", "problem", "fix"),
    [
        (
            '[queue]\nmode = "stear"',
            2,
            "queue.mode",
            'must be one of collect, followup, steer, interrupt; found the text "stear"',
            'did you mean "steer"?',
        ),
        (
            "[queue]\n\nmax_concurrancy = 3",
            3,
            "queue.max_concurrancy",
            "unknown key",
            "did you mean queue.max_concurrency?",
        ),
        (
            "[general]\nmax_concurrency = 3",
            2,
            "general.max_concurrency",
            "unknown key",
            "did you mean queue.max_concurrency?",
        ),
        (
            "[general]\nzzz = 3",
            2,
            "general.zzz",
            "unknown key",
            "remove it; config.example.toml shows every key",
        ),
        (
            "[channels.webchat]\nmax_message_chars = 3",
            2,
            "channels.webchat.max_message_chars",
            "unknown key",
            "remove it; config.example.toml shows every key",
        ),
        (
            '[queue]\nmax_concurrency = "8"',
            2,
            "queue.max_concurrency",
            'must be a whole number; found the text "8"',
            "write max_concurrency as a whole number (the default is 8)",
        ),
        (
            "[queue]\nmax_concurrency = 2.5",
            2,
            "queue.max_concurrency",
            "must be a whole number; found 2.5",
            "write max_concurrency as a whole number (the default is 8)",
        ),
        (
            "[queue]\nmax_concurrency = true",
            2,
            "queue.max_concurrency",
            "must be a whole number; found true",
            "write max_concurrency as a whole number (the default is 8)",
        ),
        (
            "[queue]\nmax_concurrency = 0",
            2,
            "queue.max_concurrency",
            "must be greater than 0; found 0",
            "change max_concurrency (the default is 8)",
        ),
        (
            "[tools]\nallow = 'current_time'",
            2,
            "tools.allow",
            'must be a list in brackets; found the text "current_time"',
            "write allow as a list in brackets",
        ),
        (
            "[tools]\nallow = [\n  'current_time',\n  3,\n]",
            2,
            "tools.allow[1]",
            "must be text in quotes; found 3",
            "write allow[1] as text in quotes",
        ),
        (
            "[context]\ncompaction_horizon = 'soon'",
            2,
            "context.compaction_horizon",
            'is not written as it has to be; found the text "soon"',
            'write it as in "12h"',
        ),
        (
            "[quue]\nmode = 'steer'",
            1,
            "quue",
            "unknown key",
            "did you mean queue?",
        ),
        (
            "[channels.webchta]\nport = 1",
            1,
            "channels.webchta",
            (
                "no such channel is installed; there is "
                "discord, email, gmail, http, linear, telegram, webchat"
            ),
            "did you mean channels.webchat?",
        ),
        (
            "[channels.webchat]\nport = 70000",
            2,
            "channels.webchat.port",
            "must be less than or equal to 65535; found 70000",
            "change port (the default is 3000)",
        ),
        (
            "[runtime]\nbind_mode = 'custom'",
            1,
            "runtime",
            'bind_mode = "custom" needs bind_addr',
            "mend [runtime]",
        ),
        (
            "[runtime]\nbind_mode = 'lan'",
            2,
            "security.control_api_key",
            "other machines could reach the daemon and no control token keeps them out",
            'export OPENCRAW_CONTROL_API_KEY=…, or set bind_mode = "loopback"',
        ),
        (
            "[[security.control_api_keys]]\nscopes = []",
            1,
            "security.control_api_keys[0].token",
            "is missing",
            "add token = … to [security.control_api_keys[0]]",
        ),
        (
            (
                "[[security.control_api_keys]]\ntoken='0123456789abcdef'\nscopes = []\n"
                "[[security.control_api_keys]]\ntoken='0123456789abcdeg'\nscopes = [3]"
            ),
            6,
            "security.control_api_keys[1].scopes[0]",
            "must be text in quotes; found 3",
            "write scopes[0] as text in quotes",
        ),
        (
            "[llm.profiles.other]\nprovider = 'anthropic'\nmodel = 'claude'",
            3,
            "llm.profiles.other",
            "anthropic/claude needs a key, and ANTHROPIC_API_KEY is not set",
            "export ANTHROPIC_API_KEY=…, or remove it",
        ),
        (
            "[llm.profiles.other]\nprovider = 'demo'",
            1,
            "llm.profiles.other.model",
            "is missing",
            "add model = … to [llm.profiles.other]",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line_and_its_fix(
    tmp_path: Path, text: str, line: int, key: str, problem: str, fix: str
) -> None:
    found = only(tmp_path, MODEL + text)
    where = f"{tmp_path / 'config.toml'}:{LINES + line}"
    assert found == ConfigProblem(where, key, problem, fix)


@pytest.mark.parametrize(
    ("variable", "text", "key", "problem"),
    [
        ("OPENCRAW_QUEUE_MODE", "stear", "queue.mode", "must be one of"),
        ("OPENCRAW_QUEUE__MODE", "stear", "queue.mode", "must be one of"),
        (
            "OPENCRAW_CONTEXT_MAX_PROMPT_TOKENS",
            "lots",
            "context.max_prompt_tokens",
            'must be a whole number; found the text "lots"',
        ),
        (
            "OPENCRAW_ALLOW_PUBLIC_BIND_WITHOUT_AUTH",
            "maybe",
            "runtime.allow_public_bind_without_auth",
            'must be true or false; found the text "maybe"',
        ),
        ("OPENCRAW_HTTP_TIMEOUT_SECONDS", "-1", "runtime.http_timeout_seconds", "greater than 0"),
        ("OPENCRAW_CHANNELS__WEBCHAT__PORT", "x", "channels.webchat.port", "a whole number"),
        ("OPENCRAW_CONTROL_API_KEY", "short", "security.control_api_key", "too weak"),
        ("OPENCRAW_QUEUE_MOOD", "steer", "environment", "is not a variable that OpenCraw knows"),
    ],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(
    tmp_path: Path, variable: str, text: str, key: str, problem: str
) -> None:
    found = only(tmp_path, MODEL, **{variable: text})
    assert (found.where, found.key) == (variable, key)
    assert problem in found.problem


def test_an_unknown_variable_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    found = only(tmp_path, MODEL, OPENCRAW_QUEUE_MOOD="steer")
    assert found.fix == "did you mean OPENCRAW_QUEUE_MODE?"


def test_two_spellings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    found = only(tmp_path, MODEL, OPENCRAW_QUEUE_MODE="steer", OPENCRAW_QUEUE__MODE="collect")
    assert found.key == "queue.mode"
    assert found.fix == "keep one of OPENCRAW_QUEUE_MODE and OPENCRAW_QUEUE__MODE"


def test_everything_that_is_wrong_is_said_at_once_in_reading_order(tmp_path: Path) -> None:
    text = """\
[queue]
mode = "stear"
debounce_ms = -1
[general]
system_promt = "x"
[llm]
active_profile = "man"
[llm.profiles.main]
provider = "demo"
model = "assistant"
"""
    problems = refused(tmp_path, text, OPENCRAW_TOOLS="x", OPENCRAW_LANE_BUFFER="3")
    assert [(problem.where.rpartition("/")[2], problem.key) for problem in problems] == [
        ("config.toml:2", "queue.mode"),
        ("config.toml:3", "queue.debounce_ms"),
        ("config.toml:5", "general.system_promt"),
        ("config.toml:7", "llm.active_profile"),
        ("OPENCRAW_LANE_BUFFER", "environment"),
        ("OPENCRAW_TOOLS", "environment"),
    ]
    assert all(problem.fix for problem in problems)


def test_an_empty_file_lacks_a_model_and_nothing_else(tmp_path: Path) -> None:
    keys = {problem.key for problem in refused(tmp_path, "")}
    assert keys == {"llm.active_profile", "llm.profiles"}


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        (b"a = = 3", ":1", "is not TOML: Invalid value (column 5)"),
        (b"\n\n[queue\n", ":3", "is not TOML"),
        (b"a = 1\na = 2\n", ":2", "is not TOML"),
        (b"\xff", "", "is not UTF-8 text"),
        (None, "", "there is no such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None, where: str, problem: str
) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid) as refusal:
        load(path, {"OPENCRAW_QUEUE_MOOD": "x"})
    first, second = refusal.value.problems
    assert first.where == f"{path}{where}"
    assert problem in first.problem
    assert second.where == "OPENCRAW_QUEUE_MOOD"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        load(tmp_path, {})
    assert refusal.value.problems[0].problem == "cannot be read: Is a directory"


def test_prod_names_all_that_it_lacks(tmp_path: Path) -> None:
    problems = refused(tmp_path, MODEL, OPENCRAW_RUNTIME_MODE="prod")
    assert {problem.where for problem in problems} == {"OPENCRAW_RUNTIME_MODE"}
    assert [problem.key for problem in problems] == [
        "database.url",
        "security.control_api_key",
        "llm.profiles.main.provider",
    ]


def test_a_deprecated_key_is_a_warning_in_dev_and_a_problem_in_prod(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[general]\nmodel = "demo/assistant"\n')

    loaded = load(path, {"OPENSHELL_QUEUE_MODE": "collect"})
    assert loaded.configuration.llm.profiles["main"].label == "demo/assistant"
    assert loaded.configuration.queue.mode == "collect"
    assert loaded.warnings == (
        (
            "OPENSHELL_QUEUE_MODE: environment: the prefix OPENSHELL_ is deprecated; "
            "rename it to OPENCRAW_QUEUE_MODE"
        ),
        f"{path}:2: general.model: is deprecated; write it as llm.profiles.main.model",
    )

    with pytest.raises(ConfigInvalid) as refusal:
        load(path, {"OPENSHELL_QUEUE_MODE": "collect", "OPENCRAW_RUNTIME_MODE": "prod"})
    keys = [problem.key for problem in refusal.value.problems]
    assert {"general.model", "environment"} <= set(keys)


def test_the_old_key_beside_the_new_one_is_refused(tmp_path: Path) -> None:
    found = only(tmp_path, '[general]\nmodel = "demo/other"\n' + MODEL)
    assert found.key == "general.model"
    assert found.fix == "keep only llm.profiles.main.model"


@pytest.mark.parametrize(
    "text",
    [
        "[keys]\nanthropic_api_key = {secret}\nopenai_api_key = 3",
        "[security]\ncontrol_api_key = {secret}",
        "[security]\ncontrol_api_keys = [{secret}]",
        "[[security.control_api_keys]]\ntoken = {secret}\nscopes = 3",
        "[security]\ncontrol_api_keyy = {secret}",
        "security = {secret}",
        "[database]\nurl = {secret}\nbin_dir = 3",
    ],
)
@pytest.mark.parametrize("secret", ['"hunter2"', "[[['hunter2']]]", "{a = 'hunter2'}"])
def test_no_message_tells_a_secret(tmp_path: Path, text: str, secret: str) -> None:
    # Before the tables of the model, so that a key without a table stays at the top.
    problems = refused(tmp_path, text.replace("{secret}", secret) + "\n" + MODEL)
    assert "hunter2" not in repr(problems) + str(ConfigInvalid(problems))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENCRAW_CONTROL_API_KEY", "hunter2"),
        ("OPENCRAW_CONTROL_API_KEYS", "hunter2,hunter3"),
        ("OPENCRAW_CONTROL_API_KEYS", '[{"token": "hunter2", "scopes": ["*"]}]'),
        ("OPENCRAW_KEYS", "hunter2"),
        ("OPENCRAW_KEYS__ANTHROPIC_API_KEYY", "hunter2"),
    ],
)
def test_no_message_tells_a_secret_of_the_environment(
    tmp_path: Path, variable: str, value: str
) -> None:
    assert "hunter2" not in repr(refused(tmp_path, MODEL, **{variable: value}))


def test_the_password_of_a_url_is_not_told(tmp_path: Path) -> None:
    text = '[llm.profiles.x]\nprovider = "demo"\nmodel = "m"\nbase_url = "ftp://me:hunter2@host"\n'
    assert "hunter2" not in repr(refused(tmp_path, MODEL + text))


def test_choices_are_read_off_the_type() -> None:
    from opencraw.queue.settings import QueueSettings

    annotation = QueueSettings.model_fields["mode"].annotation
    assert choices(annotation) == ["collect", "followup", "steer", "interrupt"]
