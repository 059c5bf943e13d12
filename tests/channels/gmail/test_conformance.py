"""The suite on Gmail's fake."""

from __future__ import annotations

from tests.channels.conformance import Conformance, WithKeys, WithStrangers
from tests.channels.gmail.platform import GmailPlatform


class TestGmail(Conformance, WithKeys, WithStrangers):
    platform_type = GmailPlatform
