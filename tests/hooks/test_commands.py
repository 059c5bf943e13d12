from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from opencraw.hooks import Denied, Go, Point, commands
from opencraw.hooks.commands import MOST_BYTES, run, verdict
from opencraw.hooks.points import AnswerInvalid, HookFailed
from tests.fixtures.core import until
from tests.hooks.programs import command, is_alive, program

T = TypeVar("T")
Play = Callable[[Coroutine[Any, Any, T]], T]

READ_ALL = "import sys; sys.stdin.read()\n"
CHILD = """\
import os, sys, time
pid = os.fork()
if pid == 0:
    {apart}
    time.sleep(60)
    os._exit(0)
open(sys.argv[1], "w").write(str(pid))
print('{{"deny": "no"}}', flush=True)
"""


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Iterator[Play[Any]]:
    """Runs a test's body on each of the loops: they start and bury processes in their own ways."""
    loop: asyncio.AbstractEventLoop = request.param()
    yield loop.run_until_complete
    loop.close()


def test_a_program_reads_its_question_and_answers(play: Play[Any], tmp_path: Path) -> None:
    check = program(
        tmp_path,
        "import json, os, sys\n"
        "asked = json.load(sys.stdin)\n"
        "asked['env'] = os.environ['OPENCRAW_HOOK_POINT']\n"
        "json.dump({'deny': json.dumps(asked, sort_keys=True)}, sys.stdout)\n",
    )
    answer = play(command(check)(Point.TURN_STARTED, {"turn_id": "t1", "text": "ü" * 10}))
    assert isinstance(answer, Denied)
    assert json.loads(answer.reason) == {
        "schema_version": 1,
        "point": "turn_started",
        "facts": {"turn_id": "t1", "text": "ü" * 10},
        "env": "turn_started",
    }


def test_a_program_that_floods_the_log_silences_no_other(
    play: Play[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warns = program(tmp_path, "import sys; sys.stderr.write('take care')")
    noisy, other = command(warns), command(warns)
    while noisy.seldom.may_be_told():
        pass
    play(other(Point.TURN_ENDED, {}))
    assert "take care" in caplog.text


def test_a_program_that_says_nothing_has_no_objection(play: Play[Any], tmp_path: Path) -> None:
    assert play(command(program(tmp_path, READ_ALL))(Point.MESSAGE_RECEIVED, {})) is None


def test_a_large_question_reaches_the_program(play: Play[Any], tmp_path: Path) -> None:
    check = program(tmp_path, 'import sys; print(\'{"deny": "%d"}\' % len(sys.stdin.read()))')
    answer = play(command(check)(Point.MESSAGE_RECEIVED, {"text": "a" * 3_000_000}))
    assert isinstance(answer, Denied)
    assert int(answer.reason) > 3_000_000


def test_a_program_knows_no_secret_and_holds_none_of_our_files(
    play: Play[Any], tmp_path: Path
) -> None:
    environ = {
        "PATH": "/bin", "HOME": "/home/x", "LANG": "C", "TZ": "UTC",
        "OPENAI_API_KEY": "sk-secret", "OPENCRAW_CONTROL_API_KEY": "secret", "LD_PRELOAD": "x",
    }  # fmt: skip
    check = program(
        tmp_path,
        "import os, json\n"
        "files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        " if os.path.lexists(f'/proc/self/fd/{n}')]\n"
        "seen = {'env': dict(os.environ), 'files': files, 'cwd': os.getcwd()}\n"
        "print(json.dumps({'deny': json.dumps(seen)}))\n",
    )
    with (tmp_path / "ours").open("w"):
        answer = play(command(check, environ=environ)(Point.MESSAGE_RECEIVED, {}))
    assert isinstance(answer, Denied)
    seen = json.loads(answer.reason)
    assert {name for name in seen["env"] if not name.startswith("LC_")} == {
        "PATH", "HOME", "LANG", "TZ", "OPENCRAW_HOOK_POINT"
    }  # fmt: skip
    assert not [name for name in seen["files"] if str(tmp_path) in name and "ours" in name]
    assert seen["cwd"] == "/"


def test_no_shell_reads_the_arguments(play: Play[Any], tmp_path: Path) -> None:
    check = program(tmp_path, "import sys, json; print(json.dumps({'deny': sys.argv[1]}))")
    answer = play(command([*check, "$HOME; `id` *"])(Point.MESSAGE_RECEIVED, {}))
    assert answer == Denied("$HOME; `id` *")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import sys; sys.exit('the list is gone')", "ended with status 1: the list is gone"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("print('a' * 100_000_000)", "said more than 65,536 bytes"),
        ("import sys; sys.stderr.write('a' * 100_000_000)", "said more than 65,536 bytes"),
        ("while True: print('y')", "said more than 65,536 bytes"),
        ("print('yes')", "not JSON: it may print nothing"),
        ("print('[]')", "no answer"),
        ('print(\'{"denny": "x"}\')', "no answer"),
        ("print('{\"deny\": 5}')", "no answer"),
        ("print('{\"change\": [1]}')", "no answer"),
        ('print(\'{"deny": "x", "change": {}}\')', "at once"),
        ('import sys; sys.stdout.buffer.write(b\'{"deny": "\\xff"}\')', "no answer"),
        ("print('[' * 60_000)", "no answer"),
    ],
    ids=lambda value: value[:30],
)
def test_a_program_that_fails_says_how(
    play: Play[Any], tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(HookFailed, match=words):
        play(command(program(tmp_path, text))(Point.MESSAGE_RECEIVED, {}))


def test_a_program_that_does_not_read_its_question_may_answer(
    play: Play[Any], tmp_path: Path
) -> None:
    check = program(tmp_path, 'import os; os.close(0); print(\'{"deny": "unread"}\', flush=True)')
    facts = {"text": "a" * 5_000_000}
    for _ in range(5):
        assert play(command(check)(Point.MESSAGE_RECEIVED, facts)) == Denied("unread")


def test_what_is_missing_or_no_program_fails(play: Play[Any], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    for name in (tmp_path / "missing", plain, broken, tmp_path):
        # One of the loops has a file that is no program tried by sh, as execvp does.
        words = "status 127" if name == broken else "could not be started"
        with pytest.raises(HookFailed, match=f"could not be started|{words}"):
            play(command([str(name)])(Point.MESSAGE_RECEIVED, {}))


@pytest.mark.parametrize("apart", ["pass", "os.setsid()"], ids=["in its group", "on its own"])
def test_children_that_keep_the_pipes_open_hold_nothing_up(
    play: Play[Any], tmp_path: Path, apart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if apart == "pass":
        monkeypatch.setattr(commands, "_LAST_SECONDS", 60.0)  # it is not needed
    born = tmp_path / "born"
    check = [*program(tmp_path, CHILD.format(apart=apart)), str(born)]

    async def timed() -> object:
        async with asyncio.timeout(10):
            return await command(check)(Point.MESSAGE_RECEIVED, {})

    assert play(timed()) == Denied("no")
    pid = int(born.read_text())
    if apart == "pass":
        play(until(lambda: not is_alive(pid), "the child is gone"))
    else:
        os.kill(pid, 9)


def test_a_program_whose_time_is_over_leaves_nothing_behind(
    play: Play[Any], tmp_path: Path
) -> None:
    born = tmp_path / "born"
    check = program(
        tmp_path,
        "import os, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: open(sys.argv[1], 'w').write(f'{os.getpid()} {child}')\n"
        "time.sleep(60)\n",
    )

    async def too_long() -> None:
        await run(program(tmp_path, READ_ALL), b"{}", {})
        files = open_files()
        asking = asyncio.ensure_future(run([*check, str(born)], b"{}", {}))
        await until(lambda: born.exists() and born.read_text().count(" ") == 1, "both are there")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        leader, child = map(int, born.read_text().split())
        await until(lambda: not Path(f"/proc/{leader}").exists(), "the program is buried")
        await until(lambda: not is_alive(child), "its child is gone")
        await until(lambda: open_files() <= files, "the pipes are closed")

    play(too_long())


def wait_for(born: Path) -> list[int]:
    """The processes that a program wrote down, once it has. Meanwhile the loop stands still."""
    deadline = time.monotonic() + 15
    while not born.exists() or born.read_text().count(" ") != 1:
        assert time.monotonic() < deadline, "the program was not started"
        time.sleep(0.005)
    return [int(pid) for pid in born.read_text().split()]


def test_a_program_whose_time_is_over_while_it_starts_leaves_nothing_behind(
    play: Play[Any], tmp_path: Path
) -> None:
    born = tmp_path / "born"
    check = program(
        tmp_path,
        "import os, sys, time\n"
        "child = os.fork()\n"
        "if child: open(sys.argv[1], 'w').write(f'{os.getpid()} {child}')\n"
        "time.sleep(60)\n",
    )

    async def too_busy() -> None:
        await run(program(tmp_path, READ_ALL), b"{}", {})
        files = open_files()
        asking = asyncio.ensure_future(run([*check, str(born)], b"{}", {}))
        # The program is started, and the loop is kept from hearing so.
        for _ in range(2):
            await asyncio.sleep(0)
        both = wait_for(born)
        asking.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([asking])
        assert asking.cancelled()
        await until(lambda: not any(map(is_alive, both)), "both are gone")
        # A loop that ends earlier would never hear of it.
        await until(lambda: not Path(f"/proc/{both[0]}").exists(), "the program is buried")
        await until(lambda: open_files() <= files, "the pipes are closed")

    play(too_busy())


def test_only_so_many_programs_run_at_once(play: Play[Any], tmp_path: Path) -> None:
    running = tmp_path / "running"
    running.mkdir()
    check = program(
        tmp_path,
        "import os, sys\n"
        "mine = f'{sys.argv[1]}/{os.getpid()}'\n"
        "open(mine, 'w').close()\n"
        "seen = len(os.listdir(sys.argv[1]))\n"
        "sum(range(500_000))\n"
        "os.unlink(mine)\n"
        'print(\'{"deny": "%d"}\' % seen)\n',
    )

    async def flood() -> list[Any]:
        check_at_door = command([*check, str(running)], at_once=2)
        return await asyncio.gather(*[check_at_door(Point.MESSAGE_RECEIVED, {}) for _ in range(20)])

    seen = [int(answer.reason) for answer in play(flood())]
    assert len(seen) == 20
    assert max(seen) <= 2


def test_the_most_that_may_be_said_is_an_answer() -> None:
    text = "a" * (MOST_BYTES - len(b'{"deny":""}'))
    assert verdict(b'{"deny":"%s"}' % text.encode()) == Denied(text)
    assert verdict(b' \n{"change": {"text": "b"}} ') == Go({"text": "b"})
    assert verdict(b"{}") == Go({})
    assert verdict(b"\n") is None
    with pytest.raises(AnswerInvalid):
        verdict(b"null")
