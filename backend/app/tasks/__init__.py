"""The tasks, under their users' names, and the stages in their order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from celery import signals

from app import progress
from app.celery_app import celery_app
from app.errors import InputError
from app.models import Stage
from app.project import STAGE_ORDER
from app.tasks import _stage, batch, dispatch
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


@signals.before_task_publish.connect
def _reset_progress(sender: str = "", body: Any = None, **_: Any) -> None:
    """A first link is on its way: nobody shall get the previous run's last event."""
    if not isinstance(body, tuple):
        return
    positional, named = body[0], body[1]
    names = {definition.task_name for definition in _stage.DEFINITIONS.values()}
    with contextlib.suppress(InputError):  # the task itself says so
        if sender in names and not positional and "project_id" in named:
            dispatch.tell_queued(_stage.open_project(named["project_id"]))
        elif sender == batch_processing_task.name:
            batch_id = named.get("batch_id", positional[0] if positional else None)
            batch.tell_queued(batch.load(batch_id))


def _check_complete() -> None:
    missing: set[Stage] = set(STAGE_ORDER) - set(_stage.DEFINITIONS)
    if missing:
        raise RuntimeError(f"no task for {missing}")


_check_complete()
