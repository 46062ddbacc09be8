"""What must be true after the chaos, found from files, the kernel, Redis and what was told."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import redis

from _chaosfaults import Fault
from _chaoshouse import House
from _chaosparts import Process
from app import disk

SLACK = 0.5
"""Seconds after a build in which its file is made durable and recorded: a fault there costs it too.
As much before it: what ends a fault comes a little late."""


@dataclass(frozen=True)
class Span:
    """Something worked on, from its begin to its end or to its process's death."""

    project: int
    name: str
    owner: Process
    run: int
    begin: float
    end: float


class Recovery(NamedTuple):
    """Seconds from a deadly fault to work going on, and whether no other fault came between."""

    seconds: float
    alone: bool


class Story:
    """What happened, told by the processes themselves and by their deaths."""

    def __init__(
        self, events: list[dict[str, Any]], death: Callable[[Process], float | None]
    ) -> None:
        self.events = sorted(events, key=lambda event: event["t"])
        self._death = death
        self.units = self._spans("unit")
        self.stages = self._spans("stage")

    def _spans(self, what: str) -> list[Span]:
        begun: dict[tuple[Any, ...], dict[str, Any]] = {}
        spans = []
        for event in self.events:
            key = (event["project"], event.get(what), event["pid"], event["born"])
            if event["ev"] == f"{what}-begin":
                begun[key] = event
            elif event["ev"] == f"{what}-end" and key in begun:
                spans.append(self._span(begun.pop(key), what, event["t"]))
        for event in begun.values():
            died = self._death((event["pid"], event["born"]))
            spans.append(self._span(event, what, float("inf") if died is None else died))
        return sorted(spans, key=lambda span: span.begin)

    def _span(self, event: dict[str, Any], what: str, end: float) -> Span:
        owner = (event["pid"], event["born"])
        return Span(event["project"], event[what], owner, event["run"], event["t"], end)

    def overlaps(self) -> list[str]:
        """Return where two owners worked on one project at the same time."""
        found = []
        for spans in (self.stages, self.units):
            latest: dict[int, Span] = {}
            for span in spans:
                before = latest.get(span.project)
                if before is not None and span.owner != before.owner and span.begin < before.end:
                    found.append(
                        f"project {span.project}: {span.name} (run {span.run}, pid {span.owner[0]}) "
                        f"began {before.end - span.begin:.3f} s before {before.name} "
                        f"(run {before.run}, pid {before.owner[0]}) ended"
                    )
                if before is None or span.end >= before.end:
                    latest[span.project] = span
        return found

    def fallen_runs(self) -> list[str]:
        """Return where a stage began for a run below one that began before."""
        highest: dict[int, int] = {}
        found = []
        for span in self.stages:
            if span.run < highest.get(span.project, 0):
                found.append(f"project {span.project}: {span.run} after {highest[span.project]}")
            highest[span.project] = max(span.run, highest.get(span.project, 0))
        return found

    def published_twice(self) -> list[int]:
        """Return the projects put on the shelf although they stood there."""
        return sorted(
            {e["project"] for e in self.events if e["ev"] == "publish-begin" and e["again"]}
        )

    def remade(
        self, faults: Iterable[Fault], projects: Iterable[int]
    ) -> tuple[list[Span], list[str]]:
        """Return the builds that had to be done again, and those of them no fault had touched."""
        wanted, blows = set(projects), list(faults)
        last = {(span.project, span.name): span for span in self.units}
        lost = [
            span
            for span in self.units
            if span.project in wanted and span is not last[span.project, span.name]
        ]
        unexplained = [
            f"{span.name} of project {span.project}, run {span.run}, pid {span.owner[0]}"
            for span in lost
            if not any(f.clock <= span.end + SLACK and f.until >= span.begin - SLACK for f in blows)
        ]
        return lost, unexplained

    def recovery(self, faults: list[Fault], deadly: tuple[str, ...]) -> list[Recovery]:
        """Return, for each deadly fault and project it hit, how long until a stage began on it."""
        found = []
        for fault in (fault for fault in faults if fault.kind in deadly):
            for project, owner in fault.victims.items():
                later = (
                    span.begin
                    for span in self.stages
                    if span.project == project and span.owner != owner and span.begin > fault.clock
                )
                begin = next(later, None)
                if begin is not None and not self._failed(project, fault.clock, begin):
                    alone = not any(
                        other is not fault and other.clock < begin and other.until > fault.clock
                        for other in faults
                    )
                    found.append(Recovery(begin - fault.clock, alone))
        return found

    def _failed(self, project: int, begin: float, end: float) -> bool:
        """Tell whether a project's run failed between two times: it then waits for its user."""
        return any(
            event["ev"] == "failed" and event["project"] == project and begin < event["t"] < end
            for event in self.events
        )


# -- the projects ----------------------------------------------------------------------------

OWN = ("project_id", "marker", "sha256", "playlist")
"""What a publication tells of its own: the playlist is its batch's."""


def right(house: House, projects: list[int], references: list[int]) -> dict[int, str]:
    """Return project → what is wrong with it, empty where it is as an undisturbed run's."""
    wanted = [_made(house, number) for number in references]

    @cache
    def film(number: int) -> str:
        return frames(house, number)

    found = {}
    for at, number in enumerate(projects):
        reference = references[at % len(references)]
        found[number] = _difference(house, number, wanted[at % len(references)])
        if not found[number] and not _same_film(house, number, reference, film):
            found[number] = "picture or sound differ from an undisturbed run's"
    return found


def _same_film(house: House, one: int, other: int, film: Callable[[int], str]) -> bool:
    paths = [house.data / "published" / str(n) / "video.mp4" for n in (one, other)]
    # the same bytes decode to the same frames
    return disk.sha256(paths[0]) == disk.sha256(paths[1]) or film(one) == film(other)


def frames(house: House, number: int) -> str:
    """Return digests of every decoded frame of picture and sound of a published film."""
    code = (
        "import sys; from app.media import ffmpeg; from pathlib import Path\n"
        "out = Path(sys.argv[2])\n"
        "ffmpeg.run(['-i', sys.argv[1], '-map', '0:v', '-map', '0:a', '-f', 'framemd5', out])"
    )
    film = house.data / "published" / str(number) / "video.mp4"
    target = house.folder / f"frames-{number}.txt"
    command = [sys.executable, "-c", code, str(film), str(target)]
    subprocess.run(command, env=house.environment, check=True, timeout=60)
    return target.read_text()


def _made(house: House, number: int) -> dict[str, Any]:
    """Return what the project and its publication say, but for its id, times, marker and batch."""
    folder, shelf = house.data / "projects" / str(number), house.data / "published" / str(number)
    state = json.loads((folder / "project_state.json").read_bytes())
    record = json.loads((folder / "publish.json").read_bytes())
    facts = json.loads((shelf / "metadata.json").read_bytes())
    # digests of picture and sound stand apart: the frames decide
    for name in ("marker", "video_id", "published_at", "sha256", "film", "inputs"):
        record.pop(name)
    record["url"] = record["url"].replace(f"/{number}/", "/N/")
    return {
        "status": state["status"],
        "ended": state["run"]["ended"],
        "record": record,
        "shelf": {k: v for k, v in facts.items() if k not in OWN},
        "pictures": {k: v for k, v in facts["sha256"].items() if k != "video"},
        "files": sorted(path.name for path in shelf.iterdir()),
        "artifacts": sorted(name for s in state["stages"].values() for name in s["artifacts"]),
        "recorded": state["publication"]["marker"] == facts["marker"],
    }


def _difference(house: House, number: int, wanted: dict[str, Any]) -> str:
    try:
        made = _made(house, number)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"not published whole ({type(error).__name__}: {error})"
    wrong = [f"{k} is {made[k]!r}, not {wanted[k]!r}" for k in wanted if made[k] != wanted[k]]
    return "; ".join(wrong)


# -- what the callers got --------------------------------------------------------------------


def answers(told: dict[str, Any], may_fail: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the callers' own answers."""
    wrong = []
    for name, tries in told.items():
        if not isinstance(tries, list):
            wrong.append(f"the caller of {name} got: {str(tries)[-600:]}")
            continue
        for number, outcome in enumerate(tries, 1):
            bad = {p: c for p, c in outcome.get("failed", {}).items() if c not in may_fail}
            if bad:
                wrong.append(f"the caller of {name} was told on try {number}: {bad}")
        if not tries or tries[-1].get("status") != "completed":
            wrong.append(f"the caller of {name} ended with {tries[-1:]}")
    return wrong


def started_again(told: dict[str, Any]) -> dict[str, int]:
    """Return error code → how many projects failed with it and were started again."""
    counts: dict[str, int] = {}
    for tries in told.values():
        for outcome in tries if isinstance(tries, list) else []:
            for code in outcome.get("failed", {}).values():
                counts[code] = counts.get(code, 0) + 1
    return counts


# -- what must not be left -------------------------------------------------------------------


VISIBILITY = 120.0
"""The house's visibility timeout, in seconds."""


def left_behind(house: House) -> list[str]:
    """Return what is left of work that has ended: files, locks, processes, keys."""
    found = [
        f"{path.relative_to(house.data)}"
        for path in house.data.rglob(f"{disk.TEMPORARY}*")
        if not path.is_relative_to(house.data / "run")
    ]
    markers = (*house.data.glob("*/.active/*"), *house.data.glob("*/.running/*"))
    found += [f"marker {path.relative_to(house.data)}" for path in markers]
    locks = (*house.data.glob("projects/*/.lock"), *house.data.glob("batches/*/.*lock"))
    found += [f"lock {path.relative_to(house.data)}" for path in locks if _held(path)]
    found += [f"FFmpeg {pid}" for pid in _media_of(house)]
    found += _keys(house)
    return found


def settled(house: House, seconds: float) -> None:
    """Tend the house until nothing is left behind, or fail with what is.

    Raises:
        AssertionError: With everything that is left after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        house.tend()
        found = left_behind(house)
        if not found:
            return
        assert time.monotonic() < deadline, f"left behind after {seconds:g} s: {found}"
        time.sleep(0.5)  # a look at a lock takes it for a moment, which is in a watchdog's way


def _held(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _media_of(house: House) -> list[int]:
    """Return the FFmpeg processes of this house, whoever is their parent now."""
    found = []
    for process in psutil.process_iter():
        try:
            if "ffmpeg" in process.name() and str(house.data) in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _keys(house: House) -> list[str]:
    try:
        unacked: Any = house.redis.hlen("unacked")
        leases: Any = house.redis.keys("lease:*")
        waiters: Any = house.redis.keys("waiters:*")
        queues = [
            key
            for key in ("video_generation", "batch_processing", "maintenance")
            for key in (key, *(f"{key}\x06\x16{n}" for n in range(1, 10)))
        ]
        waiting = {key: n for key in queues if (n := house.redis.llen(key))}
    except redis.RedisError as error:
        return [f"Redis does not answer: {error}"]
    found = [f"{unacked} messages in `unacked`"] if unacked else []
    found += [f"key {key}" for key in (*leases, *waiters)]
    found += [f"{n} messages in {key!r}" for key, n in waiting.items()]
    return found
