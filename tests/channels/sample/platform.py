"""The made-up platform, as the conformance suite speaks to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from tests.channels.platform import Edit, Fault, File, Platform
from tests.channels.sample.server import BOT, TOKEN, SampleServer, Trouble

ROOT = Path(__file__).parents[3]


class SamplePlatform(Platform):
    """Recognises no second copy."""

    channel = "sample"
    limit = 600
    #: Which behaviour of the channel is broken, for tests of the suite itself.
    mutant = ""
    keyed = False

    def __init__(self) -> None:
        self.server = SampleServer(keyed=self.keyed)
        self._numbers = itertools.count(1)
        self._said: dict[str, dict[str, Any]] = {}
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._opened.enter_async_context(self.server)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.break_all()
        await self._opened.aclose()

    def settings(self) -> Mapping[str, object]:
        return {
            "url": self.server.url,
            "token": TOKEN,
            "keyed": self.keyed,
            "interval": self.interval,
            "limit": self.limit,
            "mutant": self.mutant,
        }

    @property
    def environ(self) -> Mapping[str, str]:
        return {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent / 'plugin'}"}

    def person(self, name: str) -> str:
        return f"id of {name}"

    def group(self, name: str) -> str:
        return name

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        group = chat.startswith("#")
        name = sender or ("a" if group else chat)
        update = self._update(chat, text, self.person(name), name)
        update["mention"] = mention or not group
        if file is not None:
            number = f"f{next(self._numbers)}"
            self.server.files[number] = file.data
            size = len(file.data) if file.claimed is None else file.claimed
            update["files"] = [
                {"id": number, "name": file.name, "type": file.content_type, "size": size}
            ]
        self.server.hand_out(update)
        key: str = update["key"]
        return key

    def _update(self, chat: str, text: str, sender: str, name: str) -> dict[str, Any]:
        key = f"u{next(self._numbers)}"
        update = {
            "kind": "message",
            "key": key,
            "chat": chat,
            "from": {"id": sender, "name": name},
            "text": text,
            "mention": True,
            "files": [],
        }
        self._said[key] = update
        return update

    async def says_again(self, key: str, times: int = 1) -> None:
        self.server.hand_out(*[self._said[key]] * times)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        self.server.hand_out(self._update(chat, text, BOT, "bot"))

    def shown(self, chat: str = "a") -> list[str]:
        return [each.text for each in self.server.messages if each.chat == chat]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        self.server.troubles += [Trouble(fault, chat, retry_after) for _ in range(times)]

    async def disconnect(self) -> None:
        self.server.broken = True
        self.server.break_all()

    async def reconnect(self) -> None:
        self.server.broken = self.server.silent = self.server.revoked = False
        self.server.stir()

    async def rewind(self) -> None:
        self.server.confirmed = 0

    async def malformed(self) -> None:
        self.server.hand_out({"kind": "message", "chat": 7, "words": None})

    async def revoke(self) -> None:
        self.server.revoked = True
        self.server.break_all()

    async def silent(self) -> None:
        self.server.silent = True
        self.server.break_all()

    async def wants_peace(self, seconds: float) -> None:
        self.server.peace = seconds

    def drafts(self, chat: str = "a") -> list[Edit]:
        return [edit for where, edit in self.server.edits if where == chat]

    def typed(self, chat: str = "a") -> int:
        return self.server.typed[chat]

    def downloads(self) -> int:
        return self.server.downloads

    async def changes(self, key: str, text: str) -> None:
        self.server.hand_out({**self._said[key], "kind": "edited", "text": text})

    async def takes_back(self, key: str) -> None:
        self.server.hand_out({**self._said[key], "kind": "deleted"})


class KeyedSamplePlatform(SamplePlatform):
    """Recognises a second copy by its key."""

    keyed = True


PLATFORM = SamplePlatform
