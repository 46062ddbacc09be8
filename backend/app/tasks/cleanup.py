"""What can go from a project's folder without loss, and how it goes.

A finished film needs its segments no more, until it is edited. Whether a stage is made is a
digest over every record, so a part's record goes together with its file, and the digests of the
stages that were made are taken anew: what was finished stays finished.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import disk, settings
from app.errors import ReelchainError
from app.models import Artifact
from app.project import EDIT, STAGE_ORDER, Project, ProjectState, ids
from app.tasks._context import inputs_of, is_made
from app.tasks.render import SOUND

ROOMS = ("assets", "render")
"""Folders of a project that hold parts, each named by what it is made from."""
_OURS = re.compile(r"[0-9a-f]{20}\.[a-z0-9]{1,5}")


def strays(project: Project, state: ProjectState) -> list[Path]:
    """Return parts that no record names: a death, or an edit, left them. The user's are not ours."""
    return [path for path in _unnamed(project, state) if _is_ours(project, path)]


def unknown(project: Project, state: ProjectState) -> list[Path]:
    """Return files among the parts that are none of ours: somebody put them there."""
    others = [path for path in _unnamed(project, state) if not _is_ours(project, path)]
    return [path for path in others if not path.name.startswith(disk.TEMPORARY)]


def _unnamed(project: Project, state: ProjectState) -> list[Path]:
    named = {project.path(name) for part in state.stages.values() for name in part.artifacts}
    return [path for path in _files(project) if path not in named]


def _is_ours(project: Project, path: Path) -> bool:
    return path == project.path(SOUND) or _OURS.fullmatch(path.name) is not None


def _files(project: Project) -> Iterator[Path]:
    for room in ROOMS:
        yield from (path for path, _ in disk.files(project.folder / room))


def parts(state: ProjectState) -> list[Artifact]:
    """Return what a finished film was put together from: segments and sound."""
    render = state.stage("video_rendering")
    kept = set(render.roles.values())
    return [
        a for a in render.artifacts.values() if a.path.startswith("render/") and a.path not in kept
    ]


def is_over(state: ProjectState) -> bool:
    """Tell whether a project is completed and nothing of it is on its way."""
    return state.status == "completed" and state.run.ended


def thin(project: Project) -> int:
    """Remove a completed project's parts of the film; return how many bytes came free.

    Records first, files second: after a death in between, the files are strays.

    Raises:
        disk.Locked: Somebody works on it.
    """
    with project.lock(wait=0, purpose=EDIT):
        state = project.state()
        gone = parts(state) if is_over(state) else []
        if gone:
            _forget_parts(project, state, [artifact.path for artifact in gone])
            project.log("cleaned_up", files=len(gone), bytes=sum(a.size for a in gone))
        return sweep(project)


def _forget_parts(project: Project, before: ProjectState, names: list[str]) -> None:
    made = [stage for stage in STAGE_ORDER if is_made(project, before, stage)]
    with project.transaction() as state:
        for name in names:
            state.stage("video_rendering").artifacts.pop(name, None)
        for stage in made:
            state.stage(stage).inputs = inputs_of(project, state, stage)
        if len(made) == len(STAGE_ORDER):
            state.seal = project.seal(state)


def sweep(project: Project) -> int:
    """Remove strays, empty folders and lock files; the project's lock is held by the caller.

    Returns:
        How many bytes came free.
    """
    freed = 0
    for path in strays(project, project.state()):
        freed += path.stat().st_size
        disk.unlink(path)
    for room in ROOMS:
        top = project.folder / room
        for folder in sorted((top, *top.rglob("*")), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    # whoever makes something holds the project's lock, so nobody waits for one of these
    for lock in (project.folder / ".locks").glob("*"):
        disk.unlink(lock)
    return freed


# -- all projects ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Finished:
    project: Project
    moment: str
    size: int


def run(*, days: int, gigabytes: float, seconds: float) -> dict[str, Any]:
    """Remove the parts of completed films: the older ones, and beyond a total size the oldest.

    Args:
        days: Of projects that were completed so long ago; 0 for no limit by age.
        gigabytes: What all parts together may take; 0 for no limit by size.
        seconds: Stop after so long; the next run goes on.

    Returns:
        `projects` thinned, `bytes` freed, `left` for the next run (projects).
    """
    deadline = time.monotonic() + seconds
    finished, freed = [], 0
    for project, state in _at_rest():
        if is_over(state):
            finished.append(_Finished(project, _end(state), sum(a.size for a in parts(state))))
        if strays(project, state):
            freed += _tried(project, sweep_alone)
        if time.monotonic() > deadline:
            break
    chosen = [f for f in _chosen(finished, days, gigabytes * 1e9) if f.size]
    done = 0
    for one in chosen:
        if time.monotonic() > deadline:
            break
        freed += _tried(one.project, thin)
        done += 1
    return {"projects": done, "bytes": freed, "left": len(chosen) - done}


def sweep_alone(project: Project) -> int:
    """Hold the project's lock for a moment and `sweep`.

    Raises:
        disk.Locked: Somebody works on it.
    """
    with project.lock(wait=0, purpose=EDIT):
        return sweep(project)


def _tried(project: Project, remove: Any) -> int:
    try:
        return int(remove(project))
    except (disk.Locked, OSError, ReelchainError):
        return 0  # at work, or not readable: another time


def _at_rest() -> Iterator[tuple[Project, ProjectState]]:
    """Yield the projects that have no run on its way, with their state."""
    folder = settings.get().projects_dir
    for number in ids(folder):
        try:
            project = Project.open(folder, number)
            state = project.state()
        except (ReelchainError, OSError):
            continue
        if state.run.ended:
            yield project, state


def _end(state: ProjectState) -> str:
    return max((part.finished_at or "" for part in state.stages.values()), default="")


def _chosen(finished: list[_Finished], days: int, limit: float) -> Iterator[_Finished]:
    total = sum(one.size for one in finished)
    now = datetime.now(UTC)
    for one in sorted(finished, key=lambda one: one.moment):
        old = bool(days) and _age(one.moment, now) > days * 86400
        if old or (limit and total > limit):
            total -= one.size
            yield one


def _age(moment: str, now: datetime) -> float:
    try:
        return (now - datetime.fromisoformat(moment)).total_seconds()
    except ValueError:
        return 0.0
