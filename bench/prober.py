"""Asks a daemon whether it lives, again and again, until it is told to stop; prints how many
milliseconds the answers took, each on a line: `python -m bench.prober URL`."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import aiohttp

_PAUSE = 0.002


async def probe(url: str) -> None:
    """Probe until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    taken = []
    async with aiohttp.ClientSession() as http:
        print("probing", flush=True)
        while not stopped.is_set():
            began = time.perf_counter()
            async with http.get(f"{url}/healthz") as response:
                await response.read()
            taken.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(_PAUSE)
    print("\n".join(map(str, taken)))


if __name__ == "__main__":
    import uvloop

    uvloop.run(probe(sys.argv[1]))
