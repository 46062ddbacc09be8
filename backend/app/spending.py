"""What services cost: told by providers as they are paid, heard by whoever keeps the books.

A provider asks before a paid call and tells after its answer, wherever in it the call is made; a
stage listens (`listening`). Who calls a provider outside a stage pays unheard.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator

from app.models import Value

MOST = 10**12


def _within(value: Any) -> Any:
    """Return a count within bounds: services have been seen to say anything."""
    return min(max(value, 0), MOST) if isinstance(value, int) else 0


Count = Annotated[int, BeforeValidator(_within)]


class Usage(Value):
    """What one call used.

    Attributes:
        service: Whose: `gemini`, `openai`.
        model: Which of its models.
        calls: How many calls.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, whatever they stand for.
        pictures: Pictures that were made.
        characters: Characters that were spoken.
    """

    service: str
    model: str
    calls: Count = 1
    input_tokens: Count = 0
    output_tokens: Count = 0
    pictures: Count = 0
    characters: Count = 0


class Purse(Protocol):
    """Who keeps the books of a project."""

    def ask(self, usage: Usage) -> None:
        """Raise `BudgetError` where a call that uses as much at most may pass the budget."""
        ...

    def paid(self, usage: Usage) -> None:
        """Book what a call has used."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass before a call; raise as soon as nobody wants it any more."""
        ...

    def released(self) -> None:
        """Hear that the call of this thread is over: what it asked for and did not use is free."""
        ...


_purse: ContextVar[Purse | None] = ContextVar("purse", default=None)


@contextmanager
def listening(purse: Purse) -> Iterator[None]:
    """Let a purse hear of all that is paid inside; threads inherit it with their context."""
    token = _purse.set(purse)
    try:
        yield
    finally:
        _purse.reset(token)


@contextmanager
def call(most: Usage) -> Iterator[None]:
    """Ask whether a call may be made, with the most that it may use, and make it inside.

    What was asked for one that came to nothing is free again at the end.

    Raises:
        BudgetError: `budget_reached`.
    """
    purse = _purse.get()
    if purse is None:
        yield
        return
    purse.ask(most)
    try:
        yield
    finally:
        purse.released()


def wait(seconds: float) -> None:
    """Let time pass before a call.

    Raises:
        Cancelled: Whoever keeps the books wants it no more.
    """
    purse = _purse.get()
    if purse is None:
        time.sleep(seconds)
    else:
        purse.wait(seconds)


def paid(usage: Usage) -> None:
    """Tell what a call has used, as soon as its answer is there, whatever the answer is worth."""
    purse = _purse.get()
    if purse is not None:
        purse.paid(usage)
