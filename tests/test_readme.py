"""Both READMEs are followed word for word, by a reader with a clone of the project."""

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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from _pages import READMES, ROOT, Fence, code_spans, fences
from _workers import Bench, bench, free_port, until

pytestmark = [
    *(pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg, pytest.mark.slow),
    pytest.mark.timeout(300),
]

QUEUES = ("video_generation", "batch_processing", "maintenance")

SNIPPETS = """
import json, sys
for block in json.load(sys.stdin):
    exec(compile(block, block, "exec"), {"__name__": "__main__"})
"""


class Reader:
    """A clone of the project, a Redis, a worker, a shell."""

    def __init__(self, house: Bench) -> None:
        self.house = house
        self.clone = house.folder / "clone"
        self.clone.mkdir()
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
        folder, services = self.clone, []
        for line in fence.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["cd"]:
                folder = folder / words[1]
            elif kind := service(line):
                services.append(kind(self, line, folder))
            elif words:
                self.run(line, folder)
        for started in services:
            with started:
                pass

    def run(self, line: str, folder: Path) -> str:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = f"$ {line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, f"{told}\n{self.house.logs()[-3000:]}"
        assert "Setting up Reelchain" not in done.stderr, "the launcher knows the environment not"
        return done.stdout

    def python(self, blocks: list[str]) -> str:
        """Run snippets one after the other, none knowing the names of another."""
        done = subprocess.run(
            [sys.executable, "-c", SNIPPETS],
            input=json.dumps(blocks),
            cwd=self.clone / "backend",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.house.logs()[-3000:]}"
        return done.stdout


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


@contextlib.contextmanager
def running(
    reader: Reader,
    line: str,
    folder: Path,
    ready: Callable[[str], object],
    *,
    stop: signal.Signals = signal.SIGTERM,
    ends_well: bool = True,
    own: dict[str, str] | None = None,
) -> Iterator[str]:
    """Start a line, wait until it is ready by what it says, stop it; it ends by itself then."""
    log = reader.house.folder / f"service-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            shlex.split(line),
            cwd=folder,
            env={**reader.environment, **(own or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or ready(log.read_text()), 60, f"{line} is ready")
        assert process.poll() is None, log.read_text()
        yield log.read_text()
        process.send_signal(stop)
        code = process.wait(timeout=40)
        assert code == 0 or not ends_well, f"{line}: {code}\n{log.read_text()}"
    except BaseException as error:
        error.add_note(f"$ {line}\n{log.read_text()[-3000:]}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def worker(reader: Reader, line: str, folder: Path) -> Iterator[None]:
    with running(reader, line, folder, lambda text: " ready." in text) as told:
        chosen = re.search(r"-Q (\S+)", line)
        served = set(re.findall(r"^\s+\.> (\w+)\s+exchange=", told, re.MULTILINE))
        assert served == (set(chosen[1].split(",")) if chosen else set(QUEUES))
        yield


@contextlib.contextmanager
def beat(reader: Reader, line: str, folder: Path) -> Iterator[None]:
    schedule = reader.house.data / "run"
    with running(
        reader,
        line,
        folder,
        lambda text: "beat: Starting" in text and any(schedule.glob("beat-schedule*")),
    ):
        yield


@contextlib.contextmanager
def flower(reader: Reader, line: str, folder: Path) -> Iterator[None]:
    match = re.search(r"--port=(\d+)", line)
    assert match is not None
    port = int(match[1])
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:  # this machine's own Flower, perhaps
            port = free_port()
            line = line.replace(match[0], f"--port={port}")

    def answers(_: str) -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError):
            address = f"http://localhost:{port}/healthcheck"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    with running(reader, line, folder, answers, stop=signal.SIGINT, ends_well=False):
        yield


@contextlib.contextmanager
def up(reader: Reader, line: str, folder: Path) -> Iterator[None]:
    """On a port of its own, with the settings that a reader without a Redis has."""
    port, data = free_port(), reader.house.folder / "up"
    own = {"CELERY_BROKER_URL": "", "REDIS_PORT": str(port), "DATA_DIR": str(data)}
    ready = f"Ready at localhost:{port}", f"Ready at 127.0.0.1:{port}"
    with running(
        reader,
        line,
        folder,
        lambda text: any(r in text for r in ready),
        stop=signal.SIGINT,
        own=own,
    ):
        before = reader.environment
        reader.environment = {**before, **own}
        try:
            assert reader.python([snippet("debug_task")])
        finally:
            reader.environment = before
        yield


SERVICES = {
    r"celery -A app\.celery_app worker\b": worker,
    r"celery -A app\.celery_app beat\b": beat,
    r"celery -A app\.celery_app flower\b": flower,
    r"\./reelchain up\b": up,
}


def service(
    line: str,
) -> Callable[[Reader, str, Path], contextlib.AbstractContextManager[None]] | None:
    return next((made for form, made in SERVICES.items() if re.match(form, line)), None)


def snippet(word: str) -> str:
    return next(fence.text for fence in fences(READMES[0], "python") if word in fence.text)


# -- the reader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with bench(tmp_path_factory.mktemp("reader")) as made:
        made.start_worker()
        yield Reader(made)


def states(reader: Reader) -> dict[int, str]:
    rows = json.loads(reader.run("./reelchain ls --json", reader.clone))
    return {row["project_id"]: row["status"] for row in rows}


def test_the_readme_works_as_written(reader: Reader) -> None:
    for fence in fences(READMES[0]):
        if fence.language == "bash":
            reader.follow(fence)
        elif fence.language in ("markdown", "yaml"):
            reader.write(fence)
    assert set(states(reader).values()) == {"completed"}
    reader.python([fence.text for fence in fences(READMES[0], "python")])
    assert set(states(reader).values()) == {"completed"}
    for told in code_spans(READMES[0]):
        if re.match(r"data/(projects|published|batches|run)/", told):
            assert (reader.clone / told).exists(), told


def test_the_other_readme_differs_only_in_words_that_work_as_well(reader: Reader) -> None:
    seen = {line for fence in fences(READMES[0], "bash") for line in fence.text.splitlines()}
    for fence in fences(READMES[1]):
        if fence.language in ("markdown", "yaml"):
            reader.write(fence)
            if fence.name == "playlist.yaml":
                reader.run("./reelchain batch new playlist.yaml", reader.clone)
            else:
                reader.run(f"./reelchain new {fence.name}", reader.clone)
        elif fence.language == "bash":
            for line in fence.text.splitlines():
                if line not in seen and not line.startswith("#"):
                    reader.run(line, reader.clone)
    assert "completed" in states(reader).values()
