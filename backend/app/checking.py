"""Is a finished video as it must be? Its film, measured against what its project says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.errors import InputError
from app.media import checks, ffmpeg
from app.media.ffmpeg import Report
from app.models import FRAME_SIZES, Stage
from app.project import Project, ProjectState

GROUPS = checks.GROUPS
"""What can be measured, by name."""

_RENDER: Stage = "video_rendering"


def check(
    project: Project, *, only: Collection[str] = (), report: Report | None = None
) -> dict[str, Any]:
    """Measure the finished film of a project; nothing is changed.

    Args:
        project: The project.
        only: Groups to measure; none are all.
        report: Called with the fraction done; may raise to stop.

    Returns:
        `project_id, video, size, verdict (pass, warn or fail: the worst row's), rows`, each row with
        `group, name, value, unit, limit, verdict, says`.

    Raises:
        InputError: `check_unknown`, `film_missing`, `film_outdated`.
        MediaError: The film can't be decoded.
    """
    from app.tasks import inspection, render  # costs Celery

    if strange := sorted(set(only) - set(GROUPS)):
        raise InputError(
            "check_unknown",
            f"There is nothing called {strange[0]!r} to check.",
            f"Choose among: {', '.join(GROUPS)}.",
        )
    state = project.state()
    path = project.path(render.VIDEO)
    _refuse_unfinished(project, state)
    facts = ffmpeg.probe(path)
    size = facts.width or 0, facts.height or 0
    plan = render.planned(project, state.spec, size)
    wanted = inspection.meant(project, state.spec, plan, project.path(render.SRT))
    rows = checks.film(path, wanted, only=only or GROUPS, report=report)
    verdicts = {row.verdict for row in rows}
    return {
        "project_id": project.id,
        "video": render.VIDEO,
        "size": list(size),
        "draft": size != FRAME_SIZES[state.spec.shape],
        "verdict": next((v for v in ("fail", "warn") if v in verdicts), "pass"),
        "rows": [vars(row) for row in rows],
    }


def _refuse_unfinished(project: Project, state: ProjectState) -> None:
    from app.tasks import inspection, render

    part = state.stage(_RENDER)
    if part.status != "completed" or not project.path(render.VIDEO).is_file():
        raise InputError(
            "film_missing",
            f"Project {project.id} has no finished film yet.",
            f"Make it: ./reelchain run {project.id}.",
        )
    if not inspection.is_current(project, state):
        raise InputError(
            "film_outdated",
            f"The film of project {project.id} is older than the project, or than this version.",
            f"Make it anew: ./reelchain run {project.id}.",
        )
