"""Who holds a project: the kernel's lock on its lock file, and the note its holder keeps there."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app import disk
from app.errors import NotFoundError
from app.models import Stage
from app.project import owner
from app.project.owner import Owner, Purpose

LOCK = ".lock"
STATE_LOCK = ".state.lock"
WORK: Purpose = "work"
EDIT: Purpose = "edit"


class Hold:
    """The part of a project's handle that knows who works there.

    Attributes:
        id: The project's number, from 1.
        folder: The project's folder.
        fence: The run this handle commits for; None commits whatever it is asked to.
    """

    def __init__(self, folder: Path, project_id: int) -> None:
        self.id = project_id
        self.folder = folder
        self.fence: int | None = None
        self._handle: int | None = None
        self._note: Owner | None = None
        self._left: Owner | None = None
        self._note_lock = threading.Lock()

    @contextlib.contextmanager
    def holding(
        self, name: str, *, wait: float | None = None, shared: bool = False
    ) -> Iterator[int]:
        """Hold a lock file of the project: see `disk.lock`.

        Raises:
            NotFoundError: `project_not_found`: it was removed, maybe while we waited.
        """
        with contextlib.ExitStack() as held:
            try:
                lock = disk.lock(self.folder / name, wait=wait, shared=shared)
                handle = held.enter_context(lock)
            except FileNotFoundError:
                raise not_found(self.id) from None
            if not self.folder.exists():
                raise not_found(self.id)
            yield handle

    @contextlib.contextmanager
    def lock(self, *, wait: float = 0.5, purpose: Purpose = WORK) -> Iterator[Owner | None]:
        """Hold the project: one process at a time. Sweeps what a dead owner left half made.

        Args:
            wait: Seconds to try.
            purpose: `WORK`, or `EDIT` for a moment's change that is no run.

        Yields:
            The note that the last owner left, if any: of one who died, or who sent a message.

        Raises:
            disk.Locked: Another process holds it.
            NotFoundError: `project_not_found`: it was removed.
        """
        with self.holding(LOCK, wait=wait) as handle:
            before = owner.read(handle)
            self._handle, self._note = handle, None
            # what a run left stays there for those who look after runs
            self._left = before if purpose == EDIT else None
            try:
                if purpose != EDIT:
                    self._write_note(owner.me(purpose))
                    self._sweep()
                yield before
            finally:
                # under their lock: a late thread of the work must not write after us
                with self._note_lock:
                    if purpose != EDIT or self._left != before:
                        self._write_note(_restamped(self._left))
                    self._handle = self._note = None

    def claim(self, run: int, stage: Stage, task: str) -> None:
        """Say what the lock is held for. From now on this handle commits for that run only.

        If nothing else is said (`leave`), the lock is let go with the note that this process was
        about to send the run's next message: should it die before, that is seen at once.
        """
        self.fence = run
        self._left = owner.me("sending", run=run)
        self._write_note(owner.me(WORK, run=run, stage=stage, task=task))

    def disown(self) -> None:
        """Say that this process ends by its own will: what it has in hand did not kill it."""
        if self._note is not None:
            self._write_note(owner.me("sending", run=self._note.run))

    def leave(self, note: Owner | None) -> None:
        """Choose the note that stays behind when the lock is let go."""
        self._left = note

    def _write_note(self, note: Owner | None) -> None:
        self._note = note
        if self._handle is not None:
            owner.write(self._handle, note)

    @contextlib.contextmanager
    def _in_hand(self, names: Sequence[str]) -> Iterator[None]:
        """Keep the note true about what is being built; several threads may build at once."""
        self._change_units(set(names), set())
        try:
            yield
        finally:
            self._change_units(set(), set(names))

    def _change_units(self, more: set[str], less: set[str]) -> None:
        with self._note_lock:
            if self._note is not None and self._handle is not None:
                units = tuple(sorted((set(self._note.units) | more) - less))
                self._write_note(self._note.model_copy(update={"units": units}))

    def _sweep(self) -> None:
        # under the state's lock, since a writer of the state may have its own unfinished file here
        with self.holding(STATE_LOCK):
            disk.sweep(self.folder, leave=self.folder / "source")

    def locked(self) -> bool:
        """Tell whether a run works on the project at this moment; an edit is waited for."""
        while True:
            try:
                with self.holding(LOCK, wait=0, shared=True):
                    return False
            except disk.Locked:
                found = self.owner()
                if found is not None and found.purpose == WORK:
                    return True
            time.sleep(0.02)

    def owner(self) -> Owner | None:
        """Return the note in the lock file: of who works here, or who did last."""
        try:
            handle = os.open(self.folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return owner.read(handle)
        finally:
            os.close(handle)

    def beat(self) -> None:
        """Show that the owner is not frozen: the time of the lock file is that of its last beat."""
        os.utime(self.folder / LOCK)

    def last_beat(self) -> float:
        """Return when the owner last showed life, in seconds since the epoch."""
        try:
            return (self.folder / LOCK).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def not_found(number: int) -> NotFoundError:
    """Return the error of a project that is not there, or no more."""
    return NotFoundError(
        "project_not_found",
        f"There is no project {number}.",
        "See `reelchain ls` for those there are.",
    )


def _restamped(note: Owner | None) -> Owner | None:
    """Return a note about to be left; one «about to send» was written long ago, and sends now."""
    if note is None or note.purpose != "sending":
        return note
    return note.model_copy(update={"since": time.time()})
