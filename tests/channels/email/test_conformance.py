"""The suite on a real mailbox.

Mail has one reader at each end, no groups; it grows nowhere, and nobody sees us typing. What was
sent is neither edited nor taken back, and emoji come as mails. A long answer is a long mail.
"""

from __future__ import annotations

from tests.channels.conformance import Conformance, WithFiles, WithoutKeys, WithStrangers
from tests.channels.email.platform import EmailPlatform


class TestEmail(Conformance, WithoutKeys, WithFiles, WithStrangers):
    platform_type = EmailPlatform
