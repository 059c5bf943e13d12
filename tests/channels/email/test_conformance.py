"""The suite on a real mailbox."""

from __future__ import annotations

from tests.channels.conformance import Conformance, WithoutKeys, WithStrangers
from tests.channels.email.platform import EmailPlatform


class TestEmail(Conformance, WithoutKeys, WithStrangers):
    platform_type = EmailPlatform
