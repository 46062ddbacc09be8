"""What the folder of a project says became of it, as its batch tells it."""

from __future__ import annotations

from typing import Any

from app import settings
from app.batch.folder import Batch
from app.errors import ReelchainError, describe
from app.models import ErrorFact
from app.project import Project


def failed(batch: Batch) -> tuple[int, ...]:
    """Return the projects that failed or were cancelled, in the playlist's order."""
    return tuple(
        project_id
        for project_id in batch.projects
        if entry(project_id)["status"] in ("failed", "cancelled")
    )


def in_hand(project_id: int) -> bool:
    """Tell whether a run of a project is on its way, or its end is still to be told."""
    project = Project(settings.get().projects_dir / str(project_id), project_id)
    return project.active() and project.folder.exists()


def on_its_way(project_id: int) -> bool:
    """Tell whether a run of a project is on its way: not merely its end still to be told."""
    if not in_hand(project_id):
        return False
    return Project.open(settings.get().projects_dir, project_id).state().run.on_its_way


def entry(project_id: int) -> dict[str, Any]:
    """Return what the folder of a project says became of it."""
    found = {"project_id": project_id, "status": "failed", "video_url": None}
    try:
        state = Project.open(settings.get().projects_dir, project_id).state()
    except (ReelchainError, OSError) as error:
        return {**found, "error": fact(error).model_dump(exclude={"traceback"})}
    wrong = state.failure()
    done = state.status == "completed"
    return {
        **found,
        "status": state.status,
        "video_url": (state.publication or {}).get("url") if done else None,
        "error": wrong.model_dump(exclude={"traceback"}) if wrong else None,
    }


def fact(error: BaseException) -> ErrorFact:
    """Return an error as a batch remembers it."""
    return ErrorFact.of(describe(error))
