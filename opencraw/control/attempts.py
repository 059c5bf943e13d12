"""How often somebody may show a wrong token. Pure: the caller says what time it is."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

WRONG_TOKENS = 10
WITHIN_SECONDS = 60.0
LOCKED_SECONDS = 300.0
#: Whoever comes from more places than this pushes out the oldest entry, not the daemon's memory.
PLACES = 1024


@dataclass(slots=True)
class _Record:
    failures: list[float] = field(default_factory=list)
    locked_until: float = 0.0


class Attempts:
    """Counts wrong tokens per place, which is an address and the web page, if any, that asked."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def locked_for(self, place: tuple[str, str], now: float) -> float:
        """For how many more seconds this place is not listened to; 0 when it is."""
        record = self._records.get(place)
        return max(0.0, record.locked_until - now) if record else 0.0

    def failed(self, place: tuple[str, str], now: float) -> bool:
        """Count one wrong token. True when this one locks the place."""
        record = self._records.setdefault(place, _Record())
        self._records.move_to_end(place)
        if len(self._records) > PLACES:
            self._records.popitem(last=False)
        if record.locked_until > now:
            return False
        record.failures = [at for at in record.failures if now - at < WITHIN_SECONDS]
        record.failures.append(now)
        if len(record.failures) < WRONG_TOKENS:
            return False
        record.failures.clear()
        record.locked_until = now + LOCKED_SECONDS
        return True


def network(address: str) -> str:
    """What counts as one peer: an IPv4 address, or an IPv6 network as one customer gets it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
