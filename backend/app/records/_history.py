"""The history: every try of a stage, every Celery task, and the figures that come out of them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Connection, Table, and_, delete, func, not_, or_, select, update

from app import settings
from app.models import Stage
from app.records._database import attempt, reading, task_history, tasks
from app.records._lives import TASKS, TRIES, Row, moment
from app.records._writer import Order, flush, put

SLICE = 500
"""Rows of history deleted in one transaction."""
_STAGES = get_args(Stage)
OPEN_STATES = ("RECEIVED", "STARTED", "RETRY")
OPEN_STATUSES = ("running", "retrying")

_retries: dict[tuple[Any, ...], int] = {}


def stage_event(
    project_id: int, stage: str, run: int, attempt: int, *, task_id: str, status: str, **facts: Any
) -> None:
    """Record that a try of a stage started, retries, or ended. Costs microseconds, never raises.

    Args:
        project_id: The project.
        stage: The stage's key.
        run: The run's number.
        attempt: The how-manieth try in this project's life, from 1.
        task_id: Celery's id of the task.
        status: `running`, `retrying`, or an end: `completed`, `failed`, `cancelled`, `lost` …
        facts: Other columns of `task_history`.
    """
    key = (project_id, stage, run, attempt)
    if status == "retrying":
        _retries[key] = _retries.get(key, 0) + 1
        facts["retries"] = _retries[key]
    elif status != "running":
        _retries.pop(key, None)
    elif attempt > 1:
        put(_earlier_tries(project_id, stage, attempt))
    row = dict(zip(TRIES.key, key, strict=True))
    put((TRIES, {**row, "task_id": task_id, "status": status, **facts}))


def _earlier_tries(project_id: int, stage: str, attempt: int) -> Order:
    """Return what closes the tries before one that begins: one at a time works on a project."""

    def close(connection: Connection) -> None:
        column = task_history.c
        mine = column.project_id == project_id, column.stage == stage
        _lose_tries(connection, *mine, column.attempt < attempt)

    return close


def task_event(task_id: str, state: str, **facts: Any) -> None:
    """Record a moment in a Celery task's life. Costs microseconds, never raises.

    Args:
        task_id: Celery's id.
        state: Celery's state; also `RECEIVED`, `IGNORED` (handed on), `LOST`.
        facts: Other columns of `tasks`; the times in seconds since 1970.
    """
    put((TASKS, {"task_id": task_id, "state": state, **facts}))


def history(project_id: int) -> list[dict[str, Any]]:
    """Return every recorded try of a project's stages, oldest first."""
    flush()
    query = select(task_history).where(task_history.c.project_id == project_id)
    rows = reading(lambda connection: _rows(connection, query))
    return sorted(rows, key=_place)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    # several quick stages start within one second
    stage = row["stage"]
    order = _STAGES.index(stage) if stage in _STAGES else len(_STAGES)
    return row["started_at"] or "", row["run"], order, row["attempt"]


def task_lives(project_id: int | None = None) -> list[dict[str, Any]]:
    """Return every recorded Celery task, or those of one project, oldest first."""
    flush()
    query = select(tasks).order_by(_when(tasks))
    if project_id is not None:
        query = query.where(tasks.c.project_id == project_id)
    return reading(lambda connection: _rows(connection, query))


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


# -- closing what nobody closed ----------------------------------------------------------------


def close_lost(project_id: int, run: int) -> None:
    """Close what run `run` of a project, and earlier ones, left open: its owner is gone.

    What the project's own events say of it comes first. Costs microseconds, never raises.
    """
    folder = settings.get().projects_dir / str(project_id)

    def close(connection: Connection) -> None:
        _recall(connection, folder)
        mine = task_history.c.project_id == project_id, task_history.c.run <= run
        _lose_tries(connection, *mine)
        runs = or_(tasks.c.run <= run, tasks.c.run.is_(None))
        _lose_tasks(connection, tasks.c.project_id == project_id, runs)

    put(close)


def close_ended(project_id: int) -> None:
    """Close what a run that is over left open, as its project's own events say.

    Costs microseconds, never raises.
    """
    folder = settings.get().projects_dir / str(project_id)

    def close(connection: Connection) -> None:
        mine = task_history.c.project_id == project_id, task_history.c.status.in_(OPEN_STATUSES)
        if connection.execute(select(task_history.c.run).where(*mine).limit(1)).first() is None:
            return
        _recall(connection, folder)
        working = [row for row in _tries(folder) if row["status"] == "running"]
        others = [not_(and_(*(task_history.c[n] == row[n] for n in TRIES.key))) for row in working]
        _lose_tries(connection, *mine, *others)

    put(close)


def close_task(task_id: str, status: str, error_code: str) -> None:
    """Close the try of a stage that a task had in hand and can't close any more."""
    which = {"status": status, "finished_at": moment(), "error_code": error_code}

    def close(connection: Connection) -> None:
        mine = task_history.c.task_id == task_id, task_history.c.status.in_(OPEN_STATUSES)
        connection.execute(update(task_history).where(*mine).values(which))

    put(close)


def close_worker(worker: str) -> None:
    """Close the tasks that an earlier process of this worker's name left open."""
    now = moment()
    put(lambda connection: _lose_tasks(connection, tasks.c.worker == worker, _when(tasks) < now))


def _when(table: Table) -> Any:
    """Return when what a row tells of began, as far as it is known."""
    names = ("started_at", "received_at", "sent_at", "finished_at")
    return func.coalesce(*(table.c[name] for name in names if name in table.c))


def _lose_tries(connection: Connection, *which: Any) -> None:
    lost = {"status": "lost", "finished_at": moment(), "error_code": "worker_lost"}
    still = task_history.c.status.in_(OPEN_STATUSES)
    connection.execute(update(task_history).where(*which, still).values(lost))


def _lose_tasks(connection: Connection, *which: Any) -> None:
    lost = {"state": "LOST", "finished_at": moment(), "error_code": "worker_lost"}
    still = tasks.c.state.in_(OPEN_STATES)
    connection.execute(update(tasks).where(*which, still).values(lost))


# -- from the folders --------------------------------------------------------------------------


def rebuild_history(projects_dir: Path) -> int:
    """Fill the history of stages from every project's `events.jsonl`.

    Returns:
        How many tries the folders know.
    """
    folders = [f for f in projects_dir.glob("[1-9]*") if f.name.isdecimal()]
    flush()
    return sum(_recalled(folder) for folder in sorted(folders))


def _recalled(folder: Path) -> int:
    return attempt(lambda connection: _recall(connection, folder))


def _recall(connection: Connection, folder: Path) -> int:
    rows = {TRIES.name(row): row for row in _tries(folder)}
    if rows:
        TRIES.write(connection, list(rows.values()))
    return len(rows)


def _tries(folder: Path) -> Iterator[Row]:
    """Yield each try of a project's stages, as far as its events tell."""
    current: dict[str, Row] = {}
    for event in _events(folder):
        code, stage, time = event.get("code"), str(event.get("stage")), event.get("time")
        if code in _CLOSES:
            for row in current.values():
                yield {**row, **_CLOSES[code], "finished_at": time}
            current.clear()
        elif code == "stage_started" and {"run", "attempt"} <= event.keys():
            current[stage] = {
                "project_id": int(folder.name),
                "stage": stage,
                "run": int(event["run"]),
                "attempt": int(event["attempt"]),
                "task_id": "",
                "status": "running",
                "started_at": time,
            }
        elif code == "retry" and stage in current:
            current[stage]["retries"] = (current[stage].get("retries") or 0) + 1
        elif code in _ENDS and stage in current:
            yield {**current.pop(stage), **_end(event), "finished_at": time}
    yield from current.values()


_CLOSES: dict[Any, Row] = {
    "run_started": {"status": "lost", "error_code": "worker_lost"},
    "cancelled": {"status": "cancelled"},
}
"""Events of a whole project that end what is open."""
_ENDS = {
    "stage_completed": "completed",
    "stage_failed": "failed",
    "waiting": "waiting",
}


def _end(event: dict[str, Any]) -> Row:
    error = event.get("error")
    fact = error if isinstance(error, dict) else {"code": error}
    return {
        "status": _ENDS[event["code"]],
        "seconds": event.get("seconds"),
        "error_code": fact.get("code"),
        "error": fact.get("message"),
    }


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        text = (folder / "events.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # a line that a crash cut short
            continue
        if isinstance(event, dict):
            yield event


# -- figures -------------------------------------------------------------------------------------


def figures(*, since: str | None = None, project_id: int | None = None) -> list[dict[str, Any]]:
    """Return what became of each stage and of each other task.

    Args:
        since: Only what started at this ISO time or later.
        project_id: Only this project's.

    Returns:
        Rows of `name`, `kind` (stage, task), `runs`, `completed`, `failed`, `lost`, `other` (running,
        handed on, cancelled), `success_rate` (of those that ended well or badly; None without any),
        `failures` (code → number), `median`, `mean`, `p95` (seconds of the completed), `retries`.
    """
    flush()
    stages = _select(task_history, "stage", "status", "seconds", since=since, project_id=project_id)
    others = _select(tasks, "name", "state", "runtime", since=since, project_id=project_id)
    others = others.where(tasks.c.stage.is_(None))

    def both(connection: Connection) -> list[dict[str, Any]]:
        return [
            *_summed("stage", connection.execute(stages).all()),
            *_summed("task", connection.execute(others).all()),
        ]

    return reading(both)


def _select(
    table: Table, name: str, status: str, seconds: str, *, since: str | None, project_id: int | None
) -> Any:
    columns = table.c
    query = select(
        columns[name], columns[status], columns[seconds], columns.error_code, columns.retries
    )
    if since is not None:
        query = query.where(_when(table) >= since)
    if project_id is not None:
        query = query.where(columns.project_id == project_id)
    return query


_WELL, _BADLY = {"completed", "SUCCESS"}, {"failed", "FAILURE", "REJECTED"}
_GONE = {"lost", "LOST"}


def _summed(kind: str, rows: Any) -> Iterator[dict[str, Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(str(row[0] or "unknown").rpartition(".")[2], []).append(row)
    for name, group in found.items():
        well, badly, gone = (
            [row for row in group if row[1] in statuses] for statuses in (_WELL, _BADLY, _GONE)
        )
        ended = len(well) + len(badly) + len(gone)
        codes: dict[str, int] = {}
        for row in (*badly, *gone):
            codes[row[3] or "unknown"] = codes.get(row[3] or "unknown", 0) + 1
        yield {
            "name": name,
            "kind": kind,
            "runs": len(group),
            "completed": len(well),
            "failed": len(badly),
            "lost": len(gone),
            "other": len(group) - ended,
            "success_rate": round(len(well) / ended, 4) if ended else None,
            "failures": dict(sorted(codes.items(), key=lambda item: (-item[1], item[0]))),
            **_times([float(row[2]) for row in well if row[2] is not None]),
            "retries": sum(row[4] or 0 for row in group),
        }


def _times(seconds: list[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "mean": None, "p95": None}
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered), 3),
        "mean": round(statistics.fmean(ordered), 3),
        "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 3),
    }


# -- rotation ------------------------------------------------------------------------------------


def rotate(days: int | None = None) -> dict[str, int]:
    """Delete history older than `days` (HISTORY_DAYS), a few hundred rows at a time.

    A task that is said to be running since more than a day, and is not, is closed, too.

    Returns:
        Table → rows deleted.
    """
    kept = settings.get().history_days if days is None else days
    flush()
    yesterday = _when(tasks) < _days_ago(1)
    attempt(lambda connection: _lose_tasks(connection, yesterday))
    return {table.name: _rotate(table, _days_ago(kept)) for table in (task_history, tasks)}


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S")


def _rotate(table: Table, limit: str) -> int:
    when = _when(table)
    last = select(when).where(when < limit).order_by(when).offset(SLICE - 1).limit(1)

    def one(connection: Connection) -> tuple[int, bool]:
        edge = connection.execute(last).scalar()
        old = when < limit if edge is None else when <= edge
        return connection.execute(delete(table).where(old)).rowcount, edge is not None

    total, more = 0, True
    while more:
        count, more = attempt(one)
        total += count
    return total
