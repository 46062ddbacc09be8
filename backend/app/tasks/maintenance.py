"""Chores that beat sends: the quota ledger's day, and what nobody needs any more."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task

from app import ledger, records, settings
from app.celery_app import HARD_LIMIT_GRACE, celery_app
from app.errors import NotFoundError, ReelchainError
from app.tasks import cleanup, dispatch
from app.tasks._context import open_project

log = logging.getLogger(__name__)

CLEANING = "maintenance:clean_up"
"""Redis key that lets one clean-up work at a time; it runs out with the task's hard limit."""
SHARE = 0.8
"""Of the soft time limit, after which a clean-up leaves the rest to the next."""

# KEYS lock; ARGV its holder
_FREE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


@celery_app.task(name="app.tasks.sync_quotas")
def sync_quotas() -> dict[str, Any]:
    """Close every quota day that is over (Pacific time) and set today's ledger right.

    Returns:
        `day` (ISO date), `closed` (days closed now), `spent` (service → bucket → units), `corrected`
        (bucket → units added, where the service refused more) and `dropped` (reservations of runs that
        are over, closings that have run out).
    """
    return ledger.sync()


def _release(project_id: int, _over: bool) -> None:
    """Let others have the quota that a run kept for itself, now that it is over."""
    try:
        if ledger.tariffs() and not _is_on_its_way(project_id):
            ledger.release(project_id)
    except ReelchainError as error:  # a setting is wrong; `sync_quotas` drops it later
        log.warning("project %s's reserved quota is not released yet: %s", project_id, error)


def _is_on_its_way(project_id: int) -> bool:
    """Tell whether another run has begun meanwhile, whose reservation it is."""
    try:
        return open_project(project_id).state().run.on_its_way
    except NotFoundError:
        return False


dispatch.run_over.append(_release)


@celery_app.task(bind=True, name="app.tasks.clean_up")
def clean_up(self: Task[Any, Any]) -> dict[str, Any]:
    """Remove the parts of long finished films, what dead workers left, and old history.

    A finished project stays finished; one that is worked on is not touched. A second clean-up
    beside the first does nothing.

    Returns:
        `projects` (thinned), `bytes` (freed), `left` (projects for the next time), `history`
        (rows removed); or `skipped`: True.
    """
    chosen = settings.get()
    client, holder = celery_app.redis, self.request.id or "direct"
    seconds = chosen.maintenance_time_limit
    if not client.set(CLEANING, holder, nx=True, ex=seconds + HARD_LIMIT_GRACE):
        return {"skipped": True}
    try:
        done = cleanup.run(
            days=chosen.cleanup_days, gigabytes=chosen.cleanup_gb, seconds=seconds * SHARE
        )
        return {**done, "history": sum(records.rotate().values())}
    finally:
        client.eval(_FREE, 1, CLEANING, holder)
