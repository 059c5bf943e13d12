from __future__ import annotations

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from opencraw.events import DraftGrew
from opencraw.worker.draft import LiveDraft

words = st.text(st.sampled_from("ab \nü😀"), max_size=5)
#: What happens to a step: it grows, or begins again, or is complete.
happenings = st.lists(words | st.sampled_from(["<again>", "<complete>"]), max_size=20)


def apply(shown: str, grown: DraftGrew) -> str:
    """As a client does: cut at the offset, which counts UTF-16 code units, then append."""
    units = shown.encode("utf-16-le")[: grown.offset * 2]
    return units.decode("utf-16-le") + grown.text


@given(happenings=happenings)
def test_a_client_that_applies_all_deltas_shows_the_draft(happenings: list[str]) -> None:
    draft, shown = LiveDraft(uuid4(), 1), ""
    complete: list[str] = []
    for happening in happenings:
        if happening == "<again>":
            draft.begin_step()
        elif happening == "<complete>":
            complete += [draft.step] if draft.step else []
            draft.record(draft.step)
        else:
            grown = draft.grow(happening)
            shown = apply(shown, grown)
            assert shown == draft.text
            assert apply(shown, grown) == shown, "applied twice it changes nothing"
    draft.begin_step()
    assert draft.text == "\n\n".join(complete)


def test_a_step_that_begins_again_takes_back_what_it_said() -> None:
    draft = LiveDraft(uuid4(), 1)
    draft.record("First.")
    draft.grow("Sec")
    assert (draft.text, draft.step) == ("First.\n\nSec", "Sec")
    draft.begin_step()
    assert (draft.text, draft.step) == ("First.", "")
    assert draft.grow("Again").offset == len("First.")
