"""Random faults over a batch of real renders: every project right, published once, little remade."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from _job import print_rows

if TYPE_CHECKING:
    from _chaos import Report

SECONDS_PER_FAULT = 2.4
"""So that 500 faults over 100 projects take no more than 25 minutes."""


def main(argv: Sequence[str]) -> int:
    """Run the chaos; one table over all runs. Exit code 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="reelchain bench chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="how many, each with the next seed")
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--projects", type=int, default=100)
    parser.add_argument("--seed", type=int, help="of the first run; by the clock if not given")
    parser.add_argument("--kinds", help="only these kinds of fault, with commas between them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    import _chaos
    from _chaosfaults import WEIGHTS

    kinds = {k: WEIGHTS[k] for k in (given.kinds or ",".join(WEIGHTS)).split(",")}
    first = given.seed if given.seed is not None else int(time.time()) % 100_000
    reports = []
    for seed in range(first, first + given.runs):
        plan = _chaos.Plan(
            seed=seed,
            faults=given.faults,
            projects=given.projects,
            kinds=kinds,
            seconds=300 + SECONDS_PER_FAULT * given.faults + 5 * given.projects,
            slowest=SECONDS_PER_FAULT * 1.6,
        )
        reports.append(_one(plan))
    print_rows("chaos", _rows(reports), as_json=given.json)
    return int(any(report.problems for report in reports))


def _one(plan: object) -> Report:
    import _chaos

    assert isinstance(plan, _chaos.Plan)
    folder = Path(tempfile.mkdtemp(prefix="reelchain-chaos-"))
    report = _chaos.run(folder, plan, say=_note)
    for problem in report.problems:
        _note(f"! {problem}")
    if report.problems:
        (folder / "report.txt").write_text(report.text(), encoding="utf-8")
        _note(f"logs, events and report: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _rows(reports: list[Report]) -> list[dict[str, object]]:
    facts = [report.facts for report in reports]

    def total(name: str) -> int:
        return sum(f[name] for f in facts)

    def counts(name: str) -> str:
        added: Counter[str] = sum((Counter(f[name]) for f in facts), Counter())
        return ", ".join(f"{k} {n}" for k, n in sorted(added.items())) or "none"

    def seconds(name: str) -> str:
        found = [f[name] for f in facts if f[name]["count"]]
        return "; ".join(f"median {f['median']}, max {f['max']} of {f['count']}" for f in found)

    projects, faults = total("projects"), total("faults")
    absent = {kind: why for f in facts for kind, why in f["not to be had"].items()}
    figures: list[tuple[str, object, object]] = [
        ("seeds", ", ".join(str(f["seed"]) for f in facts), ""),
        ("faults", faults, ""),
        ("faults by kind", counts("by kind"), ""),
        ("faults that found nothing to strike", counts("nothing to strike"), ""),
        ("faults not to be had on this machine", absent or "none", ""),
        ("projects finished right", total("right"), projects),
        ("projects lost", total("lost"), 0),
        ("projects published twice", total("published twice"), 0),
        ("units built at once by two", total("overlaps"), 0),
        ("projects at work when a fault struck, summed", total("hits"), ""),
        ("units remade", total("remade"), ""),
        ("units remade per fault", round(total("remade") / max(faults, 1), 3), "≤ 1"),
        ("failed clearly and started again, by error", counts("started again"), ""),
        ("kill -9 of child, worker or all to work going on, s", seconds("recovery"), "median ≤ 5"),
        (
            "the same with further faults in between, s",
            seconds("recovery under further faults"),
            "",
        ),
        ("worker exits by code", counts("worker exits"), ""),
        ("anything else not as it must be", sum(len(r.problems) for r in reports), 0),
        ("seconds", total("seconds"), ""),
    ]
    return [{"what": what, "figure": figure, "limit": limit} for what, figure, limit in figures]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
