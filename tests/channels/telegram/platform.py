"""Telegram, as the conformance suite speaks to it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tests.channels.platform import Edit, Fault, File, Platform
from tests.fakes import telegram_people as people
from tests.fakes.telegram import Fault as Trouble
from tests.fakes.telegram import TelegramServer
from tests.fakes.telegram_chats import BOT_ID, TOKEN, USERNAME, Json
from tests.fixtures.core import until

_PEOPLE = {"a": 11, "b": 12, "c": 13}
_GROUPS = {"#den": -1001, "#street": -1002}


class TelegramPlatform(Platform):
    """The fake, polled."""

    channel: ClassVar[str] = "telegram"

    def __init__(self) -> None:
        self.server = TelegramServer()
        self._said: dict[str, Json] = {}

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.__aexit__(*error)
        assert not self.server.objections

    def settings(self) -> Mapping[str, object]:
        return {
            "bot_token": TOKEN,
            "api_url": self.server.url,
            "long_poll_timeout_seconds": 1,
            "draft_interval_ms": int(self.interval * 1000),
        }

    def person(self, name: str) -> str:
        return str(self._number(name))

    def group(self, name: str) -> str:
        return str(_GROUPS[name])

    def _number(self, name: str) -> int:
        known = _PEOPLE | _GROUPS
        return known.get(name) or 1000 + zlib.crc32(name.encode()) % 1_000_000

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        name = sender or ("a" if chat.startswith("#") else chat)
        if chat.startswith("#") and mention:
            text = f"@{USERNAME} {text}"
        more = self._file(file) if file is not None else {}
        if more:
            more |= {"caption": text, "caption_entities": people.marks(text)}
        said = people.message(
            None if more else text, chat=self._number(chat), sender=self._number(name), **more
        )
        said["message"]["from"]["first_name"] = name
        return self._hand_out(said)

    def _file(self, file: File) -> Json:
        identity = f"file-{len(self.server.chats.files)}"
        self.server.chats.files[identity] = file.data
        size = len(file.data) if file.claimed is None else file.claimed
        return people.document(identity, file.name, file.content_type, size)

    async def listened(self) -> None:
        await until(lambda: self.server.is_listened_to, "somebody listens to Telegram")

    def _hand_out(self, update: Json) -> str:
        key = str(self.server.hand_out(update))
        self._said[key] = update
        return key

    async def says_again(self, key: str, times: int = 1) -> None:
        self.server.hand_out_again(*[int(key)] * times)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        update = people.message(text, chat=self._number(chat), sender=BOT_ID)
        update["message"]["from"] = people.bot()
        self._hand_out(update)

    def shown(self, chat: str = "a") -> list[str]:
        return self.server.chats.texts(self._number(chat))

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        limited = _limited(max(1, round(retry_after)))
        blocked = _refusal(403, "Forbidden: bot was blocked by the user")
        troubles = {
            Fault.RATE_LIMITED: Trouble("sendMessage", 429, limited),
            Fault.SERVER_ERROR: Trouble("sendMessage", 502, _refusal(502, "Bad Gateway")),
            Fault.LOST_ANSWER: Trouble("sendMessage", taken=True),
            Fault.REFUSED: Trouble("sendMessage", 403, blocked),
        }
        trouble = troubles[fault]
        trouble.chat, trouble.times = self._number(chat) if chat else None, times
        self.server.faults.append(trouble)

    async def disconnect(self) -> None:
        await self.server.close_down()

    async def reconnect(self) -> None:
        self.server.silent = self.server.revoked = False
        self.server.break_connections()
        await self.server.open_again()

    async def rewind(self) -> None:
        self.server.rewind()

    async def malformed(self) -> None:
        update = people.message("hello")
        update["message"]["chat"] = "the one in the corner"
        self.server.hand_out(update, check=False)

    async def revoke(self) -> None:
        self.server.revoked = True
        self.server.break_connections()

    async def silent(self) -> None:
        self.server.silent = True
        self.server.break_connections()

    async def wants_peace(self, seconds: float) -> None:
        limited = _limited(round(seconds))
        for method in ("getUpdates", "getWebhookInfo"):
            self.server.faults.append(Trouble(method, 429, limited, times=100))
        self.server.break_connections()

    def handed_out(self, key: str) -> float:
        return self.server.handed_out[int(key)]

    def drafts(self, chat: str = "a") -> list[Edit]:
        number = self._number(chat)
        seen = list(self.server.chats.drafts.get(number, []))
        for message in self.server.chats.shown.get(number, []):
            seen += message.told
        return [Edit(each.at, each.text) for each in sorted(seen)]

    def typed(self, chat: str = "a") -> int:
        return self.server.chats.typed[self._number(chat)]

    def downloads(self) -> int:
        return self.server.chats.downloads

    async def changes(self, key: str, text: str) -> None:
        self._hand_out(people.edited(self._said[key], text))

    async def reacts(self, emoji: str, *, chat: str = "a", nth: int = -1, sender: str = "") -> None:
        number = self._number(chat)
        message = self.server.chats.shown[number][nth].message_id
        who = self._number(sender or ("a" if chat.startswith("#") else chat))
        self._hand_out(people.reacted(message, [], [emoji], chat=number, sender=who))

    def buttons(self, chat: str = "a") -> list[str]:
        return [each["text"] for each in self._buttons(chat)]

    def _buttons(self, chat: str) -> list[dict[str, Any]]:
        keyboard = self.server.chats.shown[self._number(chat)][-1].keyboard or {}
        return [each for row in keyboard.get("inline_keyboard", []) for each in row]

    async def presses(self, label: str, *, chat: str = "a", sender: str = "") -> str:
        number = self._number(chat)
        [data] = [each["callback_data"] for each in self._buttons(chat) if each["text"] == label]
        who = self._number(sender or ("a" if chat.startswith("#") else chat))
        message = self.server.chats.shown[number][-1]
        update = people.pressed(message, data, chat=number, sender=who)
        query = update["callback_query"]["id"]
        self.server.chats.pressed.add(query)
        self._hand_out(update)
        await until(lambda: query in self.server.chats.answers, f"{label} is acknowledged")
        return self.server.chats.answers[query]


class CalledTelegramPlatform(TelegramPlatform):
    """The fake, which calls the daemon."""

    def settings(self) -> Mapping[str, object]:
        called = {
            "webhook_url": "https://assistant.example",
            "webhook_secret": "only-telegram-knows",
        }
        return {**super().settings(), **called}

    async def reach(self, url: str) -> None:
        self.server.leads_to = url


def _limited(seconds: int) -> Json:
    refusal = _refusal(429, f"Too Many Requests: retry after {seconds}")
    return refusal | {"parameters": {"retry_after": seconds}}


def _refusal(status: int, description: str) -> Json:
    return {"ok": False, "error_code": status, "description": description}


PLATFORM = TelegramPlatform
