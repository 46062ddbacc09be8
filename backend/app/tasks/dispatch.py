"""The only sender of projects: run number first, state second, message last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from celery import chain
from celery.canvas import Signature, _chain
from celery.result import AsyncResult

from app import messages, progress
from app.celery_app import celery_app
from app.models import Stage
from app.project import STAGE_ORDER, Project
from app.tasks import _waiters
from app.tasks._stage import DEFINITIONS, is_made, latest_run, open_project, run_over


def canvas(
    project_id: int, *, run: int | None = None, stages: Sequence[Stage] = STAGE_ORDER
) -> _chain:
    """Return the chain of a project's stages, not yet sent.

    Args:
        project_id: The project.
        run: The run it belongs to; None lets the first link begin one.
        stages: Which stages, in order.
    """
    facts: dict[str, Any] = {"project_id": project_id}
    if run is not None:
        facts["run"] = run
    links: list[Signature[Any]] = []
    for stage in stages:
        task = celery_app.tasks[DEFINITIONS[stage].task_name]
        links.append(task.s(**({} if links else facts)))
    return chain(*links)


def send(project: Project, *, stages: Sequence[Stage] = STAGE_ORDER) -> AsyncResult[Any]:
    """Start a project, or join the run of a living owner; both callers get one outcome.

    Returns:
        The result of the run's last stage.
    """
    celery_app.reach()
    last = stages[-1]
    if project.locked():
        task_id = str(uuid4())
        _waiters.add(project.id, task_id, last)
        # the owner may have ended while we were signing up
        if project.locked() or not _waiters.take(project.id, task_id):
            return AsyncResult(task_id, app=celery_app)
    return _begin(project, stages)


def _begin(project: Project, stages: Sequence[Stage]) -> AsyncResult[Any]:
    run = project.begin_run(stages, at_least=latest_run(project.id))
    tell_queued(project)
    result: AsyncResult[Any] = canvas(project.id, run=run, stages=stages).apply_async()
    return result


@run_over.append
def _go_on(project_id: int, _over: bool) -> None:
    """Make the further stages that callers wait for who joined a run of fewer."""
    wanted = _waiters.furthest(project_id)
    project = open_project(project_id)
    if wanted is not None and not project.locked():
        _begin(project, STAGE_ORDER[: STAGE_ORDER.index(wanted) + 1])


def tell_queued(project: Project) -> None:
    """Put «waiting for a worker» in the place of an ended run's last event."""
    state = project.state()
    progress.reset(
        project.id,
        progress.event(
            project_id=project.id,
            stage=state.run.stages[0] if state.run.stages else STAGE_ORDER[0],
            progress=0,
            message=messages.text("queued", state.spec.language),
            status="pending",
            code="queued",
        ),
    )


def finished(project: Project) -> dict[str, Any] | None:
    """Return the outcome of a project that is complete as it stands now, else None."""
    state = project.state()
    if state.status != "completed":
        return None
    if not all(is_made(project, state, stage) for stage in STAGE_ORDER):
        return None
    return state.result(STAGE_ORDER[-1])


def snapshot(project: Project) -> dict[str, Any]:
    """Return what the project's folder says, as an event: for a Redis that knows nothing of it."""
    state = project.state()
    code = {"completed": "completed", "failed": "failed"}.get(state.status, "queued")
    if state.status == "pending" and state.run.ended:
        code = "stages_completed"
    failed = state.failure()
    done = [stage for stage in STAGE_ORDER if state.stage(stage).status == "completed"]
    facts = {"error": failed.message if failed else ""}
    return progress.event(
        project_id=project.id,
        stage=done[-1] if done else STAGE_ORDER[0],
        progress=100 if code in ("completed", "stages_completed") else 0,
        message=messages.text(code, state.spec.language, **facts),
        status=state.status,
        run=state.run.number,
        code=code,
        error=failed.model_dump() if failed and code == "failed" else None,
        final=code != "queued",
    )
