"""What happens to each message on its way out: facts for queues, a run for a caller's own chain."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from celery import signals

from app.errors import ReelchainError
from app.models import Stage
from app.tasks import _links, batch, dispatch
from app.tasks._context import open_project


@signals.before_task_publish.connect
def _before(sender: str = "", body: Any = None, headers: Any = None, **_: Any) -> None:
    """Write on the message when it was sent, and of which project and run it is."""
    if not isinstance(body, tuple) or not isinstance(headers, dict):
        return
    headers["sent"] = round(time.time(), 3)
    positional, named, embed = body
    # an unknown project, or one that can't be read: the task itself says so
    with contextlib.suppress(ReelchainError, OSError):
        if sender == batch.batch_processing_task.name:
            batch_id = named.get("batch_id", positional[0] if positional else None)
            later = bool(headers.get("eta") or headers.get("expires"))
            failed_only = bool(named.get("failed_only"))
            batch.announce(batch_id, headers["id"], failed_only=failed_only, later=later)
        elif (stage := _links.stage_of(sender)) is not None:
            _mark_stage(stage, positional, named, embed, headers)


def _mark_stage(stage: Stage, positional: Any, named: Any, embed: Any, headers: Any) -> None:
    if positional:
        _mark_link(positional[0], headers)
    elif "project_id" in named:
        project = open_project(named["project_id"])
        headers["project"] = project.id
        run = named.get("run")
        # what is meant for later, or not for long, begins its run itself when its time has come
        timed = headers.get("eta") or headers.get("expires")
        if run is None and not timed and not headers.get("retries"):
            links = _links.read(headers["id"], stage, (embed or {}).get("chain"))
            run = dispatch.announce(project, links)
            if run is not None:
                dispatch.tell_queued(project)
        if run is not None:
            headers["run"] = run


def _mark_link(previous: Any, headers: Any) -> None:
    """Mark the next link of a chain; what a caller hands on by himself stays unmarked."""
    if isinstance(previous, dict) and isinstance(previous.get("project_id"), int):
        headers["project"] = previous["project_id"]
        if headers.get("parent_id") and isinstance(previous.get("run"), int):
            headers["run"] = previous["run"]


@signals.after_task_publish.connect
def _after(headers: Any = None, **_: Any) -> None:
    """The message is out: whoever looks for lost work need not look at its sender any more."""
    if isinstance(headers, dict) and headers.get("run") and headers.get("project"):
        with contextlib.suppress(ReelchainError, OSError):
            open_project(headers["project"]).sent(headers["run"])
