"""A house of real processes with a supervisor that always restarts what exits."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _chaosparts import (
    Caller,
    Coroner,
    Process,
    Proxy,
    SmallDisk,
    SmallFiles,
    alive,
    born,
    children,
    name_of,
    read_only,
)
from _redis import APPEND_ONLY, begin, until
from _workers import ROOT, Bench

SETTINGS = {
    "LEASE_SECONDS": "3",
    "WATCHDOG_SECONDS": "0.5",
    "QUEUE_GRACE_SECONDS": "2",
    "DRAIN_SECONDS": "2",
    "BATCH_WINDOW": "4",
}
"""Short times by settings, never by patches."""
LEASE = float(SETTINGS["LEASE_SECONDS"])
QUEUES = "video_generation,batch_processing,maintenance"


class Witness:
    """Reads what the processes tell (`_chaosapp`), as it comes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self._read: dict[Path, int] = {}

    def listen(self) -> list[dict[str, Any]]:
        """Return the events since the last call; a line still being written waits."""
        fresh = []
        for path in self.folder.iterdir():
            at = self._read.get(path, 0)
            if path.stat().st_size <= at:
                continue
            with path.open("rb") as file:
                file.seek(at)
                whole = file.read().rpartition(b"\n")[0]
            self._read[path] = at + len(whole) + 1 if whole else at
            fresh += [json.loads(line) for line in whole.splitlines()]
        fresh.sort(key=lambda event: event["t"])
        self.events += fresh
        return fresh


class House(Bench):
    """Redis, workers, data folder; the first worker talks to Redis itself, the others by a proxy.

    Args:
        folder: For everything.
        workers: How many.
        concurrency: Pool children of each.
        seal: Keep the data folder on a disk of its own that can be full, where that is possible.
    """

    def __init__(
        self, folder: Path, *, workers: int = 2, concurrency: int = 2, seal: bool = True
    ) -> None:
        self.began = time.monotonic()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._redis_back: float | None = None
        self.by_name: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: list[tuple[float, str, int]] = []
        self.callers: list[Caller] = []
        self.work: dict[int, Process] = {}
        self.coroner = Coroner()
        self.coroner.start()
        super().__init__(folder)
        self.proxy = Proxy(self.port)
        self.witness = Witness(folder / "events")
        self.crash = folder / "crash"
        self.crash.mkdir()
        self.environment |= SETTINGS | {
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.proxy.port}/0",
            "CHAOS_EVENTS": str(self.witness.folder),
            "CHAOS_CRASH": str(self.crash),
        }
        self.disk = self._small_disk(seal=seal)
        self.read_only = read_only(folder)
        self.names = [f"w{number}" for number in range(workers)]
        self.concurrency = concurrency
        for name in self.names:
            self.spawn(name)

    def _small_disk(self, *, seal: bool) -> SmallDisk | SmallFiles | None:
        ways = (SmallDisk(self.data), SmallFiles(self.pids)) if seal else (SmallFiles(self.pids),)
        for way in ways:
            if way.begin():
                if isinstance(way, SmallFiles):
                    self.environment["CHAOS_SMALL_FILES"] = "1"
                return way
        return None

    # -- the supervisor ------------------------------------------------------------------------

    def now(self) -> float:
        return time.monotonic() - self.began

    def spawn(self, name: str) -> None:
        """Start a worker without waiting for it."""
        environment = dict(self.environment)
        if name == self.names[0]:
            environment["CELERY_BROKER_URL"] = self.url
        command = [
            *(sys.executable, "-m", "celery", "-A", "_chaosapp", "worker", "-E"),
            *("-Q", QUEUES, "-c", str(self.concurrency), "-n", f"{name}@chaos"),
            *("--without-mingle", "--without-gossip", "--loglevel=info"),
        ]
        with (self.folder / f"worker-{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.by_name[name] = worker
        self.workers.append(worker)
        self.coroner.watch([worker.pid])

    def ready(self, name: str = "w0") -> bool:
        path = self.folder / f"worker-{name}.log"
        return path.exists() and "ready." in path.read_text(errors="replace")

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something when its time has come."""
        self._order += 1
        heapq.heappush(self._due, (time.monotonic() + seconds, self._order, act))

    def tend(self) -> list[dict[str, Any]]:
        """Do what is due, restart what exited, return what was told since."""
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
        for name, worker in list(self.by_name.items()):
            if worker.poll() is not None:
                self.exits.append((self.now(), name, worker.returncode))
                self.workers.remove(worker)
                self.spawn(name)
        if self.redis_process.poll() is not None:
            if self._redis_back is None:
                self._redis_back = time.monotonic()
            if time.monotonic() >= self._redis_back:
                self._redis_back = None
                self._spawn_redis()
        self.coroner.watch(self.pids())
        fresh = self.witness.listen()
        for event in fresh:
            self._follow(event)
        return fresh

    def _follow(self, event: dict[str, Any]) -> None:
        owner = (event["pid"], event["born"])
        if event["ev"] == "stage-begin":
            self.work[event["project"]] = owner
        elif event["ev"] == "stage-end" and self.work.get(event["project"]) == owner:
            del self.work[event["project"]]

    def settle(self, done: Callable[[], object], seconds: float, what: str) -> None:
        """Tend the house until something is so, or fail with its name."""

        def looked() -> object:
            self.tend()
            return done()

        until(looked, seconds, what)

    # -- who is there --------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """Return the workers' processes, media processes included."""
        found = []
        for worker in self.by_name.values():
            found += [worker.pid, *children(worker.pid)]
        return found

    def pool(self, worker: subprocess.Popen[bytes]) -> list[Process]:
        """Return a worker's pool children."""
        media = [pid for pid in children(worker.pid) if "python" in name_of(pid)]
        named = [(pid, born(pid)) for pid in media]
        return [(pid, since) for pid, since in named if since is not None]

    def media(self) -> list[Process]:
        """Return the FFmpeg processes that live below the workers."""
        found = [(pid, born(pid)) for pid in self.pids() if "ffmpeg" in name_of(pid)]
        return [(pid, since) for pid, since in found if since is not None]

    def at_work(self) -> dict[int, Process]:
        """Return project → process of the stages that are being worked on."""
        return {project: owner for project, owner in self.work.items() if alive(owner)}

    # -- Redis ---------------------------------------------------------------------------------

    def _spawn_redis(self) -> None:
        self.redis_process = begin(self.folder, self.port, *APPEND_ONLY)

    def kill_redis(self, away: float) -> None:
        """End Redis without a word; the supervisor brings it back after some seconds."""
        self._redis_back = time.monotonic() + away
        self.redis_process.kill()
        self.redis_process.wait()

    def forget_redis(self) -> None:
        """Let the dead Redis come back empty."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

    def cut(self) -> int:
        """Cut every connection to Redis, those without the proxy as well."""
        count = self.proxy.cut()
        with contextlib.suppress(Exception):  # it may be down or frozen at this moment
            client = self.redis.__class__.from_url(self.url, socket_timeout=1)
            count += int(client.client_kill_filter(skipme=True))
            client.close()
        return count

    # -- users ---------------------------------------------------------------------------------

    def caller(self, code: str) -> Caller:
        """Start a user's script."""
        log = self.folder / "callers.log"
        made = Caller(code, self.environment, log, ROOT / "backend")
        self.callers.append(made)
        return made

    def logs(self) -> str:
        return "\n".join(p.read_text(errors="replace") for p in self.folder.glob("*.log"))

    def signal(self, processes: list[Process], number: signal.Signals) -> None:
        """Send a signal to those that still are the processes they were."""
        for pid, since in processes:
            if born(pid) == since:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def close(self) -> None:
        while self._due:  # nothing stays frozen, full or read-only
            heapq.heappop(self._due)[2]()
        for caller in self.callers:
            caller.close()
        every = self.pids()
        for pid in every:  # a stopped one dies as well
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().close()
        self.proxy.close()
        self.coroner.close()
        if self.disk is not None:
            self.disk.end()
