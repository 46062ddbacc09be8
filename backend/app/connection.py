"""A connection to Redis for words that may be lost: quick to give up, one per process.

Progress and leases go over it. Nothing that the work waits for does.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import embedded

TIMEOUT = 1.0
"""Seconds to wait for a Redis that does not answer; a lost connection is tried once more."""

_clients: dict[tuple[int, str], redis.Redis] = {}


def quick() -> redis.Redis:
    """Return this process's own connection, never shared over a fork; answers are text."""
    url = embedded.address()
    key = (os.getpid(), url)
    client = _clients.get(key)
    if client is None:  # threads may each make one at first; the last one stays
        _clients.clear()
        made: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        client = _clients[key] = made
    return client
