"""Every Celery task's life, told to the database by Celery's own signals.

Signals come twice, in any order, or not at all when processes die: `records` makes one row of what
comes, and the watchdog closes what nobody closed. Nothing here waits for the database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

from celery import signals
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from app import errors, logs, records
from app.tasks import _links, _request, dispatch

log = logging.getLogger(__name__)
P = ParamSpec("P")

ENDS = ("SUCCESS", "FAILURE", "RETRY", "REVOKED", "IGNORED", "REJECTED")
"""States in which `task_postrun` comes."""
LONGEST_TEXT = 2000
FLUSH_SECONDS = 2.0
"""How long a process that ends waits for its last records."""

_began: dict[str, float] = {}


def _harmless(receiver: Callable[P, None]) -> Callable[P, None]:
    """Let no fault of a record reach the task that it is of."""

    @wraps(receiver)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            receiver(*args, **kwargs)
        except Exception:  # whatever a foreign task's message holds
            log.exception("a task's life was not recorded")

    return guarded


@signals.task_received.connect
@_harmless
def _received(request: Any = None, **_: Any) -> None:
    facts = _facts(request.request_dict)
    facts |= {"worker": request.hostname, "queue": request.delivery_info.get("routing_key")}
    records.task_event(request.id, "RECEIVED", received_at=time.time(), **facts)


@signals.task_prerun.connect
@_harmless
def _started(
    task_id: str = "", task: Any = None, args: Any = (), kwargs: Any = None, **_: Any
) -> None:
    _began[task_id] = time.monotonic()
    facts = _facts({**vars(task.request), "task": task.name}, args, kwargs)
    records.task_event(task_id, "STARTED", started_at=time.time(), **facts)


@signals.task_postrun.connect
@_harmless
def _ended(task_id: str = "", state: str | None = None, retval: Any = None, **_: Any) -> None:
    began = _began.pop(task_id, None)
    if state not in ENDS:
        return  # the process is being ended: its parent or the watchdog says what became of it
    facts: dict[str, Any] = {"runtime": time.monotonic() - began} if began is not None else {}
    if isinstance(retval, Mapping):
        facts |= {"run": _number(retval.get("run"))}
    elif isinstance(retval, BaseException) and state != "IGNORED":
        facts |= _error(retval)
    records.task_event(task_id, state, finished_at=time.time(), **facts)


@signals.task_failure.connect
@_harmless
def _failed(
    task_id: str = "", sender: Any = None, exception: BaseException | None = None, **_: Any
) -> None:
    # a killed or timed out child has no other signal, and this one is its parent's
    error = _error(exception) if exception is not None else {}
    records.task_event(task_id, "FAILURE", finished_at=time.time(), name=sender.name, **error)


@signals.task_retry.connect
@_harmless
def _retried(request: Any = None, **_: Any) -> None:
    records.task_event(request.id, "RETRY", **_facts(vars(request)))


@signals.task_revoked.connect
@_harmless
def _revoked(request: Any = None, expired: bool = False, **_: Any) -> None:
    facts = _facts(vars(request)) | {"error_code": "expired" if expired else "revoked"}
    records.task_event(request.id, "REVOKED", finished_at=time.time(), **facts)


@_harmless
def _time_up(task_name: str, task_id: str) -> None:
    # a stage's request has ways of its own, and no signal tells of them
    error = {"error_code": "time_limit", "error": f"{task_name} passed its hard time limit."}
    records.task_event(task_id, "FAILURE", finished_at=time.time(), **error)
    records.close_task(task_id, "failed", "time_limit")


@signals.worker_ready.connect
@_harmless
def _close_earlier(sender: Any = None, **_: Any) -> None:
    records.close_worker(sender.hostname)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
@_harmless
def _flush(**_: Any) -> None:
    records.flush(FLUSH_SECONDS)


def _facts(headers: Mapping[str, Any], args: Any = (), kwargs: Any = None) -> dict[str, Any]:
    """Return what a task's message says of it, whoever sent it."""
    named = kwargs if isinstance(kwargs, Mapping) else {}
    first = args[0] if args and isinstance(args, list | tuple) else None
    before = first if isinstance(first, Mapping) else {}
    name = headers.get("task")
    facts = {
        "name": name,
        "stage": _links.stage_of(str(name)),
        "project_id": _number(_first("project", "project_id", headers, named, before)),
        "run": _number(_first("run", "run", headers, named, before)),
        "retries": headers.get("retries") or None,
        "sent_at": headers.get("sent"),
    }
    if str(name).endswith(".batch_processing_task"):
        facts["batch_id"] = _number(named.get("batch_id", first))
    if headers.get("hostname"):
        facts["worker"] = headers["hostname"]
        facts["queue"] = (headers.get("delivery_info") or {}).get("routing_key")
    return facts


def _first(header: str, name: str, headers: Any, named: Any, before: Any) -> Any:
    return headers.get(header) or named.get(name) or before.get(name)


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _error(error: BaseException) -> dict[str, str]:
    if isinstance(error, WorkerLostError):
        code = "worker_lost"
    elif isinstance(error, TimeLimitExceeded | SoftTimeLimitExceeded):
        code = "time_limit"
    else:
        code = errors.describe(error).code
    text = error.message if isinstance(error, errors.ReelchainError) else repr(error)
    return {"error_code": code, "error": logs.masked(text)[:LONGEST_TEXT]}


def _run_over(project_id: int, _over: bool) -> None:
    records.close_ended(project_id)


_request.on_time_up.append(_time_up)
dispatch.run_over.append(_run_over)
