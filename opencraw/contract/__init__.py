"""All that a channel may know.

A channel translates between a platform and four things: an `Envelope` that comes in, a `Delivery`
that goes out, the `Gateway` that it is given, and its own configuration section. Optional powers
are small protocols, found by `isinstance`.

Reading order: `messages`, `gateway`, `channel`. Import all of it from here.
"""

from __future__ import annotations

from opencraw.contract.channel import (
    Attends,
    Channel,
    ChannelKind,
    Edits,
    Fetches,
    Knows,
    Listens,
    Opens,
    PartSent,
    Previews,
    Probes,
    Pulse,
    Reaches,
    Route,
    Streams,
    Webhook,
)
from opencraw.contract.gateway import Gateway
from opencraw.contract.messages import (
    DEFAULT_TENANT,
    PEOPLE,
    Address,
    Attachment,
    ChatType,
    Choice,
    CommandHelp,
    Delivery,
    Draft,
    Envelope,
    Line,
    Listener,
    Option,
    Origin,
    Pick,
    Reaction,
    Receipt,
    Rights,
    Sender,
    ShownFile,
    Trigger,
    TurnShown,
    Waiting,
)

__all__ = [
    "DEFAULT_TENANT",
    "PEOPLE",
    "Address",
    "Attachment",
    "Attends",
    "Channel",
    "ChannelKind",
    "ChatType",
    "Choice",
    "CommandHelp",
    "Delivery",
    "Draft",
    "Edits",
    "Envelope",
    "Fetches",
    "Gateway",
    "Knows",
    "Line",
    "Listener",
    "Listens",
    "Opens",
    "Option",
    "Origin",
    "PartSent",
    "Pick",
    "Previews",
    "Probes",
    "Pulse",
    "Reaches",
    "Reaction",
    "Receipt",
    "Rights",
    "Route",
    "Sender",
    "ShownFile",
    "Streams",
    "Trigger",
    "TurnShown",
    "Waiting",
    "Webhook",
]
