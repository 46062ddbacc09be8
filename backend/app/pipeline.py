"""What every door calls: create, start (which is resume), status; batches are in `playlist`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app import disk, draft, playlist, settings
from app.batch import budget_of
from app.errors import InputError, ReelchainError
from app.models import ProjectSpec, Stage
from app.project import EDIT, STAGE_ORDER, Outdated, Project, ProjectState, ids

if TYPE_CHECKING:
    # Celery costs a third of a second; `ls` and `show` do without it
    from celery.canvas import _chain
    from celery.result import AsyncResult, EagerResult

LET_GO_SECONDS = 3.0
"""Time for the owner of a run that was just cancelled to let the project go."""

create_batch = playlist.create_batch
is_file_argument = draft.is_file_argument


# -- creating ------------------------------------------------------------------------------


def create_project(
    spec: ProjectSpec | Mapping[str, Any] | str | Path,
    *,
    batch: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Project:
    """Make a new project.

    Args:
        spec: A `ProjectSpec`; a mapping of its fields, with `text` (a story as Markdown) or
            `scenes` (a list of heading, narration, picture) in place of a file; or the path of a
            Markdown, text or YAML file.
        batch: The batch it belongs to.
        overrides: Fields that win over what the file says.

    Raises:
        InputError: What is wrong, with its line; no project is left.
    """
    made, sources, origin = draft.prepare(spec, dict(overrides or {}))
    return Project.create(
        settings.get().projects_dir, made, origin=origin, batch=batch, sources=sources
    )


def update_project(
    project_id: object, path: str | Path, *, overrides: Mapping[str, Any] | None = None
) -> Project:
    """Give a project its file anew. Only what changed is remade when it is started next.

    Raises:
        InputError: `project_running`, while a worker is at it; or what is wrong with the file.
    """
    project = open_project(project_id)
    before = project.state().spec
    spec, sources, origin = draft.prepare(Path(path), dict(overrides or {}), before=before)
    if spec.budget is None:  # what somebody allowed holds until another is said
        spec = spec.model_copy(update={"budget": before.budget})
    with _editing(project):
        _replace_source(project, sources)
        with project.transaction() as state:
            state.spec, state.origin = spec, origin
    return project


@contextmanager
def _editing(project: Project) -> Iterator[None]:
    """Hold a project that no run works on, to change it."""
    _refuse_running(project)
    try:
        with project.lock(wait=LET_GO_SECONDS, purpose=EDIT):
            _refuse_running(project)
            yield
    except disk.Locked:
        raise _running(project) from None


def _refuse_running(project: Project) -> None:
    if project.state().run.on_its_way:
        raise _running(project)


def _running(project: Project) -> InputError:
    return InputError(
        "project_running",
        f"Project {project.id} is being made at this moment.",
        f"Wait for it (./reelchain watch {project.id}), or cancel it first "
        f"(./reelchain cancel {project.id}).",
    )


def project_of_file(path: str | Path) -> Project | None:
    """Return the latest project that was made from this file, if any."""
    origin = str(Path(path).resolve())
    for number in reversed(ids(settings.get().projects_dir)):
        try:
            project = open_project(number)
            if project.state().origin == origin:
                return project
        except ReelchainError:
            continue  # a project that can't be read is not this file's; `ls` shows it
    return None


def _replace_source(project: Project, sources: Callable[[Path], None]) -> None:
    source = project.folder / "source"
    aside = disk.temporary(source)
    aside.mkdir()
    try:
        sources(aside)
        if not disk.exchange(aside, source):
            old = disk.temporary(source)
            disk.rename(source, old)
            disk.rename(aside, source)
            aside = old
    finally:
        shutil.rmtree(aside, ignore_errors=True)


# -- running -------------------------------------------------------------------------------


def open_project(project_id: object) -> Project:
    """Return an existing project.

    Raises:
        InputError: `project_id_invalid`.
        NotFoundError: `project_not_found`.
    """
    return Project.open(settings.get().projects_dir, project_id)


def video_pipeline(project_id: object) -> _chain:
    """Return the canvas chain of all five stages, not yet sent: `.apply_async()` starts it."""
    from app.tasks import dispatch

    return dispatch.canvas(open_project(project_id).id)


def finished(project_id: object) -> dict[str, Any] | None:
    """Return the outcome of a project that is complete as it stands, found out without Celery.

    None says no more than that `start` has to look closer.
    """
    project = open_project(project_id)
    state = project.state()
    return state.result(STAGE_ORDER[-1]) if project.sealed(state) else None


def start(
    project_id: object,
    *,
    from_stage: Stage | None = None,
    restart: bool = False,
    republish: bool = False,
    priority: str | int | None = None,
    budget: float | None = None,
) -> AsyncResult[Any] | EagerResult[Any]:
    """Start a project; start is resume: what is made already is not made again.

    A project whose run is on its way is joined: both callers get the same outcome. One that is
    complete as it stands returns at once, without a worker.

    Args:
        project_id: The project.
        from_stage: Remake this stage and all after it.
        restart: End the run on its way, if any, and begin another; what is made stays made.
        republish: Publish a second video of a project that is published; the first one stays.
        priority: `high`, `normal`, `low` or 0-9 (9 the most urgent), from now on.
        budget: US dollars that services may cost the project in all its runs, from now on; a run
            on its way hears of it, too.

    Returns:
        The result of the last stage; `.get()` gives its dict or raises what ended the run.

    Raises:
        InputError: `project_running`, where stages are to be made anew or published again and a run
            is on its way; `publication_unfinished`, where the first publication has begun and is
            not done.
    """
    from celery.result import EagerResult

    from app.celery_app import urgency
    from app.tasks import dispatch, watchdog

    project = open_project(project_id)
    urgent = None if priority is None else urgency(priority)
    draft.check_providers()
    if budget is not None:
        _allow(project, budget)
    _set_back(project, from_stage, restart=restart, republish=republish)
    outcome = finished(project.id) or dispatch.finished(project)
    if outcome is not None:
        return EagerResult(str(uuid4()), outcome, "SUCCESS")
    result = dispatch.send(project, restart=restart, priority=urgent)
    watchdog.help_now(project)
    return result


def _set_back(
    project: Project, from_stage: Stage | None, *, restart: bool, republish: bool
) -> None:
    """Forget what is to be made or published anew; with `restart`, end the run that is at it."""
    if restart and (from_stage is not None or republish):
        project.cancel()
    if republish:
        from app import publication

        with _editing(project):
            publication.put_aside(project)
    if from_stage is not None:
        _forget_from(project, from_stage)


def preview(
    project_id: object, *, from_stage: Stage | None = None, republish: bool = False
) -> dict[str, Any]:
    """Return what `start` would do and tell where it publishes; nothing is done.

    Args:
        project_id: The project.
        from_stage: As `start` takes it.
        republish: As `start` takes it.

    Returns:
        `project_id, title, stages (stage → made or to_make), estimate, publisher, url, second,
        announcement, description_bytes, quota, problems`; see `app.publication`.
    """
    from app import publication  # costs the Markdown parser; `ls` and `show` do not pay

    if from_stage is not None:
        _check_stage(from_stage)
    draft.check_providers()
    project = open_project(project_id)
    if from_stage is not None or republish:
        _refuse_running(project)
    return publication.preview(project, from_stage=from_stage, republish=republish)


def preview_of(
    spec: ProjectSpec | Mapping[str, Any] | str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    update: Project | None = None,
) -> dict[str, Any]:
    """Return what creating a project, or updating one, and starting it would do; nothing is done.

    Args:
        spec: As `create_project` takes it.
        overrides: Fields that win over what it says.
        update: The project that would be updated.
    """
    from app import publication

    draft.check_providers()
    if update is not None:
        _refuse_running(update)
    before = update.state().spec if update is not None else None
    entry = draft.prepare(spec, dict(overrides or {}), before=before)
    return publication.preview_of(entry, update)


def cancel(project_id: object) -> bool:
    """Cancel a project's run: whatever works on it stops within two seconds.

    What is made is kept; `start` goes on with it. Needs neither Redis nor a worker.

    Returns:
        False if no run was on its way.
    """
    from app.tasks import dispatch

    return dispatch.cancel(open_project(project_id))


def remove(project_id: object) -> Path:
    """Delete a project's folder with all that was made; what was published stays.

    Returns:
        The folder that is gone.

    Raises:
        InputError: `project_running`, while a run is on its way.
    """
    from app.tasks import dispatch

    project = open_project(project_id)
    with _editing(project):
        dispatch.settle(project)  # who still waits to hear of its end
        try:
            project.remove()
        except Outdated:  # runs begin without the project's lock
            raise _running(project) from None
    return project.folder


def _allow(project: Project, budget: float) -> None:
    """Give a project another budget.

    Raises:
        InputError: `budget_invalid`.
    """
    wanted = budget_of(budget)
    with project.transaction() as state:
        state.spec = state.spec.model_copy(update={"budget": wanted})


def _check_stage(from_stage: Stage) -> None:
    if from_stage not in STAGE_ORDER:
        raise InputError(
            "stage_unknown",
            f"There is no stage {from_stage!r}.",
            f"Choose one of: {', '.join(STAGE_ORDER)}.",
        )


def _forget_from(project: Project, from_stage: Stage) -> None:
    _check_stage(from_stage)
    with _editing(project):
        project.forget(STAGE_ORDER[STAGE_ORDER.index(from_stage) :])


def status(project_id: object) -> dict[str, Any]:
    """Return what the project's folder says: status, stages, files, warnings, error, costs.

    `spend` has `rows` (`model`, `calls`, `input_tokens`, `output_tokens`, `pictures`, `characters`,
    `usd`), `usd` (null where a part is not known), `known_usd`, `unknown` and `budget`.
    """
    project = open_project(project_id)
    state = project.state()
    stages = {
        stage: state.stage(stage).model_dump(
            mode="json", include={"status", "attempts", "seconds", "facts", "warnings", "error"}
        )
        for stage in STAGE_ORDER
    }
    roles = {role: path for s in STAGE_ORDER for role, path in state.stage(s).roles.items()}
    return {
        "project_id": project.id,
        "title": title_of(project),
        "status": state.status,
        "running": project.locked(),
        "run": state.run.model_dump(),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "folder": str(project.folder),
        "spec": state.spec.model_dump(mode="json"),
        "stages": stages,
        "artifacts": roles,
        "publication": state.publication,
        "batch": state.batch,
        "spend": _spend(project, state),
    }


def _spend(project: Project, state: ProjectState) -> dict[str, Any]:
    """Return what services have cost a project, and its budget."""
    from app.project import spend

    budget = state.spec.budget
    if budget is None:
        budget = settings.get().project_budget
    return {**spend.facts(spend.booked(project.folder, state)), "budget": budget}


def title_of(project: Project) -> str:
    """Return the script's title, or what the project was asked for."""
    try:
        return str(json.loads((project.folder / "script.json").read_bytes())["title"])
    except (OSError, ValueError, LookupError, TypeError):
        spec = project.state().spec
        return spec.title or spec.topic or f"Project {project.id}"


def listing() -> list[dict[str, Any]]:
    """Return one short row per project, oldest first; an unreadable one says so in its row."""
    rows = []
    for number in ids(settings.get().projects_dir):
        try:
            project = open_project(number)
            state = project.state()
            rows.append(
                {
                    "project_id": number,
                    "title": title_of(project),
                    "status": state.status,
                    "language": state.spec.language,
                    "shape": state.spec.shape,
                    "updated_at": state.updated_at,
                    "batch": state.batch,
                }
            )
        except ReelchainError as error:
            if error.code != "project_not_found":
                rows.append({"project_id": number, "status": "unreadable", "error": str(error)})
    return rows
