"""Albums: several messages that people sent as one.

Telegram hands them out one by one and does not say how many there are. So an album counts as whole
when a look at it a moment later finds no more of it than the look before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from channels.telegram.updates import Update

#: How long the parts of an album may be apart.
PAUSE_SECONDS = 0.5

Album = tuple[int, str]


def sizes(updates: Sequence[Update]) -> Counter[Album]:
    """How many parts of which albums there are."""
    return Counter(update.album for update in updates if update.album is not None)


def whole(updates: Sequence[Update], before: Counter[Album]) -> int:
    """How many of the first updates can be taken now. Those behind them have to be asked for again:
    they begin with an album that has grown since the look `before`."""
    now = sizes(updates)
    for place, update in enumerate(updates):
        if update.album is not None and now[update.album] != before[update.album]:
            return place
    return len(updates)


def together(updates: Sequence[Update]) -> list[list[Update]]:
    """The updates in their order, those of an album together where its first one was."""
    groups: list[list[Update]] = []
    albums: dict[Album, list[Update]] = {}
    for update in updates:
        if update.album is None:
            groups.append([update])
        elif update.album in albums:
            albums[update.album].append(update)
        else:
            albums[update.album] = [update]
            groups.append(albums[update.album])
    return groups
