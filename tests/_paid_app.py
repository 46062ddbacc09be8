"""A Celery application that asks paid services in earnest and films nothing: `-A _paid_app`.

Script and assets are the real stages; render and thumbnail are those of `_cheap`. Retries are cut
short, and what a dead child held of a model is free again after PAID_LEASE seconds. What a stage
loads on first use is loaded before the pool's children begin: here they die by the dozen.
"""

from __future__ import annotations

import os

import _cheap
from app import throttle
from app.celery_app import app
from app.providers import _timing
from app.providers.gemini import pictures, sdk, speech, writer
from app.tasks import _context, _execution

__all__ = ["app", "pictures", "sdk", "speech", "writer"]

_timing.read("A word.", "en")
_cheap.install()
_context.RETRY_DELAYS = (0.1, 0.25, 0.5)
_context.LONGEST_WAIT = _execution.LONGEST_WAIT = 2.0
throttle.LEASE = float(os.environ.get("PAID_LEASE", throttle.LEASE))
