"""How what is told of one thing, twice or in any order, becomes one row.

Signals of a task are missing or doubled when processes die, and come from two processes. So each row
has a rank by its status: a later status replaces the outcome, an earlier one only fills gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    case,
    func,
    literal_column,
    or_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from app.records._database import task_history, tasks

Row = dict[str, Any]

_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_UNSAID = (None, "")


def moment(seconds: float | None = None) -> str:
    """Return a time in UTC as ISO 8601 with milliseconds; now, where none is given."""
    when = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


def _told(name: str, value: Any) -> Any:
    # here and not when it is told: this thread has the time
    return moment(value) if isinstance(value, float) and name.endswith("_at") else value


@dataclass(frozen=True, eq=False)
class Life:
    """A table whose rows each tell one life.

    Attributes:
        table: The table.
        key: Columns that name one life.
        status: The column that says how far it is.
        ranks: Status → rank; one that is not named is an end like any other.
        end: The rank from which a status is an end: told again, it changes nothing.
        outcome: Columns that belong to the status and go with it.
    """

    table: Table
    key: tuple[str, ...]
    status: str
    ranks: dict[str, int]
    end: int
    outcome: tuple[str, ...]

    def rank(self, row: Row) -> int:
        """Return how far a row is."""
        return self.ranks.get(row[self.status], self.end + 1)

    def name(self, row: Row) -> tuple[Any, ...]:
        """Return what tells one life from another."""
        return tuple(row[column] for column in self.key)

    def merged(self, old: Row, new: Row) -> Row:
        """Return the row that `old` becomes when `new` is told."""
        before, after = self.rank(old), self.rank(new)
        wins = after > before or (after == before and after < self.end)
        first, second = (new, old) if wins else (old, new)
        row = {**second, **{name: value for name, value in first.items() if value not in _UNSAID}}
        for column in (self.status, *self.outcome):
            known = first.get(column)
            row[column] = second.get(column) if known is None and after == before else known
        return row

    def write(self, connection: Connection, rows: list[Row]) -> None:
        """Tell the database of `rows`, each of another life."""
        names = self.columns
        statement = _statement(self, connection.dialect.name)
        connection.execute(
            statement, [{name: _told(name, row.get(name)) for name in names} for row in rows]
        )

    @cached_property
    def columns(self) -> list[str]:
        return [column.name for column in self.table.columns]

    def changes(self, new: Any) -> Row:
        """Return `merged` in the database's own words."""
        old = self.table.c
        before, after = self._ranked(old[self.status]), self._ranked(new[self.status])
        wins = or_(after > before, and_(after == before, after < _word(self.end)))
        changes: Row = {}
        for name in self.columns:
            if name in self.key:
                continue
            said, known = _said(new[name]), _said(old[name])
            newer, older = func.coalesce(said, old[name]), func.coalesce(known, new[name])
            if name == self.status or name in self.outcome:
                changes[name] = case(
                    (after == before, case((wins, newer), else_=older)),
                    (wins, new[name]),
                    else_=old[name],
                )
            else:
                changes[name] = case((wins, newer), else_=older)
        return changes

    def _ranked(self, status: Any) -> ColumnElement[int]:
        ranks = {_word(name): _word(rank) for name, rank in self.ranks.items()}
        return case(ranks, value=status, else_=_word(self.end + 1))


def _word(constant: str | int) -> Any:
    # not a parameter: there would be hundreds of them for each row
    return literal_column(repr(constant))


def _said(column: Any) -> Any:
    return func.nullif(column, _word("")) if isinstance(column.type, String) else column


@cache
def _statement(life: Life, dialect: str) -> Any:
    insert = _INSERTS.get(dialect)
    if insert is None:
        raise ArgumentError(f"{dialect} is neither SQLite nor PostgreSQL")
    statement: Any = insert(life.table)
    return statement.on_conflict_do_update(
        index_elements=list(life.key), set_=life.changes(statement.excluded)
    )


TRIES = Life(
    task_history,
    ("project_id", "stage", "run", "attempt"),
    "status",
    {"running": 1, "retrying": 1, "lost": 2, "completed": 4},
    2,
    ("finished_at", "seconds", "error_code", "error"),
)
"""Tries of stages."""

TASKS = Life(
    tasks,
    ("task_id",),
    "state",
    {"RECEIVED": 1, "STARTED": 2, "RETRY": 2, "LOST": 3, "SUCCESS": 5},
    3,
    ("finished_at", "runtime", "error_code", "error"),
)
"""Celery tasks."""
