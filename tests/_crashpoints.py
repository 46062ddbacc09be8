"""Named points of the coordination at which a process ends by `kill -9`, once each.

A file `{project}.{number}` in the folder CHAOS_CRASH says `victim|point|detail`: who dies (the
pool child or its whole worker), where, and with which unit or stage in hand.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import signals

from app import disk, project
from app.celery_app import celery_app
from app.tasks import _execution, _stage, dispatch

Tell = Callable[..., None]

MAIN = os.getpid()
"""The worker's main process: this module is imported there, before the pool is forked."""

POINTS = {
    "claimed": "script_generation",
    "unit begun": "render/segment",
    "unit placed": "render/segment",
    "stage committed": "asset_generation",
    "before next link": "video_rendering",
    "next link published": "video_rendering",
    "result stored": "asset_generation",
    "run ended": "",
    "callers answered": "",
    "batch told": "",
    "run begun": "",
}
"""Point → the unit or stage at which the tests let it strike."""
RESCUE = "rescue begun"
"""The watchdog has begun a new run of a dead owner's project and not sent it yet."""

_told: list[Tell] = []


def plan(folder: Path, project_id: int, victim: str, point: str, detail: str = "") -> Path:
    """Ask for a death; the file is gone once it happened."""
    number = len(list(folder.glob(f"{project_id}.*")))
    path = folder / f"{project_id}.{number}"
    path.write_text(f"{victim}|{point}|{detail}")
    return path


def reached(point: str, project_id: int, detail: str = "") -> None:
    """Die here if a plan says so, and only once."""
    for path in Path(os.environ["CHAOS_CRASH"]).glob(f"{project_id}.*"):
        try:
            victim, where, wanted = path.read_text().split("|")
            if where != point or not detail.startswith(wanted):
                continue
            path.unlink()
        except (FileNotFoundError, ValueError):
            continue
        for tell in _told:
            tell("crash", project_id, point=point, victim=victim, detail=detail)
        os.kill(os.getpid() if victim == "child" else MAIN, signal.SIGKILL)
        time.sleep(60)  # a child whose worker was killed dies a moment later


def arm(tell: Tell) -> None:
    """Put the points in their places."""
    _told.append(tell)
    _claim()
    _units()
    _commit()
    _links()
    _end()
    _begin()


def _claim() -> None:
    lock = project.Project.lock

    @contextmanager
    def locked(self: project.Project, *rest: Any, **named: Any) -> Iterator[Any]:
        with lock(self, *rest, **named) as held:
            if os.getpid() != MAIN and named.get("purpose", project.WORK) == project.WORK:
                reached("claimed", self.id, "script_generation")
            yield held

    project.Project.lock = locked  # type: ignore[method-assign]


def _units() -> None:
    rename = disk.rename

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        for folder in target.parents:
            if folder.parent.name == "projects" and folder.name.isdigit():
                reached("unit placed", int(folder.name), target.relative_to(folder).as_posix())

    disk.rename = renamed


def _commit() -> None:
    complete = _execution.Execution._complete

    def committed(self: _execution.Execution, *rest: Any, **named: Any) -> Any:
        result = complete(self, *rest, **named)
        reached("stage committed", self.project.id, self.stage)
        return result

    _execution.Execution._complete = committed  # type: ignore[method-assign]


def _links() -> None:
    stages = {d.task_name: d.stage for d in _stage.DEFINITIONS.values()}

    def project_of(body: Any) -> int | None:
        if not isinstance(body, tuple):
            return None
        positional, named = body[0], body[1]
        facts = positional[0] if positional and isinstance(positional[0], dict) else named
        return facts.get("project_id")

    def publishing(point: str) -> Callable[..., None]:
        def seen(sender: str = "", body: Any = None, **_: Any) -> None:
            number = project_of(body)
            if celery_app.in_worker and os.getpid() != MAIN and sender in stages and number:
                at = project.STAGE_ORDER.index(stages[sender])
                reached(point, number, project.STAGE_ORDER[at - 1] if at else "")

        return seen

    def stored(sender: Any = None, result: Any = None, **_: Any) -> None:
        if sender is not None and sender.name in stages and isinstance(result, dict):
            reached("result stored", result["project_id"], stages[sender.name])

    signals.before_task_publish.connect(publishing("before next link"), weak=False)
    signals.after_task_publish.connect(publishing("next link published"), weak=False)
    signals.task_success.connect(stored, weak=False)


def _end() -> None:
    settle = dispatch.settle

    def settled(subject: project.Project, *rest: Any, **named: Any) -> Any:
        if os.getpid() != MAIN and subject.state().run.ended:
            reached("run ended", subject.id)
        return settle(subject, *rest, **named)

    vars(dispatch)["settle"] = settled
    _stage.run_over.insert(0, lambda number, _over: reached("callers answered", number))
    _stage.run_over.append(lambda number, _over: reached("batch told", number))


def _begin() -> None:
    begin_run = project.Project.begin_run

    def begun(self: project.Project, *rest: Any, **named: Any) -> Any:
        number = begin_run(self, *rest, **named)
        for tell in _told:
            tell("run", self.id, number=number)
        if celery_app.in_worker:
            rescue = named.get("after") is not None and os.getpid() == MAIN
            reached(RESCUE if rescue else "run begun", self.id)
        return number

    project.Project.begin_run = begun  # type: ignore[method-assign]
