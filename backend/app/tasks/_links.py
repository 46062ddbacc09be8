"""Which of our stages a chain holds, under which task ids, and what of the caller's comes behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.models import Stage
from app.tasks._context import DEFINITIONS


@dataclass(frozen=True)
class Links:
    """The links of a chain from one message on.

    Attributes:
        callers: Task id → stage, in the chain's order.
        rest: Signatures behind the last of our stages, the next one last, as Celery keeps them.
    """

    callers: dict[str, Stage]
    rest: list[Any]

    @property
    def last(self) -> str:
        """Id of the last of our stages: `rest` waits for its result."""
        return list(self.callers)[-1]


def read(task_id: str, stage: Stage, chain: Sequence[Any] | None) -> Links:
    """Return the links of a message and of the chain behind it (signatures, the next one last)."""
    callers = {task_id: stage}
    behind = list(reversed(chain or []))
    ours = 0
    for number, link in enumerate(behind, 1):
        found = stage_of(link["task"])
        if found is not None:
            callers[link["options"]["task_id"]] = found
            ours = number
    return Links(callers, list(reversed(behind[ours:])))


def stage_of(task_name: str) -> Stage | None:
    """Return the stage that a task does, or None."""
    return next((d.stage for d in DEFINITIONS.values() if d.task_name == task_name), None)
