"""The thumbnail stage: the title in large type over the video's first picture."""

from __future__ import annotations

from pathlib import Path

from app import disk
from app.media import styles, thumbnail
from app.tasks import assets, script
from app.tasks._stage import StageContext, stage_task

THUMBNAIL = "thumbnail.jpg"


@stage_task("thumbnail_generation", share=4, version=thumbnail.VERSION, label="thumbnail")
def generate_thumbnail_task(context: StageContext) -> None:
    """Draw `thumbnail.jpg`: 1280×720, below 2 MB."""
    made = script.load(context)
    style = styles.load(context.spec.style)
    path = next((s.original for s in assets.load(context).scenes if s.original), None)
    picture = context.project.path(path) if path else None
    inputs = {
        "title": made.title,
        "language": made.language,
        "picture": disk.sha256(picture) if picture else None,
        "style": styles.digest(style),
        "version": thumbnail.VERSION,
    }

    def build(target: Path) -> None:
        thumbnail.draw(
            target, title=made.title, language=made.language, picture=picture, style=style
        )

    context.make(THUMBNAIL, inputs=inputs, build=build)
    context.roles["thumbnail"] = THUMBNAIL
