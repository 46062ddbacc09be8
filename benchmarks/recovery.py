"""Recovery from kills and restarts, cancel, and what our wrapper costs: one table with limits."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _house
from _job import print_rows, spread, story

if TYPE_CHECKING:
    from _workers import Bench

STAGES = (
    "script_generation",
    "asset_generation",
    "video_rendering",
    "thumbnail_generation",
    "youtube_upload",
)
QUEUES = ("video_generation", "batch_processing", "maintenance")

Row = dict[str, object]


def main(argv: Sequence[str]) -> int:
    """Measure the parts asked for, one after the other; exit code 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="reelchain bench recovery", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each thing is measured")
    parser.add_argument("--chains", type=int, default=60, help="chains for the wrapper's cost")
    parser.add_argument("--only", choices=list(PARTS), help="one part")
    parser.add_argument("--profile", metavar="FOLDER", help="profile of our stages (part wrapper)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    rows: list[Row] = []
    for name, part in PARTS.items():
        if given.only in (None, name):
            rows += part(given)
            print(f"{name}: measured", file=sys.stderr)
    print_rows("recovery", rows, as_json=given.json)
    return int(any(row["kept"] == "NO" for row in rows))


def _row(what: str, values: Sequence[float], limit: float | None, digits: int = 2) -> Row:
    kept = "" if limit is None else "yes" if statistics.median(values) <= limit else "NO"
    shown = "-" if limit is None else limit
    return {"what": what, "median (min-max)": spread(values, digits), "limit": shown, "kept": kept}


# -- kill -9 of a worker ------------------------------------------------------------------------


def _kills(given: argparse.Namespace) -> list[Row]:
    places = ("script_generation", "asset_generation", "video_rendering", "between links")
    rows = []
    with _house.house(PACED_SECONDS=1, PACED_UNITS=3) as made:
        for _ in range(2):
            made.start_worker(concurrency=1, app="_paced")
        for place in places:
            values = [_kill(made, place) for _ in range(given.runs)]
            rows.append(_row(f"kill -9 in {place} to another worker at work, s", values, 5))
        _house.end_workers(made)
    with _house.house(PACED_SECONDS=1, PACED_UNITS=3) as made:
        made.start_worker(concurrency=1, app="_paced")
        values = [_kill(made, "video_rendering") for _ in range(max(2, given.runs // 2))]
        rows.append(_row("kill -9 of the only worker, restarted at once, to work, s", values, None))
    return rows


def _kill(made: Bench, place: str) -> float:
    """Kill the worker that is at a new project; return the seconds to the next build of it."""
    number = _house.topic(made)
    made.call(f"start({number})")
    victim = _house.owner_of(made, _at_work(made, number, place)["pid"])
    struck = time.time()
    made.kill_worker(victim)
    others = [worker for worker in made.workers if worker.poll() is None]
    if not others:
        made.start_worker(concurrency=1, app="_paced")

    def again() -> list[dict[str, Any]]:
        mine = [line for line in _house.built(made) if line["project"] == number]
        return [line for line in mine if line["t"] > struck]

    at_it = _house.soon(again, 60, "another worker at the project")[0]
    made.call(f"cancel({number})")
    if others:
        made.start_worker(concurrency=1, app="_paced")
    return float(at_it["t"] - struck)


def _at_work(made: Bench, number: int, place: str) -> dict[str, Any]:
    """Wait until the project is at that place; return the latest build of it."""

    def reached() -> list[dict[str, Any]]:
        mine = [line for line in _house.built(made) if line["project"] == number]
        if place != "between links":
            return [line for line in mine if line["stage"] == place]
        stages = _house.state(made, number)["stages"]
        over = stages.get("script_generation", {}).get("status") == "completed"
        return mine if over else []

    return dict(_house.soon(reached, 60, f"the project in {place}")[-1])


# -- Redis killed and restarted ------------------------------------------------------------------


def _restarts(given: argparse.Namespace) -> list[Row]:
    values = []
    with _house.house() as made:
        for queue in QUEUES:
            made.start_worker(queues=queue, concurrency=1, app="_paced")
        for queue in QUEUES:
            made.call(_PING.format(queue=queue))
        values = [_restart(made) for _ in range(given.runs)]
    return [_row("Redis killed and restarted to three workers consuming, s", values, 15)]


_PING = """
import _paced
tell(_paced.ping.apply_async(queue={queue!r}).get(timeout=60)["t"])
"""


def _restart(made: Bench) -> float:
    struck = time.time()
    made.redis_process.kill()
    made.redis_process.wait()
    made._start_redis()  # noqa: SLF001 - the same server again, on its port and its file
    return float(max(made.call(_PING.format(queue=queue)) for queue in QUEUES)) - struck


# -- a render longer than the visibility timeout ---------------------------------------------------


def _visibility(_: argparse.Namespace) -> list[Row]:
    extra = {"PACED_VISIBILITY": 2, "PACED_ONLY": "video_rendering"}
    with _house.house(PACED_SECONDS=4, PACED_UNITS=6, **extra) as made:
        for _number in range(2):
            made.start_worker(concurrency=1, app="_paced")
        number = _house.topic(made)
        made.call(f"start({number}).get(timeout=300)", seconds=300)
        times = Counter(line["unit"] for line in _house.built(made))
        took = _house.state(made, number)["stages"]["video_rendering"]["seconds"]
    title = f"encodes of a segment, render of {took:.0f} s, visibility timeout 2 s"
    return [_row(title, [float(count) for count in times.values()], 1, 0)]


# -- cancel ------------------------------------------------------------------------------------------


def _cancels(given: argparse.Namespace) -> list[Row]:
    rows = []
    with _house.house(RENDER_SCALE=1, X264_PRESET="veryfast") as made:
        made.start_worker(concurrency=1)
        path = story(made.folder / "story", 40)
        values = [_cancel_render(made, path) for _ in range(given.runs)]
        rows.append(_row("cancel to FFmpeg gone, 1080p render, s", values, 2))
    with _house.house(PACED_SECONDS=30, PACED_UNITS=1) as made:
        made.start_worker(concurrency=1, app="_paced")
        for stage in STAGES:
            values = [_cancel_paced(made, stage) for _ in range(max(2, given.runs // 2))]
            rows.append(_row(f"cancel to nothing running, {stage}, s", values, 2))
    return rows


def _cancel_render(made: Bench, path: Path) -> float:
    number = made.call(f"tell(create_project({str(path)!r}).id)")
    made.call(f"start({number})")

    def rendering() -> list[Any]:
        stages = _house.state(made, number)["stages"]
        at_it = stages.get("video_rendering", {}).get("status") == "running"
        return _house.encoders(made) if at_it else []

    found = _house.soon(rendering, 120, "FFmpeg at the render")
    time.sleep(1)  # well into the segment, not at its first frame
    found = _house.encoders(made) or found
    return _cancelled(made, number, found)


def _cancelled(made: Bench, number: int, found: list[Any]) -> float:
    began = time.monotonic()
    made.call(f"tell(cancel({number}))")
    _house.soon(lambda: _house.gone(found) and not _house.encoders(made), 30, "FFmpeg gone")
    _house.soon(lambda: _house.let_go(made, number), 30, "the project let go")
    return time.monotonic() - began


def _cancel_paced(made: Bench, stage: str) -> float:
    number = _house.topic(made)
    for before in STAGES[: STAGES.index(stage)]:
        _mark_made(made, number, before)
    made.call(f"start({number})")
    found = _house.soon(lambda: _house.encoders(made), 60, f"FFmpeg in {stage}")
    at = _house.state(made, number)["stages"][stage]["status"]
    if at != "running":
        raise SystemExit(f"{stage} is {at}")
    return _cancelled(made, number, found)


def _mark_made(made: Bench, number: int, stage: str) -> None:
    """Let a stage count as made, so that the run begins with the next."""
    made.call(
        f"""
        from app.pipeline import open_project
        from app.tasks._context import inputs_of
        project = open_project({number})
        with project.transaction() as state:
            part = state.stage({stage!r})
            part.status, part.facts = "completed", {{"scenes": 1, "sentences": 1}}
            part.inputs = inputs_of(project, state, {stage!r})
        """
    )


# -- what the wrapper costs ---------------------------------------------------------------------------

_CHAINS = """
import time, _overhead
def took(made):
    began = time.perf_counter()
    made.apply_async().get(timeout=60)
    return 1000 * (time.perf_counter() - began) / 5
def one(kind, number):
    return took(_overhead.bare_chain(number) if kind == "bare" else video_pipeline(number))
"""


def _wrapper(given: argparse.Namespace) -> list[Row]:
    extra = {"OVERHEAD_PROFILE": str(Path(given.profile).resolve())} if given.profile else {}
    with _house.house("_overhead", RENDER_SCALE=0.1, **extra) as made:
        worker = made.start_worker(concurrency=1, app="_overhead")
        path = story(made.folder / "story", 10)
        finished = made.call(f"tell(create_project({str(path)!r}).id)")
        made.call(f"start({finished}).get(timeout=300)", seconds=300)
        made.call(_CHAINS)
        blank = [_house.topic(made, "Nothing to do") for _ in range(given.chains + 3)]
        kinds: dict[str, Callable[[int], int]] = {
            "bare": lambda _: finished,
            "made": lambda _: finished,
            "no-op": lambda turn: blank[turn],
        }
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        spent: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(given.chains + 3):
            for kind, number in kinds.items():
                before = _cpu(worker)
                value = made.call(f"tell(one({kind!r}, {number(turn)}))")
                if turn >= 3:  # the first ones load what is loaded once
                    times[kind].append(value)
                    spent[kind].append(1000 * (_cpu(worker) - before) / 5)
    return _costs(times, spent)


def _cpu(worker: Any) -> float:
    """Return the processor seconds of a worker's whole tree."""
    import psutil

    processes = [psutil.Process(worker.pid), *_house.family(worker)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _costs(times: dict[str, list[float]], spent: dict[str, list[float]]) -> list[Row]:
    titles = {"made": "all made", "no-op": "works replaced by no-ops"}
    rows = [_row("a bare Celery task in a chain of five, ms", times["bare"], None)]
    for kind, title in titles.items():
        more = [ours - bare for ours, bare in zip(times[kind], times["bare"], strict=True)]
        rows.append(_row(f"our stage over a bare task, {title}, ms", more, 4))
    for kind in times:
        mean = statistics.fmean(spent[kind])
        row = _row(f"processor time of the worker per stage, {kind}, ms", [mean], None)
        rows.append({**row, "median (min-max)": f"{mean:.2f} (mean)"})
    return rows


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "kills": _kills,
    "redis": _restarts,
    "visibility": _visibility,
    "cancel": _cancels,
    "wrapper": _wrapper,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
