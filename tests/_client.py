"""A Python caller in a process of its own: runs the snippets it is sent, tells what they tell."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

IMPORTS = """
from celery import chain
from app.tasks import (generate_script_task, generate_assets_task, render_video_task, generate_thumbnail_task, upload_to_youtube_task,
                       batch_processing_task, sync_quotas, subscribe_progress)
from app.celery_app import celery_app, debug_task
from app.pipeline import cancel, create_project, create_batch, video_pipeline, start, status
"""

told: list[object] = []
# as at a prompt: what a snippet names is there for the next one
names: dict[str, object] = {"tell": told.append}

for line in sys.stdin:
    told.clear()
    try:
        if "CLIENT_IMPORT" in os.environ:
            importlib.import_module(os.environ["CLIENT_IMPORT"])
        exec(IMPORTS + json.loads(line), names)  # noqa: S102 - running snippets is what it is for
        answer = {"told": told[-1] if told else None}
    except BaseException:  # noqa: BLE001 - whatever it was, the test shall see it
        answer = {"error": traceback.format_exc()}
    sys.stdout.write(json.dumps(answer) + "\n")
