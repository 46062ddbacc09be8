"""A connection of our own to the broker, and its messages as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import embedded, logs
from app.celery_app import queue_keys
from app.errors import ServiceError
from app.tasks import envelopes
from app.tasks.envelopes import Envelope

PATIENCE = 1.5
"""Seconds for one answer of Redis; who asks after the state of things wants to know it now."""
UNACKED = "unacked"
"""Hash in which kombu keeps what a worker has taken and not acknowledged."""
UNREADABLE = "unreadable"
"""In the place of a task's name, where a message is none of Celery's."""
_ABOUT = 120
_BATCH = "batch_processing_task"


@dataclass(frozen=True)
class Message:
    """A message that waits for a worker.

    Attributes:
        queue: Its queue.
        priority: 0 to 9, 9 the most urgent (as the user gives it, not as Redis counts).
        key: The Redis list it is in.
        raw: As it stands there.
        task: Name of the task without its module.
        task_id: Celery's id.
        project: The project's id, for a stage.
        run: The run it belongs to, for a stage that was sent as part of one.
        batch: The batch's id, for a batch.
        sent: Seconds since the epoch, if the message says so.
        about: Its arguments, shortened.
        chain: Ids of the tasks that would have followed.
    """

    queue: str
    priority: int
    key: str
    raw: bytes
    task: str = UNREADABLE
    task_id: str = ""
    project: int | None = None
    run: int | None = None
    batch: int | None = None
    sent: float | None = None
    about: str = ""
    chain: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what a person or a script wants to know of it."""
        return {
            "task": self.task,
            "task_id": self.task_id,
            "project_id": self.project,
            "run": self.run,
            "batch_id": self.batch,
            "priority": self.priority,
            "about": self.about,
        }


@contextmanager
def connected() -> Iterator[redis.Redis]:
    """Give a connection to the broker that gives up soon; starts no stack.

    Raises:
        ServiceError: `redis_unreachable`.
    """
    url = embedded.address()
    times = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    try:
        with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **times) as client:
            client.ping()
            yield client
    except redis.RedisError as error:
        raise ServiceError(
            "redis_unreachable",
            f"Redis at {logs.masked(url)} does not answer: {logs.masked(str(error))}",
            "Start it (./reelchain up), or correct CELERY_BROKER_URL or REDIS_*.",
        ) from None


def keys(queue: str) -> list[tuple[int, str]]:
    """Return a queue's lists in Redis with their priority, the most urgent first."""
    return [(9 - step, key) for step, key in sorted(queue_keys(queue).items())]


def read(client: redis.Redis, queue: str, *, last: int = 0) -> Iterator[Message]:
    """Yield a queue's messages in the order in which workers take them.

    Args:
        client: The broker.
        queue: The queue's name.
        last: How many of each priority at most; 0 for all.
    """
    for priority, key in keys(queue):
        found: Any = client.lrange(key, -last, -1)
        # a worker takes from the end
        for raw in reversed(found):
            yield understood(queue, priority, key, raw)


def understood(queue: str, priority: int, key: str, raw: bytes) -> Message:
    """Return a message as a value; one that nobody can read says so."""
    try:
        told = _told(envelopes.read(raw))
    except (ValueError, TypeError, LookupError, AttributeError):
        told = {}
    return Message(queue=queue, priority=priority, key=key, raw=raw, **told)


def _told(envelope: Envelope) -> dict[str, Any]:
    headers = envelope.headers
    named, chain = _arguments(envelope)
    task = str(headers["task"]).rpartition(".")[2]
    about = ", ".join(f"{name}={value}" if name else str(value) for name, value in named.items())
    return {
        "task": task,
        "task_id": str(headers.get("id", "")),
        "project": _number(headers.get("project"), named.get("project_id")),
        "run": _number(headers.get("run"), named.get("run")),
        "batch": _number(named.get("batch_id"), named.get("")) if task == _BATCH else None,
        "sent": envelope.sent,
        "about": about[:_ABOUT],
        "chain": chain,
    }


def _number(*values: object) -> int | None:
    return next((value for value in values if isinstance(value, int)), None)


def _arguments(envelope: Envelope) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a task's arguments by name (or the earlier link's result), and what follows it."""
    positional, named, embed = envelope.arguments()
    first = positional[0] if positional else None
    given = first if isinstance(first, dict) else {"": first} if positional else {}
    chain = tuple(str(link["options"]["task_id"]) for link in embed.get("chain") or ())
    return {**given, **named}, chain
