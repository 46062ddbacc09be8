"""What a stage task returns."""

from __future__ import annotations

from typing import Any

from app.models import Stage
from app.project import STAGE_ORDER, ProjectState


def stage_result(state: ProjectState, stage: Stage) -> dict[str, Any]:
    """Return the result of `stage` from the project's state: ids and small facts only."""
    part = state.stage(stage)
    rendered = state.stage("video_rendering")
    return {
        "project_id": state.project_id,
        "run": state.run.number,
        "stage": stage,
        "status": part.status,
        "artifacts": dict(part.roles),
        "seconds": part.seconds,
        "video": rendered.roles.get("video"),
        "video_url": (state.publication or {}).get("url"),
        "warnings": [text for name in STAGE_ORDER for text in state.stage(name).warnings],
    }
