"""What benchmarks of several parts share: their options, their rows, what is not as it must be."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from _job import print_rows

Row = dict[str, object]
Part = Callable[[argparse.Namespace], list[Row]]


def run(
    name: str, parser: argparse.ArgumentParser, parts: Mapping[str, Part], argv: Sequence[str]
) -> int:
    """Measure the parts asked for, print their rows; 1 where one is not as it must be.

    Args:
        name: The benchmark's.
        parser: With the options of its own.
        parts: Name → what measures it.
        argv: The arguments.
    """
    parser.add_argument("--seed", type=int, help="of all that is random; by the clock if not given")
    parser.add_argument("--only", choices=list(parts), help="one part")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    given.seed = int(time.time()) % 100_000 if given.seed is None else given.seed
    rows: list[Row] = []
    for title, part in parts.items():
        if given.only in (None, title):
            rows += part(given)
            note(f"{title}: measured")
    print_rows(name, rows, as_json=given.json)
    return int(any(row["kept"] == "NO" for row in rows))


def note(line: str) -> None:
    """Tell whoever watches."""
    print(line, file=sys.stderr, flush=True)


def row(what: str, figure: object, limit: object = "", *, right: bool | None = None) -> Row:
    """Return one row; `right` says whether its limit was kept, where it has one."""
    kept = "" if right is None else "yes" if right else "NO"
    return {"what": what, "figure": figure, "limit": limit, "kept": kept}


def wrong(what: str, problems: Sequence[str]) -> Row:
    """Return the row of everything else that is not as it must be, each told on its own line."""
    for problem in problems:
        note(f"! {problem}")
    return row(f"{what}: anything else wrong", len(problems), 0, right=not problems)
