"""The data folder: what does not fit together in it, and the mending of it.

Nothing of the user's is ever removed: a story, a script, a file or folder that is not ours is told
of, no more. A project that is worked on is left alone.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from app import batch, dead, disk, logs, records, settings
from app.doctor.checks import Check
from app.errors import NotFoundError, ReelchainError, ServiceError, describe
from app.models import Artifact, Stage
from app.project import EDIT, PREVIOUS, STATE, WORK, Project, ProjectState, active, ids
from app.project.folder import NEW_LOCK
from app.project.hold import STATE_LOCK
from app.project.state import UnreadableError, parse
from app.tasks import cleanup, dispatch

USERS = frozenset({"script.json"})
"""Records whose file a person may change: the next run adopts it."""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit.

    Attributes:
        name: Whose it is.
        what: What was found.
        todo: What mends it, as an order.
        mend: Does it and says what was done; None where a person has to.
        grave: The work can't go on with it.
    """

    name: str
    what: str
    todo: str
    mend: Callable[[], str] | None = None
    grave: bool = False

    def told(self) -> Check:
        """Return the line of who only looks."""
        if self.mend is None:
            return Check(self.name, "fail" if self.grave else "warn", self.what, self.todo)
        return Check(self.name, "warn", self.what, f"{self.todo} (./reelchain doctor --fix)")

    def mended(self) -> Check:
        """Mend it, where that can be; return the line that says how it went."""
        if self.mend is None:
            return self.told()
        try:
            return Check(self.name, "mended", self.what, self.mend())
        except disk.Locked:
            return Check(self.name, "warn", self.what, "It is worked on; try again later.")
        except NotFoundError:  # removed, or mended by another one
            return Check(self.name, "mended", self.what, "It is gone.")
        except (OSError, ReelchainError) as error:
            ours = describe(error)
            told = logs.masked(f"{self.what} It could not be mended: {ours.message}")
            return Check(self.name, "fail", told, ours.hint)


def look(*, fix: bool = False, deep: bool = False) -> list[Check]:
    """Look at every folder, marker and record below the data folder.

    Args:
        fix: Mend what can be mended.
        deep: Read every file and compare its content, not only its size. A run does that itself.
    """
    found = [one.mended() if fix else one.told() for one in _findings(deep)]
    if found:
        return found
    chosen = settings.get()
    counts = len(ids(chosen.projects_dir)), len(ids(chosen.batches_dir))
    told = f"{counts[0]} projects, {counts[1]} batches: nothing to mend"
    return [Check("Folders", "ok", told)]


def _findings(deep: bool) -> Iterator[Finding]:
    projects = settings.get().projects_dir
    states: dict[int, ProjectState] = {}
    for number in ids(projects):
        with contextlib.suppress(FileNotFoundError, NotFoundError):  # changed or removed just now
            yield from _folder(projects, number, states, deep)
    yield from _other_names(projects)
    yield from _markers(projects)
    yield from _batches(settings.get().batches_dir)
    yield from _unfinished_publications(settings.get().published_dir)
    yield from _database(projects, states)


# -- one project -------------------------------------------------------------------------------


def _folder(
    projects: Path, number: int, states: dict[int, ProjectState], deep: bool
) -> Iterator[Finding]:
    name, folder = f"Project {number}", projects / str(number)
    try:
        project = Project.open(projects, number)
        state, damage = _read(project)
        states[number] = state
    except ReelchainError as error:
        if any(folder.iterdir()):
            if error.code == "project_not_found" and (folder / STATE).exists():
                return  # it came into being just now
            told = error.message if error.code != "project_not_found" else f"{folder} has no state."
            yield Finding(
                name, told, "Restore it from a backup, or remove it yourself.", grave=True
            )
        elif not (_creating(projects) or any(folder.iterdir())):
            mend = functools.partial(_remove_empty, projects, folder)
            yield Finding(name, "An empty folder.", "Remove it", mend)
        return
    if damage is not None:
        told = f"{STATE} can't be used: {damage}. Its previous generation stands in for it."
        yield Finding(name, told, "Write it anew from that", functools.partial(_recover, project))
    if not project.locked():
        yield from _at_rest(name, project, state, deep)


def _read(project: Project) -> tuple[ProjectState, str | None]:
    """Return the state; and, where its previous generation stands in for it, why."""
    try:
        state = parse(project.folder / STATE)
    except UnreadableError as error:
        return project.state(), str(error)
    if state.project_id != project.id:
        return project.state(), f"it belongs to project {state.project_id}"
    return state, None


def _creating(projects: Path) -> bool:
    """Tell whether a project, or a batch, is being made in a folder at this moment."""
    try:
        with disk.lock(projects / NEW_LOCK, wait=0):
            return False
    except disk.Locked:
        return True


def _remove_empty(projects: Path, folder: Path) -> str:
    # a creator's rename over an empty folder is how a number is taken
    with disk.lock(projects / NEW_LOCK, wait=0):
        folder.rmdir()
    return "Removed."


def _recover(project: Project) -> str:
    with project.transaction():
        pass
    return f"Written anew from {PREVIOUS}; the damaged file is kept beside it."


def _at_rest(name: str, project: Project, state: ProjectState, deep: bool) -> Iterator[Finding]:
    """Yield what does not fit in a project that nobody works on."""
    hold = functools.partial(_hold, project)
    left = [
        p for p in _leftovers(project.folder) if not p.is_relative_to(project.folder / "source")
    ]
    if left:
        with project.holding(STATE_LOCK):  # who writes the state at this moment is no dead one
            left = [path for path in left if path.exists()]
    if left:
        yield Finding(
            name, f"{_files(len(left))} half made by a process that died.", "Remove", hold
        )
    if state.run.on_its_way:
        yield from _unended(name, project, state)
        return
    owner = project.owner()
    if owner is not None and owner.purpose == WORK and owner.alive is False:
        told = f"A note of a dead process ({owner.pid}) in its lock file."
        yield Finding(name, told, "Clear it", hold)
    yield from _damaged(name, project, state, deep)
    if found := cleanup.strays(project, state):
        size = sum(path.stat().st_size for path in found)
        told = f"{_files(len(found))} ({size / 1e6:.1f} MB) that no state names."
        yield Finding(name, told, "Remove", functools.partial(_sweep, project))
    if others := cleanup.unknown(project, state):
        told = f"Not ours: {', '.join(str(p.relative_to(project.folder)) for p in others[:5])}."
        yield Finding(name, told, "Move it to source/, or leave it.")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _leftovers(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"{disk.TEMPORARY}*"))


def _hold(project: Project) -> str:
    """Remove what is half made and clear the note, with the project's lock held."""
    with project.lock(wait=0.5, purpose=EDIT) as note:
        if note is not None and project.state().run.ended:
            project.leave(None)
        # a writer of the state may have its own unfinished file here
        with project.holding(STATE_LOCK):
            count = disk.sweep(project.folder, leave=project.folder / "source")
    return f"Removed: {_files(count)}." if count else "Cleared."


def _sweep(project: Project) -> str:
    with project.lock(wait=0.5, purpose=EDIT):
        return f"Removed: {cleanup.sweep(project) / 1e6:.1f} MB came free."


def _unended(name: str, project: Project, state: ProjectState) -> Iterator[Finding]:
    """Yield what hinders a run that is on its way from being seen by the watchdog."""
    if project.id not in active(project.folder.parent):
        told = f"Run {state.run.number} has not ended, and its marker is missing."
        yield Finding(
            name, told, "Mark it, so that a worker goes on", functools.partial(_mark, project)
        )


def _mark(project: Project) -> str:
    project.touch()
    return "Marked: the next worker goes on with it."


def _damaged(name: str, project: Project, state: ProjectState, deep: bool) -> Iterator[Finding]:
    for stage, part in state.stages.items():
        if part.status != "completed":
            continue
        wrong = {a.path: _wrong(project, a, deep) for a in part.artifacts.values()}
        bad = {path: why for path, why in wrong.items() if why}
        if bad:
            told = ", ".join(f"{path} is {why}" for path, why in list(bad.items())[:5])
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            mend = functools.partial(_disown, project, stage, tuple(bad))
            todo = f"Let the next run make {stage} again"
            yield Finding(name, f"{told}{more}.", todo, mend)


def _wrong(project: Project, artifact: Artifact, deep: bool) -> str:
    """Return what is wrong with a recorded file, if anything."""
    path = project.path(artifact.path)
    if not path.is_file():
        return "gone"
    if artifact.path in USERS:
        return ""
    if path.stat().st_size != artifact.size or (deep and not project.intact(artifact)):
        return "changed"
    return ""


def _disown(project: Project, stage: Stage, names: tuple[str, ...]) -> str:
    """Forget these records and that the stage was made; the rest of it is not made again."""
    with project.lock(wait=0.5, purpose=EDIT), project.transaction() as state:
        part = state.stage(stage)
        part.status, part.inputs = "pending", None
        for name in names:
            part.artifacts.pop(name, None)
        if state.status == "completed":
            state.status, state.seal = "pending", None
    project.log("disowned", stage=stage, files=list(names))
    return f"The next run makes it: ./reelchain run {project.id}"


# -- beside the projects -----------------------------------------------------------------------


def _other_names(projects: Path) -> Iterator[Finding]:
    if not projects.is_dir():
        return
    found = sorted(projects.iterdir())
    known = {str(number) for number in ids(projects)}  # those too that came into being meanwhile
    for path in found:
        if path.name.startswith(disk.TEMPORARY):
            if _creating(projects) or not path.exists():
                continue
            mend = functools.partial(_remove_new, projects, path)
            yield Finding("Projects", f"{path.name}: a project half made.", "Remove it", mend)
        elif path.name not in known and not path.name.startswith(".") and path.exists():
            yield Finding("Projects", f"{path} is no project.", "Move it away, or leave it.")


def _remove_new(projects: Path, path: Path) -> str:
    with disk.lock(projects / NEW_LOCK, wait=0):
        disk.remove(path)
    return "Removed."


def _markers(projects: Path) -> Iterator[Finding]:
    known = set(ids(projects))
    for number in sorted(active(projects)):
        if number not in known:
            mend = functools.partial(_unmark, projects, number)
            yield Finding(
                f"Project {number}", "A marker of a project that is gone.", "Remove it", mend
            )
            continue
        try:
            project = Project.open(projects, number)
            state = project.state()
        except ReelchainError:
            continue  # told of already
        if state.run.ended:
            mend = functools.partial(_settle, project)
            yield Finding(
                f"Project {number}", "A marker of a run that has ended.", "Remove it", mend
            )


def _unmark(projects: Path, number: int) -> str:
    disk.unlink(projects / ".active" / str(number))
    return "Removed."


def _settle(project: Project) -> str:
    """Tell all who wait how it ended; the marker goes with that."""
    dispatch.settle(project)
    if project.active() and not project.state().run.on_its_way:
        raise ServiceError("unsettled", "Not all who wait could be told.", "Is Redis there?")
    return "All who wait were told; removed."


def _batches(batches: Path) -> Iterator[Finding]:
    for number in ids(batches):
        with contextlib.suppress(FileNotFoundError):  # it was half made, and removed just now
            yield from _batch(number, batches / str(number))


def _batch(number: int, folder: Path) -> Iterator[Finding]:
    name = f"Batch {number}"
    whole = (folder / batch.FILE).exists() and not (folder / batch.MAKING).exists()
    if not whole and _creating(folder.parent):
        return
    if (folder / batch.MAKING).exists() or not any(folder.iterdir()):
        mend = functools.partial(_sweep_batches, folder)
        yield Finding(name, "A batch that was half made.", "Remove it", mend)
        return
    try:
        running = batch.load(number).run.running
    except ReelchainError:
        told = f"{folder / batch.FILE} is missing or can't be read."
        yield Finding(name, told, "Restore it from a backup.", grave=True)
        return
    if running != (number in batch.running()):
        told = "Its marker does not say whether it is being run."
        yield Finding(name, told, "Set it right", functools.partial(_mark_batch, number))


def _sweep_batches(folder: Path) -> str:
    batch.sweep_unfinished()
    if not (folder / batch.FILE).exists() and folder.exists():
        raise disk.Locked  # one is being made at this moment
    return "Removed, with those of its projects that were made."


def _mark_batch(number: int) -> str:
    batch.mark_running()
    batch.unmark(number)
    return "Set right."


def _unfinished_publications(shelf: Path) -> Iterator[Finding]:
    for path in sorted(shelf.glob(f"{disk.TEMPORARY}*")):
        mend = functools.partial(_remove_publication, path)
        yield Finding("Published", f"{path.name}: a publication half made.", "Remove it", mend)


def _remove_publication(path: Path) -> str:
    """Remove it while nobody can be filling it: its name has the project's number."""
    number = re.match(rf"{re.escape(disk.TEMPORARY)}rc-(\d+)-", path.name)
    with contextlib.ExitStack() as held:
        if number is not None:
            project = Project(settings.get().projects_dir / number[1], int(number[1]))
            with contextlib.suppress(NotFoundError):
                held.enter_context(project.lock(wait=0, purpose=EDIT))
        disk.remove(path)
    return "Removed; a project that goes on publishes anew."


# -- the database ------------------------------------------------------------------------------


def _database(projects: Path, states: dict[int, ProjectState]) -> Iterator[Finding]:
    """Yield whether the database lacks what the folders know, as far back as it remembers."""
    try:
        known = records.attempt(_last_tries)
    except (SQLAlchemyError, ReelchainError, OSError, ImportError):
        return  # the machine's own check tells of it
    behind = [n for n, state in states.items() if _lacks(projects / str(n), state, known)]
    if behind:
        told = f"It lacks tries of stages of {len(behind)} projects, such as project {behind[0]}."
        mend = functools.partial(_rebuild, projects)
        yield Finding("Database", told, "Fill it from the folders", mend)


def _last_tries(connection: Connection) -> dict[tuple[int, str], int]:
    """Return (project, stage) → the highest try on record."""
    columns = records.task_history.c
    query = select(columns.project_id, columns.stage, func.max(columns.attempt)).group_by(
        columns.project_id, columns.stage
    )
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}


def _lacks(folder: Path, state: ProjectState, known: dict[tuple[int, str], int]) -> bool:
    if not state.run.ended:
        return False  # what is at work may not be written down yet
    oldest = datetime.now(UTC) - timedelta(days=settings.get().history_days - 1)
    edge = oldest.strftime("%Y-%m-%dT%H:%M:%SZ")
    missed = {
        (stage, part.attempts)
        for stage, part in state.stages.items()
        if (part.started_at or "") > edge
        and part.attempts > known.get((state.project_id, stage), 0)
    }
    return bool(missed) and not missed.isdisjoint(_told_by_events(folder))


def _told_by_events(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield (stage, try) that the project's own history tells of: the database is filled from it."""
    with contextlib.suppress(OSError), (folder / "events.jsonl").open("rb") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, LookupError, TypeError):
                event = json.loads(line)
                if event["code"] == "stage_started":
                    yield event["stage"], event["attempt"]


def _rebuild(projects: Path) -> str:
    found = records.rebuild_history(projects)
    dead.rebuild()
    return f"{found} tries are on record now."
