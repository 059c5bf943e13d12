"""The suite on a real mailbox."""

from __future__ import annotations

from tests.channels.conformance import Conformance, WithoutKeys
from tests.channels.email.platform import EmailPlatform


class TestEmail(Conformance, WithoutKeys):
    platform_type = EmailPlatform
