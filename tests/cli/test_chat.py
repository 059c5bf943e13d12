"""`opencraw chat` against the real daemon: once, piped, for programs, through a crash, by hand."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from opencraw.cli import root
from tests.fixtures.daemon import Daemon

PATIENCE = 60.0


async def chat(daemon: Daemon, *arguments: str, piped: str = "") -> tuple[int | None, str, str]:
    process = await start(daemon, *arguments)
    try:
        out, err = await asyncio.wait_for(process.communicate(piped.encode()), PATIENCE)
    except TimeoutError:
        pytest.fail(f"no answer to {arguments} {piped!r}\n{daemon.log.read_text()}")
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, out.decode(), err.decode()


async def start(daemon: Daemon, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command(daemon), *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )


def command(daemon: Daemon) -> list[str]:
    return [sys.executable, "-m", "opencraw", "--config", str(daemon.config), "chat"]


async def test_a_question_is_answered_once_on_the_output(daemon: Daemon) -> None:
    code, out, err = await chat(daemon, "what", "is", "12*7?")
    assert code == 0
    assert out.count("84") == 1
    assert out.endswith("\n")
    assert "[calculate]" in err
    assert "no real model" in err


async def test_a_message_comes_from_the_arguments_and_the_pipe(daemon: Daemon) -> None:
    for arguments, piped, said in (
        ([], "hello pipe\n", ["You said: hello pipe"]),
        (["hello", "there"], "", ["You said: hello there"]),
        (["hello:"], "line one\nline two\n", ["You said: hello:", "line one", "line two"]),
        (["--", "--json"], "", ["You said: --json"]),
    ):
        code, out, _ = await chat(daemon, *arguments, piped=piped)
        assert code == 0
        assert [words for words in said if words not in out] == []


async def test_a_command_is_answered_too(daemon: Daemon) -> None:
    code, out, _ = await chat(daemon, "/help")
    assert code == 0
    assert "/status" in out


async def test_for_programs_every_frame_is_a_line(daemon: Daemon) -> None:
    code, out, _ = await chat(daemon, "--json", "hello")
    frames = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert frames[0]["type"] == "hello"
    assert frames[-1]["type"] == "message"
    assert {"ack", "said", "delta"} <= {frame["type"] for frame in frames}


@pytest.mark.parametrize("arguments", [[], [" "], ["--json"]])
def test_nothing_to_say_is_a_mistake_of_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(root, ["chat", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "The message is empty." in result.stderr


async def test_conversations_are_kept_apart_by_name(daemon: Daemon) -> None:
    await chat(daemon, "--chat", "a", "my name is Ada")
    _, of_a, _ = await chat(daemon, "--chat", "a", "what is my name?")
    _, of_b, _ = await chat(daemon, "--chat", "b", "what is my name?")
    assert "Ada" in of_a
    assert "Ada" not in of_b


async def test_a_wrong_token_is_told_in_words(daemon: Daemon) -> None:
    token = daemon.data_dir / "access-token"
    token.write_text("0" * 40)
    code, out, err = await chat(daemon, "hello")
    assert (code, out) == (1, "")
    assert "does not accept the token" in err


async def test_an_answer_survives_the_daemons_death_and_is_printed_once(daemon: Daemon) -> None:
    chatting = await start(daemon, "count to 200")
    assert chatting.stdin is not None
    assert chatting.stdout is not None
    chatting.stdin.close()
    begun = await asyncio.wait_for(chatting.stdout.readuntil(b"20"), PATIENCE)
    await daemon.kill()
    await daemon.start()
    rest = await asyncio.wait_for(chatting.stdout.read(), PATIENCE)
    assert await chatting.wait() == 0
    numbers = re.findall(r"\d+", (begun + rest).decode())
    assert numbers == [str(number) for number in range(1, 201)]


class Terminal:
    """A person's terminal, with eyes and fingers."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._master = master
        self._seen = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def see(self, words: str) -> None:
        """Wait until the words are on the screen, below what was looked at before."""
        deadline = time.monotonic() + PATIENCE
        while words not in self._seen:
            readable, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert readable, f"{words!r} never came after {self._seen!r}"
            self._seen += os.read(self._master, 65_536).decode(errors="replace")
        self._seen = self._seen.partition(words)[2]

    def leave(self) -> int:
        """Press Ctrl-D, which does nothing while there is text in the line, until it works."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.press("\x04")
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(0.5)
        raise AssertionError("it would not let go")


@contextmanager
def terminal(daemon: Daemon) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    process = subprocess.Popen(
        command(daemon), stdin=slave, stdout=slave, stderr=slave, env=environ,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


async def test_a_person_asks_stops_an_answer_and_leaves(daemon: Daemon) -> None:
    await asyncio.to_thread(_talk, daemon)


def _talk(daemon: Daemon) -> None:
    with terminal(daemon) as screen:
        screen.see("Ctrl-D leaves")
        screen.see("›")
        screen.press("hello\r")
        screen.see("You said: hello")
        screen.see("›")
        screen.press("count to 500\r")
        screen.see(" 20 ")
        screen.process.send_signal(signal.SIGINT)  # what a terminal sends for Ctrl-C
        screen.see("[stopped]")
        screen.see("›")
        screen.press("half a thought\x03")  # at the prompt it only clears the line
        screen.see("›")
        assert screen.leave() == 0


async def test_a_person_comes_back_to_what_was_said(daemon: Daemon) -> None:
    await chat(daemon, "my name is Ada")
    await asyncio.to_thread(_come_back, daemon)


def _come_back(daemon: Daemon) -> None:
    with terminal(daemon) as screen:
        screen.see("my name is Ada")
        screen.see("›")
        assert screen.leave() == 0


def test_without_a_daemon_a_person_is_not_asked_anything(tmp_path: Path) -> None:
    environ = os.environ | {"TERM": "xterm"}
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "opencraw", "--config", tmp_path / "config.toml", "chat"],
        stdin=slave, capture_output=True, env=environ, check=False,
    )  # fmt: skip
    os.close(slave)
    os.close(master)
    assert done.returncode == 69
    assert b"opencraw serve" in done.stderr
