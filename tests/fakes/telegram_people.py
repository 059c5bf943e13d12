"""What people do on Telegram, as the updates that come of it."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tests.fakes.telegram_chats import BOT_ID, USERNAME, Json, Shown

_numbers = itertools.count(1001)
_message_ids = itertools.count(1)


def person(identity: int, name: str = "Ann") -> Json:
    return {"id": identity, "is_bot": False, "first_name": name}


def bot() -> Json:
    return {"id": BOT_ID, "is_bot": True, "first_name": "Craw", "username": USERNAME}


def chat_of(identity: int) -> Json:
    """A person's chat has the person's number, a group's a negative one."""
    if identity > 0:
        return {"id": identity, "type": "private", "first_name": "Ann"}
    return {"id": identity, "type": "supergroup", "title": "The den"}


def update(kind: str, body: Json, number: int | None = None) -> Json:
    return {"update_id": next(_numbers) if number is None else number, kind: body}


def message(
    text: str | None = None, *, chat: int = 7, sender: int | None = None, **more: Any
) -> Json:
    """An update with a message. What begins with a slash is a command, what has our name mentions
    us, as Telegram's clients see it."""
    body: Json = {
        "message_id": next(_message_ids),
        "date": int(time.time()),
        "chat": chat_of(chat),
        "from": person(sender if sender is not None else abs(chat)),
        **more,
    }
    if text is not None:
        body["text"] = text
        if entities := marks(text):
            body.setdefault("entities", entities)
    return update("message", body)


def marks(text: str) -> list[Json]:
    """The entities that Telegram finds in a text by itself."""
    found: list[Json] = []
    for mark in re.finditer(rf"(?<!\S)/\S+|@{USERNAME}\b", text):
        offset, length = (
            len(part.encode("utf-16-le")) // 2 for part in (text[: mark.start()], mark[0])
        )
        kind = "bot_command" if mark[0].startswith("/") else "mention"
        found.append({"type": kind, "offset": offset, "length": length})
    return found


def edited(original: Mapping[str, Any], text: str) -> Json:
    """Somebody changes what a message says."""
    body = {**original["message"], "text": text, "edit_date": int(time.time())}
    return update("edited_message", body)


def pressed(shown: Shown, data: str, *, chat: int = 7, sender: int | None = None) -> Json:
    """Somebody presses a button under a message of ours."""
    place = {
        "message_id": shown.message_id,
        "date": int(time.time()),
        "chat": chat_of(chat),
        "text": shown.text,
    }
    body = {
        "id": f"press-{next(_numbers)}",
        "from": person(sender if sender is not None else abs(chat)),
        "message": place,
        "chat_instance": "1",
        "data": data,
    }
    return update("callback_query", body)


def press(choice: UUID, option: str) -> str:
    """What a button of ours says."""
    return f"oc:{option}:{choice.hex}"


def reacted(
    message_id: int, before: Sequence[str], after: Sequence[str], *, chat: int = 7, sender: int = 7
) -> Json:
    """Somebody changes the emoji under a message."""
    body = {
        "chat": chat_of(chat),
        "message_id": message_id,
        "date": int(time.time()),
        "user": person(sender),
        "old_reaction": [{"type": "emoji", "emoji": each} for each in before],
        "new_reaction": [{"type": "emoji", "emoji": each} for each in after],
    }
    return update("message_reaction", body)


def document(identity: str, name: str, content_type: str, size: int | None) -> Json:
    """The part of a message that is a file."""
    file: Json = {
        "file_id": identity,
        "file_unique_id": identity,
        "file_name": name,
        "mime_type": content_type,
    }
    return {"document": file if size is None else {**file, "file_size": size}}


def photo(identity: str, *sizes: int) -> Json:
    """The part of a message that is a photo, in sizes of so many bytes."""
    return {
        "photo": [
            {
                "file_id": f"{identity}-{size}",
                "file_unique_id": f"{identity}-{size}",
                "width": 100 * place,
                "height": 100 * place,
                "file_size": size,
            }
            for place, size in enumerate(sizes, 1)
        ]
    }
