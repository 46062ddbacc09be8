"""Which projects (or batches) a folder holds, and which of them have a run on its way."""

from __future__ import annotations

import os
import re
from pathlib import Path

from app import disk
from app.errors import InputError

LAST_ID = ".last_id"
ID_LOCK = ".last_id.lock"
ACTIVE = ".active"
"""Folder of empty files, one per project whose run is not over or whose callers wait."""


def ids(projects: Path) -> list[int]:
    """Return the ids of all projects (or batches) in a folder, ascending."""
    return sorted(int(name) for name in _names(projects))


def active(projects: Path) -> dict[int, float]:
    """Return project id → when its marker was touched last (seconds since the epoch).

    A project has a marker from the start of a run until the run is over, all who wait for it are
    answered and its batch was told. Who looks for lost work has to look at these only.
    """
    found = {}
    for name in _names(projects / ACTIVE):
        try:
            found[int(name)] = (projects / ACTIVE / name).stat().st_mtime
        except FileNotFoundError:
            continue  # its run ended just now
    return found


def _names(folder: Path) -> list[str]:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return [name for name in names if re.fullmatch(r"[1-9][0-9]{0,17}", name)]


def last_id(folder: Path) -> int:
    """Return the highest id ever given in a folder: a removed one's number is not used again."""
    try:
        return int((folder / LAST_ID).read_text())
    except (OSError, ValueError):
        return 0


def note_id(folder: Path, number: int) -> None:
    """Remember that a number was given; one that is noted late never lowers the highest."""
    with disk.lock(folder / ID_LOCK):
        if last_id(folder) < number:
            disk.write_atomic(folder / LAST_ID, f"{number}\n".encode())


def check_id(value: object, what: str) -> int:
    """Return a project's or batch's id as a number.

    Raises:
        InputError: `project_id_invalid` or `batch_id_invalid`.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise InputError(
            f"{what}_id_invalid",
            f"{value!r} is not a {what} id.",
            f"A {what} id is a whole number from 1; see `reelchain ls`.",
        )
    return int(text)
