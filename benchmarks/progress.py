"""Progress from publish to subscriber: latency of the events that the throttle lets through."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from _job import print_rows

PACE = 7.0
"""Events a second and project, below the limit of ten: none is held back."""


def main(argv: Sequence[str]) -> int:
    """Publish for several projects in turn; a second process subscribes to all of them."""
    parser = argparse.ArgumentParser(prog="reelchain bench progress", description=__doc__)
    parser.add_argument("--events", type=int, default=600, help="how many to publish")
    parser.add_argument("--projects", type=int, default=12, help="how many are made at once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    from _redis import RedisServer

    with (
        tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name,
        RedisServer(Path(name) / "redis") as server,
    ):
        os.environ |= {"CELERY_BROKER_URL": server.url, "DATA_DIR": name}
        latencies = _measured(server, given.events, given.projects)
    cuts = statistics.quantiles(latencies, n=1000, method="inclusive")
    row: dict[str, object] = {
        "events": len(latencies),
        "projects": given.projects,
        "p50 ms": round(cuts[499], 2),
        "p90 ms": round(cuts[899], 2),
        "p99 ms": round(cuts[989], 2),
        "max ms": round(max(latencies), 2),
        "limit, p99 ms": 50,
    }
    print_rows("progress", [row], as_json=given.json)
    return 0


def _measured(server: object, events: int, projects: int) -> list[float]:
    """Return the milliseconds each event took."""
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=_subscribe, args=(projects, writer), daemon=True)
    child.start()
    _publish(server, events, projects)
    if not reader.poll(30):
        raise SystemExit("the subscribers did not come to their end")
    latencies: list[float] = reader.recv()
    child.join()
    if len(latencies) != events:
        raise SystemExit(f"{len(latencies)} of {events} events arrived")
    return latencies


def _publish(server: object, events: int, projects: int) -> None:
    from _redis import RedisServer, until
    from app import progress

    assert isinstance(server, RedisServer)
    numbers = range(1, projects + 1)
    until(lambda: all(server.subscribers(progress.channel(n)) for n in numbers), 60, "subscribers")
    began = time.monotonic()
    for sent in range(events):
        number, turn = sent % projects + 1, sent // projects
        time.sleep(max(0.0, began + sent / (PACE * projects) - time.monotonic()))
        event = progress.event(
            project_id=number,
            stage="video_rendering",
            progress=min(99, turn),
            message="Drawing scene 3 of 12",
            run=1,
        )
        if not progress.publish(event | {"sent": time.monotonic()}):
            raise SystemExit("Redis did not answer")
    for number in numbers:
        end = {"stage": "video_rendering", "progress": 100, "message": "", "run": 1, "final": True}
        progress.publish(progress.event(project_id=number, **end))


def _subscribe(projects: int, pipe: Connection) -> None:
    """Follow all projects, each in a thread; send back the latencies in milliseconds."""
    from app import progress

    latencies: list[float] = []

    def follow(number: int) -> None:
        for event in progress.subscribe(number):
            # the same clock in both processes: Linux's and macOS's is one for the machine
            now = time.monotonic()
            if not event["final"]:
                latencies.append((now - event["sent"]) * 1000)

    threads = [threading.Thread(target=follow, args=(n,)) for n in range(1, projects + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(latencies)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
