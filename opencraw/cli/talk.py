"""The conversation in a terminal: a prompt, an answer that grows, and a way to stop it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from opencraw.cli.chat import AFTERWARDS_SECONDS, warn_of_demo, write
from opencraw.cli.exchange import Exchange, Frame, clean
from opencraw.cli.socket import Socket

PROMPT = "› "
#: How much of an earlier conversation is shown first.
LINES_BEFORE = 10


async def talk(socket: Socket) -> None:
    """Return when the person leaves with Ctrl-D. Raises what `Socket.frames` raises."""
    conversation = _Conversation(socket)
    listening = asyncio.create_task(conversation.listen())
    asking = asyncio.create_task(conversation.ask())
    try:
        await asyncio.wait({listening, asking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (asking, listening):
            task.cancel()
        ended = await asyncio.gather(asking, listening, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


class _Conversation:
    """Either the prompt has the terminal, or an answer does."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._exchange: Exchange | None = None
        self._answered = asyncio.Event()
        self._greeted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Print what comes in."""
        async with aclosing(self._socket.frames()) as frames:
            async for frame in frames:
                if self._exchange is not None:
                    self._answer(self._exchange, frame)
                elif not self._greeted.is_set():
                    await self._greet(frame)
                else:
                    self._meanwhile(frame)

    async def ask(self) -> None:
        """Ask for a line and wait for its answer, until Ctrl-D."""
        await self._greeted.wait()
        prompt: PromptSession[str] = PromptSession()
        while True:
            try:
                with patch_stdout(raw=True):  # what is printed was cleaned
                    text = await prompt.prompt_async(PROMPT)
            except KeyboardInterrupt:
                continue  # it clears the line, as in a shell
            except EOFError:
                return
            if text.strip():
                await self._say(text)

    async def _greet(self, frame: Frame) -> None:
        """Show what there is, before the first question."""
        match frame.get("type"):
            case "hello":
                click.echo(f"{frame['model']}. Ctrl-C stops an answer, Ctrl-D leaves.")
                warn_of_demo(frame)
                await self._socket.ask_history(LINES_BEFORE)
            case "history":
                for line in frame["messages"]:
                    self._meanwhile(line)
                self._greeted.set()

    async def _say(self, text: str) -> None:
        """Return when the answer is complete, or nobody waits for it any more."""
        self._answered.clear()
        client_message_id = await self._socket.say(text)
        self._exchange = exchange = Exchange(client_message_id, text)
        if not self._socket.connected:
            click.echo("[the daemon is away; this is sent when it is back]", err=True)

        def interrupted() -> None:
            if self._socket.connected and not exchange.stopping:
                exchange.stopping = True
                self._start(self._socket.stop())
            else:  # nobody there to stop, or asked twice
                self._socket.forget(client_message_id)
                self._answered.set()

        with _on_interrupt(interrupted):
            await self._answered.wait()
        self._exchange = None

    def _answer(self, exchange: Exchange, frame: Frame) -> None:
        ended_before = exchange.turn_ended
        for piece in exchange.hear(frame):
            write(piece)
        if exchange.outcome is not None:
            self._exchange = None
            self._answered.set()
        elif exchange.turn_ended and not ended_before:
            self._start(self._socket.ask_history(1, after_seconds=AFTERWARDS_SECONDS))

    def _meanwhile(self, frame: Frame) -> None:
        """Lines of before, and of other windows on the same conversation."""
        content = clean(str(frame.get("content", "")))
        if frame.get("type") == "said":
            click.echo(click.style(f"{PROMPT}{content}", dim=True))
        elif frame.get("type") == "message":
            click.echo(content)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextmanager
def _on_interrupt(interrupted: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls this instead of ending the program."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
