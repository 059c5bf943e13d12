"""The route that hands out files of messages.

Whoever sent them may mean harm: nothing that comes from here is shown by a browser as a page, or as
anything but the picture that it was found to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

from aiohttp import web

from opencraw.attachments.attachments import Stored
from opencraw.attachments.kinds import PICTURES
from opencraw.contract import Route
from opencraw.control.api import PREFIX
from opencraw.control.errors import BadField

_FENCE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    # It never changes, and it is nobody's but the owner's.
    "Cache-Control": "private, max-age=86400, immutable",
}


class FileFacts(Protocol):
    """What the route may ask of the daemon."""

    async def one(self, file: UUID) -> Stored:
        """A file of some message. Raises `NotFound`."""
        ...


class FilesApi:
    """The handler."""

    def __init__(self, facts: FileFacts) -> None:
        self._facts = facts

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        return (Route("GET", f"{PREFIX}/attachments/{{id}}", self._one, scope="sessions:read"),)

    async def _one(self, request: web.Request) -> web.Response:
        try:
            file = UUID(request.match_info["id"])
        except ValueError:
            raise BadField("id is the id of a file.", code="INVALID_FIELD", field="id") from None
        found = await self._facts.one(file)
        # No type that a browser runs, whatever is asked of it.
        shown = found.content_type if found.content_type in PICTURES else "application/octet-stream"
        name = quote(found.name, safe="")
        return web.Response(
            body=found.data,
            headers={
                **_FENCE,
                "Content-Type": shown,
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            },
        )
