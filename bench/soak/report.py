"""The one table: a row for each number, a column for each storm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.soak.scene import Outcome


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _spread(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5):.2f} / {percentile(values, 0.95):.2f}" if values else "-"


def _interference(outcome: Outcome) -> str:
    waits = [percentile(outcome.waits[when], 0.95) for when in ("idle", "flooded")
             if outcome.waits.get(when)]  # fmt: skip
    return " / ".join(f"{seconds * 1000:.0f}" for seconds in waits) or "-"


#: What a row is called, and what it says of one storm.
ROWS: Sequence[tuple[str, Callable[[Outcome], str]]] = (
    ("seconds", lambda o: f"{o.seconds:.0f}"),
    ("kills of a daemon", lambda o: str(o.kills)),
    ("crashes of Postgres", lambda o: str(o.crashes)),
    ("daemons stopped and woken", lambda o: str(o.pauses)),
    ("sent", lambda o: f"{o.said:,}"),
    ("acknowledged", lambda o: f"{o.damage.accepted:,}"),
    ("lost", lambda o: str(o.damage.lost)),
    ("stuck", lambda o: str(o.damage.stuck)),
    ("reported instead of answered", lambda o: str(o.damage.unknown)),
    ("second copies, marked", lambda o: str(o.damage.copies)),
    ("most copies of one", lambda o: str(o.damage.most)),
    ("copies unmarked or third", lambda o: str(o.damage.extra)),
    ("overlapping turns", lambda o: str(o.damage.overlaps)),
    ("out of order", lambda o: str(o.damage.out_of_order)),
    ("tool effects repeated", lambda o: str(o.damage.repeats)),
    ("wrong, unasked or untrue", lambda o: str(o.damage.wrong + o.damage.unasked
                                               + o.damage.untrue + o.damage.faults)),
    ("kill to ready, p50 / p95 s", lambda o: _spread(o.starts)),
    ("kill to first delivery, p50 / p95 s", lambda o: _spread(o.firsts)),
    ("others wait, idle / flooded, p95 ms", _interference),
    ("most memory, MB", lambda o: f"{o.memory:.0f}"),
)  # fmt: skip


def notices(outcomes: Sequence[Outcome]) -> str:
    """What people were told instead of an answer: a line for each text, the most frequent first."""
    told = sum((each.notices for each in outcomes), Counter[str]())
    return "\n".join(f"{times:>6} × {text!r}" for text, times in told.most_common(10))


def table(outcomes: Sequence[Outcome], seed: int) -> str:
    """What to print."""
    lines = [[f"seed {seed}", *(each.name for each in outcomes)]]
    lines += [[label, *(say(each) for each in outcomes)] for label, say in ROWS]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]),
                   *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )  # fmt: skip


def verdict(outcomes: Sequence[Outcome], seed: int) -> str:
    """The table, what people were told instead of answers, and whether all promises were kept."""
    told = notices(outcomes)
    broken = ", ".join(each.name for each in outcomes if each.broken)
    parts = [
        table(outcomes, seed),
        f"told instead of an answer:\n{told}" if told else "",
        f"broken promises in: {broken}" if broken else "all promises were kept",
    ]
    return "\n".join(filter(None, parts))
