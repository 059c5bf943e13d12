"""What the Bot API and the way to it can raise, sorted by what we do next.

A request that never left is certainly not delivered. Whatever breaks after that leaves the outcome
unknown, and so does an answer of Telegram's that says only that something broke over there.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)

from channels.pacing import wish
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotSent,
    OpenCrawError,
    Unavailable,
)

# Otherwise the library warns of its own next version each time that Telegram asks for a pause.
os.environ.setdefault("PTB_TIMEDELTA", "1")

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NOBODY_BEHIND = ("Bad Gateway", "Service Unavailable")
#: A token that is refused now may be the right one again when somebody has looked.
_REFUSED_SECONDS = 60.0
#: A limit that does not say for how long.
_LIMITED_SECONDS = 1.0


def of_delivery(error: TelegramError) -> DeliveryFailure:
    """What a failed send means for the message."""
    match error:
        case RetryAfter():
            return NotSent(str(error), retry_after=seconds(error))
        case InvalidToken():
            return NotSent(f"Telegram refuses the bot: {error}", retry_after=_REFUSED_SECONDS)
        case Forbidden() | BadRequest():
            return NeverSendable(f"Telegram refuses the message: {error}")
        case _ if isinstance(error.__cause__, _NEVER_LEFT) or _is_unheard(error):
            return NotSent(f"Telegram cannot be reached: {error}")
        case _:
            return MaybeSent(f"Telegram did not confirm the message: {error}")


def of_account(error: TelegramError) -> OpenCrawError:
    """What a failed call means for the channel."""
    match error:
        case InvalidToken() if error.__cause__ is None:
            return AccountRefused(
                f"Telegram refuses the bot's token ({error}), so nobody can be reached there. "
                "Next: have @BotFather show the token (/mybots, API Token), put it into "
                "TELEGRAM_BOT_TOKEN, and start the daemon again"
            )
        case Conflict():
            return Unavailable(
                f"another program receives for this bot ({error}), so messages go there. Next: "
                "stop that program, or have @BotFather revoke the token and use the new one here",
                retry_after=5.0,
            )
        case RetryAfter():
            return Unavailable(f"Telegram asks for a pause: {error}", retry_after=seconds(error))
        case _:
            return Unavailable(f"Telegram does not answer as it should: {error}")


def _is_unheard(error: TelegramError) -> bool:
    """A gateway found nobody behind it to hand the message to. Of any other answer that something
    broke nobody knows how far the message came."""
    return str(error).startswith(_NOBODY_BEHIND)


def seconds(error: RetryAfter) -> float:
    """For how long Telegram wants to be left alone; the library says it in two ways."""
    pause = error.retry_after
    said = pause.total_seconds() if isinstance(pause, timedelta) else pause
    return wish(said) or _LIMITED_SECONDS


def limit(answer: bytes) -> RetryAfter:
    """What is to be raised for an answer with the status of a limit: the library knows it only by a
    pause, and believes whatever is said there."""
    try:
        said = json.loads(answer)["parameters"]["retry_after"]
    except (ValueError, TypeError, LookupError, RecursionError):
        said = None
    return RetryAfter(timedelta(seconds=wish(said) or _LIMITED_SECONDS))


def is_unchanged(error: BadRequest) -> bool:
    """An edit changed nothing: the message says already what it should."""
    return "message is not modified" in str(error).casefold()


def is_gone(error: BadRequest) -> bool:
    """An edit found no message to change, or none that may be changed."""
    said = str(error).casefold()
    return "message to edit not found" in said or "message can't be edited" in said


def is_about_entities(error: BadRequest) -> bool:
    """Telegram does not like the formatting. It takes the same text without."""
    return "entit" in str(error).casefold()
