"""One turn at a stage's work, with the project's lock held: what is made already, the record, the end."""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any, Literal

from celery import Task
from celery.exceptions import SoftTimeLimitExceeded

from app import errors, logs, messages, progress, records, spending
from app.celery_app import celery_app
from app.errors import InputError, QuotaError, ReelchainError, StateError, UnfinishedError
from app.models import ErrorFact, Stage
from app.project import STAGE_ORDER, Outdated, Project, ProjectState, now
from app.project import owner as owners
from app.tasks import _callers, _links, dispatch
from app.tasks._context import (
    DEFINITIONS,
    LONGEST_WAIT,
    RETRY_DELAYS,
    StageContext,
    StageDefinition,
    inputs_of,
    is_made,
)
from app.tasks._purse import ProjectPurse
from app.tasks._turn import CalledOff, Turn

log = logging.getLogger(__name__)

CALLED_OFF = {"lost": "outdated", "cancelled": "cancelled", "drain": "handed_over"}
"""Why a turn was called off → what the history says of the try."""
MOST_WAITS = 3
"""Times that a busy service is waited for without any progress, before the run fails."""

Joined = Literal["joined"]
JOINED: Joined = "joined"
"""Another run, or another message of the run, does the work; its end answers this task's caller."""


def links_of(task: Task[Any, dict[str, Any]], stage: Stage) -> _links.Links:
    """Return the links of the chain from a task's message on."""
    chain: Any = task.request.chain
    return _links.read(str(task.request.id), stage, chain)


class NotThisTurn(Exception):  # noqa: N818 - carries the error that only this caller gets
    """The task can't be done now, and that is nobody else's business."""

    def __init__(self, error: ReelchainError) -> None:
        super().__init__()
        self.error = error


class Waits(Exception):  # noqa: N818 - a fact, not a fault
    """The project waits for a service; the slot is given back."""


class Execution:
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

    def adopt(self, run: int | None, bound: bool) -> bool:
        """Take the turn in run `run`, or begin one; False if the work is another run's.

        Args:
            run: The run the message came with, if any.
            bound: The message was sent for that run: it never begins another.

        Raises:
            NotThisTurn: The task's turn has not come in a run that is still on its way.
            Outdated: The message's run was cancelled.
        """
        current = self.state.run
        if run is not None and run == current.number:
            if current.ended and self.state.status == "cancelled":
                raise Outdated
            if not current.ended and self.stage in current.stages:
                return True
        if current.on_its_way and (run or 0) <= current.number:
            if not bound:
                self._check_order(NotThisTurn)
            return False
        if bound and run is not None and run <= current.number:
            return False
        links = links_of(self.task, self.stage)
        _callers.keep_rest(self.project, links)
        seen = dispatch.latest_run(self.project.id)
        at_least = max(seen, (run or 1) - 1)
        stages = list(links.callers.values())
        self.project.begin_run(stages, at_least=at_least, callers=links.callers)
        self.state = self.project.state()
        return True

    def perform(self, run: int | None, bound: bool) -> dict[str, Any] | Joined:
        """Do the stage's work as part of a run and record the outcome.

        Raises:
            NotThisTurn, Outdated: See `adopt`.
            CalledOff: The run was cancelled or taken over, or the worker is to stop.
            Waits: A service asks for patience.
            ReelchainError: What ended the run; it is recorded and told.
        """
        self.project.leave(None)
        claimed = False
        try:
            if not self.adopt(run, bound):
                return JOINED
            self.project.claim(self.state.run.number, self.stage, self.request.id or "")
            claimed = True
            self.project.touch()
            self._meter = self._new_meter()
            with self._new_turn() as turn:  # reading a long film again takes its time, too
                self._check_order()
                if is_made(self.project, self.state, self.stage):
                    return self._pass_over()
                return self._work(turn)
        except NotThisTurn:
            raise
        except Outdated:
            self.project.leave(None)
            raise
        except CalledOff as off:
            if off.why == "time_limit":
                raise self._failed(SoftTimeLimitExceeded()) from None
            if off.why != "drain":  # then the next message is ours to send
                self.project.leave(None)
            self._record(CALLED_OFF[off.why], **self._times())
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is recorded, and raised as ours
            if not claimed:  # whosever run it is, this is not its failure
                raise _named(fault, self.definition) from None
            # a cause would carry its own words, unmasked, into the stored traceback
            raise self._failed(fault) from None

    def _new_turn(self) -> Turn:
        facts = {"stage": self.stage, "worker": self.request.hostname, "task": self.request.id}
        return Turn(self.project, self.state.run.number, facts)

    def _work(self, turn: Turn) -> dict[str, Any]:
        self._begin()
        with ProjectPurse(self.project, self.stage) as purse, spending.listening(purse):
            context = self._context(turn)
            self._meter.tell(0, f"{self.definition.label}_start", self._text("start"), now=True)
            self.definition.work(context)
            turn.check()
            return self._complete(context)

    def _check_order(self, wrapper: type[NotThisTurn] | None = None) -> None:
        before = STAGE_ORDER[: STAGE_ORDER.index(self.stage)]
        stages = self.state.run.stages
        # a moment ago the messages before this one saw to theirs; only the last is looked at again
        seen = stages[: stages.index(self.stage)][:-1] if self.stage in stages else []
        for stage in before:
            made = self.state.stage(stage).status == "completed"
            if not made or (stage not in seen and not is_made(self.project, self.state, stage)):
                name = DEFINITIONS[stage].task_name.rpartition(".")[2]
                error = InputError(
                    "stage_order",
                    f"{self.stage} needs {stage}, which is not made from what the project is now.",
                    f"Run {name} first, or the whole project: ./reelchain run {self.project.id}.",
                )
                raise wrapper(error) if wrapper else error

    def _begin(self) -> None:
        with self.project.transaction(durable=False) as state:
            part = state.stage(self.stage)
            part.status, part.error, part.started_at = "running", None, now()
            part.finished_at, part.warnings = None, []
            part.attempts += 1
            state.status, state.run.due = "running", None
        self.state = state
        self.attempt = state.stage(self.stage).attempts
        self.project.log(
            "stage_started", stage=self.stage, run=state.run.number, attempt=self.attempt
        )
        log.info("begins: run %s, try %s", state.run.number, self.attempt)
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

    def _new_meter(self) -> progress.Meter:
        start, share = self._range()
        base = progress.event(
            project_id=self.project.id,
            stage=self.stage,
            progress=0,
            message="",
            run=self.state.run.number,
        )
        return progress.Meter(base, start=start, share=share, elapsed=self._elapsed())

    def _context(self, turn: Turn) -> StageContext:
        return StageContext(
            project=self.project,
            stage=self.stage,
            run=self.state.run.number,
            spec=self.state.spec,
            _meter=self._meter,
            _turn=turn,
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
        self._meter.tell(0, "retry", text, now=True, error=fact_of(error).model_dump())
        self.project.log("retry", stage=self.stage, error=error.code, **facts)
        self._record("retrying", error_code=error.code, error=error.message)

    # -- how it ends -----------------------------------------------------------------------

    def _pass_over(self) -> dict[str, Any]:
        """Return what is made already; only the end of a run has to be written down."""
        if self._is_last():
            self._commit()
        self._follow_up()
        return self.state.result(self.stage)

    def _complete(self, context: StageContext) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.began, 3)
        self._commit(context, seconds)
        self.project.log("stage_completed", stage=self.stage, seconds=seconds)
        log.info("done in %s s", seconds)
        self._record("completed", finished_at=now(), seconds=seconds)
        self._follow_up()
        return self.state.result(self.stage)

    def _is_last(self) -> bool:
        return self.stage == (self.state.run.stages or [self.stage])[-1]

    def _commit(self, context: StageContext | None = None, seconds: float = 0.0) -> None:
        with self.project.transaction() as state:
            if context is not None:
                context.drop_rest(state)
                part = state.stage(self.stage)
                part.status, part.finished_at, part.seconds = "completed", now(), seconds
                part.warnings = context.warnings
                part.roles, part.facts = context.roles, part.facts | context.facts
                part.inputs = inputs_of(self.project, state, self.stage)
                state.run.progressed()
            if self._is_last():
                whole = self.stage == STAGE_ORDER[-1]
                state.status = "completed" if whole else "pending"
                state.seal = self.project.seal(state) if whole else None
                state.run.ended = True
        self.project.touch()
        self.state = state

    def _follow_up(self) -> None:
        """Tell the world that the stage is done; a run that is over leaves no word behind."""
        if self.state.run.ended:
            self.project.leave(None)
        else:
            try:
                _callers.answer(
                    self.project, self.state, upto=self.stage, but=self.request.id or ""
                )
            except Exception as error:  # noqa: BLE001 - the stage is done; the run's end answers all
                log.warning("callers of %s not answered yet: %s", self.stage, error)
        self._say_done(last=self.state.run.ended, status=self.state.status)

    def _say_done(self, *, last: bool, status: str) -> None:
        if not last:
            text = self._text("done", **self.state.stage(self.stage).facts)
            self._meter.tell(1, f"{self.definition.label}_done", text, now=True)
            return
        code = "completed" if status == "completed" else "stages_completed"
        text = messages.text(code, self.state.spec.language)
        # 100 belongs to the end of the run alone, whatever the shares round to
        self._meter.tell(1, code, text, now=True, status=status, final=True, progress=100)

    def _failed(self, fault: Exception) -> Exception:
        """Record a fault; return what to raise: the run's end, or that it waits."""
        error = _named(fault, self.definition)
        if self._may_wait(error):
            self._wait(error)
            return Waits()
        unforeseen = isinstance(error, errors.InternalError)
        log.error("%s failed: %s", self.stage, error, exc_info=fault if unforeseen else None)
        self.project.leave(None)
        fact = fact_of(error, fault)
        if not fail(self.project, self.stage, fact, seconds=self._seconds()):
            # over the bytes that the file has already, which takes no room
            bare = fact.model_copy(update={"traceback": ""})
            number = self.state.run.number
            self.project.leave(owners.me("failed", run=number, stage=self.stage, error=bare))
        self._record("failed", error_code=error.code, error=error.message, **self._times())
        return error

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def _times(self) -> dict[str, Any]:
        return {"finished_at": now(), "seconds": self._seconds()}

    def _may_wait(self, error: ReelchainError) -> bool:
        """Tell whether patience may help: a day's quota, a service's own work, a long Retry-After."""
        if isinstance(error, QuotaError | UnfinishedError):
            return bool(error.retry_after)
        patient = error.retryable and (error.retry_after or 0) > LONGEST_WAIT
        return patient and self.state.run.waits < MOST_WAITS

    def _wait(self, error: ReelchainError) -> None:
        """Give the slot back; the watchdog sends the run on when the time has come."""
        fact = fact_of(error)
        with self.project.transaction() as state:
            part = state.stage(self.stage)
            part.status, part.error, part.seconds = "pending", fact, self._seconds()
            state.status, state.run.waits = "waiting", state.run.waits + 1
            state.run.due = time.time() + (error.retry_after or LONGEST_WAIT)
        self.state = state
        self.project.leave(owners.me("queued", run=state.run.number))
        self.project.log("waiting", stage=self.stage, error=error.code, due=state.run.due)
        self._record("waiting", error_code=error.code, error=error.message, **self._times())
        clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(state.run.due))
        text = messages.text("waiting", state.spec.language, due=clock, error=error.message)
        self._meter.tell(0, "waiting", text, now=True, status="waiting", error=fact.model_dump())


def fail(project: Project, stage: Stage, fact: ErrorFact, *, seconds: float = 0.0) -> bool:
    """Record that a run failed, as far as the disk lets us; tell it in any case.

    Returns:
        False where the state could not be written: the run is not over yet.

    Raises:
        Outdated: The run is not this handle's any more.
    """
    recorded = True
    try:
        with project.transaction() as state:
            part = state.stage(stage)
            part.status, part.finished_at, part.seconds = "failed", now(), seconds
            part.error, state.status, state.run.ended = fact, "failed", True
            state.run.due = None
        project.touch()
        project.log("stage_failed", stage=stage, error=fact.model_dump(exclude={"traceback"}))
    except (OSError, StateError) as broken:
        log.warning("the failure could not be recorded: %s", broken)
        state, recorded = project.state(), project.state().run.ended
    _say_failed(state, stage, fact)
    return recorded


def _say_failed(state: ProjectState, stage: Stage, fact: ErrorFact) -> None:
    latest = dispatch.latest(state.project_id)
    reached = latest["progress"] if latest.get("run") == state.run.number else 0
    progress.publish(
        progress.event(
            project_id=state.project_id,
            stage=stage,
            progress=reached,
            message=messages.text(
                "failed", state.spec.language, error=f"{fact.message} {fact.hint}"
            ),
            run=state.run.number,
            status="failed",
            code="failed",
            error=fact.model_dump(exclude={"traceback"}),
            final=True,
        )
    )


def _named(error: Exception, definition: StageDefinition) -> ReelchainError:
    """Return the error as one of ours, without a secret in it."""
    if isinstance(error, SoftTimeLimitExceeded):
        return time_limit(definition.stage)
    return _masked(errors.describe(error))


def time_limit(stage: Stage) -> errors.TimeLimitError:
    """Return the error of a stage that took too long."""
    return errors.TimeLimitError(
        "time_limit",
        f"{stage} took longer than its time limit.",
        "What is made is kept: run the project again, or raise the limit (docs/operations.md).",
    )


def _masked(error: ReelchainError) -> ReelchainError:
    message, hint = logs.masked(error.message), logs.masked(error.hint)
    return type(error)(error.code, message, hint, error.retry_after)


def fact_of(error: ReelchainError, fault: Exception | None = None) -> ErrorFact:
    """Return an error as the state keeps it; `fault` gives the traceback."""
    trace = "".join(traceback.format_exception(fault)) if fault is not None else ""
    return ErrorFact.of(error, logs.masked(trace)[-4000:])
