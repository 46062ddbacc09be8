"""The thumbnail stage: the title in large type over the best of the video's pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app import disk
from app.media import styles, thumbnail
from app.tasks import assets, script
from app.tasks._stage import StageContext, stage_task

THUMBNAIL = "thumbnail.jpg"
FACTS = "render/thumbnail.json"
"""What was measured of it."""


@stage_task("thumbnail_generation", share=4, version=thumbnail.VERSION, label="thumbnail")
def generate_thumbnail_task(context: StageContext) -> None:
    """Draw `thumbnail.jpg`: 1280×720, below 2 MB."""
    made = script.load(context)
    style = styles.load(context.spec.style)
    originals = [scene.original for scene in assets.load(context).scenes if scene.original]
    pictures = [context.project.path(path) for path in dict.fromkeys(originals)]
    inputs = {
        "title": made.title,
        "language": made.language,
        "pictures": [disk.sha256(picture) for picture in pictures],
        "style": styles.digest(style),
        "version": thumbnail.VERSION,
    }

    def build(target: Path, facts: Path) -> None:
        drawn = thumbnail.draw(
            target, title=made.title, language=made.language, pictures=pictures, style=style
        )
        facts.write_text(json.dumps(drawn.plain(), ensure_ascii=False) + "\n", encoding="utf-8")

    context.make_all((THUMBNAIL, FACTS), inputs=inputs, build=build)
    context.roles["thumbnail"] = THUMBNAIL
    _tell(context)


def _tell(context: StageContext) -> None:
    """Put what was measured into the stage's facts."""
    known: dict[str, Any] = json.loads(context.project.path(FACTS).read_bytes())
    for sentence in known.pop("warnings"):
        context.warn(sentence)
    context.facts.update(known)
