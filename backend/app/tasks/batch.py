"""A batch: one video per entry, a few at a time; one failure is an outcome, not the end.

`batch_processing_task` begins a run and frees its slot at once. Each project that ends lets the
next ones go; the last one stores the outcome under the ids of all who wait for it. All that is
known of a run is in the batch's folder (`app.batch`), so `repair` goes on wherever anybody died.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import redis
from celery import Task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from app import batch as folder
from app import disk, messages, progress
from app.batch import TERMINAL, Batch, End, Step, load, outcome
from app.celery_app import celery_app
from app.errors import NotFoundError, ReelchainError, ServiceError, describe
from app.tasks import dispatch, watchdog
from app.tasks._context import open_project
from app.tasks._request import StageRequest

__all__ = [
    "Batch",
    "batch_processing_task",
    "cancel",
    "load",
    "outcome",
    "repair",
    "subscribe",
]

log = logging.getLogger(__name__)

_own = threading.local()
"""`cancelling`: the project that this thread cancels; it hears of that end anyway."""

_said: dict[int, str] = {}
"""Batch → what was last said to be wrong with it."""

REPAIR_SECONDS = 0.5
"""Longest time that a repair goes on for one batch; the next round goes on from there."""


# a child that dies at it has begun the run on disk: its end answers, not the death
@celery_app.task(bind=True, name="app.tasks.batch_processing_task", Request=StageRequest)
def batch_processing_task(
    self: Task[Any, Any], batch_id: object, *, failed_only: bool = False
) -> dict[str, Any]:
    """Make every video of a batch; the result has each project's outcome and never raises for one.

    Args:
        self: The task.
        batch_id: The batch. If it is being run already, this caller gets that run's outcome.
        failed_only: Only the projects that failed or were cancelled.

    Returns:
        `{batch_id, title, status, counts, projects: [{project_id, status, video_url, error}]}`;
        status is completed, partial, failed or cancelled.
    """
    try:
        made = folder.begin(batch_id, self.request.id or "", failed_only=failed_only)
    except OSError as error:  # a full disk, say: in the caller's words
        raise describe(error) from None
    try:
        _advance(made.batch_id)
    except Exception as error:  # noqa: BLE001 - the run is on disk: what can't be done now, repair does
        log.warning("batch %s is left to the watchdog: %s", made.batch_id, error)
    raise Ignore


def announce(batch_id: object, task_id: str, *, failed_only: bool, later: bool) -> None:
    """Begin the run that a message on its way asks for: it holds even if the message is lost.

    Args:
        batch_id: The batch.
        task_id: The message's, whose sender waits for the outcome.
        failed_only: As the task takes it.
        later: The message is not meant for now; it begins the run itself when its time has come.
    """
    made = load(batch_id) if later else folder.begin(batch_id, task_id, failed_only=failed_only)
    waiting = {
        "batch_id": made.batch_id,
        "progress": 0,
        "message": messages.text("queued", "en"),
        "code": "queued",
        "status": "pending",
        "timestamp": progress.timestamp(),
        "final": False,
    }
    progress.reset(f"batch:{made.batch_id}", waiting)


def cancel(batch_id: object) -> bool:
    """Cancel a batch's run: what is in work stops within two seconds, the rest is not begun.

    Returns:
        False if it is not being run.
    """
    made = folder.stop(load(batch_id).batch_id)
    if made.run.running:
        _mend(made.batch_id, wait=None, seconds=float("inf"))
    return made.run.running


def subscribe(batch: Batch) -> Iterator[dict[str, Any]]:
    """Yield a batch's progress until it has ended: see `progress.subscribe`."""
    celery_app.reach()
    return progress.subscribe(f"batch:{batch.batch_id}", known=lambda: _snapshot(batch.batch_id))


def _snapshot(number: int) -> dict[str, Any] | None:
    """Return what the folder says, as an event: for a Redis that knows nothing of the batch."""
    now = folder.look(number)
    if now.batch.run.running or not now.batch.run.number:
        return None
    return {**_done_event(now.batch, now.batch.run.counts, now.batch.run.status), "seq": 0}


# -- going on ------------------------------------------------------------------------------


def _advance(
    number: int,
    ended: Iterable[End] = (),
    *,
    seconds: float = float("inf"),
    wait: float | None = None,
) -> None:
    """Record what ended, send the next ones, close the run after the last.

    Args:
        number: The batch.
        ended: Projects that came to their end; one that is not in flight is left alone.
        seconds: How long to go on; what is not done then, `repair` does.
        wait: Seconds to wait for whoever is choosing or closing; None waits for ever.

    Raises:
        disk.Locked: They did not let go in that time.
    """
    deadline = time.monotonic() + seconds
    left: list[End | None] = [*ended] or [None]
    with folder.sending(number, wait=wait):
        while left:
            now = folder.step(number, left.pop())
            for project_id in now.begun:
                end = _begin(project_id, now.batch)
                left += [end] if end else []
            if now.changed:
                _tell(now)
            if time.monotonic() > deadline:
                return
    if now.over:
        _close(number, wait=wait)


def _begin(project_id: int, batch: Batch) -> End | None:
    """Start one project, or give it up where the run was stopped."""
    if not batch.run.stopped:
        return _send(project_id, batch)
    if folder.in_hand(project_id):  # somebody runs it by hand: that is no business of ours
        return End(project_id, "cancelled", at_once=True)
    return _cancelled(project_id)


def _cancelled(project_id: int) -> End:
    """Cancel a project; its end."""
    _own.cancelling = project_id
    try:
        with contextlib.suppress(ReelchainError):
            dispatch.cancel(open_project(project_id), even_idle=True)
    finally:
        _own.cancelling = None
    end = _verdict(project_id, before=-1) or End(project_id, "cancelled")
    return replace(end, at_once=True)


def _send(project_id: int, batch: Batch) -> End | None:
    """Start one project; its end, if it is complete already or can't be started.

    Raises:
        ServiceError, OperationalError, RedisError, OSError: Redis is away; that is nobody's end.
    """
    try:
        project = open_project(project_id)
        if dispatch.finished(project) is not None:
            return End(project_id, "completed", at_once=True)
        dispatch.send(project, priority=batch.priority)
    except (ServiceError, OperationalError, redis.RedisError, ConnectionError, TimeoutError):
        raise
    except (ReelchainError, OSError) as error:
        log.warning("project %s of batch %s not started: %s", project_id, batch.batch_id, error)
        return End(project_id, "failed", folder.fact(error), at_once=True)
    return None


def _project_ended(project_id: int, over: bool) -> None:
    """Let the batches that wait for a project go on."""
    if not over or getattr(_own, "cancelling", None) == project_id:
        return
    for number in folder.running():
        flying = folder.look(number).work.flying
        if project_id in flying:
            end = _verdict(project_id, before=flying[project_id])
            _advance(number, [end] if end else [])


def _verdict(project_id: int, *, before: int) -> End | None:
    """Return how a project ended in a run of its own after run `before`, if it did."""
    try:
        state = open_project(project_id).state()
    except ReelchainError as error:
        return End(project_id, "failed", folder.fact(error))
    if state.run.number > before and state.run.ended and state.status in TERMINAL:
        return End(project_id, state.status, state.failure())
    return None


# -- closing -------------------------------------------------------------------------------


def _close(number: int, *, wait: float | None = None) -> None:
    """Store the outcome under the id of every task that waits for the batch. May be repeated."""
    with folder.closing(number, wait=wait):
        while (now := folder.look(number)).over:
            facts = outcome(now.batch, closed=True)
            anew = _started_anew(now.batch)
            if anew:
                folder.reopen(number, anew)
                return
            for task_id in now.batch.run.callers:
                _answer(task_id, facts)
            _publish(number, _done_event(now.batch, facts["counts"], facts["status"]))
            folder.rest(number, now.batch.run.number, now.batch.run.callers, facts)


def _started_anew(batch: Batch) -> list[int]:
    """Return the projects that somebody started again after their end: the batch waits for them."""
    if batch.run.stopped:
        return []
    found = []
    for project_id in batch.todo:
        if folder.in_hand(project_id):
            with contextlib.suppress(ReelchainError):
                if open_project(project_id).state().status not in TERMINAL:
                    found.append(project_id)
    return found


def _answer(task_id: str, facts: dict[str, Any]) -> None:
    celery_app.backend.store_result(task_id, facts, "SUCCESS")
    # Flower shows a task that raised Ignore as started for ever
    with celery_app.events.default_dispatcher() as dispatcher:
        dispatcher.send("task-succeeded", uuid=task_id, result=str(facts["status"]), runtime=0)


# -- telling -------------------------------------------------------------------------------


def _tell(now: Step) -> None:
    done, total = now.work.done, len(now.batch.todo)
    facts = {
        "progress": int(100 * (done - now.work.ended.get("cancelled", 0)) / max(total, 1)),
        "message": messages.text("batch_running", "en", done=done, total=total),
        "code": "batch_running",
        "status": "running",
        "counts": folder.tally(now.batch, now.work),
        "eta_seconds": _eta(now),
        "final": False,
    }
    _publish(now.batch.batch_id, {**_base(now.batch), **facts})


def _eta(now: Step) -> float | None:
    """Return the seconds left at the pace of what had something to do, or None before the first."""
    made = now.work.done - now.work.at_once
    if made <= 0:
        return None
    left = 0 if now.batch.run.stopped else len(now.batch.todo) - now.work.next
    spent = time.time() - now.batch.run.began
    return round(spent * (left + len(now.work.flying)) / made, 1)


def _done_event(batch: Batch, counts: dict[str, int], status: str) -> dict[str, Any]:
    told = {name: counts.get(name, 0) for name in ("completed", "failed", "cancelled")}
    stopped = batch.run.stopped and told["cancelled"]
    code = f"batch_{batch.run.stopped.replace('failed', 'stopped')}" if stopped else "batch_done"
    made = int(99 * told["completed"] / max(len(batch.projects), 1))
    return {
        **_base(batch),
        "progress": made if status == "cancelled" else 100,
        "message": messages.text(code, "en", **told),
        "code": code,
        "status": status,
        "counts": counts,
        "eta_seconds": 0.0,
        "final": True,
    }


def _base(batch: Batch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "run": batch.run.number,
        "timestamp": progress.timestamp(),
    }


def _publish(number: int, event: dict[str, Any]) -> None:
    progress.publish(event, name=progress.channel(f"batch:{number}"))


# -- repairing -----------------------------------------------------------------------------


def repair(full: bool) -> None:
    """Go on with every running batch that nobody goes on with: called each second, and cheap.

    Args:
        full: The markers may be missing or creators may have died: look at all batches once.
    """
    if full:
        folder.sweep_unfinished()
        folder.mark_running()
    for number in folder.running():
        try:
            _mend(number, wait=0, seconds=REPAIR_SECONDS)
        except disk.Locked:
            continue  # somebody is choosing and sending: all is well
        except NotFoundError:
            folder.unmark(number)
        except (ReelchainError, OperationalError, redis.RedisError, OSError) as error:
            if _said.get(number) != str(error):  # each second the same is no news
                log.warning("batch %s could not be looked after: %s", number, error)
            _said[number] = str(error)


def _mend(number: int, *, wait: float | None, seconds: float) -> None:
    """See whether a batch goes on by itself; go on with it where it does not."""
    with folder.sending(number, alone=True, wait=wait):
        now = folder.look(number)
        cancelled = now.batch.run.stopped == "cancelled"
        ended = [] if cancelled else _take_up_lost(now, seconds)
    if not now.batch.run.running:
        folder.unmark(number)
        return
    if cancelled:
        ended = [_cancelled(project_id) for project_id in now.work.flying]
    if ended or now.over or now.room:
        _advance(number, ended, seconds=seconds, wait=wait)


def _take_up_lost(now: Step, seconds: float) -> list[End]:
    """Send the projects whose sender died; return the ends that nobody told."""
    deadline = time.monotonic() + seconds
    ended = []
    for project_id, before in now.work.flying.items():
        if folder.in_hand(project_id) or time.monotonic() > deadline:
            continue
        end = _verdict(project_id, before=before) or _begin(project_id, now.batch)
        ended += [end] if end else []
    return ended


dispatch.run_over.append(_project_ended)
watchdog.repairs.append(repair)
