"""The suite on Gmail's fake.

Mail has one reader at each end, no groups; it grows nowhere, and nobody sees us typing. What was
sent is neither edited nor taken back, and emoji come as mails. A long answer is a long mail.
"""

from __future__ import annotations

from tests.channels.conformance import Asking, Conformance, WithFiles, WithKeys, WithStrangers
from tests.channels.gmail.platform import GmailPlatform


class TestGmail(Conformance, Asking, WithKeys, WithFiles, WithStrangers):
    platform_type = GmailPlatform
