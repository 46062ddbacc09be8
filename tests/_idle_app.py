"""A Celery application whose stages have nothing to do: `-A _idle_app`.

The file named by IDLE_PLAN, if any, holds a JSON object: project → `fail`, or `hold` (until told otherwise).
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from app.celery_app import app
from app.errors import PermanentError
from app.tasks import _stage
from app.tasks._stage import StageContext

__all__ = ["app"]


def _planned(project_id: int) -> str:
    try:
        plan = json.loads(Path(os.environ["IDLE_PLAN"]).read_bytes())
    except (KeyError, OSError):
        return ""
    return str(plan.get(str(project_id), ""))


def _nothing(context: StageContext) -> None:
    context.facts["scenes"] = 0
    if context.stage != "script_generation":
        return
    while (wanted := _planned(context.project.id)) == "hold":
        context.step(0.5, "script_start")
        time.sleep(0.05)
    if wanted == "fail":
        raise PermanentError("forbidden", "The plan says no.", "Change the plan.")


for _name, _definition in list(_stage.DEFINITIONS.items()):
    _stage.DEFINITIONS[_name] = dataclasses.replace(_definition, work=_nothing)
