"""The quota ledger: what a service's day has cost, booked before the call is made."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select, update

from app.records._database import attempt, ledger, ledger_days

PACIFIC = ZoneInfo("America/Los_Angeles")
"""Google's quotas of the day end at midnight Pacific time (YouTube Data API, quota calculator)."""


def quota_day(moment: datetime | None = None) -> date:
    """Return the day that quotas are counted in at `moment`: the Pacific one."""
    return (moment or datetime.now(UTC)).astimezone(PACIFIC).date()


def book(service: str, bucket: str, units: int, project_id: int | None = None) -> None:
    """Book `units` of a service's quota on today, before the call is made."""
    row = {"service": service, "bucket": bucket, "units": units, "project_id": project_id}
    today = quota_day().isoformat()
    attempt(lambda connection: connection.execute(insert(ledger).values(day=today, **row)))


def spent(day: date | None = None) -> dict[str, dict[str, int]]:
    """Return service → bucket → units booked on a day (today by default), closed or open."""
    text = (day or quota_day()).isoformat()
    return attempt(lambda connection: _spent(connection, text))


def _spent(connection: Connection, day: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for table in (ledger, ledger_days):
        rows = connection.execute(
            select(table.c.service, table.c.bucket, func.sum(table.c.units))
            .where(table.c.day == day)
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
    return attempt(lambda connection: _close_days(connection, limit))


def _close_days(connection: Connection, limit: str) -> list[str]:
    sums: dict[tuple[str, str, str], list[int]] = {}
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
