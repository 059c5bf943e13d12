"""The suite on the made-up platform."""

from __future__ import annotations

from tests.channels.conformance import (
    Asking,
    Conformance,
    InGroups,
    InParts,
    WithChanges,
    WithDrafts,
    WithFiles,
    WithKeys,
    WithoutKeys,
    WithStrangers,
    WithTyping,
)
from tests.channels.sample.installed import installed_sample
from tests.channels.sample.platform import KeyedSamplePlatform, SamplePlatform

__all__ = ["installed_sample"]


class TestSample(
    Conformance,
    Asking,
    WithoutKeys,
    InGroups,
    InParts,
    WithStrangers,
    WithFiles,
    WithDrafts,
    WithTyping,
    WithChanges,
):
    platform_type = SamplePlatform


class TestKeyedSample(WithKeys):
    platform_type = KeyedSamplePlatform
    platform = Conformance.platform
