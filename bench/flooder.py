"""Floods one conversation: `python -m bench.flooder SOCKET_URL TOKEN MESSAGES`.

A process of its own, so that what it costs is not taken for what the daemon costs.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from bench.client import Client

#: So many messages may be on their way unacknowledged.
_AT_ONCE = 64


async def flood(url: str, token: str, messages: int) -> None:
    """Send, and return when the last message is acknowledged."""
    began = time.perf_counter()
    async with Client(url, token, "flood") as client:
        # The flooded conversation waits for bursts as conversations do by default; it is the others
        # of which every millisecond counts.
        await client.send("/queue debounce:250ms")
        await client.acknowledged()
        sent = acknowledged = 0
        while acknowledged < messages:
            while sent < messages and sent - acknowledged < _AT_ONCE:
                await client.send("flood")
                sent += 1
            await client.acknowledged()
            acknowledged += 1
    print(f"{messages:,} messages accepted in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.flooder", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("messages", type=int)
    arguments = parser.parse_args()
    asyncio.run(flood(arguments.url, arguments.token, arguments.messages))
