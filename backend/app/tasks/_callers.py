"""Callers whose task is not the one that ends the run: they get the run's outcome all the same.

`callers` in a project's state names their task ids and the stage each waits for: who joined a run on
its way, and who started one whose worker died. Whoever ends the run stores the outcome under those
ids, so a caller's own `.get()` returns without a second run and without a worker slot held.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from celery.canvas import signature

from app import disk
from app.celery_app import celery_app
from app.errors import Cancelled, InternalError, ReelchainError, rebuild
from app.models import Stage
from app.project import STAGE_ORDER, Project, ProjectState
from app.tasks._links import Links

ANSWERING = ".answering.lock"
ANSWER_SECONDS = 10.0
"""Longest wait for another one who answers: his process may be stopped."""


def answer(
    project: Project, state: ProjectState, *, upto: Stage | None = None, but: str = ""
) -> None:
    """Answer those whose stage is done; when the run is over, all others as well.

    Args:
        project: The project.
        state: Its state; a second answer to the same caller changes nothing.
        upto: The stage done just now, while the run goes on.
        but: A task id that gets its answer elsewhere.
    """
    due = [task_id for task_id in state.callers if task_id != but]
    if upto is not None:  # those of the stages before were answered as these were done
        due = [task_id for task_id in due if state.callers[task_id] == upto]
    if not due:
        return
    with contextlib.ExitStack() as held:
        # of two at once the second finds what the first has answered, and sends nothing again
        with contextlib.suppress(disk.Locked):  # rather twice than never
            held.enter_context(project.holding(ANSWERING, wait=ANSWER_SECONDS))
        _answer_all(project, state, due, upto)


def _answer_all(project: Project, state: ProjectState, due: list[str], upto: Stage | None) -> None:
    unanswered = _unanswered(due)
    for task_id in due:
        if task_id in unanswered:
            _answer(project, state, task_id, upto)
        else:  # by Celery, which also sent what comes behind
            disk.unlink(_rest_file(project, task_id))


def _unanswered(task_ids: list[str]) -> list[str]:
    """Return those without a result yet: one question for all."""
    backend: Any = celery_app.backend
    metas: Any = celery_app.redis.mget([backend.get_key_for_task(i) for i in task_ids])
    return [i for i, raw in zip(task_ids, metas, strict=True) if not _is_final(backend, raw)]


def _is_final(backend: Any, raw: Any) -> bool:
    return raw is not None and backend.decode_result(raw)["status"] in ("SUCCESS", "FAILURE")


def _answer(project: Project, state: ProjectState, task_id: str, upto: Stage | None) -> None:
    backend: Any = celery_app.backend
    stage = state.callers[task_id]
    if STAGE_ORDER.index(stage) <= _reached(state, upto):
        result = state.result(stage)
        # before the answer: who dies between the two sends it twice rather than never
        _send_rest(project, task_id, result)
        backend.store_result(task_id, result, "SUCCESS")
    elif state.run.ended and (error := outcome(state)) is not None:
        for link in _rest(project, task_id):
            backend.mark_as_failure(link["options"]["task_id"], error)
        backend.mark_as_failure(task_id, error)
    else:
        return  # a further run will
    disk.unlink(_rest_file(project, task_id))


# -- what a caller chained behind our stages ------------------------------------------------


def keep_rest(project: Project, links: Links) -> None:
    """Keep a caller's own tasks behind our last stage, in case another worker has to send them."""
    if links.rest:
        project.keep_private(_rest_file(project, links.last).name, links.rest)


def _send_rest(project: Project, task_id: str, result: dict[str, Any]) -> None:
    rest = _rest(project, task_id)
    if rest:
        following: Any = signature(rest.pop(), app=celery_app)
        following.apply_async((result,), chain=rest or None)


def _rest(project: Project, task_id: str) -> list[Any]:
    try:
        found = json.loads(_rest_file(project, task_id).read_bytes())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _rest_file(project: Project, task_id: str) -> Path:
    # a caller may choose any id
    return project.folder / "private" / f"after-{disk.digest(task_id)[:24]}.json"


# -- what became of a run ---------------------------------------------------------------------


def _reached(state: ProjectState, upto: Stage | None) -> int:
    """Return the index of the last stage that this run has done; -1 if none."""
    if upto is not None:
        return STAGE_ORDER.index(upto)
    if not state.run.ended or not state.run.stages:
        return -1
    if state.status in ("completed", "pending"):
        return STAGE_ORDER.index(state.run.stages[-1])
    failed = [n for n, stage in enumerate(STAGE_ORDER) if state.stage(stage).status == "failed"]
    if state.status != "failed" or not failed:
        return -1
    before = STAGE_ORDER[: failed[0]]
    made = [n for n, stage in enumerate(before) if state.stage(stage).status == "completed"]
    return max(made, default=-1)


def outcome(state: ProjectState) -> ReelchainError | None:
    """Return the error that ended the project's run, if one did."""
    if state.status == "cancelled":
        return cancelled(state.project_id)
    if state.status != "failed":
        return None
    fact = state.failure()
    if fact is None:
        return InternalError("run_failed", "The run failed, and nobody wrote down why.", "")
    return rebuild(fact.type, fact.code, fact.message, fact.hint)


def cancelled(project_id: int) -> Cancelled:
    """Return the error that callers of a cancelled project get."""
    return Cancelled(
        "cancelled",
        f"Project {project_id} was cancelled.",
        f"What is made is kept; ./reelchain run {project_id} goes on with it.",
    )


def furthest(state: ProjectState) -> Stage | None:
    """Return the latest stage that anybody waits for beyond what the ended run has done."""
    reached = _reached(state, None)
    wanted = [stage for stage in state.callers.values() if STAGE_ORDER.index(stage) > reached]
    return max(wanted, key=STAGE_ORDER.index, default=None)
