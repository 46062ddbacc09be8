"""What a worker's main process does when a child that had a stage is gone.

Celery would answer the caller with WorkerLostError. Here the project goes on in another child, and
the caller gets the outcome of that: so nothing is stored, and the watchdog looks at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from celery.worker.state import task_ready

log = logging.getLogger(__name__)

on_lost: list[Callable[[], None]] = []
"""Called when a child died with a stage in hand."""
on_time_up: list[Callable[[str, str], None]] = []
"""Called with task name and id when a stage passed its hard time limit, before its child dies."""


class StageRequest(Request):
    """The request of a task whose work goes on without it: a stage's, a batch's."""

    _time_is_up = False

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Leave a lost child's stage to the watchdog; everything else is Celery's."""
        error = exc_info.exception
        error = getattr(error, "exc", error)  # billiard wraps some to carry their traceback
        late = isinstance(error, TimeLimitExceeded)  # `on_timeout` follows
        gone = late or isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
        if not gone or return_ok:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        task_ready(self)
        self.send_event("task-failed", exception=repr(error), traceback="")
        if not late and not self._time_is_up:
            log.warning("the child at %s[%s] is gone: %s", self.name, self.id, error)
            for hook in on_lost:
                hook()
        return None

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Fail the project at a hard time limit; the soft one is the stage's own business."""
        if soft:
            super().on_timeout(soft, timeout)
            return
        task_ready(self)
        self._time_is_up = True
        log.error("hard time limit (%s s) passed by %s[%s]", timeout, self.name, self.id)
        for hook in on_time_up:
            # not in the pool's own thread: this writes to disk and asks Redis
            threading.Thread(target=hook, args=(self.name, self.id), daemon=True).start()
