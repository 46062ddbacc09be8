"""A message as kombu keeps it in a Redis list, or in `unacked`: what its envelope says."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

_UNUSABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Envelope:
    """What can be said of a message without running it; empty where it is none of Celery's.

    Attributes:
        headers: Its headers: Celery's, and our `sent`, `project`, `run`.
        priority: What was asked for, as Redis counts: 0 goes first.
        body: Its body, still encoded.
    """

    headers: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    body: str = ""

    @property
    def sent(self) -> float | None:
        """When it was sent, in seconds since the epoch, if it says so."""
        found = self.headers.get("sent")
        return float(found) if isinstance(found, int | float) else None

    def arguments(self) -> tuple[Any, Any, Any]:
        """Return positional and named arguments, and what follows the task.

        Raises:
            ValueError: The body is none of Celery's; so with TypeError.
        """
        positional, named, embed = json.loads(base64.b64decode(self.body))
        return positional, named, embed


def read(raw: Any) -> Envelope:
    """Return the envelope of an entry in a queue's list."""
    try:
        return _opened(json.loads(raw))
    except _UNUSABLE:
        return Envelope()


def read_taken(raw: Any) -> Envelope:
    """Return the envelope of an entry in kombu's `unacked`: taken by a worker, not acknowledged."""
    try:
        return _opened(json.loads(raw)[0])
    except _UNUSABLE:
        return Envelope()


def _opened(document: Any) -> Envelope:
    return Envelope(
        headers=dict(document["headers"]),
        priority=int(document["properties"].get("priority") or 0),
        body=str(document.get("body", "")),
    )
