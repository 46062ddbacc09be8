"""A Celery application that stops for good half way through a stage: `-A _held_app`.

HOLD_STAGE names the stage; HOLD_AT is the how-manieth of its builds and steps it stops in. The file
HOLD_FLAG appears then.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.celery_app import app
from app.tasks._context import StageContext

__all__ = ["app"]

_left = [int(os.environ["HOLD_AT"])]
_counting = threading.Lock()
_make_all, _step = StageContext.make_all, StageContext.step


def _held(context: StageContext, act: Callable[..., Any]) -> Callable[..., Any]:
    def acts(*args: Any, **how: Any) -> Any:
        done = act(*args, **how)
        if context.stage == os.environ["HOLD_STAGE"]:
            with _counting:
                _left[0] -= 1
                here = _left[0] == 0
            if here:
                Path(os.environ["HOLD_FLAG"]).touch()
                time.sleep(600)
        return done

    return acts


def _made(context: StageContext, names: Any, *, build: Callable[..., None], **how: Any) -> Any:
    return _make_all(context, names, build=_held(context, build), **how)


def _stepped(context: StageContext, *args: Any, **how: Any) -> None:
    _held(context, _step)(context, *args, **how)


StageContext.make_all = _made  # type: ignore[method-assign]
StageContext.step = _stepped  # type: ignore[method-assign]
