"""A Celery application with the cheap stages of `_cheap`: `-A _cheap_app`."""

from __future__ import annotations

import _cheap
from app.celery_app import app

__all__ = ["app"]

_cheap.install()
