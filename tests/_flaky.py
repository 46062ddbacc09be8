"""A Celery application whose voice fails on purpose: `-A _flaky`.

The file named by FLAKY_PLAN holds one line per call still to fail: `503`, `403`, `hang`, `crash`,
`die` (the process is killed), `later` (a Retry-After of 3 s), `deaf` (a call nothing interrupts).
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from app import providers
from app.celery_app import app
from app.errors import PermanentError, TransientError
from app.models import Speech
from app.providers import SpeechRequest
from app.providers.hibari import HibariSpeech

__all__ = ["FlakySpeech", "app"]


class FlakySpeech(HibariSpeech):
    name: ClassVar[str] = "flaky"

    def concurrency(self) -> int:
        several = Path(os.environ["FLAKY_PLAN"]).with_suffix(".several")
        return 2 if several.exists() else 1

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        plan = Path(os.environ["FLAKY_PLAN"])
        todo = plan.read_text().split()
        if not todo:
            return super().speak(request, target)
        plan.write_text("\n".join(todo[1:]))
        with plan.with_suffix(".calls").open("a") as calls:
            calls.write(f"{time.time()}\n")
        if todo[0] == "503":
            raise TransientError("service_unavailable", "The voice is busy (503).", "")
        if todo[0] == "403":
            raise PermanentError("forbidden", "The voice says no (403).", "Ask for access.")
        if todo[0] == "crash":
            raise ZeroDivisionError("a fault of ours")
        if todo[0] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if todo[0] == "later":
            raise TransientError("busy", "The voice is overrun (503).", "", 3.0)
        if todo[0] == "deaf":
            mutex = ctypes.create_string_buffer(64)
            for _ in range(2):  # the second time for ever, and no signal gets it out
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
        time.sleep(60)
        raise AssertionError("nobody stopped it")


providers.TABLE["speech"]["flaky"] = "_flaky.FlakySpeech"
