"""Dead letters: projects whose run failed and waits for a person.

The failed state in a project's folder is the letter; the table in the database is an index of the
folders, filled again by whoever finds it behind. A letter is replayed at most once: the next run of its
project takes it off the list.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app import records, settings
from app.errors import NotFoundError, ReelchainError
from app.models import Stage, Value
from app.project import STAGE_ORDER, STATE, Project, ProjectState, StageState, ids

log = logging.getLogger(__name__)

FORMAT = "1"
"""Part of every mark: letters in the index that were written in another form are read again."""
REPLAY_LOCK = ".replay.lock"
UNKNOWN = "The state says failed, and not why."


class Letter(Value):
    """What failed, with what, why, and how often it was tried."""

    project_id: int
    run: int
    stages: tuple[Stage, ...]
    """What the run was asked to do; a replay does the same."""
    stage: Stage
    task: str
    arguments: dict[str, Any]
    type: str
    code: str
    message: str
    hint: str = ""
    traceback: str = ""
    tries: int
    rescues: int = 0
    failed_at: str
    batch: int | None = None


@dataclass(frozen=True)
class Filter:
    """Which letters: all that fit every field that is given."""

    ids: Collection[int] = ()
    code: str | None = None
    stage: str | None = None
    since: str | None = None
    batch: int | None = None

    def fits(self, letter: Letter) -> bool:
        """Tell whether a letter is one of those meant."""
        return (
            (not self.ids or letter.project_id in self.ids)
            and self.code in (None, letter.code)
            and self.stage in (None, letter.stage)
            and (self.since is None or letter.failed_at >= self.since)
            and self.batch in (None, letter.batch)
        )


def letters(chosen: Filter | None = None) -> list[Letter]:
    """Return the dead letters, by project. Reads only folders that changed since the last look."""
    folder = settings.get().projects_dir
    try:
        found = _indexed(folder)
    except records.FAULTS as error:
        log.warning("dead letters are read from the folders: %s", error)
        found = [letter for number in ids(folder) if (letter := _read(folder, number)) is not None]
    which = chosen or Filter()
    return [letter for letter in found if which.fits(letter)]


def letter(project_id: object) -> Letter:
    """Return one project's dead letter, from its folder.

    Raises:
        NotFoundError: `dead_not_found`, `project_not_found`.
    """
    project = Project.open(settings.get().projects_dir, project_id)
    found = letter_of(project.state())
    if found is None:
        raise NotFoundError(
            "dead_not_found",
            f"Project {project.id} is no dead letter.",
            "`reelchain dead ls` lists those there are.",
        )
    return found


def letter_of(state: ProjectState) -> Letter | None:
    """Return the dead letter that a state is, if it is one."""
    if state.status != "failed" or state.run.dropped:
        return None
    stage, part = _failed_part(state)
    fact = part.error
    return Letter(
        project_id=state.project_id,
        run=state.run.number,
        stages=tuple(state.run.stages or STAGE_ORDER),
        stage=stage,
        task=_TASKS[stage],
        arguments={"project_id": state.project_id, "run": state.run.number},
        type=fact.type if fact else "",
        code=fact.code if fact else "unknown",
        message=fact.message if fact else UNKNOWN,
        hint=fact.hint if fact else "",
        traceback=fact.traceback if fact else "",
        tries=part.attempts,
        rescues=state.run.rescues,
        failed_at=part.finished_at or state.updated_at,
        batch=state.batch,
    )


_TASKS: dict[Stage, str] = {
    "script_generation": "app.tasks.generate_script_task",
    "asset_generation": "app.tasks.generate_assets_task",
    "video_rendering": "app.tasks.render_video_task",
    "thumbnail_generation": "app.tasks.generate_thumbnail_task",
    "youtube_upload": "app.tasks.upload_to_youtube_task",
}
"""As in `tasks.DEFINITIONS`, without what it costs to import them."""


def _failed_part(state: ProjectState) -> tuple[Stage, StageState]:
    failed = [(name, part) for name, part in state.stages.items() if part.status == "failed"]
    if failed:
        return max(failed, key=lambda pair: pair[1].finished_at or "")
    first = state.run.stages[0] if state.run.stages else STAGE_ORDER[0]
    return first, state.stages.get(first, StageState())


# -- the index ---------------------------------------------------------------------------------


def rebuild() -> int:
    """Read every folder anew into the index; return how many dead letters there are."""
    records.forget_letters()
    return len(_indexed(settings.get().projects_dir))


def behind() -> int:
    """Return for how many projects the index is behind their folders."""
    changed, gone = _changes(settings.get().projects_dir)
    return len(changed) + len(gone)


def _indexed(folder: Path) -> list[Letter]:
    changed, gone = _changes(folder)
    if changed or gone:
        records.index_letters((_entry(folder, n, mark) for n, mark in changed.items()), gone)
    found = records.indexed_letters()
    try:
        return [Letter.model_validate_json(found[number]) for number in sorted(found)]
    except ValidationError as error:
        records.forget_letters()
        raise ValueError("the index holds what is no letter") from error


def _changes(folder: Path) -> tuple[dict[int, str], list[int]]:
    """Return the marks of folders that are not as they were read, and the ids of those gone."""
    marks = {number: _mark(folder / str(number) / STATE) for number in ids(folder)}
    known = records.letter_marks()
    changed = {number: mark for number, mark in marks.items() if known.get(number) != mark}
    return changed, [number for number in known if number not in marks]


def _mark(state: Path) -> str:
    """Return what changes whenever the state file is written anew."""
    try:
        found = state.stat()
    except OSError:
        return f"{FORMAT} none"
    return f"{FORMAT} {found.st_mtime_ns} {found.st_ino} {found.st_size}"


def _entry(folder: Path, number: int, mark: str) -> tuple[int, str, str | None]:
    found = _read(folder, number)
    return number, mark, found.model_dump_json() if found is not None else None


def _read(folder: Path, number: int) -> Letter | None:
    try:
        return letter_of(Project.open(folder, number).state())
    except (ReelchainError, OSError) as error:
        log.info("project %s is not read: %s", number, error)
        return None


# -- what is done with them ----------------------------------------------------------------------


def replay(found: Letter) -> bool:
    """Start the failed run again: the same stages, what is made stays made.

    Returns:
        False where its project has begun another run since, or is not failed any more. Of two
        replays of one letter at the same moment, one starts a run.
    """
    from app.tasks import dispatch  # costs Celery; a list does not pay

    project = Project.open(settings.get().projects_dir, found.project_id)
    with project.holding(REPLAY_LOCK):
        if not _stands(project.state(), found):
            return False
        dispatch.send(project, stages=found.stages)
        return True


def drop(found: Letter) -> bool:
    """Take a letter off the list; its project stays, failed, and `run` goes on with it.

    Returns:
        False where it is not the letter of its project any more.
    """
    project = Project.open(settings.get().projects_dir, found.project_id)
    with project.transaction() as state:
        stands = _stands(state, found)
        if stands:
            state.run.dropped = True
    if stands:
        project.log("dropped", run=found.run, message="Taken off the list of dead letters.")
    return stands


def _stands(state: ProjectState, found: Letter) -> bool:
    now = letter_of(state)
    return now is not None and now.run == found.run
