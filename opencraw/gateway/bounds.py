"""What the door refuses before it looks closer, with words for whoever sent it."""

from __future__ import annotations

from opencraw.contract import (
    LONGEST_ADDRESS,
    LONGEST_REPLY_CONTEXT,
    Address,
    Envelope,
    Trigger,
)
from opencraw.errors import Refused
from opencraw.gateway import commands
from opencraw.store.text import storable

LONGEST_TEXT = 1_000_000
#: In bytes.
LONGEST_KEY = 512


def check(envelope: Envelope) -> None:
    """Refuse what no later step could handle."""
    if not envelope.text.strip() and not envelope.attachments:
        raise Refused("The message is empty.", code="INVALID_FIELD")
    if len(envelope.text) > LONGEST_TEXT:
        raise Refused(
            f"The message has {len(envelope.text):,} characters; at most {LONGEST_TEXT:,} are "
            "taken. Send it in parts.",
            code="INVALID_FIELD",
        )
    if commands.is_too_long(envelope.text):
        raise Refused(
            f"A command has at most {commands.LONGEST:,} characters. To send this to the "
            "assistant, begin it with something else than `/`.",
            code="INVALID_FIELD",
        )
    key = envelope.dedupe_key
    if not 0 < len(key) <= LONGEST_KEY or not _is_storable(key, LONGEST_KEY):
        raise Refused(
            f"A message's own id has 1 to {LONGEST_KEY} characters, and none that cannot be kept.",
            code="INVALID_IDEMPOTENCY_KEY",
        )
    check_names(envelope.address, envelope.tenant)
    if not _is_storable(envelope.sender.id, LONGEST_KEY):
        raise Refused("The sender's id cannot be kept.", code="INVALID_FIELD")
    if not _is_storable(envelope.platform_id, LONGEST_KEY):
        raise Refused("The platform's name for this message cannot be kept.", code="INVALID_FIELD")
    if len(envelope.reply_context) > LONGEST_REPLY_CONTEXT:
        raise Refused("What an answer to this message needs is too long.", code="INVALID_FIELD")
    if envelope.trigger_type is Trigger.COMMAND and not commands.is_command(envelope.text):
        raise Refused("This is not a command.", code="INVALID_FIELD")


def check_names(address: Address, tenant: str) -> None:
    """Refuse an address that no index can hold, however its platform came by it."""
    names = (address.channel, address.account, address.chat, address.thread, tenant)
    if not _is_storable("".join(names), LONGEST_ADDRESS):
        raise Refused("The address of this conversation cannot be kept.", code="INVALID_FIELD")


def _is_storable(name: str, longest: int) -> bool:
    return storable(name) == name and len(name.encode()) <= longest
