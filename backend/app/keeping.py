"""Answers that were paid for: kept by whoever works on a project, so that none is paid for twice.

A provider that needs several calls for one result asks each through `answer`; a stage keeps them
(`keeper`). Who calls a provider outside a stage pays anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Keeper = Callable[[Mapping[str, Any], Callable[[], str]], str]
"""Returns what is kept for the same inputs (a JSON value), else calls, keeps and returns that."""

_keeper: ContextVar[Keeper | None] = ContextVar("keeper", default=None)


@contextmanager
def keeper(keep: Keeper) -> Iterator[None]:
    """Let `keep` hear of every answer inside."""
    token = _keeper.set(keep)
    try:
        yield
    finally:
        _keeper.reset(token)


def answer(inputs: Mapping[str, Any], call: Callable[[], str]) -> str:
    """Return the answer to `inputs`: the one that is kept, or that of `call`.

    Args:
        inputs: All that the answer depends on, as a JSON value.
        call: Asks for it.
    """
    keep = _keeper.get()
    return call() if keep is None else keep(inputs, call)
