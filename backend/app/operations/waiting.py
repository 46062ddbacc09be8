"""How long each queue is, what waits longest in it, and how to drop what waits."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from app import batch as batches
from app import settings
from app.celery_app import QUEUES, celery_app
from app.errors import Cancelled, InputError, ReelchainError
from app.operations.broker import UNACKED, Message, connected, keys, read
from app.project import Project

LOOKED_AT = 50
"""Messages of each priority that are searched for the oldest: a restored one may lie before it."""
MOST_UNACKED = 5000
"""More than this many are counted, but not told apart by queue."""


def queues() -> list[dict[str, Any]]:
    """Return each queue: length in all and by priority, unacknowledged messages, the oldest one.

    The age of a message that does not say when it was sent is None: unknown.

    Raises:
        ServiceError: `redis_unreachable`.
    """
    with connected() as client:
        taken = _unacked(client)
        return [_queue(client, name, taken[name]) for name in QUEUES]


def _queue(client: redis.Redis, name: str, unacked: int) -> dict[str, Any]:
    lengths: dict[int, Any] = {priority: client.llen(key) for priority, key in keys(name)}
    first = list(read(client, name, last=LOOKED_AT)) if sum(lengths.values()) else []
    dated = [message for message in first if message.sent is not None]
    oldest = min(dated, key=lambda message: message.sent or 0.0) if dated else None
    oldest = oldest or next(iter(first), None)
    return {
        "queue": name,
        "waiting": sum(lengths.values()),
        "unacked": unacked,
        "priorities": {str(priority): n for priority, n in lengths.items() if n},
        "oldest": _aged(oldest) if oldest else None,
        "next": first[0].facts() if first else None,
    }


def _aged(message: Message) -> dict[str, Any]:
    sent = message.sent
    moment = datetime.fromtimestamp(sent, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if sent else None
    age = round(max(0.0, time.time() - sent), 1) if sent else None
    return {**message.facts(), "sent": moment, "age_seconds": age}


def _unacked(client: redis.Redis) -> Counter[str]:
    """Return how many messages workers have taken and not acknowledged, by queue."""
    count: Any = client.hlen(UNACKED)
    if count > MOST_UNACKED:
        return Counter({"": count})
    values: Any = client.hvals(UNACKED)
    return Counter(map(_routed, values))


def _routed(value: bytes) -> str:
    try:
        return str(json.loads(value)[2])
    except (ValueError, LookupError, TypeError):
        return ""


# -- emptying ------------------------------------------------------------------------------


def plan(names: Sequence[str] = ()) -> list[Message]:
    """Return what waits in the queues, all of ours by default: what `drop` would drop.

    Raises:
        InputError: `queue_unknown`.
        ServiceError: `redis_unreachable`.
    """
    if unknown := [name for name in names if name not in QUEUES]:
        raise InputError(
            "queue_unknown",
            f"There is no queue {unknown[0]!r}.",
            f"Choose one of: {', '.join(QUEUES)}.",
        )
    with connected() as client:
        return [message for name in names or QUEUES for message in read(client, name)]


def summary(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return messages as facts: per queue how many, the tasks by name, projects, batches."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message.queue, []).append(message)
    return [
        {
            "queue": name,
            "messages": len(group),
            "tasks": dict(Counter(message.task for message in group).most_common()),
            "projects": sorted({m.project for m in group if m.project is not None}),
            "batches": sorted({m.batch for m in group if m.batch is not None}),
        }
        for name, group in found.items()
    ]


@dataclass(frozen=True)
class Concerned:
    """What would be sent again, if only its message were dropped.

    Attributes:
        projects: Their current run waits in one of the messages.
        batches: They are being run.
        going_on: Batches of those projects that have other projects to send.
    """

    projects: tuple[Project, ...]
    batches: tuple[int, ...]
    going_on: tuple[int, ...]


def concerned(messages: Iterable[Message]) -> Concerned:
    """Return whose runs these messages belong to."""
    some = list(messages)
    projects = {m.project: p for m in some if m.project and (p := _waiting(m.project, m))}
    batches = sorted({m.batch for m in some if m.batch and _is_run(m.batch)})
    owners = {p.state().batch for p in projects.values()} - {None, *batches}
    return Concerned(
        projects=tuple(project for _, project in sorted(projects.items())),
        batches=tuple(batches),
        going_on=tuple(sorted(number for number in owners if number and _is_run(number))),
    )


def drop(messages: Sequence[Message], *, keep_projects: bool = False) -> dict[str, Any]:
    """Take exactly these messages out of their queues; one that a worker has by now stays its own.

    What a lost message was about is sent again by the watchdog. So the projects and batches whose
    current run waited in one are cancelled, unless `keep_projects` leaves them to be sent again.
    Callers who wait for any other dropped task get `Cancelled`.

    Returns:
        `queues` (as `summary`), `dropped`, `projects` and `batches` cancelled (or `kept`: True),
        `going_on`: batches that send their other projects all the same.
    """
    from app.tasks import batch, dispatch  # cost all the stages; who only looks does not pay

    with connected() as client:
        gone = _taken_out(client, messages)
    whose = concerned(gone)
    if not keep_projects:
        for number in whose.batches:
            batch.cancel(number)
        for project in whose.projects:
            dispatch.cancel(project)
    ours = {project.id for project in whose.projects}
    _answer([m for m in gone if m.project not in ours and m.batch not in whose.batches])
    return {
        "queues": summary(gone),
        "dropped": len(gone),
        "projects": [project.id for project in whose.projects],
        "batches": list(whose.batches),
        "kept": keep_projects,
        "going_on": list(whose.going_on),
    }


def _taken_out(client: redis.Redis, messages: Sequence[Message]) -> list[Message]:
    gone: list[Message] = []
    for start in range(0, len(messages), 500):
        some = messages[start : start + 500]
        with client.pipeline(transaction=False) as pipe:
            for message in some:
                # from the end, where workers take and where we read: found at once
                pipe.lrem(message.key, -1, message.raw)  # type: ignore[arg-type] # stubs: text only
            there = pipe.execute()
        gone += [
            message
            for message, removed in zip(some, there, strict=True)
            if removed or _taken_elsewhere(client, message)
        ]
    return gone


def _taken_elsewhere(client: redis.Redis, message: Message) -> bool:
    """Take out a message that has become more urgent by its waiting, if it is still there."""
    others = [key for _, key in keys(message.queue) if key != message.key]
    raw: Any = message.raw  # the stubs know text only
    return any(client.lrem(key, -1, raw) for key in others)


def _waiting(project_id: int, message: Message) -> Project | None:
    """Return a message's project if its current run waits in it: nobody works on it."""
    try:
        project = Project.open(settings.get().projects_dir, project_id)
        run = project.state().run
    except (ReelchainError, OSError):
        return None  # removed meanwhile, or unreadable: nobody sends it again
    waits = run.number == message.run and not run.ended and not project.locked()
    return project if waits else None


def _is_run(number: int) -> bool:
    try:
        return batches.load(number).run.running
    except ReelchainError:
        return False


def _answer(messages: Sequence[Message]) -> None:
    """Let nobody wait for what will not come."""
    error = Cancelled("purged", "The task was dropped from its queue.", "Send it again.")
    backend: Any = celery_app.backend
    for task_id in {name for m in messages for name in (m.task_id, *m.chain) if name}:
        backend.mark_as_failure(task_id, error)
