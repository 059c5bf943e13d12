"""A stand-in for the daemon's HTTP side: answers what a test tells it to, and remembers."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a-token-of-the-data-folder"


@dataclass
class Standin:
    """Answers by path; what was asked is kept."""

    answers: dict[str, tuple[int, Any]]
    url: str = ""
    asked: list[tuple[str, str, str | None, Any]] = field(default_factory=list)
    #: Of the bodies that came, in bytes.
    sizes: list[int] = field(default_factory=list)
    #: Answers have no end.
    breaks_off: bool = False


@contextmanager
def answering(folder: Path, answers: dict[str, tuple[int, Any]]) -> Iterator[Standin]:
    """A daemon whose data folder is `folder/data`."""
    standin = Standin(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_DELETE(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            standin.sizes.append(int(self.headers["Content-Length"]))
            self._answer(json.loads(self.rfile.read(standin.sizes[-1])))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

        def _answer(self, body: Any) -> None:
            standin.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
            status, said = standin.answers.get(self.path, (404, None))
            text = said if isinstance(said, str) else json.dumps(said)
            self.send_response(status)
            if standin.breaks_off:
                self.send_header("Transfer-Encoding", "chunked")
                text = f"{len(text):x}\r\n{text}\r\n"
            self.end_headers()
            self.wfile.write(text.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        standin.url = f"http://127.0.0.1:{server.server_port}"
        announce(folder, standin.url)
        try:
            with holding(folder):
                yield standin
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def holding(folder: Path, *, pid: int = 4711) -> Iterator[None]:
    """Hold the data folder as a living daemon does."""
    with (folder / "data" / "daemon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{pid}\n")
        lock.flush()
        yield


def announce(folder: Path, url: str, *, pid: int = 4711) -> None:
    """Leave behind what a running daemon leaves in its data folder."""
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "daemon.json").write_text(json.dumps({"pid": pid, "url": url}))
    token = data / "access-token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
