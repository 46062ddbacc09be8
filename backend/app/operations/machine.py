"""This machine's processes: which are workers of ours, and what they use."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psutil

from app import embedded

SHORTEST_SAMPLE = 0.3
"""Seconds between two looks at a process's CPU time."""
STOPPED = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
NOTHING: dict[str, float | None] = {"cpu_percent": None, "memory_mb": None}


@dataclass
class Machine:
    """This machine's processes, looked at twice to know who used the CPU meanwhile."""

    began: float = field(default_factory=time.monotonic)
    before: dict[int, float] = field(default_factory=dict)
    below: dict[int, list[psutil.Process]] = field(default_factory=dict)
    passed: float = 0.0

    def __post_init__(self) -> None:
        self.before = {p.pid: seconds for p, seconds, _ in _processes()}

    def look_again(self) -> None:
        """Take the second look."""
        time.sleep(max(0.0, SHORTEST_SAMPLE - (time.monotonic() - self.began)))
        self.passed = time.monotonic() - self.began
        self._used = {}
        for process, seconds, parent in _processes():
            self.below.setdefault(parent, []).append(process)
            self._used[process.pid] = seconds - self.before.get(process.pid, 0.0)

    def family(self, process: psutil.Process) -> Iterator[psutil.Process]:
        """Yield a process and all that it started: a render's FFmpeg counts for its child."""
        yield process
        for child in self.below.get(process.pid, ()):
            yield from self.family(child)

    def figures(self, processes: Iterable[psutil.Process]) -> dict[str, float]:
        """Return CPU (100 = one core) and resident memory of some processes together."""
        some = list(processes)
        used = sum(self._used.get(process.pid, 0.0) for process in some)
        memory = sum(of(process, lambda p: p.memory_info().rss, 0) for process in some)
        return {
            "cpu_percent": round(100 * max(0.0, used) / self.passed, 1),
            "memory_mb": round(memory / 1e6, 1),
        }


def _processes() -> Iterator[tuple[psutil.Process, float, int]]:
    for process in psutil.process_iter(["cpu_times", "ppid"]):
        times = process.info["cpu_times"]
        if times is not None:
            yield process, times.user + times.system, process.info["ppid"] or 0


def of(process: psutil.Process, ask: Callable[[psutil.Process], Any], otherwise: Any) -> Any:
    """Ask a process that may end, or be another user's, at any moment."""
    try:
        return ask(process)
    except (psutil.Error, OSError):
        return otherwise


def is_worker(process: psutil.Process) -> bool:
    """Tell whether a process is a Celery worker of this program, or one of its children."""
    words = of(process, lambda p: p.cmdline(), [])
    ours = {"celery", "app", "app.celery_app"} & set(words) or any(
        word.endswith("/celery") for word in words
    )
    return "worker" in words and bool(ours)


def _uses_our_redis(process: psutil.Process) -> bool:
    port = urlsplit(embedded.address()).port
    ends = of(process, lambda p: p.net_connections(kind="tcp"), [])
    return any(end.raddr and end.raddr.port == port for end in ends)


def local_workers(machine: Machine) -> list[psutil.Process]:
    """Return the main processes of the workers on this machine that are connected to our Redis."""
    found = {p.pid: p for group in machine.below.values() for p in group if is_worker(p)}
    mains = [p for p in found.values() if of(p, lambda p: p.ppid(), 0) not in found]
    return [main for main in mains if _uses_our_redis(main)]


def is_stopped(process: psutil.Process) -> bool:
    """Tell whether a signal or a debugger keeps a process from running."""
    return of(process, lambda p: p.status(), "") in STOPPED


def node_name(process: psutil.Process) -> str:
    """Return the name a worker was started with, else what tells it from others."""
    words = of(process, lambda p: p.cmdline(), [])
    named = [name for word, name in itertools.pairwise(words) if word in {"-n", "--hostname"}]
    return named[0] if named else f"process {process.pid}"
