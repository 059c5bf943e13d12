"""What messages must have in common to be answered together."""

from __future__ import annotations

import msgspec

from opencraw.contract import Address


class Voice(msgspec.Struct, frozen=True):
    """From where somebody speaks, and with which rights.

    What one may ask, another may not; and an answer goes where it was asked for. So messages share
    a turn only if their voices are equal.
    """

    rights: str
    address: Address
