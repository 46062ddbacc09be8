"""Real Redis and real workers as processes, with a data folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from _redis import APPEND_ONLY, begin, free_port, until
from app.project import Project

ROOT = Path(__file__).resolve().parents[1]

QUEUES = "video_generation,batch_processing,maintenance"

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


class Bench:
    """A Redis, a data folder, and workers that a test can kill.

    Args:
        folder: For everything.
        settings: Environment of workers and client, on top of what every bench has.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
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
            "PYTHONPATH": f"{ROOT / 'backend'}{os.pathsep}{ROOT / 'tests'}",
            "PYTHONWARNINGS": "default",
            **settings,
        }
        self._client: subprocess.Popen[str] | None = None
        self._start_redis()

    def _start_redis(self) -> None:
        self.redis_process = begin(self.folder, self.port, *APPEND_ONLY)
        self.redis = redis.Redis.from_url(self.url, decode_responses=True)
        until(self._answers, 10, "Redis answers")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.redis.ping())
        return False

    def start_worker(
        self, queues: str = QUEUES, concurrency: int = 2, app: str = "app.celery_app"
    ) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it takes tasks."""
        name = f"w{len(self.workers)}"
        worker = self.spawn_worker(name, queues, concurrency, app)
        until(lambda: "ready." in self.log(name), 60, f"worker {name} ready")
        return worker

    def spawn_worker(
        self, name: str, queues: str, concurrency: int, app: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker without waiting for it."""
        command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker"),
            *("-Q", queues, "-c", str(concurrency), "-n", f"{name}@test", "-E"),
            *("--without-mingle", "--without-gossip"),
            f"--loglevel={self.environment.get('LOG_LEVEL', 'INFO').lower()}",
        ]
        with (self.folder / f"worker-{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                command,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def log(self, name: str) -> str:
        """Return what a worker wrote."""
        return (self.folder / f"worker-{name}.log").read_text(errors="replace")

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

    # -- projects ------------------------------------------------------------------------------

    def make(self, specs: list[dict[str, Any]]) -> list[int]:
        """Make projects; return their numbers."""
        made = self.call(f"tell([create_project(s).id for s in {specs!r}])", seconds=300)
        return [int(number) for number in made]

    def start(self, numbers: list[int], **how: Any) -> None:
        """Start projects, as users do."""
        self.call(f"for n in {numbers}: start(n, **{how!r})", seconds=300)

    def project(self, number: int) -> Project:
        return Project(self.data / f"projects/{number}", number)

    def state(self, number: int) -> dict[str, Any]:
        """Return a project's state as it stands in its file."""
        path = self.data / f"projects/{number}/project_state.json"
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    # -- the end -------------------------------------------------------------------------------

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
def bench(folder: Path, **settings: str) -> Iterator[Bench]:
    made = Bench(folder, **settings)
    try:
        yield made
    finally:
        made.close()


def story(folder: Path, text: str = STORY, name: str = "story.md") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
