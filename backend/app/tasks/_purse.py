"""A project's purse: each paid call is booked at once, and none is begun that may pass the budget.

The limits are the project's budget (its own, or the setting PROJECT_BUDGET) and that of its batch.
Both are read anew for each call, so that more is allowed as soon as somebody says so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from app import batch, prices, settings
from app.batch import Batch, Till
from app.errors import BudgetError, Cancelled, InputError, NotFoundError, ReelchainError
from app.models import Stage
from app.project import Project, ProjectState, spend
from app.spending import Usage


@dataclass(frozen=True)
class _Limit:
    """What may be spent of one budget.

    Attributes:
        owner: Whose it is, in words.
        command: The command that raises it, but for the figure.
        budget: The whole of it.
        spent: What is spent of it.
        unknown: What was paid for and has no known price.
        others: The most that calls on their way may cost.
    """

    owner: str
    command: str
    budget: Decimal
    spent: Decimal
    unknown: list[str]
    others: Decimal

    def check(self, usage: Usage, most: Decimal | None) -> None:
        """Raise where the call may pass the budget, or nobody can tell."""
        name = f"{usage.service}/{usage.model}"
        if most is None or self.unknown:
            raise BudgetError(
                "price_unknown",
                f"{self.owner} has a budget, and what {(*self.unknown, name)[0]} costs is not known.",
                "Give its price in a file (PRICES_FILE, docs/operations.md), or set no budget.",
            )
        if self.spent + self.others + most <= self.budget:
            return
        more = f", calls on their way up to {prices.shown(self.others)}" if self.others else ""
        enough = prices.rounded_up(max(self.budget * 2, self.spent + self.others + most))
        raise BudgetError(
            "budget_reached",
            f"{self.owner} has cost {prices.shown(self.spent)} of its budget of "
            f"{prices.shown(self.budget)}{more}; the next call ({name}) may cost "
            f"{prices.shown(most)}.",
            f"What is made is kept; allow it more to go on: {self.command} --budget {enough}",
        )


class ProjectPurse:
    """The purse of a project whose lock is held; use it as a context manager around the work.

    Args:
        project: The project.
        stage: The stage at work, for the history.
    """

    def __init__(self, project: Project, stage: Stage) -> None:
        # money is gone whatever became of the run meanwhile: this handle knows no fence
        self._project = Project(project.folder, project.id)
        self._stage = stage
        self._lock = threading.Lock()
        self._asked: dict[int, tuple[Usage, Decimal | None]] = {}
        self._till: Till | None = None
        self._clerk = ThreadPoolExecutor(1, "purse")
        self._settled = False
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; a call that is still on its way, of a thread left behind, is booked all the same."""
        with self._lock:
            self._closed.set()
            self._forget(threading.get_ident())
        self._clerk.shutdown()
        if self._till is not None and not self._asked:
            self._till.close()

    def ask(self, usage: Usage) -> None:
        """See whether a call that uses as much at most fits into what is left.

        Raises:
            BudgetError: `budget_reached`.
                `price_unknown`, where there is a budget and something has no known price.
            Cancelled: The stage is over; only a thread that it left behind asks now.
        """
        most = _price(usage)
        with self._lock:
            self._check_open()
            self._settle()
            self._forget(threading.get_ident())
            state = self._project.state()
            with self._shared(state) as shared:
                if most != 0:
                    for limit in self._limits(state, shared):
                        limit.check(usage, most)
                self._asked[threading.get_ident()] = (usage, most)
                self._reserve()

    def wait(self, seconds: float) -> None:
        """Let time pass before a call.

        Raises:
            Cancelled: The stage is over; it may end while a thread that it left behind waits.
        """
        self._closed.wait(seconds)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Cancelled("cancelled", "The stage is over.", "Run the project again.")

    def paid(self, usage: Usage) -> None:
        """Book a call; durable when this returns."""
        # by a thread of its own: whoever calls the stage off interrupts its own thread only
        thread = threading.get_ident()
        try:
            booking = self._clerk.submit(self._book, usage, thread)
        except RuntimeError:  # closed: nobody interrupts a thread that was left behind
            self._book(usage, thread)
            if self._till is not None and not self._asked:
                self._till.close()
        else:
            booking.result()

    def released(self) -> None:
        """Keep no more what this thread asked for and has not paid: its call is over."""
        with self._lock:
            if self._asked.pop(threading.get_ident(), None) is None or self._till is None:
                return
            if not self._closed.is_set():
                # the call's own error is the one to be told
                with contextlib.suppress(ReelchainError), self._shared(self._project.state()):
                    self._reserve()
            elif not self._asked:
                self._till.close()

    def _book(self, usage: Usage, thread: int) -> None:
        with self._lock:
            self._settle()
            asked = self._asked.get(thread)
            if asked is not None and prices.silent(usage):
                usage = asked[0]  # nobody says what it used: no more than this
            usd = _price(usage)
            state = self._project.state()
            with self._shared(state):
                told = {"stage": self._stage, "run": state.run.number, **spend.line(usage, usd)}
                # the line under the state's lock: of a thread that was left behind, the next purse
                # would take it over, and this one would add it once more
                with self._project.transaction(line={"code": spend.CODE, **told}) as state:
                    spend.add(state.spend, usage, usd)
                self._asked.pop(thread, None)
                self._reserve()

    def _settle(self) -> None:
        if not self._settled:
            spend.settle(self._project)
            self._settled = True

    def _forget(self, thread: int) -> None:
        """Drop what was asked for calls that came to nothing: a thread has one at a time."""
        alive = {t.ident for t in threading.enumerate()} - {thread}
        self._asked = {t: asked for t, asked in self._asked.items() if t in alive}

    @property
    def _on_their_way(self) -> Decimal:
        return sum((most or Decimal(0) for _, most in self._asked.values()), Decimal(0))

    def _reserve(self) -> None:
        if self._till is not None:
            self._till.reserve(self._on_their_way)

    @contextlib.contextmanager
    def _shared(self, state: ProjectState) -> Iterator[Batch | None]:
        """Hold the batch's till, where there is one; yields the batch."""
        made = None
        if state.batch is not None:
            with contextlib.suppress(NotFoundError):
                made = batch.load(state.batch)
        if made is None or (made.budget is None and self._till is None):
            yield None
            return
        self._till = self._till or Till(made.batch_id, self._project.id)
        with self._till.held(made.batch_id) as made:
            yield made

    def _limits(self, state: ProjectState, shared: Batch | None) -> Iterator[_Limit]:
        own, unknown = spend.total(state.spend)
        number = self._project.id
        budget = state.spec.budget
        if budget is None:
            budget = settings.get().project_budget
        if budget is not None:
            yield _Limit(
                f"Project {number}",
                f"./reelchain run {number}",
                Decimal(str(budget)),
                own,
                unknown,
                self._on_their_way,
            )
        if shared is not None and shared.budget is not None and self._till is not None:
            known, more = self._till.others(shared)
            yield _Limit(
                f"Batch {shared.batch_id}",
                f"./reelchain batch run {shared.batch_id}",
                Decimal(str(shared.budget)),
                own + known,
                [*unknown, *more],
                self._on_their_way + self._till.asked(),
            )


def _price(usage: Usage) -> Decimal | None:
    try:
        return prices.price(usage)
    except (
        InputError
    ):  # PRICES_FILE went wrong since the start: no reason to lose what was paid for
        return None
