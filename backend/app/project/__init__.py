"""One project's folder: its state, its artifacts, its owner, its run number.

The folder is the truth. Everything expensive is made through `Project.make`, which returns at once
what was made from the same inputs and is still what was recorded. Knows neither Redis nor Celery.
"""

from __future__ import annotations

from app.project.folder import Project, style_file
from app.project.hold import EDIT, WORK
from app.project.listing import ACTIVE, active, check_id, ids, last_id, note_id
from app.project.owner import Owner
from app.project.state import (
    PREVIOUS,
    SCHEMA_VERSION,
    STAGE_ORDER,
    STATE,
    ProjectState,
    RunState,
    Spend,
    StageState,
    now,
)
from app.project.store import EVENTS, Outdated

__all__ = [
    "ACTIVE",
    "EDIT",
    "EVENTS",
    "PREVIOUS",
    "SCHEMA_VERSION",
    "STAGE_ORDER",
    "STATE",
    "WORK",
    "Outdated",
    "Owner",
    "Project",
    "ProjectState",
    "RunState",
    "Spend",
    "StageState",
    "active",
    "check_id",
    "ids",
    "last_id",
    "note_id",
    "now",
    "style_file",
]
