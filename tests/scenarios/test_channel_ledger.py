"""The counting on a platform: each kind of damage is seen where it is, and only there."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from tests.fixtures.channel_ledger import (
    ChannelAccount,
    Reports,
    Shown,
    count_channel,
    first_after,
)
from tests.fixtures.ledgers import Damage, ModelCall, Pause, count


def shown(number: int, *, copy_of: str = "", again: bool = False, at: float = 0.0) -> Shown:
    return Shown(copy_of or f"d{number}", "c", f"<<c-{number}>>", again, at)


def notice(delivery: str) -> Shown:
    return Shown(delivery, "c", "it failed", again=False, at=0.0)


def account(*lines: Shown, said: int = 2, confirmed: int = 2) -> ChannelAccount:
    """`c-0`, `c-1` … were written and confirmed, and people were shown these lines."""
    return ChannelAccount(
        {f"c-{n}": 0.0 for n in range(said)}, {f"c-{n}" for n in range(confirmed)}, list(lines)
    )


NOTHING = Reports()


def damage(made: ChannelAccount, reports: Reports = NOTHING, **found: int) -> None:
    seen = count_channel(made, reports)
    none = {each.name: 0 for each in fields(Damage)} | {"accepted": 2, "most": 1}
    assert {each.name: getattr(seen, each.name) for each in fields(Damage)} == none | found


def test_a_good_conversation_has_no_damage() -> None:
    damage(account(shown(0), shown(1)))
    assert count_channel(account(shown(0), shown(1)), NOTHING).none


def test_what_was_confirmed_and_never_answered_is_lost() -> None:
    damage(account(shown(0)), lost=1)


def test_what_was_never_confirmed_is_not_lost() -> None:
    damage(account(shown(0), confirmed=1), accepted=1)


def test_a_dead_letter_and_a_notice_that_was_shown_are_reports() -> None:
    damage(account(shown(0)), Reports(dead=["c-1"]), unknown=1)
    notices = Reports({"n": ["c-1"]})
    damage(account(shown(0), notice("n")), notices, unknown=1)
    damage(account(shown(0)), notices, lost=1)


def test_a_second_copy_must_say_so_and_there_is_no_third() -> None:
    twice = shown(1), shown(1, again=True)
    damage(account(shown(0), *twice), copies=1, most=2)
    damage(account(shown(0), shown(1), shown(1)), extra=1, most=2)
    damage(account(shown(0), *twice, shown(1, again=True)), copies=1, extra=1, most=3)
    assert not count_channel(account(shown(0), shown(1), shown(1)), NOTHING).none


def test_of_two_copies_either_may_be_the_one_that_says_so() -> None:
    """A process that stood still sends its first attempt after its successor's second."""
    damage(account(shown(0), shown(1, again=True), shown(1)), copies=1, most=2)


def test_only_a_first_copy_can_be_out_of_order() -> None:
    damage(account(shown(1), shown(0)), out_of_order=1)
    damage(account(shown(0), shown(1), shown(0, again=True)), copies=1, most=2)


def test_an_answer_in_the_wrong_chat_is_wrong_and_one_to_nothing_unasked() -> None:
    elsewhere = Shown("x", "d", "<<c-1>>", again=False, at=0.0)
    damage(account(shown(0), elsewhere), wrong=1)
    damage(account(shown(0), shown(1), shown(7)), unasked=1)
    damage(account(shown(0), shown(1), notice("nobody's")), unasked=1)


def test_a_doubled_effect_is_a_repeat_on_a_platform_too() -> None:
    twice = count([], effects=Counter({"append_line c-1": 2}))
    assert (count_channel(account(shown(0), shown(1)), NOTHING) + twice).repeats == 1


def test_a_call_that_its_paused_process_could_not_end_overlaps_nothing() -> None:
    calls = [
        ModelCall("c", ("c-0",), (), 0.0, 9.0, "disconnected", by="one"),
        ModelCall("c", ("c-0",), (), 5.0, 6.0, "complete", by="two"),
    ]
    assert count([], calls).overlaps == 1
    assert count([], calls, pauses=[Pause("one", 1.0, 8.0)]).overlaps == 0
    assert count([], calls, pauses=[Pause("two", 1.0, 8.0)]).overlaps == 1
    at_the_wake = [*calls, ModelCall("c", ("c-0",), (), 5.3, 5.4, "complete", by="one")]
    assert count([], at_the_wake, pauses=[Pause("one", 1.0, 5.2)]).overlaps == 0
    late = [*calls, ModelCall("c", ("c-0",), (), 5.5, 8.0, "complete", by="one")]
    assert count([], late, pauses=[Pause("one", 1.0, 5.2)]).overlaps == 1


def test_recovery_is_the_time_to_the_next_news_and_a_copy_is_none() -> None:
    seen = account(shown(0, at=1.0), shown(0, again=True, at=2.5), shown(1, at=4.0))
    assert first_after([0.0, 2.0, 9.0], seen) == [1.0, 2.0]
