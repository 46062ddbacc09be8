"""A Celery application whose five stages take a known time in real FFmpegs: `-A _paced`.

Each stage (or PACED_ONLY) makes PACED_UNITS units of PACED_SECONDS; each unit is an FFmpeg that encodes in real
time. Every build is a line in PACED_LOG: stage, unit, process, time. PACED_VISIBILITY is the
visibility timeout of the broker in seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Task

from app.celery_app import celery_app
from app.media import ffmpeg
from app.tasks import _stage
from app.tasks._stage import StageContext

__all__ = ["app"]

app = celery_app
SECONDS = float(os.environ.get("PACED_SECONDS", "1"))
UNITS = int(os.environ.get("PACED_UNITS", "4"))
ONLY = os.environ.get("PACED_ONLY", "")


def _encode(path: Path, stage: str, unit: int, project: int) -> None:
    line = {"stage": stage, "unit": unit, "project": project, "pid": os.getpid(), "t": time.time()}
    with Path(os.environ["PACED_LOG"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    pattern = f"testsrc=size=320x180:rate=30:duration={SECONDS}"
    ffmpeg.run(["-re", "-f", "lavfi", "-i", pattern, "-preset", "ultrafast", path])


def _paced(context: StageContext) -> None:
    for unit in range(UNITS if ONLY in ("", context.stage) else 0):

        def build(path: Path, unit: int = unit) -> None:
            _encode(path, context.stage, unit, context.project.id)

        context.make(f"render/{context.stage}-{unit}.mp4", inputs={"unit": unit}, build=build)
    context.facts.update(scenes=1, sentences=1)


work: Callable[[StageContext], None] = _paced
for definition in _stage.DEFINITIONS.values():
    # the tasks hold the definition itself, so it is this object that has to change
    object.__setattr__(definition, "work", work)

if "PACED_VISIBILITY" in os.environ:
    options: dict[str, Any] = dict(app.conf.broker_transport_options)
    options |= {
        "visibility_timeout": float(os.environ["PACED_VISIBILITY"]),
        "unacked_restore_interval": 1,
    }
    app.conf.broker_transport_options = options


@app.task(bind=True, name="bench.ping")
def ping(self: Task[Any, Any]) -> dict[str, Any]:
    """Tell who took this, and when."""
    return {"worker": self.request.hostname, "t": time.time()}
