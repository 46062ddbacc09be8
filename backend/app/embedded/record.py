"""What tells one process of another: three locks, and the supervisor's account of itself.

The kernel releases each lock with its owner, however that dies. All lie in the run folder:

* `supervisor.lock`, held by the supervisor for its life: who can take it knows that none lives;
* `clients.lock`, shared by every process that uses the stack: the supervisor ends some time
  after it can have it alone;
* `stack.lock`, held while starting one: two starters get one stack.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from app import settings
from app.errors import ServiceError

Kind = Literal["private", "up", "workers"]
"""For this folder's clients; on the configured address until told; with the user's own Redis."""

START_SECONDS = 60.0
"""For Redis to load its data and for every worker to answer a ping."""
STOP_SECONDS = 10.0
"""Workers get this long to end by themselves; a stage cut short goes on in the next run."""

EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB


def run_dir() -> Path:
    """Return the folder of locks, logs and Redis data of this data folder."""
    return settings.get().run_dir.resolve()


def made(folder: Path) -> Path:
    """Return `folder`, made if need be, closed to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def lock(path: Path, kind: int) -> int | None:
    """Return an open file with a lock of `kind`, or None where another holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, kind)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def locked_within(path: Path, seconds: float) -> int | None:
    """Return an open file with an exclusive lock, or None if others held it all that time."""
    handles: list[int] = []

    def got() -> bool:
        handle = lock(path, EXCLUSIVE)
        handles.extend([] if handle is None else [handle])
        return handle is not None

    return handles[0] if until(got, seconds) else None


def lives(folder: Path) -> bool:
    """True while a supervisor of this run folder lives."""
    try:
        handle = os.open(folder / "supervisor.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # there never was one here, or it is another user's
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def deserted(folder: Path) -> bool:
    """True where no process is a client."""
    handle = lock(folder / "clients.lock", EXCLUSIVE)
    if handle is None:
        return False
    os.close(handle)
    return True


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that starts a stack here."""
    handle = locked_within(made(folder) / "stack.lock", START_SECONDS + 10)
    if handle is None:
        raise slow(folder)
    try:
        yield
    finally:
        os.close(handle)


def read(folder: Path) -> dict[str, Any]:
    """Return the supervisor's account of itself, `{}` where there is none."""
    try:
        found = json.loads((folder / "stack.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def retire(folder: Path) -> None:
    """Mark the account of a supervisor that was killed as one of the past.

    Its address and the births of its children stay: the next one goes on from them.
    """
    if found := read(folder):
        write_private(folder / "stack.json", json.dumps({**found, "phase": "ended", "pid": None}))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)


def until(done: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Ask until `done` or `seconds` have passed; return which."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a child process, in which `app` can be imported."""
    inherited = settings.child_environment().get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(settings.ROOT / "backend"), inherited)))
    return settings.child_environment(PYTHONPATH=path, **extra)


def failure(folder: Path) -> ServiceError:
    """Return the error that ended the supervisor."""
    found = read(folder)
    told = found.get("error")
    if found.get("phase") == "failed" and isinstance(told, list):
        return ServiceError(*told)
    return ServiceError(
        "stack_failed",
        "The stack of Redis and workers ended by itself.",
        f"The reason stands in {folder / 'stack.log'}.",
    )


def slow(folder: Path) -> ServiceError:
    """Return the error of a stack that takes too long to start."""
    return ServiceError(
        "stack_slow",
        f"The stack was not ready within {START_SECONDS:.0f} seconds.",
        f"The reason may stand in {folder / 'stack.log'} and the logs beside it.",
    )
