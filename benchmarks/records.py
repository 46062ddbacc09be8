"""What its records cost a stage: told to the writer, as it is, and written at once, for comparison."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from _job import print_rows

PAUSE = 0.002
"""Seconds between two records; caches are colder then than in a stage that works."""

Step = Callable[[int], None]


def main(argv: Sequence[str]) -> int:
    """Record the lives of stages both ways; print microseconds and processor time per stage."""
    parser = argparse.ArgumentParser(prog="reelchain bench records", description=__doc__)
    parser.add_argument("--stages", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name:
        os.environ["DATA_DIR"] = name
        rows = [
            _measured("told to the writer", _told(), given.stages),
            _measured("written at once", _written(), given.stages),
        ]
    print_rows("records", rows, as_json=given.json)
    return 0


def _moments() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("running", {"started_at": "2026-11-21T10:00:00Z"}),
        ("completed", {"finished_at": "2026-11-21T10:01:00Z", "seconds": 60.0}),
    ]


def _told() -> list[Step]:
    """Return a stage's steps as they are: Celery's signals and the stage's own two moments."""
    from celery import signals
    from celery.app.task import Context

    from app import records
    from app.tasks import render_video_task

    task = render_video_task

    def begun(number: int) -> None:
        facts = {"project": number, "run": 1, "sent": 1.0, "hostname": "w@h"}
        task.request_stack.push(Context({"id": f"told-{number}", **facts}))
        try:
            signals.task_prerun.send(
                sender=task, task_id=f"told-{number}", task=task, args=[], kwargs={}
            )
        finally:
            task.request_stack.pop()

    def ended(number: int) -> None:
        result = {"project_id": number, "run": 1}
        signals.task_postrun.send(
            sender=task, task_id=f"told-{number}", task=task, state="SUCCESS", retval=result
        )

    def moment(status: str, facts: dict[str, Any]) -> Step:
        return lambda number: records.stage_event(
            number, "video_rendering", 1, 1, task_id=f"told-{number}", status=status, **facts
        )

    return [begun, *(moment(*each) for each in _moments()), ended]


def _written() -> list[Step]:
    """Return the stage's two moments, each in a transaction of its own."""
    from app import records
    from app.records._lives import TRIES

    def moment(status: str, facts: dict[str, Any]) -> Step:
        def write(number: int) -> None:
            key = {"project_id": -number, "stage": "video_rendering", "run": 1, "attempt": 1}
            row = {**key, "task_id": "written", "status": status, **facts}
            records.attempt(lambda connection: TRIES.write(connection, [row]))

        return write

    return [moment(*each) for each in _moments()]


def _measured(name: str, steps: list[Step], stages: int) -> dict[str, object]:
    from app import records

    for step in steps:
        step(stages + 1)
    records.flush(30)
    before, costs = records.dropped(), []
    began = time.process_time()
    for number in range(1, stages + 1):
        cost = 0.0
        for step in steps:
            time.sleep(PAUSE)
            at = time.perf_counter()
            step(number)
            cost += time.perf_counter() - at
        costs.append(cost * 1e6)
    if not records.flush(30) or records.dropped() != before:
        raise SystemExit("records were lost")
    return {
        "records": name,
        "a stage": len(steps),
        "stages": stages,
        "µs of the stage, median": round(statistics.median(costs)),
        "p99": round(sorted(costs)[int(0.99 * stages) - 1]),
        "processor µs, all threads": round((time.process_time() - began) / stages * 1e6),
    }
