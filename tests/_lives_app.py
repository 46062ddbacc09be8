"""A Celery application whose tasks end in every way there is: `-A _lives_app`.

The thumbnail does what the file named by LIVES_PLAN says: `forbidden` (a failure for good), `die`
(its process is killed), `hang`, anything else (well).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded

import _cheap
from app.celery_app import app
from app.errors import InputError, PermanentError
from app.tasks import _stage
from app.tasks._stage import StageContext

__all__ = ["app"]

_cheap.install()
_thumbnail = _stage.DEFINITIONS["thumbnail_generation"].work


def _planned(context: StageContext) -> None:
    plan = Path(os.environ.get("LIVES_PLAN", "/nowhere"))
    todo = plan.read_text().strip() if plan.exists() else ""
    if todo == "forbidden":
        raise PermanentError("forbidden", "The service says no (403).", "Ask for access.")
    if todo == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if todo == "hang":
        context.make("hang", inputs={}, build=lambda _path: time.sleep(600))
    _thumbnail(context)


object.__setattr__(_stage.DEFINITIONS["thumbnail_generation"], "work", _planned)


@app.task(name="lives.well")
def well() -> int:
    return 1


@app.task(name="lives.fails")
def fails() -> None:
    raise InputError("topic_empty", "The topic has no words.", "password=hunter2")


@app.task(name="lives.dies")
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="lives.hangs", soft_time_limit=1, time_limit=2)
def hangs() -> None:
    with contextlib.suppress(SoftTimeLimitExceeded):
        time.sleep(600)
    time.sleep(600)


@app.task(name="lives.waits")
def waits() -> None:
    time.sleep(600)
