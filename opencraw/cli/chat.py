"""`opencraw chat`: talk to the assistant in a terminal, or from a script."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import aclosing

import click

from opencraw.cli import FAILED, Options
from opencraw.cli.exchange import Exchange, Frame, Outcome, Piece
from opencraw.cli.socket import Socket

#: How long after its turn an answer may come; then there is none.
AFTERWARDS_SECONDS = 1.0

CHAT_NAME = re.compile(r"[a-z0-9_-]{1,64}")

#: A script waits so long for a daemon that went away; a person decides for themselves.
PATIENCE_SECONDS = 60.0


@click.command("chat", epilog='Example: git diff | opencraw chat "Explain this change:"')
@click.argument("message", nargs=-1)
@click.option("--chat", "chat", default="main", show_default=True, help="Which conversation.")
@click.option("--json", "json_wanted", is_flag=True, help="Print every frame, one per line.")
@click.pass_obj
def command(options: Options, message: tuple[str, ...], chat: str, json_wanted: bool) -> None:
    """Talk to the assistant in this terminal.

    With a MESSAGE or piped input: send it once, print the answer, end. Otherwise a conversation:
    Ctrl-C stops an answer, Ctrl-D leaves. Begin a MESSAGE that looks like an option after `--`.
    """
    if CHAT_NAME.fullmatch(chat) is None:
        raise click.BadParameter("a name has 1 to 64 characters of a-z, 0-9, - and _.",
                                 param_hint="--chat")  # fmt: skip
    text = _whole_message(message)
    if text is None:
        if json_wanted:
            raise click.UsageError("--json needs a message or piped input.")
        from opencraw.cli.talk import talk

        asyncio.run(talk(Socket(options.config, chat, patience=float("inf"))))
        return
    if not text.strip():
        raise click.UsageError("The message is empty.")
    socket = Socket(options.config, chat, patience=PATIENCE_SECONDS)
    outcome = asyncio.run(once(socket, text, json_wanted=json_wanted))
    if outcome is not Outcome.ANSWERED:
        click.get_current_context().exit(FAILED)


async def once(socket: Socket, text: str, *, json_wanted: bool) -> Outcome:
    """Say one thing, print what comes back, return how it ended."""
    exchange: Exchange | None = None
    looking: asyncio.Task[None] | None = None
    async with aclosing(socket.frames()) as frames:
        async for frame in frames:
            if exchange is None and frame.get("type") == "hello":
                exchange = Exchange(await socket.say(text), text)
                warn_of_demo(frame)
            if json_wanted:
                click.echo(json.dumps(frame, ensure_ascii=False))
            for piece in exchange.hear(frame) if exchange else ():
                if not json_wanted or piece.aside:
                    write(piece)
            if exchange and exchange.outcome:
                return exchange.outcome
            if exchange and exchange.turn_ended and looking is None:
                asking = socket.ask_history(1, after_seconds=AFTERWARDS_SECONDS)
                looking = asyncio.create_task(asking)
    raise AssertionError("frames go on until somebody stops listening")


def write(piece: Piece) -> None:
    """Print at once: an answer is read while it grows."""
    click.echo(piece.text, nl=False, err=piece.aside)


def warn_of_demo(hello: Frame) -> None:
    if hello.get("demo"):
        click.echo("[the demo answers: no real model is configured]", err=True)


def _whole_message(words: tuple[str, ...]) -> str | None:
    """What was given as arguments, then what was piped in; None when a person is to be asked."""
    piped = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    if not words and not piped and sys.stdin is not None and sys.stdin.isatty():
        return None
    return "\n\n".join(part for part in (" ".join(words), piped) if part.strip())
