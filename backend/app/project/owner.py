"""Who works on a project: a note in its lock file, and whether that process still lives.

The lock itself is the kernel's (`flock`), which lets go when a process dies. The note says what the
dead one had in hand, so that a rescue need not guess.
"""

from __future__ import annotations

import json
import os
import platform
import time
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from app.models import ErrorFact, Stage, Value

Purpose = Literal["work", "edit", "sending", "queued", "failed"]
"""`work`: a stage is at it. `edit`: a moment's change. `sending`: a process is about to publish the
next message. `queued`: that message was published. `failed`: the run failed, and the full disk did not
take the state that says so."""


class Owner(Value):
    """The note in a project's lock file.

    Attributes:
        host: Name of the machine (or container).
        pid: The process.
        born: When it started, in clock ticks since boot: tells a reused pid from the same process.
        parent: Its parent, the worker's main process, with `parent_born`.
        run: The run it works for.
        units: Artifacts that were being built; those a dead owner had in hand.
        since: When the note was written, seconds since the epoch.
        error: Why the run failed, where only this note could say so.
    """

    purpose: Purpose
    host: str
    pid: int
    born: int
    parent: int = 0
    parent_born: int = -1
    run: int = 0
    stage: Stage | None = None
    task: str = ""
    units: tuple[str, ...] = ()
    since: float = 0.0
    error: ErrorFact | None = None

    @property
    def alive(self) -> bool | None:
        """Whether the process still exists; None where it is another machine's."""
        if self.host != host():
            return None
        return self.born == born(self.pid)

    @property
    def parent_alive(self) -> bool:
        """Whether the process that forked it is known to live on."""
        return self.host == host() and self.parent_born == born(self.parent) != -1


@cache
def host() -> str:
    """Return this machine's name: with pid and start time it names a process."""
    return platform.node()


def born(pid: int) -> int:
    """Return when a process started (clock ticks since boot); -1 if it does not exist.

    Source: field 22 of `/proc/[pid]/stat`, proc(5); a zombie counts as gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return -1 if Path("/proc/self/stat").exists() or not _exists(pid) else 0
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def me(purpose: Purpose, **facts: Any) -> Owner:
    """Return a note of this process."""
    pid, parent = os.getpid(), os.getppid()
    return Owner(
        purpose=purpose,
        host=host(),
        pid=pid,
        born=_birth(pid),
        parent=parent,
        parent_born=_birth(parent),
        since=time.time(),
        **facts,
    )


@cache
def _birth(pid: int) -> int:
    """Return when we, or our parent, started: a note is written often."""
    return born(pid)


def read(handle: int) -> Owner | None:
    """Return the note in an open lock file; None where there is none, or none that can be read."""
    size = os.fstat(handle).st_size
    if not 0 < size < 1 << 16:
        return None
    try:
        return Owner.model_validate(json.loads(os.pread(handle, size, 0)))
    except (ValueError, ValidationError, RecursionError):
        return None


def write(handle: int, note: Owner | None) -> None:
    """Put a note into an open lock file; None empties it."""
    data = b"" if note is None else note.model_dump_json().encode()
    # blanks over what was longer before: whoever dies between the two calls leaves JSON behind
    os.pwrite(handle, data.ljust(os.fstat(handle).st_size), 0)
    os.ftruncate(handle, len(data))
