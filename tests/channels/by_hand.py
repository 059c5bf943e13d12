"""A channel without an account: the fake of its platform, and a chat with it at the terminal.

    .venv/bin/python -m tests.channels.by_hand telegram

The platform and the model are those of the tests. The daemon is a process of its own, started in
another terminal by the command that is printed, and may be stopped and started as one likes.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import mimetypes
import shlex
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from tests.channels.house import section
from tests.channels.platform import LISTED_GROUP, OTHER_GROUP, Fault, File, Platform
from tests.channels.screen import Screen
from tests.fakes.model_server import ModelServer
from tests.fixtures.daemon import CONFIG

GROUPS = (LISTED_GROUP, OTHER_GROUP)
PLATFORMS = ("telegram", "discord", "gmail", "email", "linear", "http")
COMMANDS = """\
What you type is said to the assistant, commands such as /whoami too. These are for the platform:

\b
/as b              be somebody else: a, b and c are owners, anybody else is a stranger
/in #den           go into a group (#street is one that is not listed); /in a goes back
/aside TEXT        in a group: say something that does not mention the assistant
/file PATH [TEXT]  send a file
/edit TEXT         change what you said last
/react 👍          put an emoji to the newest message of the assistant
/press LABEL       press a button under it
/fail WHAT         what happens to its next message here: 429, 500, lost or refused
/break             break all connections; /silent keeps them and says nothing
/revoke            our account is void
/mend              all is well again
/quit              end

A \\n in your words begins a new line.

The model repeats what it is asked. [[say Hello.]] in your words makes it say that instead, and
[[words 300]] something long."""
FAULTS = dict(zip(("429", "500", "lost", "refused"), Fault, strict=True))


class Hand:
    """Does what is typed, as somebody somewhere."""

    def __init__(self, platform: Platform, screen: Screen) -> None:
        self._platform, self._screen = platform, screen
        self.who = self.chat = "a"
        self._newest: dict[str, str] = {}
        self._does: dict[str, Callable[[str], Awaitable[object]]] = {
            "/as": self._become, "/in": self._go, "/aside": partial(self._say, mention=False),
            "/file": self._file, "/edit": self._edit, "/react": self._react,
            "/press": self._press, "/fail": self._fail,
            "/break": lambda _: platform.disconnect(), "/silent": lambda _: platform.silent(),
            "/revoke": lambda _: platform.revoke(), "/mend": lambda _: platform.reconnect(),
        }  # fmt: skip

    async def do(self, line: str) -> None:
        """Do what a line says. What cannot be done is told, and nothing ends."""
        word, _, rest = line.partition(" ")
        try:
            await (self._does[word](rest.strip()) if word in self._does else self._say(line))
        except click.ClickException as impossible:
            click.echo(f"  {impossible.message}")
        except NotImplementedError:
            click.echo(f"  There is no such thing on {self._platform.channel}.")
        except (AssertionError, TimeoutError):  # what the fakes wait for in vain
            click.echo("  Nobody listens. Does the daemon run, with this configuration?")
        click.echo(f"  ({self.who} in {self.chat})")

    async def _say(self, text: str, *, mention: bool = True, file: File | None = None) -> None:
        await self._platform.listened()
        self._newest[self.chat] = await self._platform.says(
            _lines(text), chat=self.chat, sender=self.who, mention=mention, file=file
        )

    async def _become(self, who: str) -> None:
        self.who = who or "a"
        if not self.chat.startswith("#"):
            await self._go(self.who)

    async def _go(self, chat: str) -> None:
        chat = chat or "a"
        if chat.startswith("#"):
            self._platform.group(LISTED_GROUP)  # where there are no groups, this says so
            if chat not in GROUPS:
                raise click.ClickException(f"There are {' and '.join(GROUPS)}.")
        else:
            self.who = chat
        self.chat = chat
        self._screen.chats.setdefault(chat)

    async def _file(self, rest: str) -> None:
        path, _, text = rest.partition(" ")
        try:
            data = await asyncio.to_thread(lambda: Path(path).expanduser().read_bytes())
        except OSError as error:
            raise click.ClickException(f"{path}: {error.strerror}.") from error
        kind = mimetypes.guess_type(path)[0] or "text/plain"
        await self._say(text or "What is this?", file=File(Path(path).name, kind, data))

    async def _edit(self, text: str) -> None:
        if self.chat not in self._newest:
            raise click.ClickException("Nothing was said here yet.")
        await self._platform.changes(self._newest[self.chat], _lines(text))

    async def _react(self, emoji: str) -> None:
        if not self._platform.shown(self.chat):
            raise click.ClickException("The assistant has said nothing here yet.")
        await self._platform.reacts(emoji, chat=self.chat, sender=self.who)

    async def _press(self, label: str) -> None:
        labels = self._platform.buttons(self.chat) if self._platform.shown(self.chat) else []
        if label not in labels:
            raise click.ClickException(f"Buttons here: {', '.join(labels) or 'none'}.")
        told = await self._platform.presses(label, chat=self.chat, sender=self.who)
        click.echo(f"  {self.who} alone is told: {told or 'nothing'}")

    async def _fail(self, what: str) -> None:
        if what not in FAULTS:
            raise click.ClickException(f"One of these: {', '.join(FAULTS)}.")
        self._platform.fail_next(FAULTS[what], chat=self.chat)


def _lines(typed: str) -> str:
    return typed.replace(r"\n", "\n")


def explain(platform: Platform, model: ModelServer) -> None:
    """Write a whole configuration, and say how to start a daemon with it."""
    profile = f'provider = "openai"\nmodel = "fake"\nbase_url = "{model.url}/v1"'
    own = section(platform)
    path = Path(tempfile.mkdtemp(prefix=f"opencraw-{platform.channel}-")) / "config.toml"
    path.touch(0o600)
    path.write_text(f"{CONFIG.format(profile=profile, database='', queue='', limits='')}\n{own}")
    environ = {"OPENAI_API_KEY": "any", **platform.environ}
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
    program = f"{Path(sys.executable).parent}/opencraw --config {path}"
    click.echo(
        f"The daemon, in another terminal:\n\n    {variables} {program} serve\n\n"
        f"How it fares:\n\n    {program} channels list\n\n"
        f"For a configuration of your own:\n\n{own}\n"
        "Speak when it is ready: what was said before a first start is old, and not answered.\n"
        "You are the owner a. /help is the assistant's; what the platform does, --help lists.\n"
    )


async def chat(name: str) -> None:
    platform: Platform = importlib.import_module(f"tests.channels.{name}.platform").PLATFORM()
    typed: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in itertools.chain(sys.stdin, ["/quit"]):
            loop.call_soon_threadsafe(typed.put_nowait, line)

    async with platform, ModelServer(delay=0.05) as model:
        explain(platform, model)
        screen = Screen(platform)
        hand = Hand(platform, screen)
        # Nothing ends a thread that waits for a line, so that nobody may wait for it.
        threading.Thread(target=read, daemon=True).start()
        async with asyncio.TaskGroup() as tasks:  # who sees no more does not go on talking
            watching = tasks.create_task(screen.watch())
            while (line := (await typed.get()).strip()) != "/quit":
                if line:
                    await hand.do(line)
            watching.cancel()


@click.command(epilog=COMMANDS)
@click.argument("platform", type=click.Choice(PLATFORMS))
def main(platform: str) -> None:
    """Try a channel without an account: its platform is a fake, and you are all its people."""
    logging.disable(logging.WARNING)  # the fakes' libraries talk into the chat
    with suppress(KeyboardInterrupt):
        asyncio.run(chat(platform))


if __name__ == "__main__":
    main()
