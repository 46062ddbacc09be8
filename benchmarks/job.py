"""The whole job in a warm environment: wall time over the video's duration, stage by stage."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil
from _job import print_rows, spread, story


def main(argv: Sequence[str]) -> int:
    """Run projects of the wanted lengths one by one; print ratios and the worker's memory."""
    parser = argparse.ArgumentParser(prog="reelchain bench job", description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[35], help="lengths of video")
    parser.add_argument("--runs", type=int, default=3, help="runs of each length")
    parser.add_argument("--voice", default="kokoro", help="speech provider")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    rows = [_row(seconds, given.runs, given.voice) for seconds in given.seconds]
    print_rows("job", rows, as_json=given.json)
    return 0


def _row(seconds: float, runs: int, voice: str) -> dict[str, object]:
    from _workers import bench

    ratios, stages, peaks, lengths = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name, bench(Path(name)) as house:
        house.environment |= {
            "SPEECH_PROVIDER": voice,
            "RENDER_SCALE": "1",
            "X264_PRESET": "veryfast",
        }
        worker = house.start_worker(concurrency=1)
        path = story(Path(name) / "story", seconds)
        house.call(f"tell(start(create_project({str(story(Path(name) / 'warm', 10))!r}).id).get(timeout=600))", seconds=600)  # fmt: skip
        for _ in range(runs):
            number = house.call(f"tell(create_project({str(path)!r}).id)")
            with Memory(worker.pid) as memory:
                began = time.perf_counter()
                house.call(f"tell(start({number}).get(timeout=7200))", seconds=7200)
                wall = time.perf_counter() - began
            facts: dict[str, Any] = house.call(f"tell(status({number}))")
            length = facts["stages"]["video_rendering"]["facts"]["seconds"]
            lengths.append(length)
            ratios.append(wall / length)
            peaks.append(memory.peak / 1e6)
            stages.append({n: s["seconds"] / length for n, s in facts["stages"].items()})
    row: dict[str, object] = {
        "video, s": round(lengths[0], 1),
        "wall / duration": spread(ratios, 2),
        "limit": 1.8,
        "worker tree, MB": spread(peaks, 0),
    }
    for stage in stages[0]:
        row[stage] = spread([run[stage] for run in stages], 2)
    return row


class Memory:
    """Peak resident memory of a process and all its children, sampled ten times a second.

    Shared pages count once per process, so the figure is an upper bound.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            total = 0
            for process in (self._root, *self._root.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
