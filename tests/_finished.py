"""A finished project as a run would leave it, in milliseconds: real records, small files."""

from __future__ import annotations

from pathlib import Path

from app import pipeline
from app.models import Stage
from app.project import STAGE_ORDER, Project, now
from app.tasks._context import inputs_of

SEGMENTS = tuple(f"render/segment/{number:020x}.mp4" for number in range(3))
VOICE = f"assets/voice/{7:020x}.wav"
FILES: dict[Stage, tuple[str, ...]] = {
    "script_generation": ("script.json",),
    "asset_generation": (VOICE, "assets/assets.json"),
    "video_rendering": (*SEGMENTS, "render/sound.m4a", "captions.srt", "video.mp4"),
    "thumbnail_generation": ("thumbnail.jpg",),
    "youtube_upload": ("publish.json",),
}
ROLES: dict[Stage, dict[str, str]] = {"video_rendering": {"video": "video.mp4"}}


def finished(
    topic: str = "the tides", *, ended: str | None = None, size: int = 1000, style: str = "paper"
) -> Project:
    """Return a project that was completed at `ended`, sealed and at rest."""
    project = pipeline.create_project({"topic": topic, "style": style})
    run = project.begin_run(STAGE_ORDER)
    for stage in STAGE_ORDER:
        project.log("stage_started", stage=stage, run=run, attempt=1)
        for name in FILES[stage]:

            def build(path: Path, name: str = name) -> None:
                path.write_bytes(name.encode() * (size // len(name)))

            project.make(name, stage=stage, inputs={"of": name}, build=build)
        with project.transaction() as state:
            part = state.stage(stage)
            part.status, part.attempts, part.seconds = "completed", 1, 0.1
            part.started_at, part.finished_at = now(), ended or now()
            part.roles = ROLES.get(stage, {})
            part.inputs = inputs_of(project, state, stage)
        project.log("stage_completed", stage=stage, seconds=0.1)
    with project.transaction() as state:
        state.status, state.run.ended = "completed", True
        state.seal = project.seal(state)
    project.rest(run)
    return project
