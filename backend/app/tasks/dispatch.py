"""The only sender of projects: run number first, state second, message last; and the only ender."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from celery import chain
from celery.canvas import Signature, _chain
from celery.result import AsyncResult

from app import disk, messages, progress
from app.celery_app import PRIORITIES, celery_app, redis_priority
from app.errors import NotFoundError
from app.models import Stage
from app.project import EDIT, STAGE_ORDER, Outdated, Project, ProjectState
from app.project import owner as owners
from app.tasks import _callers
from app.tasks._context import DEFINITIONS, is_made
from app.tasks._links import Links

log = logging.getLogger(__name__)

run_over: list[Callable[[int, bool], None]] = []
"""Called with the project's id when a run is over, and whether the project is: completed, failed or
cancelled. May be called twice for one end."""


# -- sending -------------------------------------------------------------------------------


def canvas(
    project_id: int,
    *,
    run: int | None = None,
    stages: Sequence[Stage] = STAGE_ORDER,
    priority: int = PRIORITIES["normal"],
) -> _chain:
    """Return the chain of a project's stages, not yet sent.

    Args:
        project_id: The project.
        run: The run it belongs to; None lets the sending begin one.
        stages: Which stages, in order.
        priority: Urgency 0-9 of every link, 9 the most urgent.
    """
    facts: dict[str, Any] = {"project_id": project_id}
    if run is not None:
        facts["run"] = run
    links: list[Signature[Any]] = []
    for stage in stages:
        task = celery_app.tasks[DEFINITIONS[stage].task_name]
        links.append(task.s(**({} if links else facts)).set(priority=redis_priority(priority)))
    return chain(*links)


def send(
    project: Project,
    *,
    stages: Sequence[Stage] = STAGE_ORDER,
    priority: int | None = None,
    restart: bool = False,
) -> AsyncResult[Any]:
    """Start a project, or join the run that is on its way; both callers get one outcome.

    Args:
        project: The project.
        stages: What to do, in order.
        priority: Urgency 0-9 from now on; None leaves the project's own.
        restart: End the run on its way, if any, in favour of this one.

    Returns:
        The result of the run's last stage.
    """
    celery_app.reach()
    task_id = str(uuid4())
    waiting = project.state().status == "waiting"
    if not (restart or waiting) and project.join({task_id: stages[-1]}):
        return AsyncResult(task_id, app=celery_app)
    return begin(project, stages, task_id=task_id, priority=priority)


def begin(
    project: Project,
    stages: Sequence[Stage],
    *,
    task_id: str | None = None,
    priority: int | None = None,
    after: int | None = None,
    behind: int | None = None,
) -> AsyncResult[Any]:
    """Begin a run and publish its first message.

    Args:
        project: The project.
        stages: What to do, in order.
        task_id: Id of the last link, which its caller waits for.
        priority: Urgency 0-9 from now on; None leaves the project's own.
        after: The run it takes over from; `Outdated` if that one is over.
        behind: The run whose good end it follows; `Outdated` if another has begun.
    """
    callers = {task_id: stages[-1]} if task_id else {}
    run = _begin_run(
        project, stages, callers=callers, priority=priority, after=after, behind=behind
    )
    tell_queued(project)
    return publish(project, run, task_id=task_id)


def _begin_run(project: Project, stages: Sequence[Stage], **facts: Any) -> int:
    with contextlib.ExitStack() as held:
        # an outdated owner may still hold the lock; the run is begun in any case
        with contextlib.suppress(disk.Locked):
            held.enter_context(project.lock(wait=0.2, purpose=EDIT))
        run = project.begin_run(stages, at_least=latest_run(project.id), **facts)
        project.leave(owners.me("sending", run=run))
    return run


def publish(project: Project, run: int, *, task_id: str | None = None) -> AsyncResult[Any]:
    """Publish the first message of a run that has begun."""
    state = project.state()
    links = canvas(project.id, run=run, stages=state.run.stages, priority=state.priority)
    # the id goes to the last link
    result: AsyncResult[Any] = links.apply_async(task_id=task_id or str(uuid4()))
    project.sent(run)
    return result


def announce(project: Project, links: Links) -> int | None:
    """Begin the run of a chain or lone task that a caller is just sending by himself.

    Returns:
        The run's number, or None while another run is on its way: the task itself will see.
    """
    state = project.state()
    if state.run.on_its_way:
        # a further link of the run's own chain, if it names the project itself (`.si`)
        return state.run.number if next(iter(links.callers)) in state.callers else None
    _callers.keep_rest(project, links)
    return _begin_run(project, list(links.callers.values()), callers=links.callers)


def hand_over(project: Project, run: int) -> None:
    """Let another worker go on with a run: this one is to stop."""
    try:
        begin(project, project.state().run.stages, after=run)
    except Outdated:
        return
    except Exception:  # the run has begun or still is the old one: the watchdog sends it
        log.exception("project %s could not be handed over", project.id)


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


# -- ending --------------------------------------------------------------------------------


def settle(project: Project) -> None:
    """Do what follows the end of a run: answer its callers, tell its batch, go on for who waits.

    May be repeated: who was told already is not told anew. What can't be done now (Redis is away)
    is logged and left to the watchdog, which finds the project's marker.
    Nothing happens while the run is on its way.
    """
    try:
        state = project.state()
        if state.run.on_its_way:
            return
        _callers.answer(project, state)
        over = state.status in ("completed", "failed", "cancelled")
        for hook in run_over:
            hook(project.id, over)
        wanted = _callers.furthest(state) if state.status == "pending" else None
        if wanted is not None:
            stages = STAGE_ORDER[: STAGE_ORDER.index(wanted) + 1]
            begin(project, stages, behind=state.run.number)
        else:
            project.rest(state.run.number)
    except Outdated:
        log.info("another run of project %s has begun meanwhile", project.id)
    except NotFoundError as gone:
        log.info("after the end of its run: %s", gone)
    except Exception:  # the run's own outcome stands, whatever comes after it
        log.exception("what follows the end of project %s's run is not all done", project.id)


def cancel(project: Project, *, even_idle: bool = False) -> bool:
    """Cancel a project: its owner stops within two seconds, whatever was queued does nothing.

    The state says so first, so it holds without Redis and over any restart.

    Args:
        project: The project.
        even_idle: Also one that no run is at becomes `cancelled`, if it is not completed.

    Returns:
        False if there was nothing to cancel.
    """
    if not project.cancel(even_idle=even_idle):
        return False
    with contextlib.suppress(NotFoundError):  # removed meanwhile, which a cancelled one may be
        state = project.state()
        text = messages.text("cancelled", state.spec.language)
        tell(state, "cancelled", text, status="cancelled", final=True)
        settle(project)
    return True


def tell(state: ProjectState, code: str, text: str, **facts: Any) -> None:
    """Publish an event that is not of a stage's own making, at the progress reached."""
    last = latest(state.project_id)
    reached = min(int(last.get("progress", 0)), 99)
    at = [stage for stage in state.run.stages if state.stage(stage).status != "completed"]
    progress.publish(
        progress.event(
            project_id=state.project_id,
            stage=at[0] if at else STAGE_ORDER[-1],
            progress=reached,
            message=text,
            code=code,
            **{"run": state.run.number, **facts},
        )
    )


# -- what the folder says --------------------------------------------------------------------


def finished(project: Project) -> dict[str, Any] | None:
    """Return the outcome of a project that is complete as it stands now, else None."""
    state = project.state()
    if state.status != "completed":
        return None
    return state.result(STAGE_ORDER[-1]) if first_to_make(project, state) is None else None


def first_to_make(project: Project, state: ProjectState) -> Stage | None:
    """Return the first stage that is not made from what the project is now; None if all are."""
    return next((stage for stage in STAGE_ORDER if not is_made(project, state, stage)), None)


def snapshot(project: Project) -> dict[str, Any]:
    """Return what the project's folder says, as an event: for a Redis that knows nothing of it."""
    state = project.state()
    code = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}.get(
        state.status, "queued"
    )
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
        error=failed.model_dump(exclude={"traceback"}) if failed and code == "failed" else None,
        final=code != "queued",
    )


def latest(project_id: int) -> dict[str, Any]:
    """Return the project's latest event; empty where Redis knows none or does not answer."""
    try:
        return progress.latest(project_id) or {}
    except Exception:  # noqa: BLE001 - word of progress never fails the work
        return {}


def latest_run(project_id: int) -> int:
    """Return the highest run Redis has heard of; 0 where it knows none or does not answer."""
    return int(latest(project_id).get("run", 0))
