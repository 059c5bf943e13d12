"""What Telegram keeps of its chats with a bot: messages, drafts, buttons, files, commands."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BOT_ID = 4242
TOKEN = f"{BOT_ID}:a-token-that-botfather-never-gave-out"
USERNAME = "crawbot"
LONGEST = 4096
MOST_ENTITIES = 100
#: A chat that nobody has.
NOWHERE = 404

Json = dict[str, Any]


class Seen(NamedTuple):
    """What a message or a draft said from some moment on."""

    at: float
    text: str


@dataclass
class Shown:
    """A message of the bot's."""

    message_id: int
    text: str
    entities: list[Json]
    keyboard: Json | None
    reply_to: int | None
    thread: int | None
    told: list[Seen] = field(default_factory=list)


class Refusal(Exception):
    """An answer that is not ok."""

    def __init__(self, status: int, description: str, **parameters: object) -> None:
        super().__init__(description)
        self.status = status
        self.body: Json = {"ok": False, "error_code": status, "description": description}
        if parameters:
            self.body["parameters"] = parameters


class Chats:
    """All chats of one bot. What is called like a method of the API is what it does."""

    def __init__(self) -> None:
        #: Requests that the documented types allow, and Telegram would not.
        self.objections: list[str] = []
        self.shown: dict[int, list[Shown]] = {}
        self.drafts: dict[int, list[Seen]] = {}
        self.typed: Counter[int] = Counter()
        self.files: dict[str, bytes] = {}
        self.downloads = 0
        #: What the people who pressed a button were told, by the id of the press.
        self.answers: dict[str, str] = {}
        self.pressed: set[str] = set()
        self.commands: list[Json] = []
        self.takes_drafts = True
        self.refuses_entities = False
        self.blocked: set[int] = set()
        self.moved: dict[int, int] = {}
        self.message_ids = itertools.count(501)

    def texts(self, chat: int) -> list[str]:
        """What people see of the bot in a chat."""
        return [message.text for message in self.shown.get(chat, [])]

    def get_me(self, _: Json) -> Json:
        return {
            "id": BOT_ID, "is_bot": True, "first_name": "Craw", "username": USERNAME,
            "can_join_groups": True, "can_read_all_group_messages": False,
            "supports_inline_queries": False,
        }  # fmt: skip

    def send_message(self, values: Json) -> Json:
        chat = self._chat(values)
        self._check_text(values)
        answered = values.get("reply_parameters") or {}
        message = Shown(
            next(self.message_ids),
            values["text"],
            values.get("entities", []),
            values.get("reply_markup"),
            answered.get("message_id"),
            values.get("message_thread_id"),
        )
        message.told.append(Seen(time.monotonic(), message.text))
        self.shown.setdefault(chat, []).append(message)
        return _told(chat, message)

    def edit_message_text(self, values: Json) -> Json:
        chat = self._chat(values)
        self._check_text(values)
        for message in self.shown.get(chat, []):
            if message.message_id == values["message_id"]:
                break
        else:
            raise Refusal(400, "Bad Request: message to edit not found")
        now = (values["text"], values.get("entities", []), values.get("reply_markup"))
        if now == (message.text, message.entities, message.keyboard):
            raise Refusal(
                400,
                "Bad Request: message is not modified: specified new message content and reply "
                "markup are exactly the same as a current content and reply markup of the message",
            )
        message.text, message.entities, message.keyboard = now
        message.told.append(Seen(time.monotonic(), message.text))
        return _told(chat, message)

    def send_message_draft(self, values: Json) -> bool:
        chat = self._chat(values)
        if chat < 0 or not self.takes_drafts:
            raise Refusal(400, "Bad Request: TEXTDRAFT_PEER_INVALID")
        assert values["draft_id"], "drafts have a number that is not zero"
        self._check_text(values)
        self.drafts.setdefault(chat, []).append(Seen(time.monotonic(), values["text"]))
        return True

    def _chat(self, values: Json) -> int:
        chat = int(values["chat_id"])
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        if chat in self.moved:
            raise Refusal(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.moved[chat],
            )
        if chat == NOWHERE:
            raise Refusal(400, "Bad Request: chat not found")
        return chat

    def _check_text(self, values: Json) -> None:
        text, entities = values["text"], values.get("entities", [])
        length = len(text.encode("utf-16-le")) // 2
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        if length > LONGEST:
            raise Refusal(400, "Bad Request: message is too long")
        if entities and self.refuses_entities:
            raise Refusal(400, "Bad Request: can't parse entities: unsupported")
        if "parse_mode" in values or len(entities) > MOST_ENTITIES:
            self.objections.append(f"entities: {len(entities)}, {values.get('parse_mode')}")
        for each in entities:
            end = each["offset"] + each["length"]
            if not 0 <= each["offset"] < end <= length:
                self.objections.append(f"an entity outside of its text: {each}")

    def answer_callback_query(self, values: Json) -> bool:
        query = values["callback_query_id"]
        if query not in self.pressed:
            raise Refusal(400, "Bad Request: query is too old and response timeout expired")
        self.answers[query] = values.get("text", "")
        return True

    def get_my_commands(self, _: Json) -> list[Json]:
        return self.commands

    def set_my_commands(self, values: Json) -> bool:
        self.commands = values["commands"]
        return True

    def get_file(self, values: Json) -> Json:
        self.downloads += 1
        data = self.files.get(values["file_id"])
        if data is None:
            raise Refusal(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(data) > 20_000_000:
            raise Refusal(400, "Bad Request: file is too big")
        identity = values["file_id"]
        return {
            "file_id": identity, "file_unique_id": identity, "file_size": len(data),
            "file_path": f"files/{identity}",
        }  # fmt: skip

    def send_chat_action(self, values: Json) -> bool:
        self.typed[values["chat_id"]] += 1
        return True


def _told(chat: int, message: Shown) -> Json:
    where = {"id": chat, "type": "private" if chat > 0 else "supergroup"}
    return {
        "message_id": message.message_id, "date": int(time.time()), "chat": where,
        "text": message.text,
    }  # fmt: skip
