"""Logs: one line per event, without secrets, without anybody's words, and never a reason to fail.

Modules log through `logging.getLogger(__name__)` and say what a line is about with `About`:

    log.info("turn ended", extra=About(session_id=str(session.id), turn_id=str(turn.id)))

What people and models wrote is never logged, at no level.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, TypedDict, cast

import orjson

from opencraw.errors import CannotStart
from opencraw.telemetry.redaction import Redactor

LogFormat = Literal["json", "pretty"]
FORMAT_VARIABLE = "OPENCRAW_LOG_FORMAT"
#: They tell everything they do at INFO or DEBUG, message texts and addresses with tokens included.
_CHATTY = ("httpx", "httpcore", "telegram", "discord", "gql", "googleapiclient", "asyncio")
_CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}


class About(TypedDict, total=False):
    """What a line is about, as `extra=`. These fields and no others reach the log."""

    correlation_id: str
    session_id: str
    turn_id: str
    message_id: str
    delivery_id: str
    channel: str
    tool: str
    #: provider/model
    model: str
    attempt: int
    duration_ms: float


class Logs:
    """The daemon's log as it was set up."""

    def __init__(self, handler: LineHandler, redactor: Redactor) -> None:
        self._handler = handler
        self.redactor = redactor

    @property
    def dropped(self) -> int:
        """How many lines could not be written."""
        return self._handler.dropped


class LineHandler(logging.Handler):
    """Writes lines to a file descriptor. What cannot be written is dropped and counted."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._untold = 0
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, preceded by the number of lines that were lost before it."""
        try:
            if self._untold:
                lost = _record_of_loss(self._untold)
                self._write(self.format(lost))
                self._untold = 0
            self._write(self.format(record))
        except (OSError, ValueError, TypeError):
            # A full disk, a closed pipe, arguments that do not fit their text: a log is never
            # worth more than the work that it tells of.
            self.dropped += 1
            self._untold += 1

    def _write(self, line: str) -> None:
        rest = line.encode() + b"\n"
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class _Formatter(logging.Formatter):
    """The parts that both formats share, already without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def _message(self, record: logging.LogRecord) -> str:
        return self._clean(record.getMessage())

    def _about(self, record: logging.LogRecord) -> dict[str, object]:
        fields = {}
        for name in About.__annotations__:
            value = record.__dict__.get(name)
            if value is not None:
                fields[name] = self._clean(value) if isinstance(value, str) else value
        return fields

    def _error(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return self._clean("\n".join(parts))

    def _clean(self, text: str) -> str:
        text = self._redactor.clean(text)
        # Half characters from broken input are spelt out: UTF-8 has no way to say them.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class JsonFormatter(_Formatter):
    """One JSON object per line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        line |= self._about(record)
        if error := self._error(record):
            line["error"] = error
        return orjson.dumps(line, default=str).decode()


class PrettyFormatter(_Formatter):
    """One line per event, for people at a terminal; only a stack trace takes more."""

    def __init__(self, redactor: Redactor, *, colour: bool = False) -> None:
        super().__init__(redactor)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone()
        about = " ".join(f"{name}={value}" for name, value in self._about(record).items())
        # A line break in a message would let whoever wrote it forge lines.
        message = f"{self._message(record)} {about}".rstrip().translate(_CONTROL_CHARACTERS)
        line = f"{at:%H:%M:%S} {record.levelname.lower():8}{message}"
        if self._colour and (colour := _COLOURS.get(record.levelno)):
            line = f"\x1b[{colour}m{line}\x1b[0m"
        if error := self._error(record):
            line = "\n    ".join([line, *error.splitlines()])
        return line


def start_logs(
    secrets: Iterable[str] = (),
    *,
    environment: Mapping[str, str] = os.environ,
    level: int = logging.INFO,
    descriptor: int | None = None,
) -> Logs:
    """Send every logger's lines to standard error, in the format that suits its reader.

    Terminals get `pretty`, everything else gets `json`; OPENCRAW_LOG_FORMAT decides otherwise.
    Raises `CannotStart` for a format that does not exist.
    """
    target = sys.stderr.fileno() if descriptor is None else descriptor
    terminal = os.isatty(target)
    redactor = Redactor(secrets)
    handler = LineHandler(target)
    if _chosen(environment, terminal) == "json":
        handler.setFormatter(JsonFormatter(redactor))
    else:
        colour = terminal and "NO_COLOR" not in environment
        handler.setFormatter(PrettyFormatter(redactor, colour=colour))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    return Logs(handler, redactor)


def _chosen(environment: Mapping[str, str], terminal: bool) -> LogFormat:
    chosen = environment.get(FORMAT_VARIABLE) or ("pretty" if terminal else "json")
    if chosen not in ("json", "pretty"):
        raise CannotStart(
            f"{FORMAT_VARIABLE} is {chosen!r}, which is no format: nothing could be logged. Fix: "
            "set it to json or pretty, or unset it."
        )
    return cast("LogFormat", chosen)


def _record_of_loss(count: int) -> logging.LogRecord:
    return logging.LogRecord(
        __name__, logging.WARNING, __file__, 0, "%d log lines could not be written", (count,), None
    )
