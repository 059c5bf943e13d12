"""Linear keeps the promises of every channel."""

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
    WithReactions,
)
from tests.channels.linear.platform import LinearPlatform, LinearWithDrafts


class TestLinear(Conformance, Asking, WithKeys, InGroups, WithChanges, WithReactions, InParts):
    """There is nobody to write to directly, so no stranger who could ask to be let in; and nobody
    is seen typing."""

    platform_type = LinearPlatform
    keyed = True
    # Linear does not tell how large a file is: see test_api.py.
    test_a_file = WithFiles.test_a_file_is_fetched_when_its_turn_begins_and_the_model_reads_it


class TestLinearWithDrafts(WithDrafts):
    platform_type = LinearWithDrafts
    keyed = True
    platform = Conformance.platform
