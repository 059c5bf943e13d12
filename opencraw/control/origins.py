"""Which hosts and web pages are ours. Whole values are compared with lists; nothing is parsed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_USUAL_PORT = 80


class Origins:
    """The answer to DNS rebinding (a foreign Host) and to foreign pages (a foreign Origin)."""

    def __init__(
        self, port: int, addresses: Iterable[str], hosts: Sequence[str], origins: Sequence[str]
    ) -> None:
        names = [*LOOPBACK_NAMES, *(_bracketed(address) for address in addresses)]
        own = {f"{name}:{port}" for name in names}
        if port == _USUAL_PORT:
            own.update(names)
        self._port = port
        self._hosts = frozenset(own) | frozenset(hosts) | {f"{host}:{port}" for host in hosts}
        self._origins = (
            {f"http://{host}" for host in own}
            | {f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")}
            | set(origins)
        )

    def accepts_host(self, hosts: Sequence[str], arrived_at: str) -> bool:
        """Whether a request was meant for us. `arrived_at` is our own end of its connection.

        An address instead of a name cannot be rebound, so the one that was really dialled is good.
        """
        if len(hosts) != 1:
            return False
        host = hosts[0].lower()
        return host in self._hosts or host == f"{_bracketed(arrived_at)}:{self._port}"

    def accepts_origin(self, origins: Sequence[str], host: str) -> bool:
        """Whether the page that asks, if a page asks, is ours. `host` has been accepted before."""
        if not origins:
            return True
        if len(origins) > 1:
            return False
        return origins[0] in self._origins or origins[0] == f"http://{host.lower()}"


def is_own(host: str) -> bool:
    """Whether a host, with its port or without, may be our own address, which nobody lists."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
