"""`batch.json`, and which batches there are: what is durable and seldom written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from app import disk, settings
from app.errors import NotFoundError, ReelchainError, StateError
from app.models import Value
from app.project import check_id, ids

FILE = "batch.json"
LOCK = ".lock"
SENDING = ".sending.lock"
CLOSING = ".closing.lock"
RUNNING = ".running"
"""Folder of empty files, one per batch whose run is not over or whose callers wait."""

TERMINAL = ("completed", "failed", "cancelled")

OnFailure = Literal["continue", "stop"]


class BatchRun(Value):
    """The batch's latest run.

    Attributes:
        number: Counts from 1; 0 before the first.
        running: Not all of its projects have ended, or callers wait for their answer.
        began: Seconds since the epoch.
        only: The projects it is about, where not all are.
        stopped: Why no further project is begun: `cancelled`, or `failed` (`on_failure: stop`).
        callers: Task ids to answer.
        answered: The latest task ids that were.
        counts: Status → how many projects, when it ended.
        status: What it ended as.
    """

    number: int = 0
    running: bool = False
    began: float = 0.0
    only: tuple[int, ...] | None = None
    stopped: Literal["", "cancelled", "failed"] = ""
    callers: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    status: str = ""


class Batch(Value):
    """`batch.json`: the playlist's title, its projects in order, how they are made."""

    schema_version: Literal[1] = 1
    batch_id: int
    title: str
    created_at: str
    projects: tuple[int, ...]
    on_failure: OnFailure = "continue"
    priority: int = Field(default=5, ge=0, le=9)
    window: int | None = Field(default=None, ge=1, le=1000)
    budget: float | None = Field(default=None, ge=0)
    """US dollars that services may cost all of its projects together; None is no limit."""
    run: BatchRun = BatchRun()

    @property
    def folder(self) -> Path:
        return folder_of(self.batch_id)

    @property
    def todo(self) -> tuple[int, ...]:
        """The projects that its run is about."""
        return self.projects if self.run.only is None else self.run.only

    @property
    def in_flight(self) -> int:
        """How many of its projects may be in work at once."""
        return self.window or settings.get().batch_window


def load(batch_id: object) -> Batch:
    """Return a batch.

    Raises:
        InputError: `batch_id_invalid`.
        NotFoundError: `batch_not_found`.
        StateError: `batch_unreadable`, with the file's name.
    """
    number = check_id(batch_id, "batch")
    path = folder_of(number) / FILE
    try:
        made = Batch.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(
            "batch_not_found",
            f"There is no batch {number}.",
            "See `reelchain batch ls` for those there are.",
        ) from None
    except ValidationError:
        made = None
    if made is None or made.batch_id != number:
        raise StateError(
            "batch_unreadable", f"{path} can't be read.", "Restore it from a backup."
        ) from None
    return made


def numbers() -> list[int]:
    """Return the ids of all batches, ascending."""
    home = settings.get().batches_dir
    return [number for number in ids(home) if (home / str(number) / FILE).exists()]


def running() -> list[int]:
    """Return the ids of the batches whose run is not over."""
    return ids(settings.get().batches_dir / RUNNING)


def mark_running() -> None:
    """Give every batch its marker whose file says that it is being run (a backup has none)."""
    for number in numbers():
        with contextlib.suppress(ReelchainError):
            if load(number).run.running:
                with locked(number) as made:  # it may end just now
                    if made.run.running:
                        mark(number)


def unmark(number: int) -> None:
    """Take away the marker of a batch that is not running, or is gone."""
    try:
        with locked(number) as made:  # a run may begin just now
            if not made.run.running:
                disk.unlink(marker(number))
    except NotFoundError:
        disk.unlink(marker(number))


def folder_of(number: int) -> Path:
    """Return where a batch lies, existing or not."""
    return settings.get().batches_dir / str(number)


def marker(number: int) -> Path:
    """Return the file that says that a batch is being run."""
    return settings.get().batches_dir / RUNNING / str(number)


def mark(number: int) -> None:
    """Say that a batch is being run; durable when this returns."""
    path = marker(number)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.touch()
        disk.fsync(path.parent)


def save(batch: Batch, **run: Any) -> Batch:
    """Write the batch with its run changed; durable when this returns."""
    changed = batch.model_copy(update={"run": batch.run.model_copy(update=run)})
    disk.write_json(batch.folder / FILE, changed.model_dump(mode="json"))
    return changed


def save_budget(batch: Batch, budget: float | None) -> Batch:
    """Write the batch with another budget; durable when this returns."""
    changed = batch.model_copy(update={"budget": budget})
    disk.write_json(batch.folder / FILE, changed.model_dump(mode="json"))
    return changed


@contextlib.contextmanager
def locked(number: int) -> Iterator[Batch]:
    """Hold a batch's files for a moment's change; yields it as it stands."""
    made = load(number)
    with disk.lock(made.folder / LOCK):
        yield load(number)


@contextlib.contextmanager
def sending(number: int, *, alone: bool = False, wait: float | None = None) -> Iterator[None]:
    """Hold while projects are chosen and sent; the kernel lets go when the process dies.

    Args:
        number: The batch.
        alone: Nobody else is between choosing and sending: what is in flight and was not sent,
            nobody is about to send.
        wait: Seconds to try before `disk.Locked`; None waits for ever.
    """
    with disk.lock(load(number).folder / SENDING, shared=not alone, wait=wait):
        yield


@contextlib.contextmanager
def closing(number: int, *, wait: float | None = None) -> Iterator[None]:
    """Hold while the outcome is put together and told: once is enough. `wait` as for `sending`."""
    with disk.lock(load(number).folder / CLOSING, wait=wait):
        yield
