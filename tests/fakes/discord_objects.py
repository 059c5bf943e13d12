"""What Discord's objects look like. Each is held against the published schema when it is made."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from tests.fakes.discord_schemas import problems

Json = dict[str, Any]

EPOCH_MS = 1_420_070_400_000
_counter = itertools.count()


def snowflake() -> str:
    """A new id; later ones are larger."""
    passed = int(time.time() * 1000) - EPOCH_MS
    return str((passed << 22) | (next(_counter) % (1 << 22)))


def moment(of: str) -> int:
    """When something with this id was made, in milliseconds since Discord began."""
    return int(of) >> 22


def id_of(kind: int, name: str) -> str:
    """The same id for the same name, always."""
    return str(kind * 10**17 + int.from_bytes(name.encode()[:7].rjust(7, b"\0")))


def user(user_id: str, name: str, *, bot: bool = False) -> Json:
    return {
        "id": user_id,
        "username": name,
        "global_name": None if bot else name.title(),
        "avatar": None,
        "discriminator": "0000" if bot else "0",
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
        "bot": bot,
    }


def message(channel_id: str, author: Json, content: str, **more: Any) -> Json:
    """A message as Discord hands it out."""
    made = {
        "id": snowflake(),
        "channel_id": channel_id,
        "type": 0,
        "content": content,
        "author": author,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "attachments": [],
        "embeds": [],
        "components": [],
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "edited_timestamp": None,
        "flags": 0,
        "pinned": False,
        "tts": False,
    } | more
    assert not (wrong := problems("MessageResponse", made)), wrong
    return made


def file(url: str, file_id: str, name: str, content_type: str, size: int) -> Json:
    return {
        "id": file_id,
        "filename": name,
        "content_type": content_type,
        "size": size,
        "url": f"{url}/files/{file_id}/{name}",
        "proxy_url": f"{url}/files/{file_id}/{name}",
    }


def direct_channel(channel_id: str, person: Json) -> Json:
    made = {"id": channel_id, "type": 1, "flags": 0, "recipients": [person]}
    assert not (wrong := problems("PrivateChannelResponse", made)), wrong
    return made


def text_channel(channel_id: str, guild_id: str, name: str, last: str | None) -> Json:
    return {
        "id": channel_id,
        "type": 0,
        "guild_id": guild_id,
        "name": name,
        "position": 0,
        "permission_overwrites": [],
        "nsfw": False,
        "parent_id": None,
        "last_message_id": last,
    }


def thread(channel_id: str, parent: Json, name: str, last: str | None) -> Json:
    return {
        "id": channel_id,
        "type": 11,
        "guild_id": parent["guild_id"],
        "parent_id": parent["id"],
        "name": name,
        "last_message_id": last,
        "thread_metadata": {"archived": False, "locked": False},
    }
