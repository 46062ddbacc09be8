"""A chain of providers: where one can't, the next one does, unless the project is strict about it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from app import providers, throttle
from app.errors import PermanentError, QuotaError, ReelchainError, TransientError
from app.tasks._context import StageContext

log = logging.getLogger(__name__)
T = TypeVar("T")

OF_OUR_MAKING = ("service_busy", "gemini_rate", "openai_rate")
"""Codes that speak of how much is asked, not of a service that is not well: the project waits for
its turn, and nobody stands in as long as waiting helps.
"""
PATIENCE = 3
"""Waits without any progress after which somebody stands in all the same."""
FALLS = (TransientError, PermanentError, QuotaError)
"""Errors of a service that another one may not have; a wrong setting or a budget stops all."""
UNLOADABLE = ("voice_missing", "voice_damaged")
"""Codes of a model on this machine that can't be loaded; another one may."""


def attempt(name: str, act: Callable[[], T], *, last: bool) -> T:
    """Do something by a provider, and let all workers know whether it works.

    Args:
        name: The provider's.
        act: Does it, tries and all.
        last: Nobody stands in for it: it is asked even where its circuit is broken.

    Raises:
        TransientError: `service_broken`: it has failed so often that it is left alone for a while.
        ReelchainError: What `act` says.
    """
    seconds = 0.0 if last else throttle.broken(name)
    if seconds > 0:
        raise TransientError(
            "service_broken",
            f"{name} has failed again and again and is left alone for {seconds:.0f} s.",
            "Run the project again in a while.",
            seconds,
        )
    try:
        result = act()
    except TransientError as error:
        if error.code in OF_OUR_MAKING:
            throttle.worked(name)
        else:
            throttle.failed(name)
        raise
    except ReelchainError:
        throttle.worked(name)  # it answered
        raise
    throttle.worked(name)
    return result


def first(
    context: StageContext,
    kind: str,
    names: Sequence[str],
    act: Callable[[Any], T],
    *,
    retry: bool = True,
) -> tuple[Any, T]:
    """Let the first provider that can do something.

    Each is tried again as the stage tries units again; one whose circuit is broken is passed over.

    Args:
        context: The stage.
        kind: Of the providers.
        names: Theirs, the first choice first.
        act: Gets a provider.
        retry: False where `act` calls `context.retrying` for each unit of its own.

    Returns:
        The provider that could, and what came of it.

    Raises:
        ReelchainError: What the last one, or with `strict` the first one, said.
    """
    for number, name in enumerate(names):
        last = context.spec.strict or number == len(names) - 1
        provider = providers.get(kind, name)
        unit = functools.partial(act, provider)
        try:
            tries = functools.partial(context.retrying, unit) if retry else unit
            return provider, attempt(name, tries, last=last)
        except ReelchainError as error:
            falls = isinstance(error, FALLS) or error.code in UNLOADABLE
            if last or not falls or waits(context, error):
                raise
            _tell(context, kind, name, names[number + 1], error)
    raise ValueError("a chain has one name at least")


def waits(context: StageContext, error: ReelchainError) -> bool:
    """Tell whether the project is to wait for a turn, rather than let somebody stand in."""
    return error.code in OF_OUR_MAKING and context.state().run.waits < PATIENCE


def _tell(context: StageContext, kind: str, name: str, other: str, error: ReelchainError) -> None:
    log.warning("%s by %s in place of %s: %s", kind, other, name, error)
    context.project.log(
        "fell_back", stage=context.stage, kind=kind, asked=name, by=other, error=error.code
    )
    reasons = context.facts.setdefault("fell_back", {})
    reasons[kind] = f"{name}: {error.message}"


def warn_of(context: StageContext, kind: str, what: str, asked: str, by: str) -> None:
    """Tell the user who did something in place of the first choice, and why, where that is known.

    Where nobody had to, what an earlier run noted of it is forgotten.

    Args:
        context: The stage.
        kind: Of the providers.
        what: What was done, in words: `The voice`.
        asked: The first choice.
        by: Who did it.
    """
    earlier = context.state().stage(context.stage).facts
    reasons = (earlier | context.facts).get("fell_back", {})
    if asked == by:
        if reasons:
            context.facts["fell_back"] = {k: why for k, why in reasons.items() if k != kind}
        return
    why = reasons.get(kind)
    context.warn(f"{what} is by {by} in place of {asked}" + (f" ({why})" if why else "."))
