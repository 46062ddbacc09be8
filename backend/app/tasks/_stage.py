"""What every stage's task shares: what its message still means, and what follows its end.

A stage is a function from a `StageContext` to nothing: it makes files through the context. What a
turn at the work is, is in `_execution`. A stage task takes the previous link's result or `project_id=`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from celery import Task, signals
from celery.exceptions import Ignore

from app import disk, errors, logs
from app.celery_app import celery_app
from app.errors import InputError, ReelchainError
from app.models import Stage
from app.project import WORK, Outdated, Project
from app.tasks import _callers, dispatch
from app.tasks._context import (
    DEFINITIONS,
    StageContext,
    StageDefinition,
    open_project,
    projects_dir,
)
from app.tasks._execution import JOINED, Execution, Joined, NotThisTurn, Waits, links_of
from app.tasks._request import StageRequest
from app.tasks._turn import CalledOff
from app.tasks.dispatch import run_over

__all__ = ["DEFINITIONS", "StageContext", "open_project", "projects_dir", "run_over", "stage_task"]

log = logging.getLogger(__name__)

OUTDATED_TRIES = 12
"""Half seconds that a new run waits for the owner of an outdated one to let go."""


def stage_task(
    stage: Stage, *, share: int, version: str, label: str
) -> Callable[[Callable[[StageContext], None]], Task[Any, dict[str, Any]]]:
    """Make a Celery task `app.tasks.<function>` of a stage's work.

    Args:
        stage: The stage's key.
        share: Its weight in the progress of a run; whole run = sum of the shares of its stages.
        version: Raised when the work changes what it makes from the same inputs.
        label: Prefix of its `…_start` and `…_done` messages.
    """

    def wrap(work: Callable[[StageContext], None]) -> Task[Any, dict[str, Any]]:
        name = f"app.tasks.{work.__name__}"
        DEFINITIONS[stage] = StageDefinition(stage, work, share, version, label, name)

        def task(
            self: Task[Any, dict[str, Any]],
            previous: Mapping[str, Any] | None = None,
            *,
            project_id: object = None,
            run: int | None = None,
        ) -> dict[str, Any]:
            return _execute(self, DEFINITIONS[stage], previous, project_id, run)

        task.__name__ = task.__qualname__ = work.__name__
        task.__doc__ = work.__doc__
        made: Task[Any, dict[str, Any]] = celery_app.task(
            bind=True, name=name, Request=StageRequest
        )(task)
        return made

    return wrap


# -- one message ---------------------------------------------------------------------------


def _is_run(value: object) -> bool:
    # a run far beyond all others would lift every later one above what a number may be
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12


def _execute(
    task: Task[Any, dict[str, Any]],
    definition: StageDefinition,
    previous: Any,
    project_id: object,
    run: int | None,
) -> dict[str, Any]:
    if previous is not None:
        if not isinstance(previous, Mapping) or "project_id" not in previous:
            raise _unusable(f"A stage takes the previous stage's result, not {previous!r}.")
        project_id, run = previous["project_id"], previous.get("run", run)
    if run is not None and not _is_run(run):
        raise _unusable(f"{str(run)[:60]!r} is not a run's number.")
    # our own sender writes it on every message of a run: such a message never begins a run
    sent_for = task.request.get("run")
    sent_for = sent_for if _is_run(sent_for) else None
    with logs.context(project=project_id, stage=definition.stage, task=task.request.id):
        project = open_project(project_id)
        message = _Message(task, definition, project, sent_for or run, bool(sent_for))
        result = message.handle()
        if result is None:
            raise Ignore
        return result


def _unusable(what: str) -> InputError:
    hint = "Start a chain with project_id=…; the results travel by themselves."
    return InputError("previous_invalid", what, hint)


class _Message:
    """One message of a stage: decides what it still means, and sees to what follows."""

    def __init__(
        self,
        task: Task[Any, dict[str, Any]],
        definition: StageDefinition,
        project: Project,
        run: int | None,
        bound: bool,
    ) -> None:
        self.task = task
        self.definition = definition
        self.project = project
        self.run = run
        self.bound = bound

    def handle(self) -> dict[str, Any] | None:
        """Return the stage's result, or None where another run will answer this task's caller."""
        for attempt in range(1000):
            try:
                result = self._turn()
            except disk.Locked:
                if attempt < OUTDATED_TRIES and self._holder_lets_go():
                    continue
                result = JOINED
            if not isinstance(result, str):
                return result
            if self._join():
                log.info("left to run %s of the project", self.project.state().run.number)
                return None
            if self.bound:
                return self._as_it_ended()
        raise errors.ServiceError(
            "project_contended", "The project changed hands too often.", "Run it again."
        )

    def _join(self) -> bool:
        links = links_of(self.task, self.definition.stage)
        _callers.keep_rest(self.project, links)
        return self.project.join(links.callers)

    def _turn(self) -> dict[str, Any] | Joined | None:
        try:
            with self.project.lock():
                execution = Execution(self.task, self.definition, self.project)
                verdict = execution.perform(self.run, self.bound)
        except NotThisTurn as refusal:
            raise refusal.error from None
        except Outdated:
            return self._outdated()
        except CalledOff as off:
            return self._called_off(off.why)
        except Waits:
            return None
        except ReelchainError:
            _settle_later(self.task, self._fresh())
            raise
        except OSError as fault:  # not even the lock's note could be written
            raise errors.describe(fault) from None
        if verdict != JOINED and execution.state.run.ended:
            _settle_later(self.task, self._fresh())
        return verdict

    def _fresh(self) -> Project:
        """Return the project without the fence of the run that has just been left."""
        return Project(self.project.folder, self.project.id)

    def _holder_lets_go(self) -> bool:
        """Tell whether the run's turn has come, and only an older one has not let go yet, or an edit."""
        holder = self.project.owner()
        if holder is None or holder.purpose != WORK:
            return True
        current = self.project.state().run
        ours = self.run is not None and self.run == current.number and current.on_its_way
        return ours and holder.run < current.number

    def _called_off(self, why: str) -> dict[str, Any] | Joined | None:
        if why == "drain":
            log.info("handed over to another worker")
            number, self.project = self._number(), self._fresh()
            self._join()
            dispatch.hand_over(self.project, number)
            return None
        return self._outdated()

    def _number(self) -> int:
        return self.project.fence or 0

    def _outdated(self) -> dict[str, Any] | Joined | None:
        """Leave a run that was cancelled, or taken over by a later one."""
        state = self.project.state()
        if state.run.ended and state.status == "cancelled":
            raise _callers.cancelled(self.project.id)
        self.bound, self.run = True, self._number()
        self.project = self._fresh()
        return JOINED

    def _as_it_ended(self) -> dict[str, Any]:
        """Answer by what became of the run that the message belonged to."""
        state = self.project.state()
        error = _callers.outcome(state)
        if error is not None:
            raise error
        return state.result(self.definition.stage)


_ended: dict[str, Project] = {}
"""Task id → project whose run that task has ended, until Celery is done with the task."""


def _settle_later(task: Task[Any, Any], project: Project) -> None:
    """See to what follows a run's end once Celery has stored the result and sent what comes behind.

    Whoever dies before leaves the project's marker, and the watchdog sees to it.
    """
    if task.request.called_directly:
        dispatch.settle(project)
    else:
        _ended[str(task.request.id)] = project


@signals.task_postrun.connect
def _settle_now(task_id: str = "", **_: Any) -> None:
    project = _ended.pop(task_id, None)
    if project is not None:
        dispatch.settle(project)
