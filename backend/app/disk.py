"""Durable files: written beside, fsynced, renamed, folder fsynced.

Each step is a function of its own, so that a test can end the process at any one of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

_OWN = os.O_CLOEXEC | os.O_NOFOLLOW
"""How files of ours are opened that are made where missing: a link would lead out of the folder."""

TEMPORARY = ".tmp-"
"""Names that start so are unfinished work: never read, swept when nobody works in the folder."""

REMOVE_TRIES = 1000
"""Times that another one may be quicker; three who remove 3000 files at once needed up to 90 each."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""From Linux `fcntl.h` and `renameat2(2)`."""


def write(path: Path, data: bytes) -> None:
    """Write `data` to a new file."""
    with path.open("wb") as file:
        file.write(data)


def fsync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`, at once."""
    source.replace(target)


def unlink(path: Path) -> None:
    """Remove a file; one that is gone already is no error."""
    path.unlink(missing_ok=True)


def temporary(target: Path) -> Path:
    """Return an unused name beside `target` that keeps its suffix (writers guess formats by it)."""
    return target.with_name(f"{TEMPORARY}{uuid4().hex[:12]}-{target.name[-80:]}")


def place(source: Path, target: Path) -> None:
    """Make a finished file durable under its real name."""
    fsync(source)
    rename(source, target)
    fsync(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Swap two files or folders atomically (Linux `renameat2(2)`); False where that can't be."""
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here = _AT_FDCWD
    done = swap(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE))
    return int(done) == 0


def write_atomic(target: Path, data: bytes) -> None:
    """Replace `target` by `data`: after a crash it is the old file or the new one, whole."""
    aside = temporary(target)
    try:
        write(aside, data)
        place(aside, target)
    except BaseException:
        unlink(aside)
        raise


def write_json(target: Path, document: Any) -> None:
    """Replace `target` by `document`, indented and readable."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    write_atomic(target, f"{text}\n".encode())


def fsync_tree(folder: Path) -> None:
    """Force a folder, and all files and folders in it, to the disk."""
    for path in (*folder.rglob("*"), folder):
        fsync(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; one that is gone already is no error.

    Others may be removing the same.
    """
    for _ in range(REMOVE_TRIES):
        if not path.is_dir() or path.is_symlink():
            unlink(path)
            return
        with contextlib.suppress(FileNotFoundError):  # another one was quicker: see what is left
            shutil.rmtree(path)
    shutil.rmtree(path)


def files(folder: Path) -> list[tuple[Path, int]]:
    """Return each file below a folder with its size in bytes, sorted; what vanishes is left out."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():  # False for a link that leads nowhere, or round and round
                    found.append((path, path.stat().st_size))
    return sorted(found)


def sweep(folder: Path, *, leave: Path) -> int:
    """Remove unfinished files and folders below `folder`, but not below `leave`.

    Returns:
        How many there were.
    """
    stale = []
    for parent, folders, files in os.walk(folder):
        stale += [Path(parent, n) for n in (*folders, *files) if n.startswith(TEMPORARY)]
        folders[:] = [
            n for n in folders if not n.startswith(TEMPORARY) and Path(parent, n) != leave
        ]
    for path in stale:
        remove(path)
    return len(stale)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form: equal values, equal digests."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Locked(Exception):  # noqa: N818 - a fact, not a fault
    """Somebody else holds the lock."""


_open: set[int] = set()
"""Descriptors of lock files that this process has open."""
_opening = threading.Lock()


def _forget_locks() -> None:
    """In a forked child: a copy of the parent's descriptor would keep its lock after it let go."""
    for handle in _open:
        os.close(handle)
    _open.clear()
    _opening.release()


# a fork between a file's opening and its being listed would leave a copy that nobody closes
os.register_at_fork(
    before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_forget_locks
)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open a lock file so that no forked child shares the lock."""
    with _opening:
        handle = os.open(path, flags | os.O_RDWR | os.O_CREAT | _OWN, 0o644)
        _open.add(handle)
    try:
        yield handle
    finally:
        with _opening:
            # in a child forked inside, it is closed already, and the number may be another file's
            if handle in _open:
                _open.discard(handle)
                os.close(handle)


@contextmanager
def lock(path: Path, *, wait: float | None = None, shared: bool = False) -> Iterator[int]:
    """Hold a lock on `path`; the kernel releases it when the process dies.

    Args:
        path: Made if missing. Its content is free for notes of the owner.
        wait: Seconds to try before `Locked`; None waits for ever.
        shared: Many may hold a shared lock at once.

    Yields:
        The open file descriptor.
    """
    with _opened(path, 0) as handle:
        _acquire(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait)
        yield handle


def _acquire(handle: int, kind: int, wait: float | None) -> None:
    if wait is None:
        fcntl.flock(handle, kind)
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Locked from None
            time.sleep(0.02)
        else:
            return


def append_line(path: Path, line: str) -> None:
    """Add a line to a log. A half line left by a crash is closed first."""
    with _opened(path, os.O_APPEND) as handle:
        # a writer's line may be seen half while it is being written
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, f"{chr(10) if torn else ''}{line}\n".encode())


def leads_out(folder: Path, parts: Sequence[str]) -> bool:
    """Tell whether a link on the way from `folder` leads out of it."""
    at = str(folder)
    for part in parts:
        at = f"{at}/{part}"
        if os.path.islink(at):  # noqa: PTH114 - asked for every artifact; a Path is slower
            try:
                return not folder.joinpath(*parts).resolve().is_relative_to(folder.resolve())
            except (OSError, RuntimeError):  # a link to itself
                return True
    return False
