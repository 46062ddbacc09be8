"""The first thing a caller does, with nothing running: the stack starts, the outcome comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from _redis import free_port
from _workers import ROOT, story

pytestmark = [pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg]

SCRIPT = """
import json, os, sys
from app import settings
settings.DEFAULT_REDIS = ("localhost", int(os.environ["REDIS_PORT"]), 0)  # a port nobody listens at
from celery import chain
from app import embedded
from app.pipeline import create_project
from app.tasks import generate_script_task, generate_assets_task, subscribe_progress
try:
    number = create_project(sys.argv[1]).id
    result = chain(generate_script_task.s(project_id=number), generate_assets_task.s()).apply_async()
    told = [result.get(timeout=90)["stage"]]
    embedded.stop()
    told.append(generate_script_task.delay(project_id=number).get(timeout=90)["stage"])
    told.append([event["status"] for event in subscribe_progress(number)][-1])
    print(json.dumps(told))
finally:
    embedded.stop()
"""


def test_a_chain_is_the_first_act_and_a_client_outlives_its_stack(tmp_path: Path) -> None:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CELERY_", "REDIS_"))},
        "DATA_DIR": str(tmp_path / "data"),
        "REDIS_PORT": str(free_port()),
        "SPEECH_PROVIDER": "hibari",
        "RENDER_SCALE": "0.1667",
        "PYTHONPATH": str(ROOT / "backend"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(story(tmp_path))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [
        "asset_generation",
        "script_generation",
        "pending",
    ]
