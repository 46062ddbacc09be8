"""One batch's folder: its projects in order, its run, who is in flight, what became of each.

`batch.json` is durable and seldom written: the playlist's facts and the run. `work.json` changes
with each project that ends, and can be rebuilt from `ended.jsonl`. Knows neither Redis nor Celery.
"""

from __future__ import annotations

from app.batch.creating import MAKING, create, sweep_unfinished
from app.batch.entries import entry, fact, failed, in_hand
from app.batch.folder import (
    FILE,
    TERMINAL,
    Batch,
    BatchRun,
    closing,
    load,
    mark_running,
    numbers,
    running,
    sending,
    unmark,
)
from app.batch.outcome import outcome, summary
from app.batch.run import (
    End,
    Step,
    Work,
    begin,
    look,
    reopen,
    rest,
    step,
    stop,
    tally,
)
from app.batch.till import Till, allow, budget_of, costs, spent

__all__ = [
    "FILE",
    "MAKING",
    "TERMINAL",
    "Batch",
    "BatchRun",
    "End",
    "Step",
    "Till",
    "Work",
    "allow",
    "begin",
    "budget_of",
    "closing",
    "costs",
    "create",
    "entry",
    "fact",
    "failed",
    "in_hand",
    "load",
    "look",
    "mark_running",
    "numbers",
    "outcome",
    "reopen",
    "rest",
    "running",
    "sending",
    "spent",
    "step",
    "stop",
    "summary",
    "sweep_unfinished",
    "tally",
    "unmark",
]
