"""Where the daemon is, and one question to it. Reads no settings but the data folder.

A command that talks to a running daemon must work while the file is being edited, so it does not
validate the configuration; and it should answer at once, so it does without pydantic and aiohttp.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opencraw.errors import OpenCrawError, Refused, Unavailable

#: Written by the daemon into its data folder while it runs.
ADDRESS_FILE = "daemon.json"
ACCESS_FILE = "access-token"
LOCK_FILE = "daemon.lock"

#: In the order in which they win.
DATA_DIR_VARIABLES = (
    "OPENCRAW_RUNTIME__DATA_DIR",
    "OPENCRAW_DATA_DIR",
    "OPENSHELL_RUNTIME__DATA_DIR",
    "OPENSHELL_DATA_DIR",
)
WORKSPACE_VARIABLE = "OPENCRAW_GENERAL__WORKSPACE"

_SECONDS = 10.0
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Daemon:
    """A daemon that said where it is. It may have died since."""

    url: str
    pid: int
    token: str | None

    @property
    def link(self) -> str:
        """The page's address; what follows `#` never leaves the browser."""
        return f"{self.url}/#token={self.token}" if self.token else f"{self.url}/"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True)
class Answer:
    """What the daemon answered: its status, and the JSON of its body (None when it is not)."""

    status: int
    body: Any


def data_dir(config: Path, environ: Mapping[str, str]) -> Path:
    """The data folder, as `opencraw.config.load` finds it."""
    named = next((environ[name] for name in DATA_DIR_VARIABLES if environ.get(name)), None)
    folder = Path(named or _from_file(config, "runtime", "data_dir") or "data").expanduser()
    return (config.parent / folder).absolute()


def workspace_dir(config: Path, environ: Mapping[str, str]) -> Path:
    """The folder of the files that prompts show, as the daemon finds it."""
    named = environ.get(WORKSPACE_VARIABLE) or _from_file(config, "general", "workspace")
    return data_dir(config, environ) / Path(named or "workspace").expanduser()


def _from_file(config: Path, section: str, key: str) -> str | None:
    import tomli

    try:
        table = tomli.loads(config.read_text(encoding="utf-8")).get(section)
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError):
        return None  # a daemon that started before the file broke is still to be found
    named = table.get(key) if isinstance(table, dict) else None
    return named if isinstance(named, str) else None


def find(config: Path, environ: Mapping[str, str] = os.environ) -> Daemon:
    """The daemon of this configuration. Raises `Unavailable` when none has been started."""
    folder = data_dir(config, environ)
    try:
        address = json.loads((folder / ADDRESS_FILE).read_text(encoding="utf-8"))
        token = (folder / ACCESS_FILE).read_text(encoding="utf-8").strip()
        found = Daemon(str(address["url"]).rstrip("/"), int(address["pid"]), token or None)
        if not _is_held(folder, found.pid):
            raise _ended(found)
        return found
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unavailable(
            f"No daemon is running for {config} (there is no {error.filename}).\n"
            f"There is nobody to talk to.\n"
            f"Start one with `opencraw serve`, or name its file: opencraw --config PATH …"
        ) from error
    except PermissionError as error:
        raise Refused(
            f"{error.filename} cannot be read by this user.\n"
            f"Without its token the daemon does not talk to anybody.\n"
            f"Run the command as the user that runs the daemon."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{folder / ADDRESS_FILE} does not say where the daemon is.\n"
            f"It cannot be reached.\nRestart it with `opencraw serve`."
        ) from error


def ask(
    daemon: Daemon, method: str, path: str, body: object = None, *, seconds: float = _SECONDS
) -> Answer:
    """One request, and its answer of whatever status. Raises `Unavailable` when there is none."""
    connection = _connection(daemon, seconds)
    headers = {**daemon.headers, "Accept": "application/json"}
    content = None
    if body is not None:
        content = encoded(body)
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, content, headers)
        return _answer(connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        raise gone(daemon) from error
    finally:
        connection.close()


def encoded(body: object) -> bytes:
    """What is sent, of which the daemon takes a certain length: only half a character, which cannot
    be said otherwise, is escaped."""
    return json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")


def pieces(config: Path, path: str) -> Iterator[bytes]:
    """A long answer as it comes. Raises as `call` does, and `Unavailable` when it breaks off."""
    daemon = find(config)
    connection = _connection(daemon)
    try:
        connection.request("GET", path, headers=daemon.headers)
        response = connection.getresponse()
        if response.status >= 300:
            raise _refusal(_answer(response))
        # Not line by line, which takes the end of the connection for the end of the answer.
        while piece := response.read(_PIECE):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise gone(daemon) from error
    finally:
        connection.close()


def _connection(daemon: Daemon, seconds: float = _SECONDS) -> http.client.HTTPConnection:
    where = urlsplit(daemon.url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    return kind(where.hostname or "127.0.0.1", where.port, timeout=seconds)


def _answer(response: http.client.HTTPResponse) -> Answer:
    text = response.read()
    try:
        return Answer(response.status, json.loads(text))
    except ValueError:
        return Answer(response.status, None)


def call(
    config: Path, method: str, path: str, body: object = None, *, seconds: float = _SECONDS
) -> Any:
    """The body of a good answer of this configuration's daemon; any other answer is raised."""
    answer = ask(find(config), method, path, body, seconds=seconds)
    if answer.status < 300:
        return answer.body
    raise _refusal(answer)


def gone(daemon: Daemon) -> Unavailable:
    """The daemon lives and does not answer where it said it would."""
    return Unavailable(
        f"The daemon (process {daemon.pid}) does not answer at {daemon.url}.\n"
        f"It is starting, stopping, or stuck.\n"
        f"Look at what it printed, or ask `opencraw doctor`; then start it again."
    )


def _ended(daemon: Daemon) -> Unavailable:
    return Unavailable(
        f"No daemon is running: process {daemon.pid}, which served {daemon.url}, has ended.\n"
        f"Messages that it accepted are kept, and are answered at its next start.\n"
        f"Start it with `opencraw serve`."
    )


def _is_held(folder: Path, pid: int) -> bool:
    """Whether the process that wrote the address still holds the data folder.

    Anybody may listen on a port that has become free. Only our daemon holds this lock, and nobody
    else is to be shown the token.
    """
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(lock, 32, 0).strip() == str(pid).encode()
    finally:
        os.close(lock)
    return False


def _refusal(answer: Answer) -> OpenCrawError:
    """The daemon's own words where it sent some."""
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    error = error if isinstance(error, dict) else {}
    message = str(error.get("message") or f"The daemon answered with status {answer.status}.")
    if answer.status in {429, 503}:
        return Unavailable(message)
    return Refused(message, code=str(error.get("code") or "INVALID_REQUEST"))
