"""What runs and what waits: the queues, the workers, and how to empty a queue.

Reads Redis, the workers' own answers and this machine's processes; starts nothing. A worker that
hangs, or that is not there, costs a second and is told of.
"""

from __future__ import annotations

from app.operations.broker import Message, connected
from app.operations.processes import serving, workers
from app.operations.waiting import concerned, drop, plan, queues, summary

__all__ = [
    "Message",
    "concerned",
    "connected",
    "drop",
    "plan",
    "queues",
    "serving",
    "summary",
    "workers",
]
