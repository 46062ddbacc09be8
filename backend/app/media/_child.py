"""A child in a process group of its own that never outlives the thread that started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

_LEASH = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG (1) with SIGKILL (9), then the program itself; for systems without setpriv."""


@cache
def setpriv() -> str | None:
    """Return the `setpriv` that knows --pdeathsig (util-linux's does, BusyBox's does not)."""
    path = shutil.which("setpriv")
    true = shutil.which("true")
    if sys.platform != "linux" or not path or not true:
        return None
    done = subprocess.run([path, "--pdeathsig", "KILL", true], check=False, capture_output=True)
    return path if done.returncode == 0 else None


def leashed(argv: Sequence[str]) -> list[str]:
    """Return `argv` so started that it dies with the thread that starts it.

    A `preexec_fn` would do it without a helper program, but runs Python between fork and exec,
    which can deadlock once a heartbeat thread holds a lock. Off Linux there is no such signal.
    """
    if sys.platform != "linux":
        return list(argv)
    if program := setpriv():
        return [program, "--pdeathsig", "KILL", *argv]
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *argv]


class Child(subprocess.Popen[bytes]):
    """A child in its own process group, killed even if its own start is interrupted."""

    def __init__(self, argv: Sequence[str], *, stdin: int) -> None:
        try:
            super().__init__(
                leashed(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            if getattr(self, "pid", None) is not None:
                self.kill_group()
            raise

    def kill_group(self) -> None:
        """Kill the child with everything it started, and reap it."""
        if self.returncode is None:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
            self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
