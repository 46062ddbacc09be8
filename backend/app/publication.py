"""What a run would do and tell where it publishes; a second publication, on purpose."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import disk, forecast, providers, settings, story
from app.draft import Draft
from app.errors import InputError, ReelchainError, ServiceError
from app.models import ProjectSpec, Script, Stage
from app.project import STAGE_ORDER, Project, ProjectState, ids, last_id
from app.providers import Announcement, Publisher

LAST = STAGE_ORDER[-1]
SCRIPT = "script.json"
NO_MARKER_YET = "0" * 12
"""As long as the part of a marker that is drawn by lot."""


# -- what a run would do ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """A project as it would be when it is run."""

    number: int
    spec: ProjectSpec
    story: Path | None
    first: Stage | None
    """The first stage to be made; None where all are."""
    project: Project | None = None
    state: ProjectState | None = None
    anew: bool = False
    """Whether its script is written anew, whatever was changed in it by hand."""
    second: bool = False
    problems: list[ReelchainError] = field(default_factory=list)

    @property
    def publication(self) -> Mapping[str, Any] | None:
        return self.state.publication if self.state is not None else None


def preview(
    project: Project, *, from_stage: Stage | None = None, republish: bool = False
) -> dict[str, Any]:
    """Return what a run of a project would do; nothing is done.

    Args:
        project: The project.
        from_stage: As `pipeline.start` takes it.
        republish: As `pipeline.start` takes it.

    Returns:
        `project_id, title, stages (stage → made or to_make), estimate, publisher, url, second,
        announcement, description_bytes, quota, problems`. `url` is where it is published already;
        `second`, whether another video is published on purpose. `announcement` is None where the
        script is not known before it is written. `problems` are the errors that the run would end
        with, as far as they can be foreseen.
    """
    state = project.state()
    asked = [stage for stage in (from_stage, LAST if republish else None) if stage is not None]
    first = _earliest(_unmade(project, state), *asked)
    wanted = _Wanted(
        project.id,
        state.spec,
        project.path(f"source/{state.spec.source}") if state.spec.source else None,
        first,
        project,
        state,
        anew=from_stage == STAGE_ORDER[0],
        second=republish and state.publication is not None,
    )
    if republish and (error := unfinished(project)) is not None:
        wanted.problems.append(error)
    return _told(wanted)


def preview_of(entry: Draft, known: Project | None = None) -> dict[str, Any]:
    """Return what making a project would do; nothing is done.

    Args:
        entry: What it would be made from.
        known: The project it would update.
    """
    spec, sources, _ = entry
    with tempfile.TemporaryDirectory(prefix="reelchain-") as name:
        aside = Project(Path(name), 0)
        source = aside.path("source")
        source.mkdir()
        sources(source)
        path = source / spec.source if spec.source else None
        if known is None:
            home = settings.get().projects_dir
            number = max([last_id(home), *ids(home)]) + 1
            return _told(_Wanted(number, spec, path, STAGE_ORDER[0]))
        state = known.state()
        state.spec = spec
        same = aside.source_digest() == known.source_digest()
        first = _unmade(known, state) if same else STAGE_ORDER[0]
        return _told(_Wanted(known.id, spec, path, first, known, state))


def _unmade(project: Project, state: ProjectState) -> Stage | None:
    from app.tasks import dispatch  # costs Celery; what is only shown does not pay

    return dispatch.first_to_make(project, state)


def _earliest(*stages: Stage | None) -> Stage | None:
    found = [stage for stage in stages if stage is not None]
    return min(found, key=STAGE_ORDER.index) if found else None


def _told(wanted: _Wanted) -> dict[str, Any]:
    to_make = STAGE_ORDER[STAGE_ORDER.index(wanted.first) :] if wanted.first else ()
    publisher = providers.publisher(settings.get().publisher)
    announcement = _announcement(wanted)
    marker, shown = _marker(wanted)
    job = forecast.job_of(
        wanted.spec, wanted.story, tuple(stage for stage in STAGE_ORDER if stage not in to_make)
    )
    if to_make:
        _look_for_problems(wanted, publisher, announcement)
    quota = _quota(wanted, publisher) if to_make else None
    told = None if announcement is None else announcement.model_dump(mode="json")
    size = None
    if announcement is not None and told is not None:
        told["description"] = _description(publisher, announcement, shown)
        size = len(_description(publisher, announcement, marker).encode())
    return {
        "project_id": wanted.number,
        "title": announcement.title if announcement else job.title,
        "stages": {stage: "to_make" if stage in to_make else "made" for stage in STAGE_ORDER},
        "estimate": forecast.estimate([job] if to_make else [], of=1),
        "publisher": publisher.name,
        "url": (wanted.publication or {}).get("url"),
        "second": wanted.second and not publisher.replaces,
        "announcement": told,
        "description_bytes": size,
        "quota": quota,
        "problems": [
            {"code": p.code, "message": p.message, "hint": p.hint, "exit_code": p.exit_code}
            for p in wanted.problems
        ],
    }


def _announcement(wanted: _Wanted) -> Announcement | None:
    try:
        script = _script(wanted)
    except ReelchainError as error:
        wanted.problems.append(error)
        return None
    return (
        None if script is None else Announcement.of(script, wanted.spec, _credits(wanted, script))
    )


def _credits(wanted: _Wanted, script: Script) -> tuple[str, ...]:
    """Return the lines that name whose pictures are shown, as far as they are chosen."""
    from app.tasks import assets  # costs Celery

    drawn = wanted.first is None or wanted.first in STAGE_ORDER[2:]
    if wanted.project is None or not drawn:
        return ()
    try:
        return assets.credit_lines(wanted.project, script)
    except (OSError, ValueError):  # it is gone, or was changed: the run makes it anew
        return ()


def _script(wanted: _Wanted) -> Script | None:
    """Return the script as it is or would be; None where a service outside has to write it."""
    from app.tasks import script as stage  # costs Celery

    project = wanted.project
    if project is not None and (wanted.first != STAGE_ORDER[0] or _changed_by_hand(wanted)):
        try:
            return story.script_from_json(project.path(SCRIPT).read_bytes())
        except FileNotFoundError:  # removed just now
            return None
    writer = providers.chain(settings.get().script_provider)[:1]
    if wanted.story is None and not set(writer) <= forecast.HERE:
        return None
    return stage.written(wanted.spec, wanted.story)


def _changed_by_hand(wanted: _Wanted) -> bool:
    if wanted.project is None or wanted.state is None or wanted.anew:
        return False
    record = wanted.state.artifact(SCRIPT)
    there = wanted.project.path(SCRIPT).exists()
    return record is not None and there and not wanted.project.intact(record)


def _look_for_problems(
    wanted: _Wanted, publisher: Publisher, announcement: Announcement | None
) -> None:
    if wanted.publication is not None and not _goes_on(wanted, wanted.publication, publisher):
        wanted.problems.append(
            InputError(
                "already_published",
                f"This project is published already: {wanted.publication.get('url')}",
                f"Publish a second video on purpose: ./reelchain run {wanted.number} --republish.",
            )
        )
    if announcement is not None:
        try:
            publisher.check(announcement)
        except ReelchainError as error:
            wanted.problems.append(error)


def _goes_on(wanted: _Wanted, publication: Mapping[str, Any], publisher: Publisher) -> bool:
    """Tell whether a run publishes, although there is a publication."""
    ours = publication.get("publisher") == publisher.name
    under_way = wanted.state is not None and wanted.state.stage(LAST).status != "completed"
    same = wanted.first == LAST and under_way and publication.get("film") is not None
    return wanted.second or (ours and (publisher.replaces or same))


def _quota(wanted: _Wanted, publisher: Publisher) -> dict[str, Any] | None:
    """Return what the day's quota allows; None where there is none, or nobody can say."""
    from app import ledger  # costs SQLAlchemy

    try:
        tariff = publisher.tariff()
        return None if tariff is None else ledger.standing(tariff)
    except ServiceError:  # the database: work goes on without it
        return None
    except ReelchainError as error:
        wanted.problems.append(error)
        return None


def _description(publisher: Publisher, announcement: Announcement, marker: str) -> str:
    """Return the description as the publisher sends it."""
    if publisher.name != "youtube":
        return announcement.description
    from app.providers.youtube import metadata

    return metadata.description(announcement, marker)


def _marker(wanted: _Wanted) -> tuple[str, str]:
    """Return the publication's marker, or one as long, and how it is shown."""
    from app.tasks import upload

    if wanted.project is not None and wanted.state is not None and not wanted.second:
        kept = upload.session_of(wanted.project).get("marker")
        known = kept or wanted.state.stage(LAST).facts.get("marker")
        if isinstance(known, str):
            return known, known
    return f"rc-{wanted.number}-{NO_MARKER_YET}", f"rc-{wanted.number}-…"


# -- a second publication --------------------------------------------------------------------


def unfinished(project: Project) -> InputError | None:
    """Return the error of a publication that has begun, or may have, and is nowhere recorded."""
    from app.tasks import upload  # costs Celery

    state, begun = project.state(), upload.session_of(project)
    lost = bool(begun.get("lost")) or (not begun and "marker" in state.stage(LAST).facts)
    if state.publication is not None or not (lost or begun.get("upload") or begun.get("video_id")):
        return None
    return InputError(
        "publication_unfinished",
        f"Project {project.id}'s first publication has begun and is not done.",
        f"Finish it first: ./reelchain run {project.id}.",
    )


def put_aside(project: Project) -> Mapping[str, Any] | None:
    """Let the next run publish a second video; the first one and its record stay.

    The caller holds the project. What a death here leaves is either as before, or done.

    Returns:
        The publication that is put aside; None where there is none, and the next run makes the first.

    Raises:
        InputError: `publication_unfinished`.
    """
    from app.tasks import upload

    if (error := unfinished(project)) is not None:
        raise error
    before = project.state().publication
    if before is None:
        return None
    kept = project.path(f"private/{upload.SESSION}")
    marker = "".join(c for c in str(before.get("marker")) if c.isalnum() or c in "-_")[:80]
    aside = kept.with_name(f"publish-session-{marker}.json")
    if kept.exists() and not aside.exists():
        # first: with the old session in its place the next run would find the old video
        disk.rename(kept, aside)
        disk.fsync(kept.parent)
    project.log("republish", publication=before)
    with project.transaction() as state:
        state.publication = None
        state.stage(LAST).forget()
    return before
