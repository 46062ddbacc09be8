"""The quota ledger's tables: what is booked, reserved and closed, and the days that are over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Table, case, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

from app.records._database import (
    attempt,
    database,
    ledger,
    ledger_days,
    quota_closings,
    quota_days_read,
    quota_reservations,
)

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that a turn at the ledger is waited for at least, before it counts as broken."""

# text, since it is the same in both databases, and its one statement both makes and locks the row
_TAKE_TURN = text(
    "INSERT INTO quota_guards (service, key_id, turns) VALUES (:service, :key_id, 1) "
    "ON CONFLICT (service, key_id) DO UPDATE SET turns = quota_guards.turns + 1"
)
_MARK = text("INSERT INTO quota_days_read (day) VALUES (:day) ON CONFLICT (day) DO NOTHING")


class Entry(NamedTuple):
    """A booked call. `entry` names it, so that it is never on record twice."""

    entry: str
    day: str
    service: str
    key_id: str
    bucket: str
    units: int
    call: str
    project_id: int | None


class Hold(NamedTuple):
    """What a project has reserved of one bucket; `entry` names the act of reserving."""

    entry: str
    service: str
    key_id: str
    bucket: str
    units: int
    project_id: int


class Closing(NamedTuple):
    """A bucket left alone until `until` (ISO 8601, UTC), for the rest of `day` if that is named."""

    service: str
    key_id: str
    bucket: str
    until: str
    day: str | None


class Recalled(NamedTuple):
    """What the projects' own history tells of a day."""

    entries: list[Entry]
    closings: list[Closing]
    holds: list[Hold]


class Books:
    """The ledger of one service and key, within a transaction."""

    def __init__(self, connection: Connection, service: str, key_id: str) -> None:
        self._connection = connection
        self._whose = {"service": service, "key_id": key_id}

    def recall(self, day: str, history: Callable[[], Recalled]) -> None:
        """Take over what `history` tells of a day, at the first use of that day in this database.

        Reservations are taken over by a new database only: another one knows better.
        """
        marks = select(quota_days_read.c.day)
        known = set(self._connection.execute(marks).scalars())
        # a second transaction waits here for the first, and then finds its mark
        if day in known or not self._connection.execute(_MARK, {"day": day}).rowcount:
            return
        told = history()
        for entry in told.entries:
            _book(self._connection, entry)
        for closing in told.closings:
            _close(self._connection, closing)
        for hold in told.holds if not known else ():
            _put(self._connection, quota_reservations, hold._asdict())

    def spent(self, day: str) -> dict[str, int]:
        """Return bucket → units booked on a day; closed days count whichever the key."""
        found: dict[str, int] = {}
        for table in (ledger, ledger_days):
            columns = [table.c[name] for name in self._whose if name in table.c]
            rows = self._connection.execute(
                select(table.c.bucket, func.sum(table.c.units))
                .where(table.c.day == day, *(c == self._whose[c.name] for c in columns))
                .group_by(table.c.bucket)
            )
            for bucket, units in rows:
                found[bucket] = found.get(bucket, 0) + int(units)
        return found

    def reserved(self, but: int | None = None) -> dict[str, int]:
        """Return bucket → units reserved by all projects, or all but one."""
        columns = quota_reservations.c
        rows = self._connection.execute(
            select(columns.bucket, func.sum(columns.units))
            .where(*self._ours(quota_reservations), columns.project_id != (but or 0))
            .group_by(columns.bucket)
        )
        return {bucket: int(units) for bucket, units in rows}

    def closed(self, moment: str) -> dict[str, Closing]:
        """Return bucket → closing that holds at a moment."""
        rows = self._connection.execute(
            select(quota_closings).where(
                *self._ours(quota_closings), quota_closings.c.until > moment
            )
        )
        return {row.bucket: Closing(**row._asdict()) for row in rows}

    def book(self, entry: Entry) -> bool:
        """Book a call and take it off its project's reservation; False if it is on record."""
        return _book(self._connection, entry)

    def hold(self, project_id: int, units: Mapping[str, int], entry: str) -> bool:
        """Replace what a project has reserved; True if it had reserved anything before."""
        gone = self._connection.execute(
            delete(quota_reservations).where(
                *self._ours(quota_reservations), quota_reservations.c.project_id == project_id
            )
        )
        for bucket, count in units.items():
            row = Hold(entry, **self._whose, bucket=bucket, units=count, project_id=project_id)
            self._connection.execute(insert(quota_reservations).values(**row._asdict()))
        return bool(gone.rowcount)

    def close(self, closing: Closing) -> None:
        """Close a bucket; a closing that lasts longer stays."""
        _close(self._connection, closing)

    def open_again(self, moment: str) -> int:
        """Drop the closings that are over; return how many."""
        over = delete(quota_closings).where(
            *self._ours(quota_closings), quota_closings.c.until <= moment
        )
        return int(self._connection.execute(over).rowcount)

    def _ours(self, table: Table) -> list[Any]:
        return [table.c[name] == value for name, value in self._whose.items()]


def with_books(service: str, key_id: str, work: Callable[[Books], T]) -> T:
    """Run `work` in a transaction that no other process has for this service and key meanwhile."""

    def turn(connection: Connection) -> T:
        # first of all a write: SQLite's lock, or PostgreSQL's of this row, is ours until the end
        connection.execute(_TAKE_TURN, {"service": service, "key_id": key_id})
        return work(Books(connection, service, key_id))

    until = time.monotonic() + PATIENCE
    while True:
        try:
            with database.guard:
                return attempt(turn)
        except OperationalError as error:
            # others are at it; each try waits a while by itself
            busy = str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > until:
                raise


def read_books(service: str, key_id: str, day: str, work: Callable[[Books], T]) -> T | None:
    """Run a query; None where this database has not seen the day yet (see `Books.recall`)."""

    def query(connection: Connection) -> T | None:
        seen = connection.execute(select(quota_days_read).where(quota_days_read.c.day == day))
        return work(Books(connection, service, key_id)) if seen.first() else None

    return attempt(query)


def free(project_id: int) -> bool:
    """Drop a project's reservations with every service; False if it had none."""
    gone = delete(quota_reservations).where(quota_reservations.c.project_id == project_id)
    return attempt(lambda connection: bool(connection.execute(gone).rowcount))


def free_exactly(entry: str) -> bool:
    """Drop what was reserved in one act, if it still is what its project has reserved."""
    gone = delete(quota_reservations).where(quota_reservations.c.entry == entry)
    return attempt(lambda connection: bool(connection.execute(gone).rowcount))


def holders() -> dict[str, int]:
    """Return act of reserving → project, of all reservations."""
    query = select(quota_reservations.c.entry, quota_reservations.c.project_id)
    return dict(attempt(lambda connection: [tuple(row) for row in connection.execute(query)]))


def spent(day: date) -> dict[str, dict[str, int]]:
    """Return service → bucket → units booked on a day, closed or open."""
    return attempt(lambda connection: _spent(connection, day.isoformat()))


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


def _book(connection: Connection, entry: Entry) -> bool:
    known = select(ledger.c.id).where(ledger.c.day == entry.day, ledger.c.entry == entry.entry)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(insert(ledger).values(**entry._asdict()))
    columns = quota_reservations.c
    left = columns.units - entry.units
    connection.execute(
        update(quota_reservations)
        .where(
            columns.service == entry.service,
            columns.key_id == entry.key_id,
            columns.bucket == entry.bucket,
            columns.project_id == entry.project_id,
        )
        .values(units=case((left > 0, left), else_=0))
    )
    return True


def _close(connection: Connection, closing: Closing) -> None:
    row = closing._asdict()
    names = ("service", "key_id", "bucket")
    key = [quota_closings.c[name] == row[name] for name in names]
    longer = select(quota_closings.c.until).where(*key, quota_closings.c.until >= closing.until)
    if connection.execute(longer).first() is None:
        connection.execute(delete(quota_closings).where(*key))
        connection.execute(insert(quota_closings).values(**row))


def _put(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    key = [column == row[column.name] for column in table.primary_key.columns]
    if connection.execute(select(table).where(*key)).first() is None:
        connection.execute(insert(table).values(**row))


def roll_over(today: date) -> list[str]:
    """Close every day before `today`: its entries become one row per service and bucket.

    Returns:
        The days that were closed, as ISO dates. A second call closes nothing again.
    """
    return attempt(lambda connection: _close_days(connection, today.isoformat()))


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
