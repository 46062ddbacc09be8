"""How long it will take and what it will cost, about.

The time is from what was made here before, stage by stage, per second of video; the costs are from the
scenes and the prices of the providers that the settings name first.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from app import language, prices, settings, story
from app.errors import ReelchainError
from app.models import Language, ProjectSpec, Stage
from app.project import STAGE_ORDER, Project, ids
from app.providers import costs
from app.spending import Usage

FIRST_GUESS: dict[Stage, float] = {
    "script_generation": 0.01,
    "asset_generation": 0.6,
    "video_rendering": 0.8,
    "thumbnail_generation": 0.02,
    "youtube_upload": 0.02,
}
"""Seconds of work per second of video on two cores, where nothing was made here yet."""
MOST_LOOKED_AT = 60
MOST_COUNTED = 20
"""Latest projects that are opened, and latest complete ones that count."""
HERE = frozenset(("template", "kokoro", "hibari", "openjtalk", "folder"))
"""Providers that work on this machine: they cost no money and use up no quota."""
FREE = HERE | {"youtube"}
"""Publishers that cost no money, and whatever works on this machine."""
SCENE_SECONDS = 8.0
SENTENCE_SECONDS = 4.0
"""How long one is, about, in a script that is not written yet."""


@dataclass(frozen=True)
class Job:
    """A video to be made.

    Attributes:
        title: What it is about, as far as that is known before its script.
        language: Its language.
        source: The story's file name, or `topic`.
        video_seconds: About how long the video will be.
        done: Stages that are made already.
        topic: Whether a writer makes its script of a topic.
        sentences: How many sentences are spoken, about.
        to_draw: How many scenes have no picture of their own.
    """

    title: str
    language: Language
    source: str
    video_seconds: float
    done: tuple[Stage, ...] = ()
    topic: bool = False
    sentences: int = 0
    to_draw: int = 0

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def job(spec: ProjectSpec, sources: Callable[[Path], None], origin: str | None) -> Job:
    """Return what a project not yet created would be.

    Args:
        spec: What is asked for.
        sources: Fills a `source/` folder.
        origin: The file it comes from; read where it is, so that no picture is copied.
    """
    if spec.source is None:
        return _job(spec, None, "topic")
    if origin is not None:
        return _job(spec, Path(origin), Path(origin).name)
    with tempfile.TemporaryDirectory(prefix="reelchain-") as name:
        sources(Path(name))
        return _job(spec, Path(name) / spec.source, "text")


def job_left(number: int) -> Job | None:
    """Return what is left to do for a project; None if it is complete, or can't be read."""
    try:
        project = Project.open(settings.get().projects_dir, number)
        state = project.state()
    except ReelchainError:
        return None
    if state.status == "completed":
        return None
    done = tuple(stage for stage in STAGE_ORDER if state.stage(stage).status == "completed")
    path = project.folder / "source" / state.spec.source if state.spec.source else None
    return job_of(state.spec, path, done)


def job_of(spec: ProjectSpec, path: Path | None, done: tuple[Stage, ...] = ()) -> Job:
    """Return what a project would be.

    Args:
        spec: What is asked for.
        path: Its story; None is its topic.
        done: Stages that are made already.
    """
    return replace(_job(spec, path, path.name if path else "topic"), done=done)


def _job(spec: ProjectSpec, path: Path | None, source: str) -> Job:
    script = None
    if path is not None:
        try:
            script = story.read(path).script
        except (ReelchainError, OSError):
            script = None  # it fails at once when it is run
    seconds = spec.length
    if script is not None:
        read = language.reading_seconds
        seconds = sum(read(scene.narration, script.language) for scene in script.scenes)
        seconds /= spec.speed
    title = spec.title or (script.title if script else None) or spec.topic or ""
    told, to_draw = round(seconds / SENTENCE_SECONDS), round(seconds / SCENE_SECONDS)
    if script is not None:
        told = sum(len(language.sentences(s.narration, script.language)) for s in script.scenes)
        to_draw = sum(scene.visual.may_be_found for scene in script.scenes)
    return Job(
        title[:200],
        spec.language,
        source,
        round(seconds, 1),
        topic=path is None,
        sentences=told,
        to_draw=to_draw,
    )


def estimate(
    jobs: Sequence[Job], *, window: int | None = None, of: int | None = None
) -> dict[str, Any]:
    """Return about how long jobs take together, and what they cost.

    Args:
        jobs: What is to be made.
        window: How many at once, as the batch says.
        of: How many projects there are, with those that are complete.

    Returns:
        `projects, to_make, at_once, video_seconds, work_seconds, seconds, basis, services`;
        `paid_calls` (about how many calls take money), `usd` (about what they cost, as text; null
        where that is not known), `usd_note` (why not) and `prices_of` (the date of the prices);
        `quota_units` (bucket → units, 0 where there is no quota), `fits_today` (how many of the
        videos), `note` (what becomes of the others) and `quota_of` (the date of the quota's table).
    """
    pace, count = _pace()
    work = [
        sum(pace[s] for s in STAGE_ORDER if s not in job.done) * job.video_seconds for job in jobs
    ]
    chosen = settings.get()
    at_once = max(1, min(window or chosen.batch_window, chosen.video_concurrency, len(jobs) or 1))
    services = {
        "script": chosen.script_provider,
        "speech": chosen.speech_provider,
        "picture": chosen.image_provider,
        "publisher": chosen.publisher,
    }
    to_publish = sum("youtube_upload" not in job.done for job in jobs)
    return {
        "projects": len(jobs) if of is None else of,
        "to_make": len(jobs),
        "at_once": at_once,
        "video_seconds": round(sum(job.video_seconds for job in jobs), 1),
        "work_seconds": round(sum(work), 1),
        "seconds": round(max([sum(work) / at_once, *work], default=0.0), 1),
        "basis": f"the last {count} videos made here" if count else "a first guess",
        "services": services,
        **_money(jobs, services),
        **_quota(to_publish),
    }


def _money(jobs: Sequence[Job], services: Mapping[str, str]) -> dict[str, Any]:
    """Return about how many calls take money, and how much; nothing is asked of anybody."""
    uses = [use for job in jobs for use in _uses(job, services)]
    priced = [(f"{use.service}/{use.model}".rstrip("/"), prices.price(use)) for use in uses]
    unknown = sorted({name for name, usd in priced if usd is None})
    usd = sum((usd for _, usd in priced if usd is not None), Decimal(0))
    return {
        "paid_calls": sum(
            use.calls for use, (_, cost) in zip(uses, priced, strict=True) if cost != 0
        ),
        "usd": None if unknown else prices.plain(usd),
        "usd_note": f"no price is known of {', '.join(unknown)}" if unknown else None,
        "prices_of": prices.as_of(),
    }


def _uses(job: Job, services: Mapping[str, str]) -> Iterator[Usage]:
    """Yield about what is used of services that may take money, for what is left to make."""
    if "asset_generation" not in job.done:
        yield from _use(job, "speech", services["speech"], job.sentences)
        yield from _use(job, "picture", services["picture"], job.to_draw)
    if job.topic and "script_generation" not in job.done:
        yield from _use(job, "script", services["script"], 1)
    publisher = services["publisher"]
    if publisher not in FREE and "youtube_upload" not in job.done:
        yield Usage(service=publisher, model="")


def _use(job: Job, kind: costs.Kind, chain: str, calls: int) -> Iterator[Usage]:
    found = costs.usage(kind, chain, calls=calls, seconds=job.video_seconds, language=job.language)
    if found is not None:
        yield found


def _quota(videos: int) -> dict[str, Any]:
    """Return what publishing takes of the publisher's quota, and how many videos fit today."""
    from app import ledger  # with SQLAlchemy, which costs a fifth of a second

    facts: dict[str, Any] = {"quota_units": 0, "fits_today": videos, "note": None, "quota_of": None}
    try:
        for tariff in ledger.tariffs():
            standing = ledger.standing(tariff)
            facts["quota_units"] = {
                bucket: units * videos for bucket, units in standing["cost"].items()
            }
            facts["fits_today"] = fits = min(videos, standing["fits"])
            facts["quota_of"] = tariff.as_of
            if fits < videos:
                facts["note"] = _wait(videos, fits, standing)
    except ReelchainError as error:  # it stands in the way of publishing, not of an estimate
        facts.update(quota_units=None, fits_today=None, note=f"The quota is unknown: {error}")
    return facts


def _wait(videos: int, fits: int, standing: dict[str, Any]) -> str:
    limits = {row["bucket"]: row["limit"] for row in standing["buckets"]}
    a_day = min(limits[b] // units for b, units in standing["cost"].items() if b in limits)
    if a_day == 0:
        return "Not even one video fits into the quota of a whole day."
    days = 1 + math.ceil((videos - fits) / a_day)
    hours, minutes = divmod(standing["resets_in"] // 60, 60)
    until = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return (
        f"{videos - fits} of {videos} will wait until midnight Pacific, in {until}; "
        f"about {days} days in all."
    )


def _pace() -> tuple[dict[Stage, float], int]:
    """Return stage → seconds of work per second of video, and how many videos say so."""
    rows: list[dict[Stage, float]] = []
    home = settings.get().projects_dir
    for number in reversed(ids(home)[-MOST_LOOKED_AT:]):
        try:
            state = Project.open(home, number).state()
        except ReelchainError:
            continue
        length = state.stage("video_rendering").facts.get("seconds")
        if state.status == "completed" and isinstance(length, int | float) and length > 0:
            rows.append({stage: state.stage(stage).seconds / length for stage in STAGE_ORDER})
        if len(rows) == MOST_COUNTED:
            break
    if not rows:
        return FIRST_GUESS, 0
    return {s: statistics.median(row[s] for row in rows) for s in STAGE_ORDER}, len(rows)
