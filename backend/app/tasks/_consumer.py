"""What takes messages off the queues: Celery's own, but a malformed message does not end it.

Celery 5.7 lets an error of a message it can't read rise to the top: the worker exits, the message is
put back, and the next worker that takes it exits, too. Messages are hints here (the folder says what
is to be done), so one that is none is logged and dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as _Consumer
from redis.exceptions import ConnectionError as RedisConnectionError

log = logging.getLogger(__name__)

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError, ArithmeticError)
"""What reading a message raises that somebody else wrote."""


class Consumer(_Consumer):
    """Celery's consumer, which outlives messages of a wrong shape."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop: Callable[..., Any] = getattr(self, "loop")  # noqa: B009 - untyped in Celery
        self.loop = self._guarded_loop

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], object]:
        """Return the callback for messages; one it can't make a request of is dropped."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except MALFORMED as error:
                if message.acknowledged:
                    raise
                log.exception("a message was dropped that is no task's")
                self.on_invalid_task(None, message, error)

        return on_task_received

    def _guarded_loop(self, *args: Any) -> Any:
        """Run the event loop; what can't even be a message was taken off its queue already."""
        try:
            return self._loop(*args)
        except MALFORMED as error:
            log.exception("something was dropped that is no message; connecting anew")
            # the one kind of error after which Celery starts its consumer again, tasks going on
            raise RedisConnectionError(f"not a message: {error}") from error
