"""What can be rebuilt but is good to ask: task history, the quota ledger.

SQLite beside the projects by default, any SQLAlchemy URL by `DATABASE_URL`. Its faults never reach a
stage: the functions that stages call log them and go on. Delete the database: no video is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache, wraps
from typing import Any, ParamSpec
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from app import settings
from app.logs import masked

log = logging.getLogger(__name__)
P = ParamSpec("P")

PACIFIC = ZoneInfo("America/Los_Angeles")
"""Google's quotas of the day end at midnight Pacific time (YouTube Data API, quota calculator)."""

_metadata = MetaData()

task_history = Table(
    "task_history",
    _metadata,
    Column("project_id", Integer, primary_key=True),
    Column("stage", String(64), primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("task_id", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_at", String(32)),
    Column("finished_at", String(32)),
    Column("seconds", Float),
    Column("worker", String(255)),
    Column("error_code", String(64)),
    Column("error", Text),
)
"""One row per try of a stage, keyed so that a repeated record changes it and never doubles it."""

ledger = Table(
    "ledger",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("day", String(10), nullable=False, index=True),
    Column("service", String(64), nullable=False),
    Column("bucket", String(64), nullable=False),
    Column("units", Integer, nullable=False),
    Column("project_id", Integer),
)
"""Every booked call of the open day."""

ledger_days = Table(
    "ledger_days",
    _metadata,
    Column("day", String(10), primary_key=True),
    Column("service", String(64), primary_key=True),
    Column("bucket", String(64), primary_key=True),
    Column("units", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
)
"""Closed days, summed."""


@cache
def engine() -> Engine:
    """Return the database, made on first use (in the pool's child, never before the fork)."""
    config = settings.get()
    if config.database_url is not None:
        made = create_engine(config.database_url.get_secret_value(), pool_pre_ping=True)
    else:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        made = create_engine(f"sqlite:///{config.data_dir / 'reelchain.db'}")
        event.listen(made, "connect", _tune_sqlite)
    _make_tables(made)
    return made


def _make_tables(made: Engine) -> None:
    """Make what is missing; several workers may start on an empty database at once."""
    if set(inspect(made).get_table_names()) >= set(_metadata.tables):
        return
    for table in _metadata.sorted_tables:
        steps: list[ExecutableDDLElement] = [CreateTable(table, if_not_exists=True)]
        steps += [CreateIndex(index, if_not_exists=True) for index in table.indexes]
        for step in steps:
            with made.begin() as connection:
                connection.execute(step)


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _forgiving(function: Callable[P, None]) -> Callable[P, None]:
    """Log what the database says instead of raising: a video is worth more than its record."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        # a missing driver is an ImportError, a text no database takes a ValueError
        except (SQLAlchemyError, OSError, ImportError, ValueError, ArithmeticError) as error:
            log.warning("record not written (%s): %s", function.__name__, masked(str(error)))

    return guarded


@_forgiving
def stage_event(
    project_id: int, stage: str, run: int, attempt: int, *, task_id: str, status: str, **facts: Any
) -> None:
    """Record that a try of a stage started, retries, completed or failed.

    Args:
        project_id: The project.
        stage: The stage's key.
        run: The run's number.
        attempt: The how-manieth try in this project's life, from 1.
        task_id: Celery's id of the task.
        status: `running`, `retrying`, `completed` or `failed`.
        facts: Other columns of `task_history`.
    """
    key = {"project_id": project_id, "stage": stage, "run": run, "attempt": attempt}
    values = {"task_id": task_id, "status": status, **facts}
    with engine().begin() as connection:
        if not _update(connection, key, values):
            try:
                with connection.begin_nested():
                    connection.execute(insert(task_history).values(**key, **values))
            except IntegrityError:  # another process was quicker
                _update(connection, key, values)


def _update(connection: Connection, key: dict[str, Any], values: dict[str, Any]) -> bool:
    matches = [task_history.c[name] == value for name, value in key.items()]
    return bool(connection.execute(update(task_history).where(*matches).values(**values)).rowcount)


def history(project_id: int) -> list[dict[str, Any]]:
    """Return every recorded try of a project's stages, oldest first."""
    query = (
        select(task_history)
        .where(task_history.c.project_id == project_id)
        .order_by(task_history.c.started_at, task_history.c.run, task_history.c.attempt)
    )
    with engine().connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def quota_day(moment: datetime | None = None) -> date:
    """Return the day that quotas are counted in at `moment`: the Pacific one."""
    return (moment or datetime.now(UTC)).astimezone(PACIFIC).date()


def book(service: str, bucket: str, units: int, project_id: int | None = None) -> None:
    """Book `units` of a service's quota on today, before the call is made."""
    row = {"service": service, "bucket": bucket, "units": units, "project_id": project_id}
    with engine().begin() as connection:
        connection.execute(insert(ledger).values(day=quota_day().isoformat(), **row))


def spent(day: date | None = None) -> dict[str, dict[str, int]]:
    """Return service → bucket → units booked on a day (today by default), closed or open."""
    text = (day or quota_day()).isoformat()
    found: dict[str, dict[str, int]] = {}
    with engine().connect() as connection:
        for table in (ledger, ledger_days):
            rows = connection.execute(
                select(table.c.service, table.c.bucket, func.sum(table.c.units))
                .where(table.c.day == text)
                .group_by(table.c.service, table.c.bucket)
            )
            for service, bucket, units in rows:
                buckets = found.setdefault(service, {})
                buckets[bucket] = buckets.get(bucket, 0) + int(units)
    return found


def roll_over(today: date | None = None) -> list[str]:
    """Close every day before `today`: its entries become one row per service and bucket.

    Returns:
        The days that were closed, as ISO dates. A second call closes nothing again.
    """
    limit = (today or quota_day()).isoformat()
    sums: dict[tuple[str, str, str], list[int]] = {}
    with engine().begin() as connection:
        # what this statement took is ours alone, even if another worker closes the day, too
        taken = connection.execute(
            delete(ledger)
            .where(ledger.c.day < limit)
            .returning(ledger.c.day, ledger.c.service, ledger.c.bucket, ledger.c.units)
        ).all()
        for day, service, bucket, units in taken:
            entry = sums.setdefault((day, service, bucket), [0, 0])
            entry[0] += units
            entry[1] += 1
        for (day, service, bucket), (units, calls) in sums.items():
            key = {"day": day, "service": service, "bucket": bucket}
            _add_to_day(connection, {**key, "units": units, "calls": calls})
    return sorted({day for day, _, _ in sums})


def _add_to_day(connection: Connection, row: dict[str, Any]) -> None:
    matches = [ledger_days.c[name] == row[name] for name in ("day", "service", "bucket")]
    changed = connection.execute(
        update(ledger_days)
        .where(*matches)
        .values(units=ledger_days.c.units + row["units"], calls=ledger_days.c.calls + row["calls"])
    )
    if not changed.rowcount:
        connection.execute(insert(ledger_days).values(**row))
