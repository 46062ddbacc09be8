"""What the recovery benchmarks share: a house of paced workers, what its processes and files say."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from _workers import Bench

HERE = Path(__file__).resolve().parent


@contextlib.contextmanager
def house(app: str = "_paced", **settings: object) -> Iterator[Bench]:
    """Yield a Redis and a data folder of their own; workers and client know `app`.

    Args:
        app: Module of the Celery application, in this folder.
        settings: Environment of workers and client.
    """
    from _workers import ROOT, bench

    with (
        tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name,
        bench(Path(name).resolve()) as made,
    ):
        made.environment |= {
            "PYTHONPATH": f"{ROOT / 'backend'}:{HERE}",
            "PACED_LOG": str(made.folder / "built.jsonl"),
            **{key: str(value) for key, value in settings.items()},
        }
        # the client has the application's own settings and tasks, as its workers do
        made.call(f"import {app}")
        yield made


def soon(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first value of `done` that is true, or end the benchmark."""
    deadline = time.monotonic() + seconds
    while not (value := done()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return value


def built(made: Bench) -> list[dict[str, Any]]:
    """Return every build there has been, oldest first."""
    path = made.folder / "built.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def state(made: Bench, number: int) -> dict[str, Any]:
    """Return a project's state as it stands in its file."""
    path = made.data / f"projects/{number}/project_state.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def topic(made: Bench, words: str = "How do tides work?") -> int:
    """Make a project of a bare topic; return its number."""
    return int(made.call(f'tell(create_project({{"topic": {words!r}}}).id)'))


def family(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return all processes below a worker."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(worker.pid).children(recursive=True)
    return []


def owner_of(made: Bench, pid: int) -> subprocess.Popen[bytes]:
    """Return the worker that process `pid` belongs to."""
    for worker in made.workers:
        if worker.poll() is None and pid in [child.pid for child in family(worker)]:
            return worker
    raise SystemExit(f"process {pid} belongs to no worker")


def encoders(made: Bench) -> list[psutil.Process]:
    """Return every FFmpeg that a worker's tree holds."""
    found = []
    for worker in made.workers:
        for process in family(worker):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "ffmpeg" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Tell whether none of these lives any more."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def let_go(made: Bench, number: int) -> bool:
    """Tell whether no process works on a project: its lock is free."""
    with (made.data / f"projects/{number}/.lock").open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def end_workers(made: Bench) -> None:
    """Kill all workers, so that the next measurement begins with its own."""
    for worker in made.workers:
        if worker.poll() is None:
            made.kill_worker(worker)
