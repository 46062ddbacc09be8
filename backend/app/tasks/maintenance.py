"""Chores that beat sends: for now, the quota ledger's day."""

from __future__ import annotations

from typing import Any

from app import records
from app.celery_app import celery_app


@celery_app.task(name="app.tasks.sync_quotas")
def sync_quotas() -> dict[str, Any]:
    """Close every quota day that is over (Pacific time) and say what today has spent.

    Returns:
        `day` (ISO date), `closed` (days closed now), `spent` (service → bucket → units).
    """
    closed = records.roll_over()
    return {"day": records.quota_day().isoformat(), "closed": closed, "spent": records.spent()}
