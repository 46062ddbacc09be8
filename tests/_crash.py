"""Ends a process at any one of its file operations: in the mind, or with a real SIGKILL."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from app import disk

How = Literal["before", "after", "torn"]
HOWS: tuple[How, ...] = ("before", "after", "torn")

_PLAIN = ("replace", "rename", "link", "unlink", "mkdir", "rmdir", "ftruncate")


class Crash(BaseException):
    """The end; derived from BaseException, so that no handler of errors takes it for one."""


class Machine:
    """Counts file operations and ends the process at one of them.

    Args:
        at: Number of the operation, from 1; 0 only counts.
        how: Before the operation, after it, or in the middle of what it writes.
        dies: True: a dead process does nothing any more, so each later operation raises, too.
            False: an exception that passes; clean-ups run.
        kill: End this process by SIGKILL instead of raising.
    """

    def __init__(
        self, at: int = 0, how: How = "before", *, dies: bool = True, kill: bool = False
    ) -> None:
        self.at, self.how, self.dies, self.kill = at, how, dies, kill
        self.trace: list[str] = []
        self.paths: list[tuple[str, ...]] = []
        self._dead = False

    @property
    def count(self) -> int:
        return len(self.trace)

    @property
    def struck(self) -> bool:
        return 0 < self.at <= self.count

    def operation(
        self,
        name: str,
        act: Callable[[], Any],
        torn: Callable[[], Any] | None = None,
        paths: tuple[Any, ...] = (),
    ) -> Any:
        """Do one operation, or end before, after or in the middle of it."""
        if self._dead:
            raise Crash
        self.trace.append(name)
        self.paths.append(tuple(map(str, paths)))
        if self.count != self.at:
            return act()
        self._dead = self.dies
        if self.how == "torn" and torn is not None:
            torn()
        elif self.how == "after":
            with suppress(OSError):  # it does not live to see that it failed
                act()
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Crash(f"{self.how} {name}, operation {self.at}")

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """Watch every file operation in here. Nothing is really forced to the disk: that is slow."""
        with pytest.MonkeyPatch.context() as patch:
            for name in _PLAIN:
                patch.setattr(os, name, self._watched(name, getattr(os, name)))
            write, pwrite = os.write, os.pwrite
            patch.setattr(
                os, "fsync", lambda fd: self.operation("fsync", lambda: None, paths=(_name(fd),))
            )
            patch.setattr(
                os,
                "write",
                lambda fd, data: self.operation(
                    "write", lambda: write(fd, data), lambda: write(fd, data[: len(data) // 2])
                ),
            )
            patch.setattr(
                os,
                "pwrite",
                lambda fd, data, at: self.operation(
                    "pwrite", lambda: pwrite(fd, data, at), lambda: pwrite(fd, data[:3], at)
                ),
            )
            whole, swap = disk.write, disk.exchange
            patch.setattr(
                disk,
                "write",
                lambda path, data: self.operation(
                    "write file",
                    lambda: whole(path, data),
                    lambda: whole(path, data[: len(data) // 2]),
                    (path,),
                ),
            )
            patch.setattr(
                disk,
                "exchange",
                lambda one, other: self.operation(
                    "exchange", lambda: swap(one, other), None, (one, other)
                ),
            )
            yield self

    def _watched(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            return self.operation(name, lambda: act(*args, **kwargs), None, args[:2])

        return watched


def _name(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


def unfinished(folder: Path) -> list[Path]:
    """Return what is left of unfinished work below a folder."""
    return list(folder.rglob(f"{disk.TEMPORARY}*"))
