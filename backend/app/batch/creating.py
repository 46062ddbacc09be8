"""A batch comes into being with all of its projects, or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app import disk, settings
from app.batch.folder import FILE, Batch
from app.errors import ReelchainError
from app.project import Outdated, Project, ids, last_id, note_id, now

MAKING = "making.json"
"""Stands in the folder of a batch that is being made."""
NEW_LOCK = ".new.lock"


def create(title: str, makers: Sequence[Callable[[int], Project]], **facts: Any) -> Batch:
    """Make a batch and its projects; if anything goes wrong, neither is left.

    Args:
        title: The playlist's title.
        makers: One per project: makes it, given the batch's id.
        facts: `on_failure`, `priority`, `window`.
    """
    home = settings.get().batches_dir
    home.mkdir(parents=True, exist_ok=True)
    sweep_unfinished()
    with disk.lock(home / NEW_LOCK, shared=True):
        number = _claim_number(home)
        folder = home / str(number)
        try:
            disk.write_json(folder / MAKING, {"after": last_id(settings.get().projects_dir)})
            projects = tuple([make(number).id for make in makers])
            made = Batch(batch_id=number, title=title, created_at=now(), projects=projects, **facts)
            disk.write_json(folder / FILE, made.model_dump(mode="json"))
            disk.fsync(home)
        except BaseException:
            _undo(folder)
            raise
        disk.unlink(folder / MAKING)
    return made


def _claim_number(home: Path) -> int:
    """Return a number that no batch ever had, its empty folder made."""
    while True:
        number = max([last_id(home), *ids(home)]) + 1
        try:
            (home / str(number)).mkdir()
        except FileExistsError:
            continue
        try:
            note_id(home, number)
        except BaseException:
            (home / str(number)).rmdir()
            raise
        return number


def sweep_unfinished() -> None:
    """Remove what creators that died left half made; nothing while another one is at work."""
    home = settings.get().batches_dir
    try:
        with disk.lock(home / NEW_LOCK, wait=0):
            for number in ids(home):
                folder = home / str(number)
                if not (folder / FILE).exists():
                    _undo(folder)
                else:
                    disk.unlink(folder / MAKING)
    except (disk.Locked, FileNotFoundError):
        return


def _undo(folder: Path) -> None:
    """Remove the projects of a batch that was not finished, then its folder."""
    try:
        after = json.loads((folder / MAKING).read_bytes())["after"]
    except (OSError, ValueError, LookupError, TypeError):
        with contextlib.suppress(OSError):
            folder.rmdir()  # empty, or not our doing: a batch whose file somebody removed
        return
    home = settings.get().projects_dir
    for number in (n for n in ids(home) if n > after):
        # one that cannot be read, or is gone, or that somebody began to run, is left alone
        with contextlib.suppress(ReelchainError, Outdated):
            project = Project.open(home, number)
            state = project.state()
            if state.batch == int(folder.name) and not state.run.number:
                project.remove()
    disk.remove(folder)
