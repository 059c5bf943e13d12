from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencraw.errors import CannotStart
from opencraw.telemetry.logs import About, Logs, start_logs

CANARY = "canary-value-0123456789"
log = logging.getLogger("tests.telemetry")


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    """Give the root logger back as pytest had set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "asyncio", "telegram")}
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)


class Written:
    """A log in a file."""

    def __init__(self, path: Path, log_format: str = "json", level: int = logging.INFO) -> None:
        self._path = path
        self.descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        environment = {"OPENCRAW_LOG_FORMAT": log_format}
        self.logs: Logs = start_logs(
            [CANARY], environment=environment, level=level, descriptor=self.descriptor
        )

    def text(self) -> str:
        return self._path.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "log")


@pytest.fixture
def pretty(tmp_path: Path) -> Written:
    return Written(tmp_path / "log", "pretty")


def test_a_line_is_an_object_with_the_fields_it_is_about(written: Written) -> None:
    log.info("turn %s ended", 7, extra=About(turn_id="t-1", channel="webchat", attempt=2))
    (line,) = written.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", str(line.pop("time")))
    assert line == {
        "level": "info",
        "logger": "tests.telemetry",
        "message": "turn 7 ended",
        "turn_id": "t-1",
        "channel": "webchat",
        "attempt": 2,
    }


def test_fields_that_nobody_agreed_on_stay_out(written: Written) -> None:
    log.info("hello", extra={"text": "what somebody said", "channel": "webchat"})
    assert "what somebody said" not in written.text()
    assert written.lines()[0]["channel"] == "webchat"


def test_no_canary_gets_through(written: Written) -> None:
    leave_canaries_everywhere()
    assert len(written.lines()) == 6
    assert CANARY not in written.text()


def test_no_canary_gets_through_to_people_either(pretty: Written) -> None:
    leave_canaries_everywhere()
    assert pretty.text().count("REDACTED") >= 6
    assert CANARY not in pretty.text()


def leave_canaries_everywhere() -> None:
    log.info("in the message: %s" % CANARY)  # noqa: G002, UP031 as careless code would
    log.info("in an argument: %s", CANARY)
    log.info("in an object: %s", {"key": [CANARY]})
    log.info("in a field", extra=About(session_id=CANARY))
    log.info("in a stack", stack_info=True, extra=About(tool=f"x{CANARY}x"))
    try:
        try:
            raise ValueError(f"inner {CANARY}")
        except ValueError as error:
            raise RuntimeError(f"outer {CANARY}") from error
    except RuntimeError:
        log.exception("in an exception and its cause")


def test_secrets_that_turn_up_later_are_known_from_then_on(written: Written) -> None:
    written.logs.redactor.add(["another-secret-of-the-day"])
    log.info("refreshed another-secret-of-the-day")
    assert "another-secret-of-the-day" not in written.text()


def test_a_token_offered_as_subprotocol_is_not_repeated(written: Written) -> None:
    # What aiohttp says when a client offers only the token.
    log.warning("Client protocols %r don't overlap", ["opencraw.token.q8Zr4LtP0xW7vN"])
    assert "q8Zr4LtP0xW7vN" not in written.text()


def test_chatty_libraries_are_kept_quiet(tmp_path: Path) -> None:
    written = Written(tmp_path / "log", level=logging.DEBUG)
    logging.getLogger("httpx").info("HTTP Request: POST https://api.example/bot")
    logging.getLogger("telegram.ext").debug("Got response {'text': 'hello'}")
    log.debug("ours")
    assert [line["message"] for line in written.lines()] == ["ours"]


def test_nobody_can_forge_a_line(pretty: Written) -> None:
    log.info("chat %s joined", "x\n12:00:00 info    all is well\x1b[31m\x9b")
    (line,) = pretty.text().splitlines()
    assert r"x\x0a12:00:00" in line
    assert "\x1b" not in line
    assert "\x9b" not in line


def test_people_see_what_it_is_about_and_where_it_broke(pretty: Written) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("sending failed", extra=About(channel="telegram"))
    first, *rest = pretty.text().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d error   sending failed channel=telegram", first)
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: broken"


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_texts_that_cannot_be_said_in_utf8_are_spelt_out(tmp_path: Path, log_format: str) -> None:
    written = Written(tmp_path / "log", log_format)
    log.info("half a %s and a %s", "\ud83d", "\0", extra=About(channel="\udcff"))
    assert r"\ud83d" in written.text().replace("\\\\", "\\")
    assert written.logs.dropped == 0


def test_a_full_disk_drops_and_counts_lines(tmp_path: Path) -> None:
    written = Written(tmp_path / "log")
    full = os.open("/dev/full", os.O_WRONLY)
    kept = os.dup(written.descriptor)
    os.dup2(full, written.descriptor)
    for number in range(100):
        log.error("lost %d", number)
    assert written.logs.dropped == 100
    os.dup2(kept, written.descriptor)
    log.info("room again")
    log.info("and more")
    messages = [line["message"] for line in written.lines()]
    assert messages == ["100 log lines could not be written", "room again", "and more"]


def test_a_closed_pipe_drops_and_counts_lines(tmp_path: Path) -> None:
    written = Written(tmp_path / "log")
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, written.descriptor)
    log.error("nobody listens")
    assert written.logs.dropped == 1


def test_a_line_that_makes_no_sense_is_dropped(tmp_path: Path) -> None:
    # Made here: what pytest adds to the root logger before a test would fail the test.
    written = Written(tmp_path / "log")
    log.info("%d turns", "many")
    log.info("fine")
    assert written.logs.dropped == 1
    assert [line["message"] for line in written.lines()] == [
        "1 log lines could not be written",
        "fine",
    ]


def test_whoever_is_not_a_terminal_reads_json_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    start_logs(environment={}, descriptor=descriptor)
    log.info("hello")
    assert json.loads(path.read_text())["message"] == "hello"


def test_a_terminal_gets_colours_and_no_json() -> None:
    ours, theirs = os.openpty()
    start_logs(environment={}, descriptor=theirs)
    log.warning("careful")
    shown = os.read(ours, 1000).decode()
    assert "\x1b[33m" in shown
    assert "warning careful" in shown
    start_logs(environment={"NO_COLOR": "1"}, descriptor=theirs)
    log.warning("careful")
    assert "\x1b" not in os.read(ours, 1000).decode()


def test_a_format_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(CannotStart, match="set it to json or pretty"):
        start_logs(environment={"OPENCRAW_LOG_FORMAT": "xml"})
