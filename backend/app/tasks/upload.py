"""The publish stage: the finished video goes to its public, once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from app import disk, providers, settings
from app.errors import InputError
from app.project import Project, now
from app.providers import PublishRequest
from app.tasks import script
from app.tasks._stage import StageContext, stage_task

RECORD = "publish.json"
SESSION = "private/publish-session.json"
ROLES = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.jpg",
    "captions_srt": "captions.srt",
    "captions_vtt": "captions.vtt",
}


class FolderSession:
    """A `PublishSession` in the project's private folder (mode 0600 in 0700)."""

    def __init__(self, project: Project) -> None:
        self._path = project.path(SESSION)

    def load(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can't be kept
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def save(self, facts: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        disk.write_json(self._path, dict(facts))
        self._path.chmod(0o600)


@stage_task("youtube_upload", share=8, version="1", label="upload")
def upload_to_youtube_task(context: StageContext) -> None:
    """Publish the video by the configured publisher; what is published already stays as it is."""
    publisher = providers.publisher(settings.get().publisher)
    request = _request(context)
    inputs = request.model_dump(mode="json", exclude={"files", "marker"}) | {
        "publisher": publisher.name
    }
    context.make(RECORD, inputs=inputs, build=lambda path: _publish(context, request, path))
    record = json.loads(context.project.path(RECORD).read_bytes())
    with context.project.transaction() as state:
        state.publication = record
    context.roles |= {"publication": RECORD, **ROLES}


def _request(context: StageContext) -> PublishRequest:
    made = script.load(context)
    state = context.state()
    records = {role: state.artifact(path) for role, path in ROLES.items()}
    unknown = [ROLES[role] for role, record in records.items() if record is None]
    if unknown:
        raise InputError(
            "stage_order",
            f"The project has no record of {', '.join(unknown)}, which is to be published.",
            f"Remake it: ./reelchain run {context.project.id} --from video_rendering.",
        )
    return PublishRequest(
        project_id=context.project.id,
        marker=_marker(context),
        title=made.title,
        description=made.description,
        tags=made.tags,
        language=made.language,
        files={role: str(context.project.path(path)) for role, path in ROLES.items()},
        sha256={role: record.sha256 for role, record in records.items() if record is not None},
    )


def _marker(context: StageContext) -> str:
    """Return the name of this project's one publication, kept before anything is sent."""
    session = FolderSession(context.project)
    facts = session.load()
    # it becomes part of a folder's name
    if not re.fullmatch(rf"rc-{context.project.id}-[0-9a-f]{{12}}", str(facts.get("marker"))):
        session.save({**facts, "marker": f"rc-{context.project.id}-{uuid4().hex[:12]}"})
        facts = session.load()
    return str(facts["marker"])


def _publish(context: StageContext, request: PublishRequest, path: Path) -> None:
    publisher = providers.publisher(settings.get().publisher)
    before = context.state().publication
    ours = before is None or before.get("publisher") == publisher.name
    if before is not None and not (publisher.replaces and ours):
        raise InputError(
            "already_published",
            f"This project is published already: {before.get('url')}",
            "Make a new project for a second video (./reelchain make --new).",
        )
    published = publisher.publish(
        request, FolderSession(context.project), context.report(0.05, 0.95, "upload_start")
    )
    facts = {
        "publisher": publisher.name,
        "url": published.url,
        "video_id": published.video_id,
        "marker": request.marker,
        "published_at": now(),
        "sha256": request.sha256["video"],
    }
    path.write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
