"""The channel that docs/channels.md shows works as it stands there."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tomli

from opencraw.config import channels as installing
from opencraw.contract import Channel, ChannelKind, Listens
from opencraw.errors import NotInstalled
from tests.fixtures.core import running, until

DOCS = Path(__file__).parents[2] / "docs" / "channels.md"


def documented() -> tuple[ModuleType, dict[str, Any]]:
    """The module that is shown, and what is written into the package and the configuration."""
    text = DOCS.read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    toml = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[-1]
    module = ModuleType("my_package")
    exec(compile(code, str(DOCS), "exec"), vars(module))
    return module, tomli.loads(toml)


def answers(folder: Path) -> list[str]:
    return [answer.read_text() for answer in folder.glob("out/*.txt")]


async def test_the_documented_channel_receives_and_answers(
    database_url: str, tmp_path: Path
) -> None:
    module, written = documented()
    entry = EntryPoint(
        "folder", written["project"]["entry-points"]["opencraw.channels"]["folder"], ""
    )
    kind: ChannelKind = getattr(module, entry.attr)()
    values = written["channels"]["folder"] | {"folder": str(tmp_path)}
    channel: Channel = kind.open(kind.settings.model_validate(values))
    assert isinstance(channel, Listens)
    async with running(
        database_url,
        channel=channel,  # type: ignore[arg-type]
        channels=("folder",),
    ) as core:
        receiving = asyncio.create_task(channel.run(core.gateway))
        try:
            for name, words in (("1.txt", b"hello"), ("2.txt", b"\xff\xfe not UTF-8")):
                said = tmp_path / "in" / "anna" / name
                said.parent.mkdir(parents=True, exist_ok=True)
                said.write_bytes(words)
            await until(lambda: answers(tmp_path) == ["echo hello"])
            await until(lambda: not list(tmp_path.glob("in/anna/*")))
            assert len(await core.fetch("SELECT FROM quarantined")) == 1
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                await receiving


def test_a_channel_whose_library_is_missing_says_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, _ = documented()
    kind: ChannelKind = module.register()

    def without_library(settings: object) -> Channel:
        import a_library_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401

        raise AssertionError

    broken = ChannelKind(kind.settings, without_library)
    monkeypatch.setattr(installing, "installed", lambda: {"folder": broken})
    with pytest.raises(NotInstalled, match="make extras EXTRAS=folder"):
        installing.open_channel("folder", module.FolderSettings())
