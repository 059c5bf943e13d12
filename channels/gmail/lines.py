"""The connections to Google, kept from one call to the next: to open one costs more than to ask.

Google's library knows no connection that several threads share, so whoever asks has one for himself
as long as the call lasts.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ECONNRESET
from typing import Any

import httplib2


class Lines:
    """As many as are in use at a time."""

    def __init__(self, seconds: float) -> None:
        """An answer may take so long."""
        self._seconds = seconds
        self._idle: list[_Once] = []

    def __del__(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Keep none of those that there are."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    @contextmanager
    def line(self) -> Iterator[httplib2.Http]:
        """A connection. One on which anything went wrong is used for nothing more."""
        idle = self._idle
        line = self._kept(idle) or _Once(timeout=self._seconds)
        line.follow_redirects = False
        try:
            yield line
        except BaseException:
            line.close()
            raise
        if idle is self._idle:
            idle.append(line)
        else:
            line.close()

    def _kept(self, idle: list[_Once]) -> _Once | None:
        # Others may take the last one between two looks.
        with suppress(IndexError):
            while True:
                line = idle.pop()
                if line.is_quiet():
                    return line
                line.close()
        return None


class _Once(httplib2.Http):  # type: ignore[misc]  # has no types
    """A connection that sends what it is given once. By itself the library sends again whatever got
    no answer, and a mail would be there twice."""

    def is_quiet(self) -> bool:
        """Whether it may be used. What can be read where nothing was asked is its end."""
        with selectors.DefaultSelector() as selector:
            for connection in self.connections.values():
                if connection.sock is not None:
                    selector.register(connection.sock, selectors.EVENT_READ)
            return not selector.select(0)

    def _conn_request(
        self, conn: Any, request_uri: str, method: str, body: Any, headers: Mapping[str, str]
    ) -> Any:
        send = conn.request
        sent = False

        def send_once(*arguments: Any, **named: Any) -> None:
            nonlocal sent
            if sent:
                raise ConnectionResetError(ECONNRESET, "the connection broke before the answer")
            sent = True
            send(*arguments, **named)

        conn.request = send_once
        try:
            return super()._conn_request(conn, request_uri, method, body, headers)
        finally:
            conn.request = send
