"""Records are written behind the work's back: a stage pays for a note in a queue, not for a transaction.

One thread per process, started by the first record, writes what came together in one transaction.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from app.logs import masked
from app.records._database import FAULTS, attempt, database
from app.records._lives import Life, Row

log = logging.getLogger(__name__)

LINGER = 0.05
"""Seconds in which records gather after the first one."""
LARGEST = 500
"""Records in one transaction."""
ROOM = 20_000
"""Records that may wait; further ones are dropped and counted. About 20 MB."""
QUIET = 60.0
"""Seconds between two complaints of a database that takes nothing."""

Order = Callable[[Connection], None]
Item = tuple[Life, Row] | Order | threading.Event


class Writer:
    """The queue and the thread of one process."""

    def __init__(self) -> None:
        self.dropped = 0
        """Records that never reached the database."""
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._complain_at = 0.0

    def put(self, item: Item) -> None:
        """Take a record; never waits, never raises."""
        if self._queue.qsize() >= ROOM:
            self.dropped += 1
            return
        self._queue.put(item)
        if self._thread is None:
            self._start()

    def flush(self, seconds: float) -> bool:
        """Wait until all that was put is written; False if that took longer."""
        if self._thread is None and self._queue.empty():
            return True
        done = threading.Event()
        self._queue.put(done)
        self._start()
        self._hurry.set()
        return self._thread is not None and done.wait(seconds)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="records", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends
                    return
                self._thread = thread

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            self._hurry.wait(LINGER)
            while len(batch) < LARGEST and not self._queue.empty():
                batch.append(self._queue.get())
            waiting = [item for item in batch if isinstance(item, threading.Event)]
            try:
                self._write([item for item in batch if not isinstance(item, threading.Event)])
            except Exception:  # the thread has to go on, whatever came
                log.exception("records were not written")
            if waiting:
                self._hurry.clear()
            for event in waiting:
                event.set()

    def _write(self, items: list[Any]) -> None:
        if not items:
            return
        with database.guard:
            try:
                attempt(lambda connection: _apply(connection, items))
            except (OperationalError, OSError) as error:
                self._complain(error, len(items))
            except FAULTS as error:
                if len(items) == 1:
                    self._complain(error, 1)
                else:  # one that no database takes shall not cost the others
                    for item in items:
                        self._write([item])

    def _complain(self, error: Exception, count: int) -> None:
        self.dropped += count
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + QUIET
            log.warning("records not written (%s so far): %s", self.dropped, masked(str(error)))


def _apply(connection: Connection, items: list[Any]) -> None:
    """Write records in their order, what is told of one life in one row."""
    gathered: dict[Life, dict[tuple[Any, ...], Row]] = {}
    for item in items:
        if not isinstance(item, tuple):
            _store(connection, gathered)
            item(connection)
            continue
        life, row = item
        rows, name = gathered.setdefault(life, {}), life.name(row)
        rows[name] = life.merged(rows[name], row) if name in rows else row
    _store(connection, gathered)


def _store(connection: Connection, gathered: dict[Life, dict[tuple[Any, ...], Row]]) -> None:
    for life, rows in gathered.items():
        life.write(connection, list(rows.values()))
    gathered.clear()


_writer = Writer()


def _begin_anew() -> None:
    """Leave the parent its queue: what waits there is the parent's to write."""
    global _writer  # noqa: PLW0603 - one writer per process, and this is a new process
    _writer = Writer()


os.register_at_fork(after_in_child=_begin_anew)


def put(item: Item) -> None:
    """Hand a record to this process's writer; never waits, never raises."""
    _writer.put(item)


def flush(seconds: float = 2.0) -> bool:
    """Wait until this process's records are written; False if that took longer."""
    return _writer.flush(seconds)


def dropped() -> int:
    """Return how many records of this process never reached the database."""
    return _writer.dropped


atexit.register(flush)
