"""What the door holds people, and the assistant, to."""

from __future__ import annotations

from dataclasses import dataclass, field

from opencraw.contract import Envelope
from opencraw.hooks import Hooks
from opencraw.limits.rates import Rates
from opencraw.limits.spending import Spending
from opencraw.sessions.keys import Conversation
from opencraw.sessions.send_policy import Place, SendPolicy


@dataclass(frozen=True)
class Limits:
    """Everything that is limited; nothing is, unless somebody says so."""

    rates: Rates = field(default_factory=lambda: Rates(0))
    speech: SendPolicy = field(default_factory=SendPolicy)
    #: What the models of the day cost, where there is a cap.
    spending: Spending | None = None
    #: Operator code that may say no to a message.
    hooks: Hooks = field(default_factory=Hooks)

    def denies(self, envelope: Envelope, here: Conversation) -> str | None:
        """What keeps the assistant from speaking `here`, where this was said, if anything does."""
        if not self.speech.denies_anything:
            return None
        place = Place(envelope.address.channel, envelope.chat_type, here.keys)
        return self.speech.denies(place)
