"""A program that is kept running and never outlives the process that started it."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import settings

log = logging.getLogger(__name__)

LINUX = os.uname().sysname == "Linux"
LOG_BYTES = 5_000_000
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal to get when the parent dies."""


@dataclass
class Child:
    """A program, its log, and when it may be started again after it ended."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    failures: int = 0
    due: float = 0.0
    _started: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        trim(self.log)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command if LINUX else guarded(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=settings.ROOT,
                env=self.environment,
                process_group=0,  # so that kill() reaches what it started, too
                preexec_fn=_ask_to_die_with_us() if LINUX else None,  # noqa: PLW1509 - one thread
            )
        self._started = time.monotonic()

    def mend(self) -> bool:
        """Start it again if it has ended and its pause is over; True if anything changed.

        The pause grows from a quarter of a second to half a minute, and shrinks again once the
        program has run for half a minute.
        """
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self.failures = 1 if now - self._started > 30 else self.failures + 1
            self.due = now + min(30.0, 0.25 * 2 ** (self.failures - 1))
            log.warning("%s ended with %s", self.name, self._process.returncode)
            self._process = None
            return True
        if self._process is None and now >= self.due:
            self.start()
            return True
        return False

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it, and what it started in its process group; return when it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _ask_to_die_with_us() -> Callable[[], None]:
    """Return what a child calls before it becomes its program: the kernel ends it with us."""
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def guarded(command: Sequence[str]) -> list[str]:
    """Return `command` behind a watcher of its parent, where the kernel does not watch."""
    return [sys.executable, "-P", "-m", "app.embedded", "--guard", *command]


def guard(command: Sequence[str], pause: float = 0.5) -> int:
    """Run `command`, pass signals on, and kill it when the process that started us is gone."""
    parent = os.getppid()
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda sent, _: child.send_signal(sent))
    while True:
        try:
            return child.wait(pause)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.kill()


def trim(path: Path) -> None:
    """Keep one earlier log of bounded size; programs go on writing at the file's new end."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def tail(path: Path, size: int = 4000) -> str:
    """Return the end of a log."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode(errors="replace")
