"""What every stage shares: whose turn it is, what is made already, retries, progress, the record.

A stage is a function from a `StageContext` to nothing: it makes files through the context. All
else happens here, once. A stage task takes the previous link's result or `project_id=`.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from app import disk, errors, logs, messages, progress, records, settings
from app.celery_app import celery_app
from app.errors import InputError, ReelchainError, StateError
from app.models import FEEDS, FRAME_SIZES, Artifact, ErrorFact, ProjectSpec, Stage
from app.project import STAGE_ORDER, Project, ProjectState, now
from app.providers import Report
from app.tasks import _waiters

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_DELAYS = (2.0, 5.0, 10.0)
"""Seconds before each further try of one unit."""
LONGEST_WAIT = 15.0
"""A service that asks for more than this many seconds ends the stage instead of holding a slot."""


@dataclass(frozen=True)
class StageDefinition:
    """One stage: its key, its work, its weight in the progress of a run."""

    stage: Stage
    work: Callable[[StageContext], None]
    share: int
    version: str
    label: str
    task_name: str


DEFINITIONS: dict[Stage, StageDefinition] = {}
"""Filled by `stage_task` as the stage modules are imported; in order of `STAGE_ORDER`."""

run_over: list[Callable[[int, bool], None]] = []
"""Called with the project's id when a run is over, and whether the project is: done or failed."""


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
        definition = StageDefinition(stage, work, share, version, label, name)
        DEFINITIONS[stage] = definition

        def task(
            self: Task[Any, dict[str, Any]],
            previous: Mapping[str, Any] | None = None,
            *,
            project_id: object = None,
            run: int | None = None,
        ) -> dict[str, Any]:
            return _execute(self, definition, previous, project_id, run)

        task.__name__ = task.__qualname__ = work.__name__
        task.__doc__ = work.__doc__
        made: Task[Any, dict[str, Any]] = celery_app.task(bind=True, name=name)(task)
        return made

    return wrap


@dataclass
class StageContext:
    """What a stage's work gets: the project, `make`, progress, retries.

    Attributes:
        project: The folder worked on; its lock is held.
        stage: The stage's key.
        run: The run's number.
        spec: What the user asked for.
        roles: Role → path of what the result names; filled by the work.
        facts: Small facts of the outcome, for messages and `show`; filled by the work.
        warnings: Sentences for the user; filled by `warn`.
    """

    project: Project
    stage: Stage
    run: int
    spec: ProjectSpec
    _meter: progress.Meter
    _on_retry: Callable[[ReelchainError, float, int], None]
    roles: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _touched: set[str] = field(default_factory=set)

    def make(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        check: Callable[[Path], None] | None = None,
    ) -> Artifact:
        """`Project.make` for this stage; a transient error of `build` is tried again."""
        checks = check or (lambda _path: None)
        return self.make_all((name,), inputs=inputs, build=build, check=checks)[0]

    def make_all(
        self,
        names: Sequence[str],
        *,
        inputs: Mapping[str, Any],
        build: Callable[..., None],
        check: Callable[..., None] | None = None,
    ) -> tuple[Artifact, ...]:
        """`Project.make_all` for this stage; a transient error of `build` is tried again."""
        made = self.retrying(
            lambda: self.project.make_all(
                names, stage=self.stage, inputs=inputs, build=build, check=check
            )
        )
        self._touched.update(names)
        return made

    def make_text(self, name: str, text: str) -> Artifact:
        """Make a small text file; it is written again only where the text differs."""
        build = functools.partial(_write_text, text=text)
        return self.make(name, inputs={"text": text}, build=build)

    def keep(self, name: str) -> None:
        """Count an artifact as this version's although it was not made through `make`."""
        self._touched.add(name)

    def retrying(self, unit: Callable[[], T]) -> T:
        """Call `unit`, again after 2, 5 and 10 s while it raises a transient error.

        A service's own Retry-After wins where it is longer.
        """
        for number, pause in enumerate(RETRY_DELAYS, 1):
            try:
                return unit()
            except ReelchainError as error:
                delay = max(pause, error.retry_after or 0)
                if not error.retryable or delay > LONGEST_WAIT:
                    raise
                self._on_retry(error, delay, number)
                time.sleep(delay)
        return unit()

    def step(self, fraction: float, code: str, **facts: object) -> None:
        """Report that `fraction` (0-1) of the stage is done, with the message of `code`."""
        self._meter.tell(fraction, code, messages.text(code, self.spec.language, **facts))

    def report(self, begin: float, end: float, code: str, **facts: object) -> Report:
        """Return a callable that maps 0-1 of one unit onto `begin`-`end` of the stage."""
        return lambda done: self.step(begin + (end - begin) * done, code, **facts)

    def warn(self, sentence: str) -> None:
        """Tell the user something that is not an error; it stands in the result and the state."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video's frame in pixels, both even."""
        scale = settings.get().render_scale
        width, height = FRAME_SIZES[self.spec.shape]
        return round(width * scale / 2) * 2, round(height * scale / 2) * 2

    def state(self) -> ProjectState:
        """Return the project's state, read anew."""
        return self.project.state()

    def finish(self) -> None:
        """Drop what this stage made for earlier versions of the project."""
        self.project.keep_only(self.stage, self._touched)


def projects_dir() -> Path:
    """Return the folder that holds all projects."""
    return settings.get().projects_dir


def open_project(project_id: object) -> Project:
    """Return a project of the data folder."""
    return Project.open(projects_dir(), project_id)


def inputs_of(project: Project, state: ProjectState, stage: Stage) -> str:
    """Return the digest of what a stage would be made from now."""
    index = STAGE_ORDER.index(stage)
    before = STAGE_ORDER[:index]
    spec = state.spec.model_dump(mode="json")
    feeding = {name: spec[name] for name in spec if FEEDS[name] in (*before, stage)}
    made = {
        path: artifact.sha256
        for other in before
        for path, artifact in state.stage(other).artifacts.items()
    }
    source = project.source_digest() if not before else None
    version = DEFINITIONS[stage].version
    return disk.digest({"spec": feeding, "made": made, "source": source, "version": version})


def is_made(project: Project, state: ProjectState, stage: Stage) -> bool:
    """Tell whether a stage is complete, from today's inputs, with every file as recorded."""
    part = state.stage(stage)
    return (
        part.status == "completed"
        and part.inputs == inputs_of(project, state, stage)
        and all(project.intact(artifact) for artifact in part.artifacts.values())
    )


# -- one execution ---------------------------------------------------------------------------


def _execute(
    task: Task[Any, dict[str, Any]],
    definition: StageDefinition,
    previous: Any,
    project_id: object,
    run: int | None,
) -> dict[str, Any]:
    if previous is not None:
        if not isinstance(previous, Mapping) or "project_id" not in previous:
            raise InputError(
                "previous_invalid",
                f"A stage takes the previous stage's result, not {previous!r}.",
                "Start a chain with project_id=…; the results travel by themselves.",
            )
        project_id, run = previous["project_id"], previous.get("run", run)
    with logs.context(project=project_id, stage=definition.stage, task=task.request.id):
        project = open_project(project_id)
        while True:
            try:
                with project.lock():
                    execution = _Execution(task, definition, project)
                    result = execution.perform(run)
            except disk.Locked:
                result = None
            except _NotThisTurn as refusal:
                raise refusal.error from None
            except ReelchainError as error:
                _waiters.fail(project.id, error)
                _tell_over(project.id, over=True)
                raise
            if result is not None:
                _waiters.resolve(execution.state, definition.stage)
                if execution.state.run.ended:
                    _tell_over(project.id, over=definition.stage == STAGE_ORDER[-1])
                return result
            if _must_wait(task, project, definition, run):
                raise Ignore


class _NotThisTurn(Exception):  # noqa: N818 - carries the error that only this caller gets
    """The task can't be done now, and that is nobody else's business."""

    def __init__(self, error: ReelchainError) -> None:
        super().__init__()
        self.error = error


def _tell_over(project_id: int, *, over: bool) -> None:
    for hook in run_over:
        try:
            hook(project_id, over)
        except Exception:  # the stage's own outcome stands, whatever comes after it
            log.exception("what follows a run of project %s failed", project_id)


def _must_wait(
    task: Task[Any, dict[str, Any]], project: Project, definition: StageDefinition, run: int | None
) -> bool:
    """Leave the work to the run that owns the project; its end answers this task's caller.

    Returns:
        False where the project came free meanwhile and this task should look again.
    """
    last_id, last_stage = _end_of_chain(task, definition)
    _waiters.add(project.id, last_id, last_stage)
    state = project.state()
    free = not project.locked() and (state.run.ended or run is None or run >= state.run.number)
    if free and _waiters.take(project.id, last_id):
        return False
    log.info("left to run %s of the project", state.run.number)
    return True


def _end_of_chain(
    task: Task[Any, dict[str, Any]], definition: StageDefinition
) -> tuple[str, Stage]:
    """Return the id and stage of the last stage link that this task's chain leads to."""
    chain = _links(task)
    if chain:
        stage = _stage_of(chain[0]["task"])
        if stage is not None:
            return chain[0]["options"]["task_id"], stage
    return task.request.id or "", definition.stage


def _links(task: Task[Any, dict[str, Any]]) -> list[Any]:
    """Return the signatures still to come in the task's chain, the last first."""
    found: Any = task.request.chain
    return list(found or [])


def _stage_of(task_name: str) -> Stage | None:
    return next((d.stage for d in DEFINITIONS.values() if d.task_name == task_name), None)


class _Execution:
    """One try of one stage, with the project's lock held."""

    def __init__(
        self, task: Task[Any, dict[str, Any]], definition: StageDefinition, project: Project
    ) -> None:
        self.task = task
        # Celery keeps a task's request per thread, and work may report from a thread of its own
        self.request = task.request
        self.definition = definition
        self.stage = definition.stage
        self.project = project
        self.state = project.state()
        self.attempt = self.state.stage(self.stage).attempts
        self.began = time.monotonic()

    def adopt(self, run: int | None) -> bool:
        """Join run `run`, or begin one; False if a later run is at it.

        A run that is over is not joined: a caller who hands on its result himself begins another.

        Raises:
            _NotThisTurn: The task's turn has not come in a run that is still on its way.
        """
        current = self.state.run
        if run is not None and not current.ended:
            if run < current.number:
                return False
            if run == current.number and self.stage in current.stages:
                return True
        if current.number and not current.ended:
            try:
                self._check_order()
            except InputError as error:
                raise _NotThisTurn(error) from None
        links = [_stage_of(link["task"]) for link in reversed(_links(self.task))]
        stages = [self.stage, *(stage for stage in links if stage is not None)]
        seen = latest_run(self.project.id)
        self.project.begin_run(stages, at_least=max(seen, (run or 1) - 1))
        self.state = self.project.state()
        return True

    def perform(self, run: int | None) -> dict[str, Any] | None:
        """Do the stage's work as part of a run and record the outcome; None if it is not our turn.

        Raises:
            _NotThisTurn: See `adopt`.
            ReelchainError: What ended the run; it is recorded and told.
        """
        try:
            if not self.adopt(run):
                return None
            self._check_order()
            self._begin()
            context = self._context()
            self._meter.tell(0, f"{self.definition.label}_start", self._text("start"), now=True)
            self.definition.work(context)
            context.finish()
            return self._complete(context)
        except _NotThisTurn:
            raise
        except Exception as fault:
            error = _named(fault, self.definition)
            unforeseen = isinstance(error, errors.InternalError)
            log.exception("%s failed: %s", self.stage, error, exc_info=unforeseen)
            self._fail(error)
            # a cause would carry its own words, unmasked, into the stored traceback
            raise error from None

    def _check_order(self) -> None:
        for stage in STAGE_ORDER[: STAGE_ORDER.index(self.stage)]:
            if not is_made(self.project, self.state, stage):
                name = DEFINITIONS[stage].task_name.rpartition(".")[2]
                raise InputError(
                    "stage_order",
                    f"{self.stage} needs {stage}, which is not made from what the project is now.",
                    f"Run {name} first, or the whole project: ./reelchain run {self.project.id}.",
                )

    def _begin(self) -> None:
        with self.project.transaction() as state:
            part = state.stage(self.stage)
            part.status, part.error, part.started_at = "running", None, now()
            part.finished_at, part.warnings = None, []
            part.attempts += 1
            state.status = "running"
        self.state = state
        self.attempt = state.stage(self.stage).attempts
        self.project.log(
            "stage_started", stage=self.stage, run=state.run.number, attempt=self.attempt
        )
        self._record("running", started_at=now())

    def _record(self, status: str, **facts: Any) -> None:
        records.stage_event(
            self.project.id,
            self.stage,
            self.state.run.number,
            self.attempt,
            task_id=self.request.id or "",
            status=status,
            worker=self.request.hostname,
            **facts,
        )

    def _context(self) -> StageContext:
        start, share = self._range()
        base = progress.event(
            project_id=self.project.id,
            stage=self.stage,
            progress=0,
            message="",
            run=self.state.run.number,
        )
        self._meter = progress.Meter(base, start=start, share=share, elapsed=self._elapsed())
        return StageContext(
            project=self.project,
            stage=self.stage,
            run=self.state.run.number,
            spec=self.state.spec,
            _meter=self._meter,
            _on_retry=self._retrying,
        )

    def _range(self) -> tuple[float, float]:
        """Return where in the run's 0-100 this stage starts, and how much of it it is."""
        stages = self.state.run.stages or [self.stage]
        total = sum(DEFINITIONS[stage].share for stage in stages)
        before = stages[: stages.index(self.stage)] if self.stage in stages else []
        done = sum(DEFINITIONS[stage].share for stage in before)
        return 100 * done / total, 100 * self.definition.share / total

    def _elapsed(self) -> float:
        stages = self.state.run.stages
        before = stages[: stages.index(self.stage)] if self.stage in stages else []
        return sum(self.state.stage(stage).seconds for stage in before)

    def _text(self, suffix: str, **facts: object) -> str:
        return messages.text(f"{self.definition.label}_{suffix}", self.state.spec.language, **facts)

    def _retrying(self, error: ReelchainError, delay: float, number: int) -> None:
        """Make a retry visible: Celery's RETRY, Flower, progress, history."""
        facts = {"delay": delay, "n": number, "total": len(RETRY_DELAYS)}
        request, error = self.request, _masked(error)
        log.warning("retry %s in %s s: %s", number, delay, error)
        self.task.backend.store_result(request.id or "", error, "RETRY", request=request)
        with celery_app.events.default_dispatcher(hostname=request.hostname) as dispatcher:
            dispatcher.send("task-retried", uuid=request.id, exception=repr(error), traceback="")
        text = messages.text("retry", self.state.spec.language, error=error.message, **facts)
        self._meter.tell(0, "retry", text, now=True, error=_fact(error).model_dump())
        self.project.log("retry", stage=self.stage, error=error.code, **facts)
        self._record("retrying", error_code=error.code, error=error.message)

    def _complete(self, context: StageContext) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.began, 3)
        with self.project.transaction() as state:
            part = state.stage(self.stage)
            part.status, part.finished_at, part.seconds = "completed", now(), seconds
            part.warnings = context.warnings
            part.roles, part.facts = context.roles, part.facts | context.facts
            part.inputs = inputs_of(self.project, state, self.stage)
            last = self.stage == (state.run.stages or [self.stage])[-1]
            whole = self.stage == STAGE_ORDER[-1]
            if last:
                state.status = "completed" if whole else "pending"
                state.seal = self.project.seal(state) if whole else None
                state.run.ended = True
        self.state = state
        self.project.log("stage_completed", stage=self.stage, seconds=seconds)
        self._record("completed", finished_at=now(), seconds=seconds)
        self._say_done(last=last, status=state.status)
        return state.result(self.stage)

    def _say_done(self, *, last: bool, status: str) -> None:
        if not last:
            text = self._text("done", **self.state.stage(self.stage).facts)
            self._meter.tell(1, f"{self.definition.label}_done", text, now=True)
            return
        code = "completed" if status == "completed" else "stages_completed"
        text = messages.text(code, self.state.spec.language)
        # 100 belongs to the end of the run alone, whatever the shares round to
        self._meter.tell(1, code, text, now=True, status=status, final=True, progress=100)

    def _fail(self, error: ReelchainError) -> None:
        """Record the failure as far as the disk lets us; tell it in any case."""
        fact = _fact(error)
        seconds = round(time.monotonic() - self.began, 3)
        try:
            with self.project.transaction() as state:
                part = state.stage(self.stage)
                part.status, part.finished_at, part.seconds = "failed", now(), seconds
                part.error, state.status, state.run.ended = fact, "failed", True
            self.state = state
            self.project.log("stage_failed", stage=self.stage, error=fact.model_dump())
        except (OSError, StateError) as fault:
            log.warning("the failure could not be recorded: %s", fault)
        facts = {"finished_at": now(), "seconds": seconds}
        self._record("failed", error_code=error.code, error=error.message, **facts)
        self._say_failed(error, fact)

    def _say_failed(self, error: ReelchainError, fact: ErrorFact) -> None:
        latest = _latest(self.project.id)
        reached = latest["progress"] if latest.get("run") == self.state.run.number else 0
        text = messages.text("failed", self.state.spec.language, error=str(error))
        progress.publish(
            progress.event(
                project_id=self.project.id,
                stage=self.stage,
                progress=reached,
                message=text,
                run=self.state.run.number,
                status="failed",
                code="failed",
                error=fact.model_dump(),
                final=True,
            )
        )


def _named(error: Exception, definition: StageDefinition) -> ReelchainError:
    """Return the error as one of ours, without a secret in it."""
    if isinstance(error, SoftTimeLimitExceeded):
        return errors.TimeLimitError(
            "time_limit",
            f"{definition.stage} took longer than its time limit.",
            "What is made is kept: run the project again, or raise the limit (docs/operations.md).",
        )
    return _masked(errors.describe(error))


def _masked(error: ReelchainError) -> ReelchainError:
    message, hint = logs.masked(error.message), logs.masked(error.hint)
    return type(error)(error.code, message, hint, error.retry_after)


def _write_text(path: Path, *, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fact(error: ReelchainError) -> ErrorFact:
    return ErrorFact(
        type=type(error).__name__,
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
    )


def _latest(project_id: int) -> dict[str, Any]:
    try:
        return progress.latest(project_id) or {}
    except Exception:  # noqa: BLE001 - word of progress never fails the work
        return {}


def latest_run(project_id: int) -> int:
    """Return the highest run Redis has heard of; 0 where it knows none or does not answer."""
    return int(_latest(project_id).get("run", 0))
