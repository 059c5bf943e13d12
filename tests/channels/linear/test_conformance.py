"""Linear keeps the promises of every channel."""

from __future__ import annotations

from tests.channels.conformance import (
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


class TestLinear(Conformance, WithKeys, InGroups, WithReactions, InParts):
    """There is nobody to write to directly, so no stranger who could ask to be let in."""

    platform_type = LinearPlatform
    keyed = True
    # Polls do not tell of deletions, nor how large a file is: see test_linear.py and test_api.py.
    test_an_edit = WithChanges.test_a_message_that_waits_says_what_it_says_after_an_edit
    test_a_file = WithFiles.test_a_file_is_fetched_when_its_turn_begins_and_the_model_reads_it


class TestLinearWithDrafts(WithDrafts):
    platform_type = LinearWithDrafts
    platform, house = Conformance.platform, Conformance.house
