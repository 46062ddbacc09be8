"""Callers who sent a task for a project that another run works on: they get that run's outcome.

A Redis hash `waiters:{project_id}` holds task id → stage. The run that owns the project stores the
outcome under those ids, so a caller's own `.get()` returns without a second run and without a
worker slot held.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import redis

from app.celery_app import celery_app
from app.errors import ReelchainError
from app.models import Stage
from app.project import STAGE_ORDER, ProjectState

log = logging.getLogger(__name__)

KEEP_SECONDS = 7 * 86400


def _redis() -> redis.Redis:
    return celery_app.redis


def _key(project_id: int) -> str:
    return f"waiters:{project_id}"


def add(project_id: int, task_id: str, stage: Stage) -> None:
    """Let the project's run answer task `task_id` when it has done `stage`."""
    key = _key(project_id)
    pipe = _redis().pipeline()
    pipe.hset(key, task_id, stage)
    pipe.expire(key, KEEP_SECONDS)
    pipe.execute()


def take(project_id: int, task_id: str) -> bool:
    """Withdraw a waiter; False if it was answered already."""
    return bool(_redis().hdel(_key(project_id), task_id))


def _all(project_id: int) -> dict[str, str]:
    found = cast("dict[Any, Any]", _redis().hgetall(_key(project_id)))
    return {_text(task_id): _text(stage) for task_id, stage in found.items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def resolve(state: ProjectState, stage: Stage) -> None:
    """Answer those who wait for `stage` or an earlier one."""
    try:
        for task_id, wanted in _all(state.project_id).items():
            asked = cast("Stage", wanted)
            if STAGE_ORDER.index(asked) <= STAGE_ORDER.index(stage):
                celery_app.backend.store_result(task_id, state.result(asked), "SUCCESS")
                take(state.project_id, task_id)
    except redis.RedisError as error:
        log.warning("waiting callers not answered: %s", error)


def fail(project_id: int, error: ReelchainError) -> None:
    """Answer all who wait with the error that ended the run."""
    try:
        for task_id in _all(project_id):
            celery_app.backend.mark_as_failure(task_id, error)
            take(project_id, task_id)
    except redis.RedisError as fault:
        log.warning("waiting callers not answered: %s", fault)


def furthest(project_id: int) -> Stage | None:
    """Return the latest stage that anybody still waits for."""
    wanted = [cast("Stage", stage) for stage in _all(project_id).values()]
    return max(wanted, key=STAGE_ORDER.index, default=None)
