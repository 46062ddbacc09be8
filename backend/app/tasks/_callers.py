"""Callers whose task is not the one that ends the run: they get the run's outcome all the same.

`callers` in a project's state names their task ids and the stage each waits for: who joined a run on
its way, and who started one whose worker died. Whoever ends the run stores the outcome under those
ids, so a caller's own `.get()` returns without a second run and without a worker slot held.
"""

from __future__ import annotations

from typing import Any

from app.celery_app import celery_app
from app.errors import Cancelled, InternalError, ReelchainError, rebuild
from app.models import Stage
from app.project import STAGE_ORDER, ProjectState


def answer(state: ProjectState, *, upto: Stage | None = None, but: str = "") -> None:
    """Answer those whose stage is done; when the run is over, all others as well.

    Args:
        state: The project's state; a second answer to the same caller changes nothing.
        upto: The stage done just now, while the run goes on.
        but: A task id that gets its answer elsewhere.
    """
    due = [task_id for task_id in state.callers if task_id != but]
    if upto is not None:  # those of the stages before were answered as these were done
        due = [task_id for task_id in due if state.callers[task_id] == upto]
    for task_id in _unanswered(due):
        _answer(state, task_id, state.callers[task_id], upto)


def _unanswered(task_ids: list[str]) -> list[str]:
    """Return those without a result yet: one question for all."""
    if not task_ids:
        return []
    backend: Any = celery_app.backend
    metas: Any = celery_app.redis.mget([backend.get_key_for_task(i) for i in task_ids])
    return [i for i, raw in zip(task_ids, metas, strict=True) if not _is_final(backend, raw)]


def _is_final(backend: Any, raw: Any) -> bool:
    return raw is not None and backend.decode_result(raw)["status"] in ("SUCCESS", "FAILURE")


def _answer(state: ProjectState, task_id: str, stage: Stage, upto: Stage | None) -> None:
    backend: Any = celery_app.backend
    if STAGE_ORDER.index(stage) <= _reached(state, upto):
        backend.store_result(task_id, state.result(stage), "SUCCESS")
    elif state.run.ended and (error := outcome(state)) is not None:
        backend.mark_as_failure(task_id, error)


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
