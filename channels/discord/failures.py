"""What Discord's refusals mean: one table for messages, one for everything else."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import discord

from channels.pacing import wish
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    OpenCrawError,
    Refused,
    Unavailable,
)

#: What a call of Discord's library raises.
TROUBLE = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError, RuntimeError)

UNKNOWN_MESSAGE = 10008
#: Codes of refusals that people can do something about, and what.
_NEXT_STEPS: Mapping[int, str] = {
    10003: "the channel does not exist (any more)",
    50001: "the bot may not see this channel: give it the permission View Channel",
    50007: "this person takes no direct messages from the bot: they have to share a server with it "
    "and allow direct messages there",
    50013: "the bot may not write there: give it the permissions Send Messages and, in threads, "
    "Send Messages in Threads",
    50083: "the thread is archived and locked: a moderator has to open it",
}
#: Discord asks programs that it takes for an attack to stay away for about so long.
_BANNED_SECONDS = 600.0
_TOKEN_SECONDS = 60.0
_WAIT_SECONDS = 1.0

REFUSAL = (
    "Discord refuses the bot token. Open discord.com/developers/applications, choose your "
    "application, Bot, Reset Token, put the new one into DISCORD_BOT_TOKEN (or "
    "channels.discord.bot_token), and start the daemon again."
)
NO_INTENT = (
    "Discord does not let the bot read messages. Open discord.com/developers/applications, choose "
    "your application, Bot, Privileged Gateway Intents, switch on Message Content Intent and save; "
    "or set channels.discord.intent_message_content = false, and the bot reads direct messages and "
    "what mentions it."
)


def of_delivery(error: Exception) -> DeliveryFailure:
    """What a failed send says about the message."""
    match error:
        case discord.RateLimited():
            return NotSent("Discord asks us to wait", retry_after=wish(error.retry_after))
        case discord.LoginFailure():
            return NotSent(REFUSAL, retry_after=_TOKEN_SECONDS)
        case discord.HTTPException():
            return _of_answer(error)
        case aiohttp.ClientConnectorError():
            return NotSent(f"Discord cannot be reached: {error}")
        case _:
            return MaybeSent(f"no answer from Discord: {type(error).__name__}: {error}")


def _of_answer(error: discord.HTTPException) -> DeliveryFailure:
    if error.status == 401:
        return NotSent(REFUSAL, retry_after=_TOKEN_SECONDS)
    if error.status == 429:
        return NotSent("Discord's guards ask us to stay away", retry_after=_wish(error))
    if error.status >= 500:
        return MaybeSent(f"Discord is in trouble: {error.status} {error.text}")
    why = _NEXT_STEPS.get(error.code) or error.text or str(error)
    return NeverSendable(
        f"Discord will not take this message: {why} ({error.status}, {error.code})"
    )


def of_call(error: Exception) -> OpenCrawError:
    """What any other failed call says: whether to come back, to look elsewhere, or to tell an
    operator."""
    match error:
        case discord.LoginFailure():
            return AccountRefused(REFUSAL)
        case discord.RateLimited():
            pause = wish(error.retry_after) or _WAIT_SECONDS
            return Unavailable("Discord asks us to wait", retry_after=pause)
        case discord.HTTPException(status=401):
            return AccountRefused(REFUSAL)
        case discord.HTTPException(status=404):
            return NotFound(f"Discord does not have it (any more): {error.text}")
        case discord.HTTPException(status=429):
            return Unavailable("Discord's guards ask us to stay away", retry_after=_wish(error))
        case discord.HTTPException() if error.status < 500:
            why = _NEXT_STEPS.get(error.code) or error.text or str(error)
            return Refused(f"Discord refuses: {why}")
        case _:
            return Unavailable(f"Discord cannot be reached: {type(error).__name__}: {error}")


def _wish(error: discord.HTTPException) -> float:
    """For how long the guards before Discord (they answer in HTML, if at all) want peace."""
    pause = wish(error.response.headers.get("Retry-After"))
    return _BANNED_SECONDS if pause is None else pause
