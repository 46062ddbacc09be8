"""A Celery application with a chain of bare tasks beside our stages: `-A _overhead`.

The stages of a project whose topic is NOTHING have no work at all. With OVERHEAD_PROFILE the
children write what takes the time of our stages into that folder.
"""

from __future__ import annotations

import cProfile
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import chain

from app.celery_app import celery_app
from app.tasks import _stage
from app.tasks._stage import StageContext

__all__ = ["app", "bare_chain"]

app = celery_app
NOTHING = "Nothing to do"
WARM_UP = 35
"""Stages that are not profiled: those of the real video, and the first of each kind."""


def _unless_nothing(work: Callable[[StageContext], None]) -> Callable[[StageContext], None]:
    def chosen(context: StageContext) -> None:
        if context.spec.topic != NOTHING:
            work(context)
        else:
            context.facts.update(scenes=0, sentences=0)

    return chosen


for definition in _stage.DEFINITIONS.values():
    # the tasks hold the definition itself, so it is this object that has to change
    object.__setattr__(definition, "work", _unless_nothing(definition.work))


@app.task(name="bench.bare")
def bare(previous: dict[str, Any] | None = None, *, project_id: int = 0) -> dict[str, Any]:
    """Do nothing, and hand on what a stage would."""
    return previous or {"project_id": project_id, "run": 1, "artifacts": {}, "warnings": []}


def bare_chain(project_id: int) -> Any:
    """Return five bare tasks in the queue of the stages, not yet sent."""
    links = [bare.s(project_id=project_id), *(bare.s() for _ in range(4))]
    return chain(*(link.set(queue="video_generation") for link in links))


def _profiled(folder: Path) -> None:
    profile, inner = cProfile.Profile(), _stage._execute  # noqa: SLF001 - it is what is measured
    calls = 0

    def execute(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= WARM_UP:
            return inner(*args, **kwargs)
        profile.enable()
        try:
            return inner(*args, **kwargs)
        finally:
            profile.disable()
            if calls % 25 == 0:
                profile.dump_stats(folder / f"{os.getpid()}.prof")

    _stage._execute = execute  # noqa: SLF001 - see above


if "OVERHEAD_PROFILE" in os.environ:
    _profiled(Path(os.environ["OVERHEAD_PROFILE"]))
