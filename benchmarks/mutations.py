"""Wrong project files, state files, arguments and messages: a clear error or a right result."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from _job import print_rows

if TYPE_CHECKING:
    from _mutations import Verdict, World
    from _redis import RedisServer

OF_MESSAGES = 5
"""Every fifth case is a message: it takes a worker, and longer than a file."""


def main(argv: Sequence[str]) -> int:
    """Run many seeded cases; print what became of them, and each bad one with how to repeat it."""
    parser = argparse.ArgumentParser(prog="reelchain bench mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", type=int, help="the number of one case, to repeat it")
    parser.add_argument("--family", help="cases of this family alone; `message` for all messages")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    numbers = range(given.count) if given.only is None else [given.only]
    verdicts = []
    for verdict in _verdicts(given.seed, numbers, given.family or ""):
        verdicts.append(verdict)
        if verdict.outcome == "bad" or given.only is not None:
            print(verdict, *verdict.codes, file=sys.stderr)
    print_rows(f"mutations, seed {given.seed}", _rows(verdicts), as_json=given.json)
    return int(any(verdict.outcome == "bad" for verdict in verdicts))


def _verdicts(seed: int, numbers: Sequence[int], family: str) -> Iterator[Verdict]:
    """Run the cases with these numbers: files first, then messages with a worker."""
    import _mutants  # noqa: F401 - it registers the families
    from _mutations import FAMILIES, World, case
    from _redis import RedisServer

    names = list(FAMILIES)
    messages = [number for number in numbers if number % OF_MESSAGES == 0]
    with (
        tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name,
        RedisServer(Path(name) / "redis") as server,
    ):
        os.environ["CELERY_BROKER_URL"] = server.url
        world = World(Path(name).resolve() / "world")
        with world.entered():
            world.build()
            for number in numbers:
                if number not in messages and family in ("", names[number % len(names)]):
                    server.client.flushall()
                    yield case(world, seed, number)
            server.client.flushall()
            world.reset()
            if messages and family in ("", "message"):
                yield from _with_worker(world, server, seed, messages)


def _with_worker(
    world: World, server: RedisServer, seed: int, numbers: Sequence[int]
) -> Iterator[Verdict]:
    import _messages

    with _messages.Guest(world.base, server) as house:
        house.start_worker(app="_cheap_app")
        for number in numbers:
            yield _messages.case(house, world, seed, number)
            if house.workers[-1].poll() is not None:
                house.start_worker(app="_cheap_app")


def _rows(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    families = sorted({verdict.family for verdict in verdicts})
    rows = [_row(name, [one for one in verdicts if one.family == name]) for name in families]
    return [*rows, _row("all", verdicts)]


def _row(title: str, verdicts: Sequence[Verdict]) -> dict[str, object]:
    counts = Counter(verdict.outcome for verdict in verdicts)
    return {
        "family": title,
        "a clear error": counts["error"],
        "a right result": counts["result"],
        "anything else": counts["bad"],
        "median, s": round(statistics.median(verdict.seconds for verdict in verdicts), 2),
        "slowest, s": round(max(verdict.seconds for verdict in verdicts), 2),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
