"""A reader who follows a page word for word: a clone, a Redis, a worker, a shell, terminals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

from _pages import READMES, ROOT, Fence, fences
from _redis import free_port, until
from _workers import Bench

QUEUES = ("video_generation", "batch_processing", "maintenance")

SNIPPETS = """
import json, sys
for block in json.load(sys.stdin):
    exec(compile(block, block, "exec"), {"__name__": "__main__"})
"""


class Reader:
    """A clone of the project, a Redis, a worker, a shell, and terminals for what stays."""

    def __init__(self, house: Bench) -> None:
        self.house = house
        self.clone = house.folder / "clone"
        self.clone.mkdir()
        self.services: list[Service] = []
        for name in ("reelchain", "backend", ".env.example"):
            (self.clone / name).symlink_to(ROOT / name)
        house.data.mkdir(exist_ok=True)
        (self.clone / "data").symlink_to(house.data)
        path = sysconfig.get_path("scripts")
        self.environment = {
            **{
                k: v
                for k, v in house.environment.items()
                if k not in ("PYTHONPATH", "PYTHONWARNINGS")
            },
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
            "REELCHAIN_VENV": str(ready_environment(house.folder / "venv")),
            "PIP_NO_INDEX": "1",
            # `./reelchain test` inside of a test: one room of the suite stands for the whole
            "PYTEST_ADDOPTS": "-q -p no:cacheprovider tests/test_settings.py",
        }

    def write(self, fence: Fence) -> None:
        (self.clone / fence.name).write_text(fence.text, encoding="utf-8")

    def follow(self, fence: Fence) -> None:
        """Do what a shell fence says, each line in the folder the lines before it lead to."""
        folder = self.clone
        for line in fence.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["cd"]:
                folder = folder / words[1]
            elif kind := service(line):
                self.services.append(kind(self, line, folder))
            elif words:
                self.run(line, folder)

    def run(self, line: str, folder: Path) -> str:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        told = f"$ {line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, f"{told}\n{self.house.logs()[-3000:]}"
        assert "Setting up Reelchain" not in done.stderr, "the launcher knows the environment not"
        return done.stdout

    def python(self, blocks: list[str], environment: dict[str, str] | None = None) -> str:
        """Run snippets one after the other, none knowing the names of another."""
        done = subprocess.run(
            [sys.executable, "-c", SNIPPETS],
            input=json.dumps(blocks),
            cwd=self.clone / "backend",
            env=environment or self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.house.logs()[-3000:]}"
        return done.stdout

    def stop(self) -> None:
        """See each service do its work, then stop all."""
        for started in self.services:
            started.prove()
        for started in self.services:
            started.process.send_signal(started.stop)
        for started in self.services:
            started.end()

    def close(self) -> None:
        for started in self.services:
            started.kill()


def ready_environment(folder: Path) -> Path:
    """Make what the launcher takes for an environment it has set up: this one, by another name."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    for name in ("requirements.txt", "requirements-dev.txt"):
        sums = subprocess.run(
            ["cksum", name, "constraints.txt"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        (folder / f".done-{name}").write_text(f"{sums.stdout}{python.stat().st_size}\n")
    return folder


# -- what stays until it is stopped


class Service:
    """A line that a reader leaves running in a terminal of its own."""

    stop = signal.SIGTERM
    ends_well = True

    def __init__(self, reader: Reader, line: str, folder: Path) -> None:
        self.reader, self.line = reader, line
        self.folder = reader.house.folder / f"service-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.environment = {**reader.environment, **self.own()}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                shlex.split(self.line),
                cwd=folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def own(self) -> dict[str, str]:
        """Return settings of its own."""
        return {}

    def ready(self) -> bool:
        raise NotImplementedError

    def check(self) -> None:
        """See that it does what it is for."""

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def prove(self) -> None:
        """Wait until it is ready, check it."""
        try:
            until(self._settled, 60, f"{self.line} is ready")
        except AssertionError as error:
            error.add_note(self.said()[-3000:])
            raise
        assert self.process.poll() is None, f"{self.line}\n{self.said()}"
        self.check()

    def _settled(self) -> bool:
        return self.process.poll() is not None or self.ready()

    def end(self) -> None:
        code = self.process.wait(timeout=60)
        assert code == 0 or not self.ends_well, f"{self.line}: {code}\n{self.said()}"

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Worker(Service):
    def ready(self) -> bool:
        return " ready." in self.said()

    def check(self) -> None:
        chosen = re.search(r"-Q (\S+)", self.line)
        served = set(re.findall(r"^\s+\.> (\w+)\s+exchange=", self.said(), re.MULTILINE))
        assert served == (set(chosen[1].split(",")) if chosen else set(QUEUES))


class Beat(Service):
    """In a data folder of its own: the first thing that a reader starts may be this."""

    def own(self) -> dict[str, str]:
        return {"DATA_DIR": str(self.folder / "data")}

    def ready(self) -> bool:
        plans = (self.folder / "data" / "run").glob("beat-schedule*")
        return any(b"sync-quotas" in plan.read_bytes() for plan in plans)


class Flower(Service):
    stop = signal.SIGINT
    ends_well = False  # it ends by an exception of its own

    def own(self) -> dict[str, str]:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 5555)) == 0:  # this machine's own Flower, perhaps
                self.line = self.line.replace("--port=5555", f"--port={free_port()}")
        return {}

    def ready(self) -> bool:
        match = re.search(r"--port=(\d+)", self.line)
        assert match is not None
        with contextlib.suppress(urllib.error.URLError, OSError):
            address = f"http://localhost:{match[1]}/healthcheck"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        return False


class Up(Service):
    """On a port of its own, with the settings of a reader without a Redis."""

    stop = signal.SIGINT

    def own(self) -> dict[str, str]:
        data, port = str(self.folder / "data"), str(free_port())
        return {"CELERY_BROKER_URL": "", "REDIS_PORT": port, "DATA_DIR": data}

    def ready(self) -> bool:
        return "Ready at " in self.said()

    def check(self) -> None:
        assert self.environment["REDIS_PORT"] in self.said()
        assert "redis_version" in self.reader.python([snippet("debug_task")], self.environment)


SERVICES: dict[str, type[Service]] = {
    r"celery -A app\.celery_app worker\b": Worker,
    r"celery -A app\.celery_app beat\b": Beat,
    r"celery -A app\.celery_app flower\b": Flower,
    r"\./reelchain up\b": Up,
}


def service(line: str) -> type[Service] | None:
    return next((made for form, made in SERVICES.items() if re.match(form, line)), None)


def snippet(word: str) -> str:
    return next(fence.text for fence in fences(READMES[0], "python") if word in fence.text)
