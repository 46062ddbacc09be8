"""A batch whose stages have nothing to do: time per project, small and large; Redis' memory."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from _job import print_rows

LIMIT_SECONDS = 90.0
"""For 2,000 projects."""
LIMIT_RATIO = 1.2
LIMIT_KB = 4.0


def main(argv: Sequence[str]) -> int:
    """Run a small and a large batch in one house, and print what each project cost."""
    parser = argparse.ArgumentParser(prog="reelchain bench batch", description=__doc__)
    parser.add_argument("--projects", type=int, default=2000, help="size of the large batch")
    parser.add_argument("--small", type=int, default=200, help="size of the small one")
    parser.add_argument("--concurrency", type=int, default=2, help="children of the worker")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    from _workers import ROOT, bench

    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name, bench(Path(name)) as house:
        house.environment["PYTHONPATH"] += f":{ROOT / 'tests'}"
        worker = house.start_worker(app="_idle_app", concurrency=given.concurrency)
        _measured(house, worker.pid, 10)
        small = _measured(house, worker.pid, given.small)
        large = _measured(house, worker.pid, given.projects)
    print_rows("batch", _rows(small, large), as_json=given.json)
    return 0


def _measured(house: Any, worker: int, count: int) -> dict[str, float]:
    began = time.perf_counter()
    number = house.call(
        f"tell(create_batch([{{'topic': f'Topic {{n}}'}} for n in range({count})]).batch_id)",
        seconds=900,
    )
    created = time.perf_counter() - began
    memory, cpu = _memory(house), _cpu(worker)
    began = time.perf_counter()
    house.call(f"celery_app.kept = batch_processing_task.delay(batch_id={number})")
    time.sleep(min(1.0, count / 200))
    # what ended meanwhile has left its results, too: the figure is rather too high
    waiting = _memory(house) - memory
    told = house.call("tell(celery_app.kept.get(timeout=3600)['counts'])", seconds=3600)
    seconds = time.perf_counter() - began
    assert told == {"completed": count}, told
    return {
        "count": count,
        "create": created,
        "seconds": seconds,
        "cpu": _cpu(worker) - cpu,
        "waiting": waiting / count,
        "ended": (_memory(house) - memory) / count,
    }


def _memory(house: Any) -> float:
    return float(house.redis.info("memory")["used_memory"])


def _cpu(worker: int) -> float:
    process = psutil.Process(worker)
    return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))


def _rows(small: dict[str, float], large: dict[str, float]) -> list[dict[str, object]]:
    few, many = int(small["count"]), int(large["count"])
    each = [1000 * part["seconds"] / part["count"] for part in (small, large)]
    cpu = [1000 * part["cpu"] / part["count"] for part in (small, large)]
    facts: list[tuple[str, object, object]] = [
        (f"{many} projects created, s", round(large["create"], 1), ""),
        (f"{many} projects run, s", round(large["seconds"], 1), LIMIT_SECONDS * many / 2000),
        (f"time per project of {few}, ms", round(each[0], 1), ""),
        (f"time per project of {many}, ms", round(each[1], 1), ""),
        (f"time per project, {many} over {few}", round(each[1] / each[0], 2), LIMIT_RATIO),
        (f"worker's CPU per project of {few}, ms", round(cpu[0], 1), ""),
        (f"worker's CPU per project of {many}, ms", round(cpu[1], 1), ""),
        ("Redis per waiting project, KB", round(large["waiting"] / 1024, 2), LIMIT_KB),
        ("Redis per ended project (results kept 7 days), KB", round(large["ended"] / 1024, 2), ""),
    ]
    return [{"what": what, "measured": value, "limit": limit} for what, value, limit in facts]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
