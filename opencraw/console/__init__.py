"""Pages of the daemon itself, beside its channels: what it knows, for the person it is about.

A page asks the control plane like any other program, with the access token that the browser keeps
for this address. What is shown was said by anybody: it enters the page as text and as nothing else.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from hashlib import blake2b
from importlib import resources

from aiohttp import web

from opencraw.contract import Route
from opencraw.errors import NotFound

# Nothing from elsewhere, nothing inline, no frame around us.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Console:
    """The pages, and the files that they are made of."""

    def __init__(self) -> None:
        folder = resources.files("opencraw.console") / "page"
        self._files = {file.name: file.read_bytes() for file in folder.iterdir()}

    def routes(self) -> Sequence[Route]:
        """The routes to mount. The files say nothing about anybody, so they need no credential."""
        return (
            Route("GET", "/memory", self._memory, public=True),
            Route("GET", "/console/{name}", self._file, public=True),
        )

    async def _memory(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise NotFound("There is no such file.")
        return self._answer(request, name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        """The file, or word that the browser's copy is still the newest."""
        content = self._files[name]
        tag = blake2b(content, digest_size=12).hexdigest()
        headers = {**HEADERS, "ETag": f'"{tag}"'}
        if any(known.value in (tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers["Content-Type"] = f"{kind}; charset=utf-8"
        return web.Response(body=content, headers=headers)
