"""A Celery application that publishes in earnest and films nothing: `-A _publish_app`.

The stages before the upload cost next to nothing: the video is as many bytes as the topic says, the
thumbnail a small JPEG. The upload is the real one, with its pauses cut short (`_publish.SCALED`).
The ledger's clock reads the file that PUBLISH_CLOCK names, while there is one: a moment in ISO 8601
at which time stands still. PUBLISH_SPREAD is over how many seconds those come back who waited for
midnight.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from _publish_films import SRT, VTT, picture, write_film
from app import ledger
from app.celery_app import app
from app.providers.youtube import lookup, publication, upload
from app.tasks import _context, _execution, _stage, render, script, thumbnail
from app.tasks import upload as publishing
from app.tasks._stage import StageContext

__all__ = ["app"]


def _nothing(_context: StageContext) -> None:
    """What the assets stage does."""


def _render(context: StageContext) -> None:
    told = re.search(r"(sparse )?film of (\d+) bytes", context.spec.topic or "")
    assert told is not None, context.spec
    number, size, sparse = context.project.id, int(told[2]), bool(told[1])
    context.make(
        render.VIDEO,
        inputs={"number": number, "size": size, "sparse": sparse},
        build=lambda path: write_film(path, number, size, sparse=sparse),
    )
    title = script.load(context).title
    context.make_text(render.SRT, SRT.format(title=title))
    context.make_text(render.VTT, VTT.format(title=title))
    context.facts.update(seconds=1.0, frames=30)
    context.make_text(render.ASS, f"[Script Info]\nTitle: {title}\n")
    context.roles |= {"video": render.VIDEO, "captions_srt": render.SRT}
    context.roles |= {"captions_vtt": render.VTT, "captions_ass": render.ASS}


def _thumbnail(context: StageContext) -> None:
    def build(path: Path) -> None:
        path.write_bytes(picture(context.project.id))

    context.make(thumbnail.THUMBNAIL, inputs={"of": context.project.id}, build=build)
    context.roles["thumbnail"] = thumbnail.THUMBNAIL


def _clock() -> datetime:
    try:
        return datetime.fromisoformat(Path(os.environ["PUBLISH_CLOCK"]).read_text())
    except (KeyError, OSError):
        return datetime.now(UTC)


_WORKS = {
    "asset_generation": _nothing,
    "video_rendering": _render,
    "thumbnail_generation": _thumbnail,
}
for _definition in _stage.DEFINITIONS.values():
    if _definition.stage in _WORKS:
        # the tasks hold the definition itself, so it is this object that has to change
        object.__setattr__(_definition, "work", _WORKS[_definition.stage])

_context.RETRY_DELAYS = (0.1, 0.25, 0.5)
_context.LONGEST_WAIT = _execution.LONGEST_WAIT = 0.6
publishing.AWAY_SECONDS = (1.0, 2.0, 3.0)
upload.LOST_SECONDS = 1.0
publication.POLLS = (0.1,) * 8
lookup.PAUSES = (0.1,)
ledger.clock = _clock
if "PUBLISH_SPREAD" in os.environ:
    ledger.SPREAD, ledger.MARGIN = int(os.environ["PUBLISH_SPREAD"]), 0.5
