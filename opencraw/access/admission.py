"""Who may talk, by the configuration and what owners said: the one place in which that is decided.

Nothing is remembered between two decisions, so that whoever is sent away is out at once, on every
node.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from opencraw.access.pairing import Pairing, Standing
from opencraw.access.policy import (
    Admitted,
    Ignored,
    Verdict,
    Who,
    decide,
    kept_out,
    listed_rights,
)
from opencraw.contract import Address, Listener, Rights, Sender
from opencraw.settings import AccessSettings, PlatformSettings, Section


def access_settings(channels: Mapping[str, Section]) -> Mapping[str, AccessSettings]:
    """Who may talk on each channel that strangers can reach, by its own settings."""
    return {
        name: settings.access
        for name, settings in channels.items()
        if isinstance(settings, PlatformSettings)
    }


class Admission:
    """Decides about everybody who comes by a channel. A channel without access settings vouches for
    its people itself."""

    def __init__(self, settings: Mapping[str, AccessSettings], pairing: Pairing) -> None:
        self._settings = settings
        #: Where owners say who else may.
        self.pairing = pairing

    def vouches(self, channel: str) -> bool:
        """Whether a channel says itself what its people may do."""
        return channel not in self._settings

    async def look(self, who: Who, tenant: str) -> tuple[Verdict, Standing | None]:
        """What becomes of somebody, and how that person stands with us. Raises `Unavailable` when
        nobody can tell at the moment."""
        access = self._settings.get(who.address.channel)
        if access is None:
            return Admitted(who.sender.rights), None
        if (code := kept_out(access, who)) is not None:
            return Ignored(code), None
        standing = None
        if not who.sender.machine and who.sender.id not in access.owners:
            standing = await self.pairing.standing(tenant, who.address, who.sender.id)
        approved = standing is not None and standing.state == "approved"
        return decide(access, who, standing.rights if standing and approved else None), standing

    async def rights(self, who: Who, tenant: str) -> Rights | None:
        """What somebody may do; None is nothing."""
        verdict, _ = await self.look(who, tenant)
        return verdict.rights if isinstance(verdict, Admitted) else None

    def listed_rights(self, channel: str, sender: str) -> Rights | None:
        """What the configuration alone says of a person."""
        access = self._settings.get(channel)
        return None if access is None else listed_rights(access, sender)

    def hears_everybody(self, channel: str) -> bool:
        """Whether there are no strangers there."""
        access = self._settings.get(channel)
        return access is not None and access.mode == "open"

    async def listener(
        self, listener: Listener | None, address: Address, tenant: str
    ) -> Listener | None:
        """Who is at an address, with the rights that this person has now."""
        if listener is None or listener.sender is None:
            return listener
        who = Who(address, listener.sender, listener.chat_type)
        return _with(listener, listener.sender, await self.rights(who, tenant))

    def listed(self, listener: Listener | None, address: Address) -> Listener | None:
        """The same, as far as the configuration tells: for whoever cannot wait."""
        access = self._settings.get(address.channel)
        if access is None or listener is None or listener.sender is None:
            return listener
        return _with(listener, listener.sender, listed_rights(access, listener.sender.id))

    async def has_owner(self, channel: str, account: str) -> bool:
        """Whether anybody may do everything there."""
        access = self._settings.get(channel)
        if access is None or access.owners:
            return True
        return await self.pairing.has_owner(channel, account)


def _with(listener: Listener, sender: Sender, rights: Rights | None) -> Listener:
    """A listener who may do this; whoever may do nothing is as good as a guest who is silent."""
    known = msgspec.structs.replace(sender, rights=rights or Rights.GUEST)
    return msgspec.structs.replace(listener, sender=known)
