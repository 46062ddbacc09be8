"""Several units of one stage at once, in threads that belong to the stage's turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from app.tasks._context import StageContext

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def begun(
    context: StageContext, act: Callable[[T], R], units: Iterable[T], at_once: int
) -> Iterator[Iterator[R]]:
    """Begin as many units at once as is wanted; inside, what comes of them is waited for, in order.

    Args:
        context: The stage.
        act: Does one unit; thread-safe where `at_once` is above 1.
        units: What there is to do.
        at_once: Most at a time; 1 begins each one as it is waited for, in the stage's own thread.
    """
    if at_once == 1:
        yield map(act, units)
        return
    pool = ThreadPoolExecutor(at_once)
    # each call keeps this task's log context
    futures = [pool.submit(copy_context().run, act, unit) for unit in units]
    try:
        yield (_awaited(context, future) for future in futures)
    finally:
        # after an error the units at work are waited for; they can't commit once we are called
        # off, so then they may end when they like
        pool.shutdown(wait=not context.called_off, cancel_futures=True)


def _awaited(context: StageContext, future: Future[R]) -> R:
    with context.waiting():
        return future.result()


def several(
    context: StageContext, act: Callable[[T], R], units: Iterable[T], at_once: int
) -> Iterator[R]:
    """Do as many units at once as is wanted; yield what comes of them, in order."""
    with begun(context, act, units, at_once) as results:
        yield from results
