"""The process that owns Redis, the workers and beat of one data folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import logs, settings
from app.embedded import record
from app.embedded.child import Child, trim
from app.embedded.server import Place, Server
from app.errors import ReelchainError, ServiceError

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)

QUEUES = ("video_generation", "batch_processing", "maintenance")
PRIORITIES = range(10)
"""Celery's Redis transport keeps a list per queue and priority."""


@dataclass
class Supervisor:
    """Owns the processes of one stack; `run` returns when it has ended.

    Attributes:
        folder: The run folder.
        kind: Whose Redis it is.
        app: Module of the Celery application.
        owned: Standard input is a pipe from the process we work for: its end is ours.
        previous: What the last supervisor of this folder wrote of itself.
        idle_seconds: How long a private stack outlives its last client and its last work.
    """

    folder: Path
    kind: record.Kind
    app: str
    owned: bool
    previous: dict[str, Any]
    idle_seconds: float
    server: Server | None = None
    workers: list[Child] = field(default_factory=list)
    stops: int = 0
    phase: str = "starting"
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    _wake: int = -1

    def run(self) -> int:
        """Start all, keep it running, end it. Returns the exit code."""
        self._take_signals()
        error: list[Any] | None = None
        try:
            self._bury()
            if self.kind != "workers":
                self.server = Server(self.folder, self._place(), wait=self._wait)
                self.server.start()
                self.note("starting")
            self._start_workers()
            self._watch()
        except ReelchainError as caught:
            log.error("%s", caught)  # noqa: TRY400 - one of ours says all in its message
            error = list(caught.args)
        except Exception:  # the edge of this process: the log and the starter learn of it
            log.exception("the supervisor failed")
            error = list(record.failure(self.folder).args)
        finally:
            self.note("stopping")
            self._stop()
            self.note("failed" if error else "ended", error)
        return 1 if error else 0

    # -- signals and the record

    def _take_signals(self) -> None:
        self._wake, woken = os.pipe()
        for end in (self._wake, woken):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_asked)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop_asked(self, *_: object) -> None:
        self.stops += 1

    def _wait(self, seconds: float) -> bool:
        """Sleep until a child ends, a signal comes or the time is over; True if asked to stop."""
        watched = [self._wake, *([0] if self.owned else [])]
        for ready in select.select(watched, [], [], seconds)[0]:
            if ready == self._wake:
                os.read(self._wake, 4096)
            elif not os.read(0, 1):
                self.stops += 1
                self.owned = False
        return self.stops > 0

    def _children(self) -> list[Child]:
        return [*([self.server.child] if self.server else []), *self.workers]

    def note(self, phase: str, error: list[Any] | None = None) -> None:
        """Write what is so now into `stack.json`."""
        self.phase = phase
        server = self.server
        url = server.url if server else settings.get().redis_url if self.workers else None
        told = {
            "phase": phase,
            "kind": self.kind,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "url": url,
            "address": logs.masked(url).split("://")[-1].split("@")[-1] if url else None,
            "port": server.port if server else None,
            "password": server.password if server else None,
            "redis": server
            and {
                "pid": server.child.pid,
                "version": server.program.version,
                "program": str(server.program.path),
                "why": server.program.why,
            },
            "workers": {child.name: child.pid for child in self.workers},
            "born": {pid: _born(pid) for child in self._children() if (pid := child.pid)},
            "error": error,
        }
        record.write_private(self.folder / "stack.json", json.dumps(told, indent=1))

    def _place(self) -> Place | None:
        """Return where to be reached: a private Redis where its predecessor was.

        So a caller that still waits at that address goes on where it was.
        """
        if self.kind != "private":
            return None
        last = self.previous if self.previous.get("kind") == "private" else {}
        return Place(int(last.get("port") or 0), last.get("password") or secrets.token_urlsafe(24))

    def _bury(self) -> None:
        """Be sure that nothing of a killed predecessor still writes to our files."""
        for name, born in self.previous.get("born", {}).items():
            pid = int(name)
            if born is None or _born(pid) != born:
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            deadline = time.monotonic() + 5
            while _born(pid) == born and time.monotonic() < deadline:
                self._wait(0.01)

    # -- workers

    def _start_workers(self) -> None:
        configured = settings.get()
        common = ["-E", "--without-mingle", "--without-gossip", "-l", configured.log_level]
        plans = {
            "video": ["-Q", QUEUES[0], "-c", str(configured.video_concurrency)],
            "batch": ["-Q", ",".join(QUEUES[1:]), "-c", "1"],
        }
        for name, plan in plans.items():
            self._add_worker(name, ["worker", *plan, "-n", _node(name), *common])
        self._await_workers()
        if self.stops:
            return
        # Not a worker's own -B: that forks, and the fork would outlive a killed worker.
        schedule = ["-s", str(self.folder / "beat-schedule"), "--pidfile="]
        self._add_worker("beat", ["beat", *schedule, "-l", configured.log_level])
        self.note("ready")
        log.info("ready")

    def _add_worker(self, name: str, command: list[str]) -> None:
        environment = record.environment(
            CELERY_BROKER_URL=self._url, DATA_DIR=str(self.folder.parent)
        )
        start = [sys.executable, "-P", "-m", "celery", "-A", self.app]
        child = Child(name, [*start, *command], self.folder / f"{name}.log", environment)
        child.start()
        self.workers.append(child)

    @property
    def _url(self) -> str:
        return self.server.url if self.server else settings.get().redis_url

    def _await_workers(self) -> None:
        """Return when each worker has answered a ping, or when asked to stop."""
        deadline = time.monotonic() + record.START_SECONDS
        wanted = [_node(child.name) for child in self.workers]
        while not self._wait(0.02):
            self._mend()
            if failing := [child for child in self.workers if child.failures >= 2]:
                raise ServiceError(
                    "workers_failed",
                    "A worker ends again and again while starting.",
                    f"The reason stands in {failing[0].log}.",
                )
            if time.monotonic() > deadline:
                raise record.slow(self.folder)
            if len(self._ask_workers("ping", wanted, 0.3)) == len(wanted):
                return

    @cached_property
    def _celery(self) -> Celery:
        from celery import Celery

        return Celery("supervisor", broker=self._url, set_as_current=False)

    def _ask_workers(self, what: str, nodes: list[str], seconds: float) -> dict[str, Any]:
        """Return what each of `nodes` answers; a silent one is left out."""
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError

        try:
            inspect = self._celery.control.inspect(nodes, timeout=seconds, limit=len(nodes))
            return dict(getattr(inspect, what)() or {})
        except (OSError, KombuError, RedisError) as error:
            log.info("the workers can't be asked: %s", logs.masked(str(error)))
            return {}

    # -- while it runs

    def _watch(self) -> None:
        """Keep all running until told to stop, or until nobody needs it."""
        needed, checked = time.monotonic(), 0.0
        pause = min(1.0, self.idle_seconds / 4)
        while not self._wait(pause):
            self._mend()
            now = time.monotonic()
            if self.kind != "private" or not record.deserted(self.folder):
                needed = now
            elif now - checked >= min(5.0, self.idle_seconds / 2):
                checked = now
                needed = now if self._in_work() else needed
            if now - needed >= self.idle_seconds and self._close():
                log.info("nobody uses the stack, and nothing is in work")
                return

    def _close(self) -> bool:
        """Turn newcomers away, who then start a stack of their own; False if one came first."""
        handle = record.lock(self.folder / "clients.lock", record.EXCLUSIVE)
        if handle is None:
            return False
        self.note("stopping")
        os.close(handle)
        return True

    def _mend(self) -> None:
        """Start again what has ended, and keep the logs small."""
        changed = [child.mend() for child in self._children()]
        for path in (*(child.log for child in self._children()), self.folder / "stack.log"):
            trim(path)
        if any(changed):
            self.note(self.phase)

    def _in_work(self) -> bool:
        """Tell whether anything is left to do.

        A message waits, a run is not over (it may wait for a service's next day), or a worker has a
        task, or may have one, for it is silent.
        """
        if self.server is None or self._unfinished():
            return True
        keys = [queue + (f"\x06\x16{p}" if p else "") for queue in QUEUES for p in PRIORITIES]
        try:
            with self.server.wire() as wire:
                if wire.ask("HLEN", "unacked") or any(wire.ask("LLEN", key) for key in keys):
                    return True
        except (OSError, ValueError):
            return True
        # The tasks of a dead worker are dead, too: only one that lives can have any.
        nodes = [_node(child.name) for child in self.workers if child.name != "beat" and child.pid]
        for what in ("active", "reserved", "scheduled") if nodes else ():
            answers = self._ask_workers(what, nodes, 1.0)
            if len(answers) < len(nodes) or any(answers.values()):
                return True
        return False

    def _unfinished(self) -> bool:
        """Tell whether a project has the marker of a run that is not over (see `app.project`)."""
        with contextlib.suppress(OSError):
            markers = (self.folder.parent / "projects" / ".active").iterdir()
            return any(marker.name.isdigit() for marker in markers)
        return False

    def _stop(self) -> None:
        """Ask the workers to end, then make them; Redis last, so that they can say goodbye."""
        patience = max(self.stops, 1)
        for child in self.workers:
            child.terminate()
        deadline = time.monotonic() + record.STOP_SECONDS
        while any(child.pid for child in self.workers) and time.monotonic() < deadline:
            self._wait(0.1)
            if self.stops > patience:
                break
        for child in self.workers:
            child.kill()
        if self.server is not None:
            self.server.child.terminate()
            record.until(lambda: not (self.server and self.server.child.pid), 5)
            self.server.child.kill()


def _node(name: str) -> str:
    return f"{name}@{socket.gethostname()}"


def _born(pid: int) -> float | None:
    """Return when a running process began, which with its number names it for good."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
