"""A stage's turn at a project: the heartbeat, and how the turn is called off.

A thread looks every quarter of a second whether the run still counts (one small file in the
project's folder, so it works while Redis is down) and whether the worker is to hand over its work.
The stage's own thread is then interrupted, but only where it may be: while something is built or
waited for, never in the middle of a commit. A build that can't be interrupted (a library's long
call) ends with its process a little later, which costs no more than any `kill -9`.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal, Self

from app import lease, settings
from app.project import Project
from app.project.owner import host

log = logging.getLogger(__name__)

Why = Literal["lost", "cancelled", "drain", "time_limit"]
BEAT = 0.25
"""Seconds between two looks at whether the run still counts."""
PATIENCE = 1.2
"""Seconds a called-off turn has before its process is ended: a cancel shall take two at most."""
CALL = signal.SIGUSR2
SOFT_LIMIT = signal.SIGUSR1
"""The signal by which the pool tells its child of a soft time limit (billiard.pool)."""

_draining = mmap.mmap(-1, 1)
"""One byte shared by the worker's main process with every child it forks."""


class CalledOff(BaseException):
    """The turn is over before its work is. No `except Exception` may take it for an error."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


def drain() -> None:
    """Let every child of this worker hand over what it is at, as soon as it can."""
    _draining[0] = 1


def draining() -> bool:
    """Tell whether this worker is handing over its work."""
    return _draining[0] == 1


class Turn:
    """One turn; use as a context manager around the stage's work.

    Args:
        project: The project; its lock is held and it has been claimed for the run.
        run: The run's number.
        facts: What the lease tells others: stage, worker, task.
    """

    def __init__(self, project: Project, run: int, facts: dict[str, Any]) -> None:
        self._project = project
        self._run = run
        since = round(time.time(), 3)
        self._facts = {"run": run, "host": host(), "pid": os.getpid(), "since": since, **facts}
        self._owner = f"{host()}:{os.getpid()}:{facts.get('task')}"
        self._why: Why | None = None
        self._called = 0.0
        self._stop = threading.Event()
        self._open = 0
        self._main = threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}
        self._renewed = 0.0

    def __enter__(self) -> Self:
        # where the lock says who works, the lease is only told, and a short turn need not be
        if not settings.get().shared_locks and not self._renew():
            raise CalledOff("lost")
        if self._main:
            self._before = {
                CALL: signal.signal(CALL, self._interrupt),
                SOFT_LIMIT: signal.signal(SOFT_LIMIT, self._time_is_up),
            }
        _pulse().serve(self)
        return self

    def __exit__(self, *_: object) -> None:
        # before the handlers go: by default the signal it sends would end the process
        _pulse().leave(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._renewed:
            lease.release(self._project.id, self._owner)

    @property
    def called_off(self) -> bool:
        """Whether the turn is over before its work is."""
        return self._why is not None

    def check(self) -> None:
        """Stop here if the turn was called off.

        Raises:
            CalledOff: It was.
        """
        if self._why is not None:
            raise CalledOff(self._why)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the turn lasts.

        Raises:
            CalledOff: It was called off.
        """
        self._stop.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the turn be called off anywhere inside; the work inside cleans up after itself."""
        self.check()
        if not self._is_ours():
            yield
            return
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def guarded(self, build: Callable[..., None]) -> Callable[..., None]:
        """Return `build` so that the turn may be called off while it works."""

        def run(*paths: Any) -> None:
            with self.interruptible():
                build(*paths)

        return run

    def _is_ours(self) -> bool:
        return self._main and threading.current_thread() is threading.main_thread()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._open and self._why is not None:
            raise CalledOff(self._why)

    def _time_is_up(self, _number: int, _frame: FrameType | None) -> None:
        self._call_off("time_limit")
        self._interrupt(_number, _frame)

    def _call_off(self, why: Why) -> None:
        if self._why is None:
            self._why, self._called = why, time.monotonic()
            self._stop.set()
            log.info("the turn is called off: %s", why)

    def look(self) -> None:
        """See whether the turn still counts, and press its thread if it does not."""
        with contextlib.suppress(OSError):
            standing = self._project.standing(self._run)
            if standing == "lost":
                self._call_off("lost")
            elif standing == "cancelled":
                self._call_off("cancelled")
            elif draining():
                self._call_off("drain")
        if self._why is not None:
            self._press(time.monotonic())

    def renew(self) -> None:
        """Tell the others that we are at it, if that is due."""
        if time.monotonic() - self._renewed >= settings.get().lease_seconds / 3:
            with contextlib.suppress(OSError):
                self._project.beat()
            if not self._renew():
                self._call_off("lost")

    def _renew(self) -> bool:
        self._renewed = time.monotonic()
        return lease.hold(self._project.id, self._owner, self._facts) != "taken"

    def _press(self, moment: float) -> None:
        """Interrupt the stage's thread again and again, at last with its whole process."""
        if self._why != "time_limit" and moment - self._called > PATIENCE:
            log.warning("the work can't be interrupted; its process ends")
            try:
                self._project.disown()
                logging.shutdown()
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        if self._main:
            signal.pthread_kill(_main_ident(), CALL)


class _Pulse:
    """The thread of this process that looks after its turns; one serves them all."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._turns: list[Turn] = []
        self._lock = threading.Lock()
        self._some = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def serve(self, turn: Turn) -> None:
        """Look after a turn from now on."""
        with self._lock:
            self._turns.append(turn)
        self._some.set()

    def leave(self, turn: Turn) -> None:
        """Do so no longer; when this returns, nothing more is sent to the turn's thread."""
        with self._lock:
            self._turns.remove(turn)
            if not self._turns:
                self._some.clear()

    def _beat(self) -> None:
        while True:
            self._some.wait()
            time.sleep(BEAT)
            with self._lock:
                turns = list(self._turns)
                for turn in turns:
                    _guarded(turn.look)
            for turn in turns:  # Redis may keep us waiting: nobody who leaves has to wait for that
                _guarded(turn.renew)


def _guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception:  # without this thread no cancel is heard any more
        log.exception("a heartbeat failed")


_pulses: list[_Pulse] = []


def _pulse() -> _Pulse:
    """Return this process's own pulse: a forked child has a list of its parent's, but no thread."""
    if not _pulses or _pulses[0].pid != os.getpid():
        _pulses[:] = [_Pulse()]
    return _pulses[0]


def _main_ident() -> int:
    ident = threading.main_thread().ident
    assert ident is not None  # noqa: S101 - the main thread runs, for we are one of its threads
    return ident
