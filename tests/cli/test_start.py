"""The first minutes: `init`, and `serve` with no configuration, a broken one, a good one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from opencraw.cli import root
from opencraw.context.workspace import NAMES, Workspace
from opencraw.store.placement import data_dir_mode

MODES = {"config.toml": 0o600, "data": data_dir_mode()}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("OPENCRAW_", "OPENSHELL_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)


def test_init_makes_private_files_once_and_says_so(tmp_path: Path) -> None:
    first = CliRunner().invoke(root, ["init"])
    assert first.exit_code == 0
    assert "Wrote config.toml" in first.output
    assert f"Made the data folder {tmp_path / 'data'}" in first.output
    for name, mode in MODES.items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode

    before = (tmp_path / "config.toml").read_bytes()
    again = CliRunner().invoke(root, ["init"], env={"ANTHROPIC_API_KEY": "k"})
    assert again.exit_code == 0
    assert "config.toml is there already; it was not touched." in again.output
    assert (tmp_path / "config.toml").read_bytes() == before


def test_init_for_programs(tmp_path: Path) -> None:
    runner = CliRunner()
    first = json.loads(runner.invoke(root, ["init", "--json"]).stdout)
    again = json.loads(runner.invoke(root, ["init", "--json"]).stdout)
    assert first == {
        "config": {"path": "config.toml", "written": True},
        "data_dir": {"path": str(tmp_path / "data"), "made": True},
        "workspace": {"path": str(tmp_path / "data" / "workspace"), "written": list(NAMES)},
    }
    assert (again["config"]["written"], again["data_dir"]["made"]) == (False, False)
    assert again["workspace"]["written"] == []


def test_init_writes_a_workspace_that_says_nothing_yet(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "workspace"
    folder.mkdir(parents=True)
    (folder / "SOUL.md").write_text("I am a poet.")

    assert "Wrote 6 files into " in CliRunner().invoke(root, ["init"]).output

    assert {path.name for path in folder.iterdir()} == set(NAMES)
    assert stat.S_IMODE((folder / "USER.md").stat().st_mode) == 0o600
    assert list(Workspace(folder).files()) == ["SOUL.md"], "comments and headings are no prompt"
    assert (folder / "SOUL.md").read_text() == "I am a poet."


def test_init_that_was_killed_leaves_no_half_written_file(tmp_path: Path) -> None:
    CliRunner().invoke(root, ["init"])
    folder = tmp_path / "data" / "workspace"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()

    environ = os.environ | {"OPENCRAW_CRASHPOINT": "config_rename:3"}
    init = [sys.executable, "-m", "opencraw", "init"]
    assert subprocess.run(init, env=environ, capture_output=True, check=False).returncode == -9
    assert {name for name in whole if (folder / name).exists()} == set(NAMES[:2])

    CliRunner().invoke(root, ["init"])
    assert {name: (folder / name).read_bytes() for name in whole} == whole


def test_init_finds_the_workspace_that_the_configuration_names(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[general]\nworkspace = "../mine"\n')
    CliRunner().invoke(root, ["init"])
    assert (tmp_path / "mine" / "USER.md").exists()
    CliRunner().invoke(root, ["init"], env={"OPENCRAW_GENERAL__WORKSPACE": str(tmp_path / "ours")})
    assert (tmp_path / "ours" / "USER.md").exists()


def test_init_tells_in_words_that_a_workspace_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "workspace").write_text("")
    result = CliRunner().invoke(root, ["init"])
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_init_makes_the_folder_of_the_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(root, ["--config", "new/place/config.toml", "init"])
    assert result.exit_code == 0
    assert (tmp_path / "new/place/config.toml").exists()
    assert (tmp_path / "new/place/data").is_dir()


@pytest.mark.parametrize("command", ["init", "serve"])
def test_a_folder_that_is_a_file_is_told_in_words(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(root, ["--config", "file/config.toml", command])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "--config" in result.stderr


def test_init_leaves_an_open_folder_and_says_how_to_close_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    result = CliRunner().invoke(root, ["init"])
    assert "opencraw doctor --fix" in result.stderr
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755


def test_serve_refuses_a_wrong_configuration_with_all_problems_before_anything_heavy(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.toml").write_text('[queue]\nmode = "stear"\n[quue]\n')
    program = (
        "import atexit, sys\n"
        "from opencraw.cli import main\n"
        "atexit.register(lambda: print(sorted({'asyncpg', 'aiohttp'} & set(sys.modules))))\n"
        "sys.argv = ['opencraw', 'serve']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert done.stdout.strip() == "[]"
    assert done.stderr.startswith("opencraw: configuration refused: 4 problems\n")
    assert "config.toml:2: queue.mode: must be one of" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ('[[hooks.commands]]\npoint = "turn_ended"\ncommand = ["/no/such/check"]', "no program"),
        ('[hooks]\nallow = ["nobody"]', "no installed hook has that name"),
    ],
)
def test_serve_refuses_a_hook_that_is_not_there_before_it_touches_any_data(
    tmp_path: Path, hooks: str, words: str
) -> None:
    model = '[llm]\nactive_profile = "main"\n[llm.profiles.main]\nprovider = "demo"\nmodel = "a"\n'
    (tmp_path / "config.toml").write_text(model + hooks)
    done = subprocess.run(
        [sys.executable, "-m", "opencraw", "serve"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "Model: demo/assistant, because neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set."),
        ({"OPENAI_API_KEY": "sk-x"}, "because OPENAI_API_KEY is set."),
    ],
)
def test_serve_writes_a_first_configuration_and_tells_why(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    # A value that is refused keeps the daemon from starting here.
    done = CliRunner().invoke(root, ["serve"], env=environ | {"OPENCRAW_QUEUE_MODE": "stear"})
    assert done.exit_code == 78
    assert "Wrote config.toml." in done.stderr
    assert words in done.stderr
    assert "sk-x" not in (tmp_path / "config.toml").read_text()
