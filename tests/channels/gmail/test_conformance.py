"""The suite on Gmail's fake."""

from __future__ import annotations

from tests.channels.conformance import Conformance, WithKeys
from tests.channels.gmail.platform import GmailPlatform


class TestGmail(Conformance, WithKeys):
    platform_type = GmailPlatform
