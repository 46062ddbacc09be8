"""One model of Gemini among those that a setting names: when it may be asked, when it is passed over."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import AbstractContextManager

from app import throttle
from app.errors import QuotaError, ReelchainError, TransientError
from app.providers.gemini import refusals
from app.providers.gemini.config import GeminiSettings
from app.providers.gemini.refusals import Refusal

TRIES = 4
"""Answers of an overloaded model before the next one is asked: the first, and three more tries."""
REST = 60.0
"""Seconds for which an overloaded model is then passed over at once."""
PAUSE = 15.0
"""Seconds without calls after a refusal for their number that says no time."""
_REMEMBERED = 1000


class NextError(Exception):
    """This model can't be had for long: the next one is to be asked."""

    def __init__(self, why: ReelchainError) -> None:
        super().__init__(str(why))
        self.why = why


class _Overloads:
    """How often in a row a model was overloaded for the same question, in this process."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, model: str, question: int) -> int:
        """Count one more; return how many it were."""
        with self._lock:
            count = self._counts.pop((model, question), 0) + 1
            self._counts[model, question] = count
            if len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)
            return count

    def forget(self, model: str, question: int) -> None:
        """Begin anew."""
        with self._lock:
            self._counts.pop((model, question), None)


_overloads = _Overloads()


class Model:
    """A model that is asked.

    Args:
        name: Google's.
        config: The settings.
        last: Whether no other one is left.
    """

    def __init__(self, name: str, config: GeminiSettings, *, last: bool) -> None:
        self.name, self.config, self.last = name, config, last
        key = config.gemini_api_key.get_secret_value() if config.gemini_api_key else ""
        # quotas are those of a key's project: who changes the key need not wait for the old one's
        self._whose = f"gemini:{name}:{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    def ready(self) -> None:
        """Make sure the model may be asked today.

        Raises:
            NextError: Its quota of the day is spent, or it was overloaded a moment ago.
        """
        seconds = throttle.closed(f"{self._whose}:day")
        if seconds:
            spent = Refusal(429, "RESOURCE_EXHAUSTED", quotas=("PerDay",), delay=seconds)
            raise NextError(refusals.explain(spent, self.name))
        if not self.last and throttle.closed(f"{self._whose}:overload"):
            raise NextError(refusals.explain(Refusal(503, "UNAVAILABLE"), self.name))

    def slot(self) -> AbstractContextManager[None]:
        """Wait for a turn among all workers."""
        return throttle.slot(
            f"gemini:{self.name}",
            at_once=self.config.gemini_at_once,
            per_minute=self.config.gemini_per_minute,
        )

    def refused(self, refusal: Refusal, question: int) -> Exception:
        """Return what a refusal leads to: an error of ours, or `NextError`."""
        error = refusals.explain(refusal, self.name)
        if isinstance(error, QuotaError):
            throttle.close(f"{self._whose}:day", error.retry_after or REST)
            return NextError(error)
        if error.code in {"gemini_model_gone", "gemini_no_quota"}:
            return NextError(error)
        if refusal.code == 429:
            throttle.close(f"gemini:{self.name}", refusal.delay or PAUSE)
        if self.last or refusal.code not in refusals.OVERLOADED:
            return error
        if _overloads.add(self.name, question) < TRIES:
            return error
        _overloads.forget(self.name, question)
        throttle.close(f"{self._whose}:overload", REST)
        return NextError(error)

    def worked(self, question: int) -> None:
        """Note that the model answered."""
        if not self.last:
            _overloads.forget(self.name, question)


def soonest(refused: Iterable[ReelchainError]) -> ReelchainError:
    """Return the refusal that ends first: what may go away in a while, then tomorrow, then never."""
    ranks = {TransientError: 0, QuotaError: 1}
    return min(refused, key=lambda error: ranks.get(type(error), 2))
