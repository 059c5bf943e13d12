"""Measure everything and print it beside its budget: `python -m bench [name ...]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import tomli
from rich.console import Console
from rich.table import Table

from bench import channel_kills, channels, lanes, measures, memory_search, prompts, remembering
from bench.figures import Figures

MEASURES = {
    "starts": measures.starts,
    "turns": measures.turns,
    "accepts": measures.accepts,
    "deltas": measures.deltas,
    "history": measures.history,
    "flood": lanes.flood,
    "lanes": lanes.lanes,
    "takeover": lanes.takeover,
    "facts": remembering.facts_kept,
    "prompts": prompts.prompts,
    "compaction": prompts.full_window,
    "memory": memory_search.memory_search,
    "channels": channels.receiving,
    "channel-weight": channels.weight,
    "channel-kills": channel_kills.kills,
}


async def run(names: list[str], console: Console) -> bool:
    """Run the measures called `names`; True when every budget is met."""
    budgets = tomli.loads((Path(__file__).parent / "budgets.toml").read_text())
    figures: Figures = {}
    for name in names:
        console.print(f"[dim]measuring {name} …[/dim]")
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)  # the database's user must pass when we are root
            figures |= await MEASURES[name](Path(folder))
    columns = ("what", "measured", "budget", "ratio", "floor", "floor + commit")
    table = Table(*columns, title="OpenCraw")
    met = True
    for key, budget in budgets.items():
        if key not in figures:
            continue
        value = figures.pop(key)
        bound = budget.get("most", budget.get("least"))
        within = value <= bound if "most" in budget else value >= bound
        met &= within
        # A budget of nothing has no ratio.
        ratio = (f"{value / bound:.2f}" if bound else "–") + (
            "" if within else " [red]missed[/red]"
        )
        floors = [figures.pop(f"{prefix}{key}", None) for prefix in ("floor_", "floor_commit_")]
        unit = budget["unit"]
        table.add_row(
            budget["what"],
            f"{value:,.2f} {unit}",
            f"{'≤' if 'most' in budget else '≥'} {bound:,} {unit}",
            ratio,
            *(f"{floor:,.2f} {unit}" if floor is not None else "" for floor in floors),
        )
    console.print(table)
    for key, value in figures.items():
        console.print(f"[dim]{key}: {value:,.2f}[/dim]")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="default: all")
    names = parser.parse_args().names or list(MEASURES)
    import uvloop

    return 0 if uvloop.run(run(names, Console(width=150))) else 1


if __name__ == "__main__":
    sys.exit(main())
