"""Opens the sockets we listen on, and says who sits there when somebody else was first."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

from opencraw.errors import CannotStart

_WAITING_ROOM = 512
_LISTENING = "0A"
_ANY_PORT_ATTEMPTS = 10
#: This machine does not have the address: no IPv6, for one.
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def listen(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Listen on one port at all the addresses; 0 takes one that is free on all of them.

    Raises `CannotStart`. An address besides the first may be missing on this machine, but it must
    not be somebody else's: browsers may prefer it, and would hand their token to whoever is there.
    """
    for _ in range(_ANY_PORT_ATTEMPTS if port == 0 else 1):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                taken = sockets[0].getsockname()[1] if sockets else port
                sockets.extend(_listen(address, taken, optional=bool(sockets)))
        except OSError as error:
            for opened in sockets:
                opened.close()
            if port == 0 and error.errno == errno.EADDRINUSE:
                continue
            raise CannotStart(_explanation(error, addresses, port)) from error
        return sockets
    raise CannotStart("No free port was found to listen on. Fix: name one in the configuration.")


def holder(port: int) -> str | None:
    """Who listens on a port of this machine, as far as we are allowed to know."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                name = (process / "comm").read_text(errors="replace").strip()
                return f"process {process.name} ({name})"
        except OSError:  # gone, or another user's
            continue
    return "another user's process"


def _listen(address: str, port: int, *, optional: bool) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if optional and error.errno in _NOT_HERE:
            return []
        raise
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Otherwise :: would take the IPv4 port as well.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(_WAITING_ROOM)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        if optional and error.errno in _NOT_HERE:
            return []
        raise
    return [opened]


def _explanation(error: OSError, addresses: Sequence[str], port: int) -> str:
    where = " or ".join(f"{address}:{port}" for address in addresses)
    if error.errno == errno.EADDRINUSE:
        who = holder(port)
        found = f"{who} listens there" if who else "another program listens there"
        return (
            f"Port {port} is taken: {found}. Nobody could reach the daemon. Fix: stop that program "
            "(is OpenCraw running already?), or choose another port in the configuration."
        )
    if error.errno == errno.EACCES:
        return (
            f"This user may not listen on {where}. Nobody could reach the daemon. Fix: choose a "
            "port above 1023."
        )
    return (
        f"Listening on {where} failed: {error.strerror}. Nobody could reach the daemon. Fix: "
        "correct runtime.bind_addr to an address of this machine."
    )


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # not Linux
            continue
        for fields in map(str.split, lines):
            local, state, inode = fields[1], fields[3], fields[9]
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                inodes.add(inode)
    return inodes
