"""Buttons that somebody presses and slash commands that somebody chooses.

Discord waits three seconds for a word about each, and shows a failure to who acted otherwise. So
one that takes longer is told to be in work first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from channels.discord import failures, wire
from channels.discord.inbound import (
    BUTTON,
    Place,
    Us,
    command_of,
    pick_of,
    place_of,
    presser,
)
from channels.discord.places import Places
from channels.discord.rest import Rest
from channels.receiving import offer
from opencraw.contract import ChatType, Choice, CommandHelp, Envelope, Gateway, Pick
from opencraw.errors import NotAdmitted, Refused, Unavailable

log = logging.getLogger(__name__)

#: How long an answer may take before we tell that it will come; Discord gives three seconds.
_SOON = 1.5
_MESSAGE, _LATER = 4, 5
_ROW, _BUTTON, _GREY = 1, 2, 2
_IN_A_ROW, _MOST_BUTTONS, _LONGEST_LABEL, _LONGEST_ID = 5, 25, 80, 100
_LONGEST_HELP = 100
_STRING = 3
_LONGEST_TEXT = 2000


class Interactions:
    """Answers them, each to who caused it and nobody else."""

    def __init__(self, rest: Rest, gateway: Gateway, places: Places) -> None:
        self._rest = rest
        self._gateway = gateway
        self._places = places

    async def answer(self, interaction: wire.Interaction, me: Us) -> None:
        """Carry out what somebody wants, and tell them."""
        try:
            place = await self._place(interaction)
            if interaction.type == wire.COMPONENT:
                pick = pick_of(interaction, place, me)
                if pick is not None:
                    await self._tell(interaction, self._choose(pick))
            elif interaction.type == wire.COMMAND:
                await self._tell(interaction, self._command(command_of(interaction, place, me)))
        except (Refused, Unavailable, ValueError) as error:
            log.warning("discord: an interaction was not answered: %s", error)
        except failures.TROUBLE as error:
            log.warning("discord: an interaction was not answered: %s", failures.of_call(error))

    async def _choose(self, pick: Pick) -> str:
        try:
            return await self._gateway.choose(pick)
        except NotAdmitted:
            return ""
        except Refused as refused:
            return str(refused)
        except Unavailable:
            return "That cannot be noted at the moment. Please press again in a minute."

    async def _command(self, envelope: Envelope) -> str:
        receipt = await offer(self._gateway, envelope)
        # What there is to say to somebody who is not let in has been said.
        return f"`{envelope.text}`"[:_LONGEST_TEXT] if receipt is not None else ""

    async def _tell(self, interaction: wire.Interaction, answer: Awaitable[str]) -> None:
        asked = asyncio.ensure_future(answer)
        try:
            await asyncio.wait([asked], timeout=_SOON)
            if asked.done():
                if text := asked.result():
                    await self._respond(interaction, _MESSAGE, text)
                return
            try:
                await self._respond(interaction, _LATER)
            except failures.TROUBLE:
                # Nobody can be told of it any more, and it counts all the same.
                await asked
                raise
            await self._finish(interaction, await asked)
        finally:
            asked.cancel()

    async def _respond(self, interaction: wire.Interaction, kind: int, text: str = "") -> None:
        said: dict[str, Any] = {"content": text[:_LONGEST_TEXT]} if text else {}
        await self._rest.call(
            "POST",
            "/interactions/{webhook_id}/{webhook_token}/callback",
            json={
                "type": kind,
                "data": said | {"flags": wire.EPHEMERAL, "allowed_mentions": {"parse": []}},
            },
            ids={"webhook_id": interaction.id, "webhook_token": interaction.token},
        )

    async def _finish(self, interaction: wire.Interaction, text: str) -> None:
        """Put the answer in place of the word that it will come, or take that back."""
        path = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
        ids = {"webhook_id": interaction.application_id, "webhook_token": interaction.token}
        if text:
            said = {"content": text[:_LONGEST_TEXT], "allowed_mentions": {"parse": []}}
            await self._rest.call("PATCH", path, json=said, ids=ids)
        else:
            await self._rest.call("DELETE", path, ids=ids)

    async def _place(self, interaction: wire.Interaction) -> Place:
        channel = interaction.channel
        if channel is not None and channel.type == wire.DIRECT:
            # It may be the talk of two people, in which we may not write; so it is not learnt from.
            return Place(f"@{presser(interaction).id}", chat_type=ChatType.DIRECT)
        if channel is not None:
            return place_of(channel)
        return await self._places.find(interaction.channel_id or "")


def buttons(choice: Choice) -> Sequence[Mapping[str, Any]]:
    """The rows of buttons below a question. What finds no place is in its text anyway."""
    each = [
        {
            "type": _BUTTON,
            "style": _GREY,
            "label": option.label[:_LONGEST_LABEL] or option.name[:_LONGEST_LABEL],
            "custom_id": custom_id,
        }
        for option in choice.options[:_MOST_BUTTONS]
        if len(custom_id := f"{BUTTON}{option.name}:{choice.id}") <= _LONGEST_ID
    ]
    rows = (each[start : start + _IN_A_ROW] for start in range(0, len(each), _IN_A_ROW))
    return [{"type": _ROW, "components": row} for row in rows]


async def list_commands(rest: Rest, application_id: str, wanted: Sequence[CommandHelp]) -> None:
    """Have Discord list our commands. It allows few changes a day, so it is asked first what it
    lists now. Raises what is in `failures.TROUBLE`."""
    path, ids = "/applications/{application_id}/commands", {"application_id": application_id}
    ours = [_command(command) for command in wanted]
    listed = await rest.call("GET", path, ids=ids)
    if _essence(listed) != _essence(ours):
        await rest.call("PUT", path, json=ours, ids=ids)


def _command(command: CommandHelp) -> Mapping[str, Any]:
    argument = {
        "type": _STRING,
        "name": "text",
        "description": command.usage[:_LONGEST_HELP] or "What it is about.",
        "required": False,
    }
    return {
        "name": command.name,
        "type": 1,
        "description": command.help[:_LONGEST_HELP] or command.name,
        "options": [argument] if command.takes_argument else [],
    }


def _essence(commands: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return sorted(
        (
            each["name"],
            each["description"],
            tuple((option["name"], option["description"]) for option in each.get("options") or ()),
        )
        for each in commands
    )
