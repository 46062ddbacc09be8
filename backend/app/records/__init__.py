"""What can be rebuilt but is good to ask: task history, dead letters' index, the quota ledger.

SQLite beside the projects by default, PostgreSQL by `DATABASE_URL`. Its faults never reach a stage:
what stages record is written behind their back, and a fault is logged. Delete the database: no video
is lost.
"""

from __future__ import annotations

from app.records._database import (
    FAULTS,
    attempt,
    close,
    dead_letters,
    engine,
    ledger,
    ledger_days,
    task_history,
    tasks,
)
from app.records._history import (
    close_ended,
    close_lost,
    close_task,
    close_worker,
    figures,
    history,
    rebuild_history,
    rotate,
    stage_event,
    task_event,
    task_lives,
)
from app.records._letters import forget_letters, index_letters, indexed_letters, letter_marks
from app.records._lives import moment
from app.records._quota import (
    Books,
    Closing,
    Entry,
    Hold,
    Recalled,
    free,
    free_exactly,
    holders,
    read_books,
    roll_over,
    spent,
    with_books,
)
from app.records._quota_events import recalled
from app.records._writer import dropped, flush

__all__ = [
    "FAULTS",
    "Books",
    "Closing",
    "Entry",
    "Hold",
    "Recalled",
    "attempt",
    "close",
    "close_ended",
    "close_lost",
    "close_task",
    "close_worker",
    "dead_letters",
    "dropped",
    "engine",
    "figures",
    "flush",
    "forget_letters",
    "free",
    "free_exactly",
    "history",
    "holders",
    "index_letters",
    "indexed_letters",
    "ledger",
    "ledger_days",
    "letter_marks",
    "moment",
    "read_books",
    "rebuild_history",
    "recalled",
    "roll_over",
    "rotate",
    "spent",
    "stage_event",
    "task_event",
    "task_history",
    "task_lives",
    "tasks",
    "with_books",
]
