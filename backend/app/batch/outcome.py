"""What became of a batch: each project's outcome, the counts, the whole in one word."""

from __future__ import annotations

from typing import Any

from app.batch.entries import entry
from app.batch.folder import TERMINAL, Batch, load
from app.batch.run import ends, read_work, tally


def outcome(batch: Batch, *, closed: bool = False) -> dict[str, Any]:
    """Return what became of each project, in the playlist's order, read from the folders.

    Args:
        batch: The batch.
        closed: Its run is over; for a project that could not be started, or was started anew since,
            the end in this run counts.
    """
    known = ends(batch) if closed else {}
    entries = [entry(project_id) for project_id in batch.projects]
    for found in entries:
        if closed and found["status"] not in TERMINAL:
            line = known.get(found["project_id"], {})
            left = "cancelled" if batch.run.stopped else "failed"
            ours = found["project_id"] in batch.todo
            found["status"] = line.get("status", left if ours else found["status"])
            found["error"] = line.get("error", found["error"])
    counts: dict[str, int] = {}
    for found in entries:
        counts[found["status"]] = counts.get(found["status"], 0) + 1
    return {
        "batch_id": batch.batch_id,
        "title": batch.title,
        "status": _status(batch, counts, closed=closed),
        "counts": counts,
        "projects": entries,
    }


def _status(batch: Batch, counts: dict[str, int], *, closed: bool) -> str:
    ended = sum(counts.get(status, 0) for status in TERMINAL)
    if batch.run.running and not closed:
        return "running"
    if counts.get("completed", 0) == len(batch.projects):
        return "completed"
    if ended < len(batch.projects) and not closed:
        return "pending" if counts.get("pending") == len(batch.projects) else "running"
    if batch.run.stopped == "cancelled" and counts.get("cancelled"):
        return "cancelled"
    if counts.get("completed"):
        return "partial"
    return "failed" if counts.get("failed") else "cancelled"


def summary(number: int) -> dict[str, Any]:
    """Return a short row about a batch, without opening its projects."""
    made = load(number)
    counts, status = dict(made.run.counts), made.run.status or "pending"
    if made.run.running:
        work = read_work(made)
        counts, status = tally(made, work), "running"
    return {
        "batch_id": number,
        "title": made.title,
        "status": status,
        "counts": counts or {"pending": len(made.projects)},
        "projects": len(made.projects),
        "created_at": made.created_at,
        "run": made.run.number,
    }
