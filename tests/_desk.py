"""A desk in memory, for a publisher without a project; it tries again without pausing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app import messages
from app.errors import ReelchainError
from app.providers import Published

T = TypeVar("T")
TRIES = 4


class MemoryDesk:
    def __init__(self) -> None:
        self.kept = "{}"
        self.seen: list[Published] = []
        self.booked: list[str] = []
        self.reserved: list[dict[str, int]] = []
        self.refusals: list[tuple[str, float | None]] = []
        self.warnings: list[str] = []
        self.reports: list[float] = []
        self.pauses: list[float] = []
        self.retries: list[ReelchainError] = []

    def load(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kept)
        return found

    def save(self, facts: Mapping[str, Any]) -> None:
        self.kept = json.dumps(dict(facts))

    def visible(self, published: Published) -> None:
        self.seen.append(published)

    def report(self, done: float, what: str = "start", **facts: object) -> None:
        messages.text(f"upload_{what}", "en", **facts)
        self.reports.append(done)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def retrying(self, unit: Callable[[], T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return unit()
            except ReelchainError as error:
                if not error.retryable:
                    raise
                self.retries.append(error)
        return unit()

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def book(self, call: str) -> None:
        self.booked.append(call)

    def reserve(self, calls: Mapping[str, int]) -> None:
        self.reserved.append(dict(calls))

    def refused(self, call: str, seconds: float | None) -> float:
        self.refusals.append((call, seconds))
        return seconds or 1000.0
