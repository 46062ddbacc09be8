"""The Celery application with a witness inside: `-A _chaosapp`.

Tells each unit, stage, run and publication as a JSON line in the folder CHAOS_EVENTS, without
Redis; and dies at a crash point that a file in CHAOS_CRASH asks for (`_crashpoints`).
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _crashpoints
from app import project, tasks
from app.celery_app import app
from app.providers import folder
from app.tasks import _execution, _stage, watchdog

__all__ = ["app", "tasks"]

LINES_PER_FILE = 40
"""Where a limit on the size of files plays the full disk, the witness's own must stay below it."""

_runs: dict[int, int] = {}
"""Project → the run this process works for: a unit does not know it."""
_lines = 0


def born(pid: int | str = "self") -> int:
    """Return when a process started, in ticks since boot: with its pid it names the process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def tell(what: str, project_id: int, **facts: Any) -> None:
    """Add a line to the log of events; whole or not at all, whoever writes at the same time."""
    global _lines  # noqa: PLW0603 - a counter of this process
    line = {"ev": what, "t": time.monotonic(), "project": project_id, "pid": os.getpid()}
    line |= {"born": born(), "run": _runs.get(project_id, 0)}
    name = "all.jsonl"
    if "CHAOS_SMALL_FILES" in os.environ:
        name = f"{os.getpid()}-{born()}-{_lines // LINES_PER_FILE}.jsonl"
        _lines += 1
    path = Path(os.environ["CHAOS_EVENTS"]) / name
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, f"{json.dumps(line | facts)}\n".encode())
    finally:
        os.close(handle)


@contextmanager
def told(what: str, project_id: int, **facts: Any) -> Iterator[None]:
    """Tell the begin and the end of something, and whether it came to an end well."""
    tell(f"{what}-begin", project_id, **facts)
    well = False
    try:
        yield
        well = True
    finally:
        tell(f"{what}-end", project_id, well=well, **facts)


def _watch_units() -> None:
    make_all = project.Project.make_all

    def watched(
        self: project.Project,
        names: Sequence[str],
        *,
        build: Callable[..., None],
        **rest: Any,
    ) -> Any:
        def witnessed(*paths: Path) -> None:
            with told("unit", self.id, unit=names[0]):
                _crashpoints.reached("unit begun", self.id, names[0])
                build(*paths)

        return make_all(self, names, build=witnessed, **rest)

    project.Project.make_all = watched  # type: ignore[method-assign]


def _watch_stages() -> None:
    for definition in _stage.DEFINITIONS.values():
        work = definition.work

        def witnessed(
            context: _stage.StageContext,
            work: Callable[[_stage.StageContext], None] = work,
            stage: str = definition.stage,
        ) -> None:
            _runs[context.project.id] = context.run
            with told("stage", context.project.id, stage=stage):
                work(context)

        # the task's closure holds this very definition, which is frozen
        object.__setattr__(definition, "work", functools.wraps(work)(witnessed))


def _watch_failures() -> None:
    fail = _execution.fail

    def witnessed(subject: project.Project, stage: Any, error: Any, **rest: Any) -> Any:
        tell("failed", subject.id, code=error.code)
        return fail(subject, stage, error, **rest)

    for module in (_execution, watchdog):
        vars(module)["fail"] = witnessed


def _watch_publications() -> None:
    swap_in = folder._swap_in

    def witnessed(aside: Path, target: Path) -> None:
        with told("publish", int(target.name), again=target.exists()):
            swap_in(aside, target)

    folder._swap_in = witnessed


_watch_units()
_watch_stages()
_watch_failures()
_watch_publications()
_crashpoints.arm(tell)
