"""The publish stage: the finished video goes to its public, once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from app import disk, ledger, providers, settings
from app.errors import InputError, TransientError, UnfinishedError
from app.project import Project, now
from app.providers import Announcement, Published, Publisher, PublishRequest
from app.tasks import assets, script
from app.tasks._stage import StageContext, stage_task

T = TypeVar("T")

RECORD = "publish.json"
SESSION = "publish-session.json"
ROLES = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.jpg",
    "captions_srt": "captions.srt",
    "captions_vtt": "captions.vtt",
    "captions_ass": "captions.ass",
}
SHORT_SECONDS = 180
"""Square and upright videos up to this length are Shorts (YouTube Help, since 2024-10-15)."""
AWAY_SECONDS = (60.0, 300.0, 900.0, 1800.0, 3600.0)
"""How long a project waits for a service that does not answer, the first time, the second …"""
BEGIN, END = 0.05, 0.95
"""Where in the progress of the stage the publisher's own work begins and ends."""


def session_of(project: Project) -> dict[str, Any]:
    """Return what is kept of a project's publication, `{}` where there is nothing to be read."""
    try:
        found = json.loads(project.path(f"private/{SESSION}").read_bytes())
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can't be kept
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class StageDesk:
    """The `Desk` of a project's publish stage.

    Args:
        context: The stage.
        publisher: Whose calls are booked.
        request: What is published.
    """

    def __init__(
        self, context: StageContext, publisher: Publisher, request: PublishRequest
    ) -> None:
        self._context = context
        self._project = context.project
        self._publisher = publisher
        self._film = request.identity
        away = self.load().get("away")
        self._away = away if isinstance(away, int) else 0
        """How often it has waited for a service that was away, since it last answered."""
        self._inputs = disk.digest(_inputs(request, publisher))

    def load(self) -> dict[str, Any]:
        return session_of(self._project)

    def save(self, facts: Mapping[str, Any]) -> None:
        self._project.keep_private(SESSION, facts)

    def visible(self, published: Published) -> None:
        """Record the publication; one of an earlier version of the project never counts as this."""
        superseded = published.facts.get("superseded")
        facts = self.record(published) | ({} if superseded is None else {"film": superseded})
        with self._project.transaction() as state:
            state.publication = facts

    def record(self, published: Published) -> dict[str, Any]:
        """Return what is remembered of a publication."""
        before = self._context.state().publication or {}
        same = before.get("video_id") == published.video_id
        return {
            "publisher": self._publisher.name,
            "url": published.url,
            "video_id": published.video_id,
            "marker": marker(self._project),
            "published_at": before["published_at"] if same else now(),
            "film": self._film,
            "facts": published.facts,
        }

    def is_of(self, publication: Mapping[str, Any]) -> bool:
        """Tell whether a publication is of what is to be published now.

        While it is not finished, what belongs to the video may change: a title of a playlist that the
        service refused, a thumbnail.
        """
        if "inputs" in publication:
            return bool(publication["inputs"] == self._inputs)
        return bool(publication.get("film") == self._film)

    def finished(self, published: Published) -> dict[str, Any]:
        """Return what is remembered of a publication that has everything."""
        return self.record(published) | {"inputs": self._inputs}

    def report(self, done: float, what: str = "start", **facts: object) -> None:
        self._context.report(BEGIN, END, f"upload_{what}", **facts)(done)

    def warn(self, sentence: str) -> None:
        self._context.warn(sentence)

    def retrying(self, unit: Callable[[], T]) -> T:
        """As the stage does; after the last try of a service that is away, the project waits."""
        try:
            result = self._context.retrying(unit)
        except TransientError as error:
            if error.retry_after is not None or self._away >= len(AWAY_SECONDS):
                raise
            seconds = AWAY_SECONDS[self._away]
            self.save({**self.load(), "away": self._away + 1})
            raise UnfinishedError(error.code, error.message, error.hint, seconds) from None
        if self._away:
            self._away = 0
            self.save({**self.load(), "away": 0})
        return result

    def pause(self, seconds: float) -> None:
        self._context.pause(seconds)

    def book(self, call: str) -> None:
        if (tariff := self._publisher.tariff()) is not None:
            ledger.book(tariff, call, self._project)

    def reserve(self, calls: Mapping[str, int]) -> None:
        if (tariff := self._publisher.tariff()) is not None:
            ledger.reserve(tariff, calls, self._project)

    def refused(self, call: str, seconds: float | None) -> float:
        tariff = self._publisher.tariff()
        return ledger.refused(tariff, call, seconds, self._project) if tariff else seconds or 0.0


@stage_task("youtube_upload", share=8, version="2", label="upload")
def upload_to_youtube_task(context: StageContext) -> None:
    """Publish the video by the configured publisher; what is published already stays as it is."""
    publisher = providers.publisher(settings.get().publisher)
    request = _request(context)
    desk = StageDesk(context, publisher, request)
    context.make(
        RECORD,
        inputs=_inputs(request, publisher),
        build=lambda path: _publish(context, request, desk, path),
        retry=False,
    )
    record = json.loads(context.project.path(RECORD).read_bytes())
    with context.project.transaction() as state:
        state.publication = record
    context.roles |= {"publication": RECORD, **ROLES}


def _inputs(request: PublishRequest, publisher: Publisher) -> dict[str, Any]:
    told = request.model_dump(mode="json", exclude={"files", "marker"})
    return {**told, "publisher": publisher.name}


def _request(context: StageContext) -> PublishRequest:
    state = context.state()
    records = {role: state.artifact(path) for role, path in ROLES.items()}
    unknown = [ROLES[role] for role, record in records.items() if record is None]
    if unknown:
        raise InputError(
            "stage_order",
            f"The project has no record of {', '.join(unknown)}, which is to be published.",
            f"Remake it: ./reelchain run {context.project.id} --from video_rendering.",
        )
    made = script.load(context)
    told = Announcement.of(made, context.spec, assets.credit_lines(context.project, made))
    seconds = state.stage("video_rendering").facts.get("seconds")
    brief = isinstance(seconds, int | float) and seconds <= SHORT_SECONDS
    return PublishRequest(
        **told.model_dump(),
        project_id=context.project.id,
        marker=marker(context.project),
        short=brief and context.spec.shape != "16:9",
        files={role: str(context.project.path(path)) for role, path in ROLES.items()},
        sha256={role: record.sha256 for role, record in records.items() if record is not None},
    )


def marker(project: Project) -> str:
    """Return the name of a project's one publication, kept before anything is sent.

    It stands in the session, and in the state for the case that `private/` was lost: what was begun
    under it is then looked for.
    """
    session, state = session_of(project), project.state()
    kept = str(session.get("marker"))
    known = str(state.stage("youtube_upload").facts.get("marker"))
    # it becomes part of a folder's name
    ours = re.compile(rf"rc-{project.id}-[0-9a-f]{{12}}")
    found = next((m for m in (kept, known) if ours.fullmatch(m)), None)
    found = found or f"rc-{project.id}-{uuid4().hex[:12]}"
    if found != kept:
        lost = {"lost": True} if found == known else {}
        project.keep_private(SESSION, {**session, "marker": found, **lost})
    if found != known:
        with project.transaction() as state:
            state.stage("youtube_upload").facts["marker"] = found
    return found


def _publish(context: StageContext, request: PublishRequest, desk: StageDesk, path: Path) -> None:
    publisher = providers.publisher(settings.get().publisher)
    before = context.state().publication
    if before is not None:
        _refuse_second(context, publisher, before, desk)
    try:
        published = publisher.publish(request, desk)
    finally:
        if publisher.tariff() is not None:
            ledger.release(context.project.id)
    facts = desk.finished(published) | {"sha256": request.sha256["video"]}
    path.write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _refuse_second(
    context: StageContext, publisher: Publisher, before: Mapping[str, Any], desk: StageDesk
) -> None:
    """Go on only where an earlier publication is replaced, or is this very one, not yet finished."""
    ours = before.get("publisher") == publisher.name
    same = ours and desk.is_of(before)
    if not (ours and publisher.replaces) and not same:
        raise InputError(
            "already_published",
            f"This project is published already: {before.get('url')}",
            f"Publish a second video on purpose: ./reelchain run {context.project.id} --republish.",
        )
    session = desk.load()
    if same and "video_id" not in session and not publisher.replaces:
        desk.save({**session, "video_id": before.get("video_id")})  # `private/` was lost
