"""Publishing on a local YouTube: mixes of faults, a day's quota, memory, refusals, secrets."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _parts import Row, note, row, run, wrong

if TYPE_CHECKING:
    from _publish import House

REAL_LIMITS = {"videos.insert": 100, "units": 10_000}
"""Of a day, as YouTube grants them; the ledger has its own copy."""
SECONDS_PER_MIX = 6.0
"""The most it may take, on a busy machine."""
MEMORY_MB = 300
DAY_PROJECTS, DAY_FIT, DAY_AHEAD = 30, 19, 20.0


def main(argv: Sequence[str]) -> int:
    """Measure the parts asked for, one after the other; exit code 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="reelchain bench publish", description=__doc__)
    parser.add_argument("--mixes", type=int, default=500, help="projects with faults of their own")
    parser.add_argument(
        "--concurrency", type=int, default=6, help="children of each of two workers"
    )
    parser.add_argument("--memory-gb", type=float, default=4, help="size of the large file")
    return run("publish", parser, PARTS, argv)


@contextlib.contextmanager
def _house(
    settings: dict[str, str] | None = None, **youtube: Any
) -> Iterator[tuple[House, list[str]]]:
    """Yield a house and a list for what is wrong; the folder stays where there is anything."""
    from _publish import house
    from _youtube import YouTube

    folder = Path(tempfile.mkdtemp(prefix="reelchain-publish-"))
    problems: list[str] = []
    whole = False
    try:
        with (
            YouTube(processing_polls=1, **youtube) as server,
            house(folder, server, **(settings or {})) as made,
        ):
            yield made, problems
            told = [f"violation: {line}" for line in server.violations]
            problems.extend(line for line in told if line not in problems)
        whole = True
    finally:
        if whole and not problems:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            (folder / "problems.txt").write_text("\n".join(problems) + "\n", encoding="utf-8")
            note(f"logs and data: {folder}")


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in found.most_common()) or "none"


# -- mixes of faults -----------------------------------------------------------------------------


def _chaos(given: argparse.Namespace) -> list[Row]:
    import _publish

    settings = {"YOUTUBE_QUOTA_LIMITS": _publish.NO_LIMITS}
    with _house(settings, lag_lookups=1, not_ready=1) as (made, problems):
        made.staff(2, given.concurrency)
        mixes = _publish.Mixes(made, seed=given.seed, count=given.mixes, kills=given.mixes // 20)
        began = time.monotonic()
        mixes.run(120 + SECONDS_PER_MIX * given.mixes, say=note)
        seconds = time.monotonic() - began
        problems.extend(mixes.problems())
        return _chaos_rows(given, mixes, seconds, problems)


def _chaos_rows(
    given: argparse.Namespace, mixes: Any, seconds: float, problems: list[str]
) -> list[Row]:
    import _publish

    bad = {number for number in mixes.plans if mixes.verdict(number)}
    struck, doubled = mixes.struck(), mixes.doubled()
    again = [step.bytes for step in _publish.resent(mixes.server)]
    most = max(again, default=0)
    thumbnails = sum(len(v.thumbnails) - 1 for v in mixes.server.videos.values())
    return [
        row("mixes: cut short", _publish.SCALED),
        row("mixes: seed", given.seed),
        row("mixes: projects", given.mixes),
        row("mixes: faults", struck.total()),
        row("mixes: faults by kind", _counts(struck)),
        row("mixes: kills of a child that was gone already", mixes.missed_kills),
        row("mixes: workers killed besides", mixes.house.deaths),
        row("mixes: right", given.mixes - len(bad), given.mixes, right=not bad),
        row("mixes: wrong", len(bad), 0, right=not bad),
        row("mixes: videos doubled", len(doubled), 0, right=not doubled),
        row(
            "mixes: sent again after a fault, most, bytes",
            most,
            _publish.CHUNK,
            right=most <= _publish.CHUNK,
        ),
        row("mixes: steps back of an upload", len(again)),
        row("mixes: thumbnails set again (the same bytes)", thumbnails),
        row("mixes: waited for the service, and went on by themselves", mixes.waits()),
        row("mixes: failed clearly and started again, by error", _counts(mixes.by_hand)),
        wrong("mixes", problems),
        row("mixes: seconds", round(seconds, 1)),
    ]


# -- a day's quota -------------------------------------------------------------------------------


def _quota(_given: argparse.Namespace) -> list[Row]:
    import _publish_rows

    with _house(limits=REAL_LIMITS) as (made, problems):
        made.staff(2, 2)
        day = _publish_rows.day(made, DAY_PROJECTS, fit=DAY_FIT, ahead=DAY_AHEAD, seconds=400)
    rest = DAY_PROJECTS - DAY_FIT
    low, high = min(day.waits, default=0.0), max(day.waits, default=0.0)
    in_time = len(day.waits) == rest and low >= 0 and high <= _publish_rows.SPREAD_SECONDS
    published, waiting = day.before.get("completed", 0), day.before.get("waiting", 0)
    after = day.after.get("completed", 0)
    same = all(booked == charged for booked, charged in day.booked.values())
    return [
        row("quota: published on the first day", published, DAY_FIT, right=published == DAY_FIT),
        row("quota: waiting", waiting, rest, right=waiting == rest),
        row(
            "quota: they go on after midnight Pacific, s",
            f"{low:.0f}-{high:.0f}",
            f"0-{_publish_rows.SPREAD_SECONDS}",
            right=in_time,
        ),
        row("quota: workers idle meanwhile", day.idle, True, right=day.idle),
        row("quota: booked by the ledger, charged by the service", day.booked, right=same),
        row("quota: calls refused", day.refused, 0, right=day.refused == 0),
        row("quota: published after the reset", after, DAY_PROJECTS, right=after == DAY_PROJECTS),
        row("quota: not exactly one video", day.doubled, 0, right=day.doubled == 0),
        wrong("quota", problems),
        row("quota: midnight to the last published, s", round(day.seconds, 1)),
    ]


# -- memory --------------------------------------------------------------------------------------


def _memory(given: argparse.Namespace) -> list[Row]:
    import _publish_rows

    size = int(given.memory_gb * 1024**3)
    with _house({"YOUTUBE_CHUNK_MB": "16", "YOUTUBE_TIMEOUT": "60", "LEASE_SECONDS": "30"}) as (
        made,
        problems,
    ):
        made.staff(1, 1)
        told = _publish_rows.large(made, size, seconds=600)
    speed = size / 1e6 / max(told.seconds, 0.001)
    return [
        row("memory: file, GB", given.memory_gb),
        row("memory: published right", told.right, True, right=told.right),
        row(
            "memory: most of the child at work, MiB",
            round(told.peak),
            MEMORY_MB,
            right=0 < told.peak <= MEMORY_MB,
        ),
        row("memory: upload, s", round(told.seconds, 1)),
        row("memory: upload, MB/s", round(speed)),
        row("memory: the whole stage, s", round(told.whole, 1)),
        wrong("memory", problems),
    ]


# -- refusals ------------------------------------------------------------------------------------


def _errors(_given: argparse.Namespace) -> list[Row]:
    import _publish_rows

    with _house() as (made, problems):
        made.staff(1, 1)
        told = list(_publish_rows.refusals(made))
        problems.extend(problem for one in told for problem in one.problems)
    after = sum(len(one.after) for one in told)
    slowest = max(one.seconds for one in told)
    unlike = [one for one in told if one.problems]
    return [
        row("refusals: kinds", len(told)),
        row("refusals: calls made after them", after, 0, right=after == 0),
        row("refusals: to the failed state, most, s", round(slowest, 2), 1, right=slowest <= 1),
        row("refusals: code, reason or hint not right", len(unlike), 0, right=not unlike),
        wrong("refusals", problems),
    ]


# -- secrets -------------------------------------------------------------------------------------


def _secrets(given: argparse.Namespace) -> list[Row]:
    import _publish
    import _publish_rows
    from _publish_secrets import Watch

    settings = {"YOUTUBE_QUOTA_LIMITS": _publish.NO_LIMITS, "LOG_LEVEL": "DEBUG"}
    with _house(settings, lag_lookups=1, not_ready=1) as (made, problems), Watch(made) as watch:
        made.staff(2, 3)
        mixes = _publish.Mixes(made, seed=given.seed, count=min(given.mixes, 30), kills=1)
        mixes.run(600)
        problems.extend(mixes.problems())  # what comes next is not theirs
        failed = list(_publish_rows.refusals(made))
        numbers = [*list(mixes.plans)[:2], max(mixes.plans) + 1]
        found = watch.findings(numbers)
        problems.extend(f"{f.place}: {f.secret}…: {f.text}" for f in found)
        secrets, allowed = len(made.server.secrets()), watch.allowed()
    return [
        row("secrets: there are", secrets),
        row("secrets: found where they may be", allowed, "> 3", right=allowed > 3),
        row("secrets: projects published, and failed", f"{len(mixes.plans)}, {len(failed)}"),
        row("secrets: listened to", watch.heard),
        row("secrets: found anywhere else", len(found), 0, right=not found),
        wrong("secrets", problems),
    ]


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "chaos": _chaos,
    "quota": _quota,
    "memory": _memory,
    "errors": _errors,
    "secrets": _secrets,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
