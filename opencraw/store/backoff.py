"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first: float = 0.02, longest: float = 1.0) -> Iterator[float]:
    """Seconds to sleep before each next try: doubling up to `longest`, for ever.

    Each is shortened by up to half at random, so that many who failed together come back apart.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards no secret
        pause = min(pause * 2, longest)
