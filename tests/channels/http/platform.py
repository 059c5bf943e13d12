"""A bridge, as the conformance suite speaks to it: one that is polled, and one that calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import aiohttp

from channels.markdown import plain
from tests.channels.platform import Edit, Fault, File, Platform
from tests.fakes.bridge import SECRET, Bridge, Shown, Trouble
from tests.fixtures.core import until

_PAUSE_SECONDS = 0.05


class PolledBridge(Platform):
    """Is asked what people said."""

    channel = "http"
    limit = 1000
    shapes = ("seconds", "date")

    def __init__(self) -> None:
        self.bridge = Bridge()
        self._numbers = itertools.count(1)
        self._said: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        await self.bridge.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bridge.__aexit__()
        assert self.bridge.objections == []

    def settings(self) -> Mapping[str, object]:
        return {
            "secret": SECRET,
            "send_url": f"{self.bridge.url}/send",
            "stream_url": f"{self.bridge.url}/stream",
            "poll_url": f"{self.bridge.url}/poll",
            "poll_interval_ms": 20,
            "long_poll_timeout_seconds": 2.0,
            "request_seconds": 5.0,
            "draft_interval_ms": int(self.interval * 1000),
            "max_message_chars": self.limit,
        }

    def person(self, name: str) -> str:
        return f"person-{name}"

    def group(self, name: str) -> str:
        return f"chat-{name}"

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        event = self._event("message", chat, sender)
        event |= {"text": text, "addressed": mention}
        if file is not None:
            self.bridge.files[event["id"]] = file.data
            size = len(file.data) if file.claimed is None else file.claimed
            url = f"{self.bridge.url}/files/{event['id']}"
            event["attachments"] = [
                {"name": file.name, "content_type": file.content_type, "size": size, "url": url}
            ]
        await self._happens(event)
        key: str = event["id"]
        return key

    def _event(self, kind: str, chat: str, sender: str = "") -> dict[str, Any]:
        group = chat.startswith("#")
        name = sender or ("a" if group else chat)
        event: dict[str, Any] = {
            "id": f"e{next(self._numbers)}",
            "kind": kind,
            "chat": f"chat-{chat}",
            "chat_type": "group" if group else "direct",
            "sender": {"id": self.person(name), "name": name},
        }
        self._said[event["id"]] = event
        return event

    async def _happens(self, *events: dict[str, Any]) -> None:
        self.bridge.publish(*events)

    async def says_again(self, key: str, times: int = 1) -> None:
        await self._happens(*[self._said[key]] * times)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        sender = {"id": "assistant", "bot": True}
        await self._happens({**self._event("message", chat), "sender": sender, "text": text})

    def shown(self, chat: str = "a") -> list[str]:
        return [plain(each.text).strip() for each in self.bridge.shown(f"chat-{chat}")]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        where = f"chat-{chat}" if chat else ""
        trouble = Trouble(fault.value, where, retry_after, shape)
        self.bridge.faults += [trouble] * times

    async def disconnect(self) -> None:
        await self.bridge.disconnect()

    async def reconnect(self) -> None:
        await self.bridge.reconnect()

    async def rewind(self) -> None:
        self.bridge.rewind()

    async def malformed(self) -> None:
        await self._happens({"id": "x", "kind": "message", "chat": 7, "words": None})

    async def revoke(self) -> None:
        self.bridge.revoked = True

    async def silent(self) -> None:
        self.bridge.silent = True

    async def wants_peace(self, seconds: float) -> None:
        self.bridge.peace = seconds

    def handed_out(self, key: str) -> float:
        return self.bridge.handed_out[key]

    def drafts(self, chat: str = "a") -> list[Edit]:
        every = (shown.history for shown in self.bridge.shown(f"chat-{chat}"))
        return [Edit(at, plain(text)) for at, text in sorted(itertools.chain(*every))]

    def typed(self, chat: str = "a") -> int:
        return self.bridge.typed[f"chat-{chat}"]

    def downloads(self) -> int:
        return self.bridge.downloads

    async def changes(self, key: str, text: str) -> None:
        said = self._said[key]
        await self._happens({**self._about("edit", said), "text": text})

    async def takes_back(self, key: str) -> None:
        await self._happens(self._about("delete", self._said[key]))

    def _about(self, kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
        shared = {name: said[name] for name in ("chat", "chat_type", "sender")}
        number = f"e{next(self._numbers)}"
        return {"id": number, "kind": kind, "message": said["id"], **shared}

    async def reacts(self, emoji: str, *, chat: str = "a", nth: int = -1, sender: str = "") -> None:
        event = self._event("reaction", chat, sender)
        event |= {"message": self.bridge.shown(f"chat-{chat}")[nth].id, "emoji": emoji}
        await self._happens(event)

    def buttons(self, chat: str = "a") -> list[str]:
        choice = self._choice(chat)
        return [each["label"] for each in choice.options] if choice is not None else []

    def _choice(self, chat: str) -> Any:
        messages: list[Shown] = self.bridge.shown(f"chat-{chat}")
        body = messages[-1].body if messages else None  # a draft has none
        return body.choice if body is not None else None

    async def presses(self, label: str, *, chat: str = "a", sender: str = "") -> str:
        choice = self._choice(chat)
        [option] = [each["name"] for each in choice.options if each["label"] == label]
        event = self._event("choice", chat, sender)
        event |= {"choice": choice.id, "option": option}
        return await self._chooses(event)

    async def _chooses(self, event: dict[str, Any]) -> str:
        self.bridge.publish(event)
        await until(lambda: event["id"] in self.bridge.whispers, "what came of a choice")
        return self.bridge.whispers[event["id"]]


class CallingBridge(PolledBridge):
    """Calls the daemon with what people said, in the order of each chat, until that answers 200."""

    def __init__(self) -> None:
        super().__init__()
        self._open = asyncio.Event()
        self._callers: dict[str, tuple[asyncio.Queue[Any], asyncio.Task[None]]] = {}
        self._ever: list[dict[str, Any]] = []

    async def __aexit__(self, *ended: object) -> None:
        for _, caller in self._callers.values():
            caller.cancel()
        await asyncio.gather(*(task for _, task in self._callers.values()), return_exceptions=True)
        await super().__aexit__()

    def settings(self) -> Mapping[str, object]:
        settings = super().settings()
        return {name: value for name, value in settings.items() if not name.startswith("poll_")}

    async def reach(self, url: str) -> None:
        self.bridge.push_to = url
        self._open.set()

    async def disconnect(self) -> None:
        self._open.clear()
        await super().disconnect()

    async def reconnect(self) -> None:
        await super().reconnect()
        self._open.set()

    async def rewind(self) -> None:
        ever, self._ever = self._ever, []
        await self._happens(*ever)

    async def says_again(self, key: str, times: int = 1) -> None:
        await asyncio.gather(*(self._tell(self._said[key]) for _ in range(times)))

    async def _happens(self, *events: dict[str, Any]) -> None:
        self._ever += events
        for event in events:
            chat = str(event["chat"])
            if chat not in self._callers:
                queue: asyncio.Queue[Any] = asyncio.Queue()
                self._callers[chat] = (queue, asyncio.create_task(self._call(queue)))
            self._callers[chat][0].put_nowait(event)

    async def _call(self, queue: asyncio.Queue[Any]) -> None:
        while True:
            await self._tell(await queue.get())

    async def _tell(self, event: dict[str, Any]) -> None:
        """Call until it was taken, as a bridge must."""
        status = 0
        while status not in (200, 400):
            await self._open.wait()
            with suppress(aiohttp.ClientError, OSError):
                status, _ = await self.bridge.push(event)
            await asyncio.sleep(0 if status == 200 else _PAUSE_SECONDS)

    async def _chooses(self, event: dict[str, Any]) -> str:
        _, answer = await self.bridge.push(event)
        text: str = answer["results"][0]["text"]
        return text


class ForgetfulBridge(PolledBridge):
    """Shows whatever it is given, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge.forgetful = True

    def settings(self) -> Mapping[str, object]:
        return {**super().settings(), "idempotent": False}


PLATFORM = PolledBridge
