"""How long this channel waits for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opencraw.errors import Unavailable

#: A database that is not gone but silent keeps its callers for ever; ours are told after this long.
GATEWAY_SECONDS = 10.0
#: Nobody misses a reply because its colours take long: after this it is shown as it is.
HTML_SECONDS = 3.0


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Give what is done inside `GATEWAY_SECONDS`, then raise `Unavailable`."""
    try:
        async with asyncio.timeout(GATEWAY_SECONDS):
            yield
    except TimeoutError as silence:
        raise Unavailable("The database does not answer; try again.") from silence
