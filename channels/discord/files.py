"""Files that came with messages, fetched when a turn wants them.

A link to a file is good for a day, so what is kept is where the file was: its message has a fresh
link.
"""

from __future__ import annotations

import msgspec
import yarl

from channels.bounded import download
from channels.discord import failures, wire
from channels.discord.rest import Rest
from opencraw.contract import Attachment
from opencraw.errors import NotFound, Refused

#: Where Discord keeps files. A link to anywhere else is not followed.
_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})


async def fetch(rest: Rest, api_url: str, attachment: Attachment, limit: int) -> bytes:
    """What `Fetches.fetch` promises, and `AccountRefused`."""
    channel_id, _, rest_of_it = attachment.source.partition("/")
    message_id, _, file_id = rest_of_it.partition("/")
    path = "/channels/{channel_id}/messages/{message_id}"
    try:
        raw = await rest.call("GET", path, ids={"channel_id": channel_id, "message_id": message_id})
    except failures.TROUBLE as error:
        raise failures.of_call(error) from error
    file = _file(raw, file_id)
    if file.size is not None and file.size > limit:
        raise Refused(f"{file.size:,} bytes are more than {limit:,}")
    url = yarl.URL(file.url)
    # A proxy for the API may bring files, too.
    if url.host not in _HOSTS and url.host != yarl.URL(api_url).host:
        raise Refused("Discord names a link to a place that is not Discord's")
    return await download(url, limit, platform="Discord")


def _file(raw: object, file_id: str) -> wire.File:
    try:
        message = msgspec.convert(raw, wire.Message)
    except msgspec.ValidationError as error:
        raise NotFound(f"Discord's message cannot be understood: {error}") from error
    forwarded = (file for each in message.message_snapshots for file in each.message.attachments)
    for file in (*message.attachments, *forwarded):
        if file.id == file_id:
            return file
    raise NotFound("the file is not in the message any more")
