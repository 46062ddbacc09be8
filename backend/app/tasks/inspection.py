"""What a film was meant to be, gathered from its project's files; what is said of it when it is made."""

from __future__ import annotations

import logging
import math
from itertools import pairwise
from pathlib import Path

import cv2
from pydantic import TypeAdapter

from app import language
from app.errors import ReelchainError
from app.media import cards, checks, styles
from app.media.audio import Loudness
from app.media.cards.sheet import Sheet
from app.media.checks import Meant, Row, sound
from app.media.thumbnail import Facts
from app.media.timeline import Timeline
from app.models import ProjectSpec, Script, Stage
from app.project import STAGE_ORDER, Project, ProjectState
from app.tasks import _drawing, assets, script
from app.tasks._context import inputs_of
from app.tasks._stage import StageContext
from app.tasks.thumbnail import FACTS, THUMBNAIL

TOLD = ("reading speed",)
"""Rows that the stage says in words of its own."""

_THUMBNAIL: Stage = "thumbnail_generation"
_FAULTS = (OSError, ValueError, LookupError, ArithmeticError, cv2.error)
"""Of measuring; a film that is made is not lost for them."""

_log = logging.getLogger(__name__)


def meant(project: Project, spec: ProjectSpec, plan: Timeline, captions: Path) -> Meant:
    """Return what a project's film was meant to be.

    Args:
        project: The project; its script and its assets are made.
        spec: What was asked for.
        plan: Its film, laid out.
        captions: The SubRip file.
    """
    made = script.load_of(project)
    base = styles.load(spec.style)
    poster, altered = _thumbnail(project)
    return Meant(
        plan=plan,
        style=styles.captioned(base, spec.caption_style),
        language=made.language,
        captions=captions,
        burnt=spec.captions,
        music=spec.music != "none",
        own_music=spec.music not in ("auto", "none"),
        sheets=_sheets(project, made, plan.size, base),
        reading=_reading(made, spec, plan),
        length=spec.length if spec.topic is not None and spec.source is None else None,
        thumbnail=poster,
        altered=altered,
    )


def _thumbnail(project: Project) -> tuple[tuple[Path, Facts | None] | None, bool]:
    """Return a project's thumbnail with what was measured of it, None where today's is not made.

    And whether it is another picture than was drawn.
    """
    state = project.state()
    part, record = state.stage(_THUMBNAIL), state.artifact(THUMBNAIL)
    made = part.status == "completed" and part.inputs == inputs_of(project, state, _THUMBNAIL)
    if not made or record is None:
        return None, False
    try:
        known = TypeAdapter(Facts).validate_json(project.path(FACTS).read_bytes())
    except (OSError, ValueError):  # drawn by an older version, which measured nothing
        known = None
    return (project.path(THUMBNAIL), known), not project.intact(record)


def is_current(project: Project, state: ProjectState) -> bool:
    """Tell whether a film was made from what its project says now; what became of its file is not."""
    before = STAGE_ORDER[: STAGE_ORDER.index("video_rendering") + 1]
    return all(state.stage(stage).inputs == inputs_of(project, state, stage) for stage in before)


def _sheets(
    project: Project, made: Script, size: tuple[int, int], style: styles.Style
) -> dict[str, Sheet]:
    """Return what stands on the card of each scene that shows one."""
    shown = {scene.id for scene in assets.load_of(project).scenes if scene.kind == "card"}
    found = {}
    for scene in made.scenes:
        if scene.id in shown:
            words = cards.settled(_drawing.told(scene, made), size=size, style=style)
            found[scene.id] = cards.laid_out(words, language=made.language, size=size, style=style)
    return found


def _reading(made: Script, spec: ProjectSpec, plan: Timeline) -> float:
    """Return how long the script takes by rule of thumb: its words, and what is planned around them.

    A usual pause is counted with the words; what is longer was asked for.
    """
    said = sum(language.reading_seconds(scene.narration, made.language) for scene in made.scenes)
    around = plan.seconds
    for part in plan.segments:
        times = sorted(cue.said for cue in part.cues)
        if times:
            around -= max(end for _, end in times) - times[0][0]
        gaps = (after[0] - before[1] for before, after in pairwise(times))
        around += sum(max(0.0, gap - language.PAUSE_SECONDS) for gap in gaps)
    return said / spec.speed + around


def tell(context: StageContext, plan: Timeline, captions: Path) -> None:
    """Put into the stage's facts what can be told of its film at once; warn of what is not right.

    It says less than `./reelchain check`, which decodes the film, and never fails the stage.
    """
    try:
        wanted = meant(context.project, context.spec, plan, captions)
        rows = [*_loudness(context, wanted), *checks.quick(wanted)]
    except (ReelchainError, *_FAULTS) as error:
        _log.warning("the film could not be checked: %s", error)
        return
    context.facts["check"] = {
        "rows": len(rows),
        "failed": [row.name for row in rows if row.verdict == "fail"],
        "warned": [row.name for row in rows if row.verdict == "warn"],
    }
    for row in rows:
        if row.verdict == "fail" and row.name not in TOLD:
            context.warn(
                f"{row.name.capitalize()}: {row.value} {row.unit} ({row.limit}). {row.says}"
            )


def _loudness(context: StageContext, wanted: Meant) -> list[Row]:
    """Return the rows of the loudness that was measured as the sound was made; none if it was not."""
    facts = context.facts
    if "loudness_lufs" not in facts:
        return []
    found = Loudness(facts["loudness_lufs"], facts["true_peak_dbtp"], math.nan)
    return sound.loudness(found, wanted)
