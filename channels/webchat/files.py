"""Files on their way from a page: each is handed in by itself, then named by the message that
brings it along."""

from __future__ import annotations

import msgspec
from aiohttp import web

from channels.webchat.frames import FileLimits
from opencraw.contract import Gateway
from opencraw.errors import Refused
from opencraw.settings import AttachmentSettings

_LONGEST = 4_000


class Files:
    """What people may hand in here."""

    def __init__(self, settings: AttachmentSettings) -> None:
        self._settings = settings

    @property
    def largest(self) -> int:
        """How many bytes a file may have; 0 when none are taken."""
        return self._settings.max_bytes

    @property
    def limits(self) -> FileLimits | msgspec.UnsetType:
        """What pages are told, so that they refuse at once what would be refused anyway."""
        if not self.largest:
            return msgspec.UNSET
        given = self._settings
        return FileLimits(given.max_bytes, given.max_per_message, given.types)

    async def hand_in(self, request: web.Request, gateway: Gateway) -> web.Response:
        """Keep the body of a request as a file. Raises `Refused`, with words for its sender."""
        name, content_type = request.query.get("name", ""), request.query.get("type", "")
        if len(name) > _LONGEST or len(content_type) > _LONGEST:
            raise Refused("The name of this file is too long.", code="INVALID_FIELD")
        kept = await gateway.keep("webchat", name, content_type, await self._body(request))
        answer = {
            "source": kept.source,
            "name": kept.name,
            "content_type": kept.content_type,
            "size": kept.size,
        }
        return web.json_response(answer, status=201)

    async def _body(self, request: web.Request) -> bytes:
        """The body, of which no more is read than is taken."""
        data = bytearray()
        async for piece in request.content.iter_any():
            data += piece
            if len(data) > self.largest:
                raise web.HTTPRequestEntityTooLarge(self.largest)
        return bytes(data)
