"""The database: its tables, its connections, and what is done when it is gone, old or damaged.

Nothing in it is the truth: a file that was deleted is made anew at the next use, a damaged one is put
aside. No connection is open while a process forks, for SQLite's locks do not survive that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Inspector,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, ExecutableDDLElement

from app import disk, settings
from app.errors import ServiceError
from app.logs import masked

log = logging.getLogger(__name__)
T = TypeVar("T")

FAULTS = (SQLAlchemyError, OSError, ImportError, ValueError, ArithmeticError, disk.Locked)
"""What a database can raise: a missing driver is an ImportError, a text it can't take a ValueError."""

DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR")
"""SQLite's names of errors that a damaged file gives; a closer look decides."""

FORK_PATIENCE = 2.0
"""Seconds that a fork waits for a transaction of this process to end."""

metadata = MetaData()

task_history = Table(
    "task_history",
    metadata,
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
    Column("retries", Integer),
)
"""One row per try of a stage, keyed so that a repeated record changes it and never doubles it."""

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", String(255), primary_key=True),
    Column("name", String(255)),
    Column("queue", String(255)),
    Column("stage", String(64)),
    Column("project_id", Integer),
    Column("batch_id", Integer),
    Column("run", Integer),
    Column("worker", String(255)),
    Column("state", String(16), nullable=False),
    Column("sent_at", String(32)),
    Column("received_at", String(32)),
    Column("started_at", String(32)),
    Column("finished_at", String(32)),
    Column("runtime", Float),
    Column("retries", Integer),
    Column("error_code", String(64)),
    Column("error", Text),
    Index("ix_tasks_project", "project_id", "run"),
)
"""One row per Celery task, stage or not."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("mark", String(96), nullable=False),
    Column("failed", Integer, nullable=False),
    Column("letter", Text),
)
"""One row per project folder: the mark of the state file it was read from, its letter if it has one."""

ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("day", String(10), nullable=False, index=True),
    Column("service", String(64), nullable=False),
    Column("bucket", String(64), nullable=False),
    Column("units", Integer, nullable=False),
    Column("project_id", Integer),
    Column("key_id", String(255)),
    Column("call", String(64)),
    Column("entry", String(64)),
)
"""Every booked call of the open day, each under its own name (`entry`)."""

ledger_days = Table(
    "ledger_days",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("service", String(64), primary_key=True),
    Column("bucket", String(64), primary_key=True),
    Column("units", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
)
"""Closed days, summed."""

quota_reservations = Table(
    "quota_reservations",
    metadata,
    Column("service", String(64), primary_key=True),
    Column("key_id", String(255), primary_key=True),
    Column("bucket", String(64), primary_key=True),
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("units", Integer, nullable=False),
    Column("entry", String(64), nullable=False),
)
"""What projects have yet to spend; `entry` names the act of reserving."""

quota_closings = Table(
    "quota_closings",
    metadata,
    Column("service", String(64), primary_key=True),
    Column("key_id", String(255), primary_key=True),
    Column("bucket", String(64), primary_key=True),
    Column("until", String(32), nullable=False),
    Column("day", String(10)),
)
"""Buckets that the service refused; `day` is set where it was for the rest of that day."""

quota_guards = Table(
    "quota_guards",
    metadata,
    Column("service", String(64), primary_key=True),
    Column("key_id", String(255), primary_key=True),
    Column("turns", Integer, nullable=False),
)
"""One row per service and key: who has changed it has the ledger to himself."""

quota_days_read = Table(
    "quota_days_read",
    metadata,
    Column("day", String(10), primary_key=True),
)
"""Days whose bookings were taken over from the projects' own history."""


Stamp = tuple[tuple[int, int] | None, ...]
"""Which files a database and its write-ahead log are; another one under the name, another stamp."""


class _Opened(NamedTuple):
    """A database in use, and what it was when it was opened."""

    engine: Engine
    address: str
    file: Path | None
    stamp: Stamp


class Database:
    """The one database of this process, opened on first use."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        """Held during a write, so that no fork falls into it."""
        self._opened: _Opened | None = None
        self._inherited: list[_Opened] = []

    def engine(self) -> Engine:
        """Return the engine; a file that was deleted or replaced meanwhile is opened anew."""
        with self.guard:
            address = _address()
            if self._opened is not None and (
                self._opened.address != address or self._opened.stamp != _stamp(self._opened.file)
            ):
                self.close()
            if self._opened is None:
                self._opened = _open(address)
            return self._opened.engine

    def close(self) -> None:
        """Close every connection; the next use opens the database again."""
        with self.guard:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.engine.dispose()

    def mend(self, error: DBAPIError) -> bool:
        """Do what can be done about an error; tell whether trying again is worth while."""
        code = str(getattr(error.orig, "sqlite_errorname", ""))
        with self.guard:
            file = _file(_address())
            if code.startswith(DAMAGED) and file is not None:
                return self._put_aside(file)
            return self._opened is not None and self._opened.stamp != _stamp(file)

    def _put_aside(self, file: Path) -> bool:
        self.close()
        try:
            with disk.lock(_lock_of(file), wait=10):
                if _whole(file):
                    return True
                aside = file.with_name(f"{file.stem}.damaged-{time.time_ns()}{file.suffix}")
                disk.rename(file, aside)
                _unlink_sides(file)
        except (OSError, disk.Locked) as fault:
            log.warning("the damaged database %s could not be put aside: %s", file, fault)
            return False
        log.warning("the database was damaged: kept as %s, a new one begins", aside.name)
        return True

    def before_fork(self) -> None:
        """Wait for the write in hand and close the connections: none may be inherited."""
        if self.guard.acquire(timeout=FORK_PATIENCE):
            with contextlib.suppress(*FAULTS):
                self.close()
        else:
            log.warning("a process forks in the middle of a write to the database")

    def after_fork(self) -> None:
        """Let the parent go on."""
        with contextlib.suppress(RuntimeError):  # `before_fork` did not get it
            self.guard.release()

    def in_child(self) -> None:
        """Begin without a database of one's own; what was inherited must not even be closed."""
        self.guard = threading.RLock()
        if self._opened is not None:
            self._inherited.append(self._opened)
            self._opened = None


def _address() -> str:
    config = settings.get()
    if config.database_url is not None:
        return config.database_url.get_secret_value()
    return f"sqlite:///{config.data_dir / 'reelchain.db'}"


def _file(address: str) -> Path | None:
    """Return the file of a plain SQLite address."""
    head, _, path = address.partition("sqlite:///")
    plain = not head and path and not path.startswith((":memory:", "file:"))
    return Path(path.partition("?")[0]) if plain else None


def _stamp(file: Path | None) -> Stamp:
    return (_inode(file), _inode(_beside(file, "-wal"))) if file is not None else ()


def _inode(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _lock_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.lock")


def _unlink_sides(file: Path) -> None:
    """Remove the log and index of a database that is gone: a new one must not take them for its own."""
    for ending in ("-wal", "-shm", "-journal"):
        disk.unlink(_beside(file, ending))


def _is_new(file: Path) -> bool:
    """Tell whether a database has to be made, or its log was deleted while it was in use."""
    return not file.exists() or _has_stale_index(file)


def _has_stale_index(file: Path) -> bool:
    # the log is there before its index, always
    return _beside(file, "-shm").exists() and not _beside(file, "-wal").exists()


def _whole(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=5)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _open(address: str) -> _Opened:
    file = _file(address)
    if file is None:
        made = create_engine(address, pool_pre_ping=True)
        _complete(made)
        return _Opened(made, address, None, ())
    file.parent.mkdir(parents=True, exist_ok=True)
    made = create_engine(address)
    event.listen(made, "connect", _tune_sqlite)
    try:
        if _is_new(file) or not _completed(made):
            with disk.lock(_lock_of(file), wait=30):
                if _is_new(file):
                    _unlink_sides(file)
                _complete(made)
    except BaseException:
        made.dispose()
        raise
    return _Opened(made, address, file, _stamp(file))


def _completed(made: Engine) -> bool:
    """Tell whether the database could be used without a turn: another process may be making it.

    While SQLite changes a new file's journal it refuses everybody else at once, whatever their
    patience.
    """
    try:
        _complete(made)
    except DBAPIError:
        return False
    return True


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _complete(made: Engine) -> None:
    """Make the tables and columns that are missing; several processes may do so at once."""
    found = inspect(made)
    present = set(found.get_table_names())
    for table in metadata.sorted_tables:
        steps: list[ExecutableDDLElement | TextClause] = []
        if table.name in present:
            steps += [_added(column) for column in _missing(found, table)]
        else:
            steps.append(CreateTable(table, if_not_exists=True))
            steps += [CreateIndex(index, if_not_exists=True) for index in table.indexes]
        for step in steps:
            try:
                with made.begin() as connection:
                    connection.execute(step)
            except DBAPIError:
                if _missing(inspect(made), table):  # else another process was quicker
                    raise


def _missing(found: Inspector, table: Table) -> list[Column[Any]]:
    names = {column["name"] for column in found.get_columns(table.name)}
    return [column for column in table.columns if column.name not in names]


def _added(column: Column[Any]) -> TextClause:
    return text(f"ALTER TABLE {column.table.name} ADD COLUMN {CreateColumn(column)}")


database = Database()
os.register_at_fork(
    before=database.before_fork,
    after_in_parent=database.after_fork,
    after_in_child=database.in_child,
)


def engine() -> Engine:
    """Return the database's engine, opened on first use."""
    return database.engine()


def close() -> None:
    """Close the database's connections; the next use opens it again."""
    database.close()


def attempt(work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction; once more where the database was gone or damaged."""
    try:
        return _transaction(work)
    except DBAPIError as error:
        if not database.mend(error):
            raise
    return _transaction(work)


def _transaction(work: Callable[[Connection], T]) -> T:
    with engine().begin() as connection:
        return work(connection)


def reading(work: Callable[[Connection], T]) -> T:
    """Run a query.

    Raises:
        ServiceError: `database_unusable`, with what the database says.
    """
    try:
        return attempt(work)
    except FAULTS as error:
        raise ServiceError(
            "database_unusable",
            f"The database of records can't be read: {masked(str(error))}",
            "Mend or remove it: it is made anew, and `doctor --fix` fills it from the folders.",
        ) from None
