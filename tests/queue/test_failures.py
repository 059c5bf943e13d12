from __future__ import annotations

import pytest

from opencraw.errors import FailureKind
from opencraw.queue.failures import Failure, Fault


@pytest.mark.parametrize("kind", [*FailureKind, *Fault])
@pytest.mark.parametrize("detail", ["", "in detail", "one: two: three", "two\nlines: and a colon"])
def test_what_is_kept_of_a_failure_is_the_failure(kind: FailureKind | Fault, detail: str) -> None:
    assert Failure.parse(Failure(kind, detail).text) == Failure(kind, detail)


def test_a_failure_is_kept_as_words_that_people_can_read() -> None:
    assert Failure(Fault.STUCK, "waiting for the model").text == "stuck: waiting for the model"
    assert Failure(Fault.DEATHS).text == "deaths"


@pytest.mark.parametrize("text", ["bored: of it all", "model", ""])
def test_what_another_version_wrote_is_internal_and_told_whole(text: str) -> None:
    assert Failure.parse(text) == Failure(Fault.INTERNAL, text)


def test_no_two_kinds_share_a_name() -> None:
    assert not {*FailureKind} & {*Fault}
