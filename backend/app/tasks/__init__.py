"""The tasks, under their users' names, and the stages in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app import progress
from app.celery_app import celery_app
from app.models import Stage
from app.project import STAGE_ORDER
from app.tasks import _publishing as _publishing  # connects to what is published
from app.tasks import _stage, dispatch
from app.tasks import history as history  # connects to what becomes of each task
from app.tasks import watchdog as watchdog  # adds itself to every worker
from app.tasks.assets import generate_assets_task
from app.tasks.batch import batch_processing_task
from app.tasks.maintenance import sync_quotas
from app.tasks.render import render_video_task
from app.tasks.script import generate_script_task
from app.tasks.thumbnail import generate_thumbnail_task
from app.tasks.upload import upload_to_youtube_task

__all__ = [
    "STAGES",
    "batch_processing_task",
    "generate_assets_task",
    "generate_script_task",
    "generate_thumbnail_task",
    "render_video_task",
    "subscribe_progress",
    "sync_quotas",
    "upload_to_youtube_task",
]

STAGES = (
    generate_script_task,
    generate_assets_task,
    render_video_task,
    generate_thumbnail_task,
    upload_to_youtube_task,
)
"""The stage tasks, in the order of a project's chain."""


def subscribe_progress(project_id: int) -> Iterator[dict[str, Any]]:
    """Yield a project's progress: the latest known state first, then each message as it comes.

    Ends by itself when the run completed, failed, was cancelled, or did the stages it was asked
    for (`status` is then `pending`). Messages: docs/operations.md, "Progress".

    Raises:
        NotFoundError: `project_not_found`, at once.
    """
    project = _stage.open_project(project_id)
    celery_app.reach()
    return progress.subscribe(project.id, known=lambda: dispatch.snapshot(project))


def _check_complete() -> None:
    missing: set[Stage] = set(STAGE_ORDER) - set(_stage.DEFINITIONS)
    if missing:
        raise RuntimeError(f"no task for {missing}")


_check_complete()
