"""The page's files and the headers that fence it in."""

from __future__ import annotations

import mimetypes
from hashlib import blake2b
from importlib import resources

from aiohttp import web

# Nothing from elsewhere, nothing inline, no frame around us: what a model writes cannot run here.
# Pictures that people sent are fetched with the token, so they are blobs.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Asset:
    """One file as it goes over the wire."""

    def __init__(self, name: str, content: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._type = f"{kind}; charset=utf-8"
        self._content = content
        self._tag = blake2b(content, digest_size=12).hexdigest()

    def respond(self, request: web.Request) -> web.Response:
        """The file, or word that the browser's copy is still the newest."""
        known = request.if_none_match or ()
        headers = {**HEADERS, "ETag": f'"{self._tag}"'}
        if any(tag.value in (self._tag, "*") for tag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._content, headers={**headers, "Content-Type": self._type})


def load() -> dict[str, Asset]:
    """All files of the page by name, read once."""
    folder = resources.files("channels.webchat") / "page"
    return {file.name: Asset(file.name, file.read_bytes()) for file in folder.iterdir()}
