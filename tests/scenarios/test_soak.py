"""The soak as a program: what it plays, what it prints, and how it ends."""

from __future__ import annotations

from bench.soak import __main__ as program
from bench.soak.report import ROWS, notices, percentile, table, verdict
from bench.soak.scene import Outcome
from bench.soak.storms import STORMS
from tests.fixtures.ledgers import Damage


def test_storms_are_played_one_after_the_other_or_at_once() -> None:
    first, second = program.chosen_acts("kills+ambiguous,pause", minutes=2)
    assert first.storms == [STORMS["kills"], STORMS["ambiguous"]]
    assert second.storms == [STORMS["pause"]]
    assert (first.seconds, second.seconds) == (60, 60)


def test_the_gate_has_every_storm_and_as_many_kills_and_messages_as_it_promises() -> None:
    assert set(STORMS) <= {name for act in program.FULL for name in act.name.split("+")}
    kills = next(act for act in program.FULL if act.name == "kills")
    assert (kills.kills, kills.messages) == (200, 10_000)
    assert sum(storm.flood for act in program.FULL for storm in act.storms) == 10_000


def test_the_table_has_a_column_for_each_storm_and_the_seed() -> None:
    outcomes = [
        Outcome("kills", said=12, damage=Damage(accepted=11, lost=3), starts=[0.5, 1.0, 2.0]),
        Outcome("flood", waits={"idle": [0.01], "flooded": [0.02]}),
    ]
    lines = table(outcomes, seed=7).splitlines()
    assert lines[0].split() == ["seed", "7", "kills", "flood"]
    assert len(lines) == len(ROWS) + 1
    assert ["lost", "3", "0"] in [line.split() for line in lines]
    assert any("10 / 20" in line for line in lines)
    assert any("1.00 / 2.00" in line for line in lines)


def test_what_people_were_told_instead_of_an_answer_is_summed_up() -> None:
    outcome = Outcome("kills")
    outcome.notices.update(["it broke off"] * 3)
    assert notices([outcome, outcome]) == "     6 × 'it broke off'"


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([1.0], 0.95)) == (
        50,
        95,
        1,
    )


def test_the_last_line_names_the_storms_in_which_a_promise_was_broken() -> None:
    good, bad = Outcome("kills"), Outcome("flood", broken=["a message was lost"])
    assert verdict([good], seed=1).endswith("\nall promises were kept")
    assert verdict([good, bad], seed=1).endswith("\nbroken promises in: flood")
