"""A batch's money: what its projects have cost, and what the calls on their way may cost at most.

Projects of a batch are worked on by several processes at once. Each says what its calls may cost in a
file of `asked/`, which it keeps locked: what a dead process asked for counts no more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import uuid4

from app import disk, prices, settings
from app.batch.folder import Batch, folder_of, load, locked, save_budget
from app.errors import InputError, NotFoundError, StateError
from app.project import EVENTS, STATE, Project, Spend, spend

LOCK = ".spend.lock"
ASKED = "asked"
MOST = 100_000
"""Dollars of a budget at most."""

_seen: dict[Path, tuple[tuple[Any, ...], Mapping[str, Spend]]] = {}
"""Project's folder → its files' times and sizes, and what was read from them then."""


def budget_of(value: Any) -> float | None:
    """Return a budget in US dollars as somebody wrote it; None is none.

    Raises:
        InputError: `budget_invalid`.
    """
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= MOST:
        raise InputError(
            "budget_invalid",
            f"{str(value)[:40]!r} is not a budget.",
            f"Give US dollars, from 0 to {MOST:,}.",
        )
    return number


def allow(number: int, budget: Any) -> Batch:
    """Give a batch another budget; it counts from the next call on.

    Raises:
        InputError: `budget_invalid`.
    """
    wanted = budget_of(budget)
    with locked(number) as made:
        return save_budget(made, wanted)


def spent(batch: Batch) -> dict[int, Mapping[str, Spend]]:
    """Return project → the sums of what it cost; of those whose folder is there."""
    found = {}
    for project_id in batch.projects:
        with contextlib.suppress(NotFoundError):
            found[project_id] = _rows(project_id)
    return found


def costs(batch: Batch) -> dict[str, Any]:
    """Return what services have cost all of its projects, as `spend.facts` has it of one."""
    return spend.facts(spend.together(spent(batch).values()))


def _rows(project_id: int) -> Mapping[str, Spend]:
    project = Project.open(settings.get().projects_dir, project_id)
    signature = tuple(_stamp(project.folder / name) for name in (STATE, EVENTS))
    known = _seen.get(project.folder)
    if known is None or known[0] != signature:
        rows = _booked(project)
        _seen[project.folder] = known = (signature, rows)
    return known[1]


def _booked(project: Project) -> Mapping[str, Spend]:
    try:
        return spend.booked(project.folder, project.state())
    except StateError:  # one project's damage is no reason to stop the others: its history knows
        if not (project.folder / EVENTS).exists():
            raise
        return spend.told(project.folder)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Till:
    """A batch's money as the worker of one of its projects sees it.

    Args:
        number: The batch.
        project_id: The project.
    """

    def __init__(self, number: int, project_id: int) -> None:
        self._folder = folder_of(number)
        self._project_id = project_id
        self._own = self._folder / ASKED / f"{project_id}-{uuid4().hex[:12]}"
        self._kept = contextlib.ExitStack()
        self._handle: int | None = None

    @contextlib.contextmanager
    def held(self, number: int) -> Iterator[Batch]:
        """Let nobody else ask or book anything in the batch; yields it as it stands."""
        with disk.lock(self._folder / LOCK):
            yield load(number)

    def others(self, batch: Batch) -> tuple[Decimal, list[str]]:
        """Return what the other projects have cost, and what of it has no known price."""
        known, unknown = Decimal(0), []
        for project_id, rows in spent(batch).items():
            if project_id != self._project_id:
                usd, names = spend.total(rows)
                known += usd
                unknown += [f"{name} in project {project_id}" for name in names]
        return known, unknown

    def asked(self) -> Decimal:
        """Return the most that the calls of other processes on their way may cost."""
        return sum((self._of(path) for path in self._files() if path != self._own), Decimal(0))

    def _files(self) -> list[Path]:
        try:
            return [*(self._folder / ASKED).iterdir()]
        except FileNotFoundError:
            return []

    def _of(self, path: Path) -> Decimal:
        try:
            with disk.lock(path, wait=0, shared=True):
                disk.unlink(path)  # its owner is dead
                return Decimal(0)
        except disk.Locked:
            pass
        try:
            return Decimal(path.read_text())
        except (OSError, InvalidOperation):
            return Decimal(0)

    def reserve(self, usd: Decimal) -> None:
        """Say what our own calls on their way may cost; within `held`."""
        if self._handle is None:
            if not usd:
                return
            self._own.parent.mkdir(exist_ok=True)
            self._handle = self._kept.enter_context(disk.lock(self._own, wait=0))
        data = prices.plain(usd).encode()
        os.pwrite(self._handle, data, 0)
        os.ftruncate(self._handle, len(data))

    def close(self) -> None:
        """Ask for nothing any more."""
        if self._handle is not None:
            disk.unlink(self._own)
            self._kept.close()
            self._handle = None
