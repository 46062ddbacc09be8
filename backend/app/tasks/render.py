"""The render stage: a segment per scene, the sound, the finished film, the caption files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app import disk
from app.errors import DiskError, MediaError
from app.media import audio, captions, encode, ffmpeg, styles, timeline
from app.media.faces import Region
from app.models import FPS, ProjectSpec
from app.project import Project
from app.tasks import assets, inspection, script
from app.tasks._stage import StageContext, stage_task

VIDEO = "video.mp4"
SRT = "captions.srt"
VTT = "captions.vtt"
ASS = "captions.ass"
SOUND = "render/sound.m4a"

SEGMENTS_END = 0.86
"""Part of the stage's progress that is drawing and encoding; sound and mux take the rest."""
SOUND_END = 0.96

BYTES_PER_SECOND = 2_500_000
"""Room on the disk that a second of video takes at most: segments, sound and the finished film."""
RESERVE = 200_000_000


VERSION = f"2 {encode.VERSION} {audio.VERSION} {captions.VERSION}"
"""Of the stage: a builder that changes makes finished projects unfinished."""


@stage_task("video_rendering", share=50, version=VERSION, label="render")
def render_video_task(context: StageContext) -> None:
    """Make `video.mp4` and its captions as SRT, VTT and ASS; scenes that did not change are kept."""
    plan = _plan(context)
    takes = _takes(context, plan)
    sound = _sound_inputs(context, plan)
    film = _film_inputs(takes, sound)
    _captions(context, plan)
    if not _stands(context, film, [*(take.name for take in takes), SOUND]):
        _check_disk(context, plan.seconds)
        _segments(context, plan, takes)
        _sound(context, plan, sound)
        _film(context, plan, [take.name for take in takes], film)
    context.facts.update(seconds=round(plan.seconds, 3), frames=plan.frames)
    inspection.tell(context, plan, context.project.path(SRT))
    context.roles |= {
        "video": VIDEO,
        "captions_srt": SRT,
        "captions_vtt": VTT,
        "captions_ass": ASS,
    }


def _plan(context: StageContext) -> timeline.Timeline:
    return planned(context.project, context.spec, context.size)


def planned(project: Project, spec: ProjectSpec, size: tuple[int, int]) -> timeline.Timeline:
    """Lay out a project's film for frames of `size`."""
    scenes = [
        timeline.SceneTake(
            id=scene.id,
            picture=project.path(scene.picture),
            picture_sha256=scene.picture_sha256,
            kind="card" if scene.kind == "card" else "picture",
            steps=tuple(
                (project.path(step.picture), step.picture_sha256, step.sentence)
                for step in scene.steps
            ),
            keep=Region(*scene.keep) if scene.keep else None,
            spread=scene.spread,
            sentences=tuple(
                timeline.Take(
                    text=sentence.text,
                    wav=project.path(sentence.wav),
                    speech=assets.speech_of(project, sentence),
                )
                for sentence in scene.sentences
            ),
        )
        for scene in assets.load_of(project).scenes
    ]
    return timeline.plan(
        scenes,
        fps=FPS,
        size=size,
        style=styles.load(spec.style),
        language=script.load_of(project).language,
        pause=spec.pause,
    )


def _style(context: StageContext) -> styles.Style:
    """Return the video's style with the captions that were asked for."""
    return styles.captioned(styles.load(context.spec.style), context.spec.caption_style)


def _check_disk(context: StageContext, seconds: float) -> None:
    needed = RESERVE + seconds * BYTES_PER_SECOND
    free = shutil.disk_usage(context.project.folder).free
    if free < needed:
        raise DiskError(
            "disk_full",
            f"Rendering {seconds:.0f} s of video needs {needed / 1e6:.0f} MB free; "
            f"there are {free / 1e6:.0f} MB.",
            "Free some space, then run the project again.",
        )


class _Take(NamedTuple):
    """A segment to be, under a name made of its inputs: a scene that moves keeps its film."""

    name: str
    inputs: dict[str, Any]
    segment: timeline.Segment


def _takes(context: StageContext, plan: timeline.Timeline) -> list[_Take]:
    look = {
        "size": plan.size,
        "style": styles.digest(
            _style(context) if context.spec.captions else styles.load(context.spec.style)
        ),
        "language": script.load(context).language,
        "captions": captions.VERSION if context.spec.captions else False,
        "encoder": encode.recipe(),
    }
    inputs = [{"segment": segment.facts(), **look} for segment in plan.segments]
    names = [f"render/segment/{disk.digest(one)[:20]}.mp4" for one in inputs]
    return [_Take(*facts) for facts in zip(names, inputs, plan.segments, strict=True)]


def _stands(context: StageContext, film: dict[str, Any], parts: list[str]) -> bool:
    """Tell whether the film is made of just these parts; they may have been cleaned up since."""
    state = context.state()
    record = state.artifact(VIDEO)
    if record is None or record.inputs != disk.digest(film) or not context.project.intact(record):
        return False
    for name in (VIDEO, *parts):
        found = state.artifact(name)
        if found is not None and context.project.intact(found):
            context.keep(name)
    return True


def _segments(context: StageContext, plan: timeline.Timeline, takes: list[_Take]) -> None:
    style, language = _style(context), script.load(context).language
    done = 0
    for number, take in enumerate(takes, 1):
        begin = SEGMENTS_END * done / plan.frames
        done += take.segment.frames
        end = SEGMENTS_END * done / plan.frames
        report = context.report(begin, end, "segment", n=number, total=len(takes))

        def build(
            path: Path,
            segment: timeline.Segment = take.segment,
            report: Callable[[float], None] = report,
        ) -> None:
            encode.segment(
                segment,
                path,
                size=plan.size,
                style=style,
                language=language,
                captions=context.spec.captions,
                report=report,
            )

        context.make(take.name, inputs=take.inputs, build=build)


def _sound_inputs(context: StageContext, plan: timeline.Timeline) -> dict[str, Any]:
    music = _music(context)
    return {
        "voice": [[disk.sha256(path), start] for path, start in plan.voice],
        "seconds": plan.seconds,
        "music": disk.sha256(music) if isinstance(music, Path) else music,
        "seed": _seed(context),
        "mood": styles.load(context.spec.style).music.mood,
        "version": audio.VERSION,
    }


def _seed(context: StageContext) -> int:
    return context.project.id + styles.load(context.spec.style).music.seed


def _sound(context: StageContext, plan: timeline.Timeline, inputs: dict[str, Any]) -> None:
    context.step(SEGMENTS_END, "sound")

    def build(path: Path) -> None:
        loudness = audio.mix(
            plan.voice,
            plan.seconds,
            path,
            music=_music(context),
            seed=_seed(context),
            mood=styles.load(context.spec.style).music.mood,
            report=context.report(SEGMENTS_END, SOUND_END, "sound"),
        )
        context.facts["loudness_lufs"] = round(loudness.integrated, 2)
        context.facts["true_peak_dbtp"] = round(loudness.true_peak, 2)

    context.make(SOUND, inputs=inputs, build=build)


def _music(context: StageContext) -> Path | Literal["auto"] | None:
    wanted = context.spec.music
    if wanted in ("auto", "none"):
        return "auto" if wanted == "auto" else None
    return context.project.path(f"source/{wanted}")


def _captions(context: StageContext, plan: timeline.Timeline) -> None:
    language = script.load(context).language
    styled = captions.ass(plan.cues, style=_style(context), language=language, size=plan.size)
    texts = {SRT: captions.srt(plan.cues), VTT: captions.vtt(plan.cues), ASS: styled}
    for name, text in texts.items():
        context.make_text(name, text)
    fast = captions.too_fast(plan.cues, language)
    if fast:
        worst = max(captions.speed(cue, language) for cue in fast)
        context.warn(
            f"The voice is faster than one reads: {len(fast)} of {len(plan.cues)} captions have up "
            f"to {worst:.0f} characters a second, {captions.LIMITS[language]:.0f} are legible. "
            "Lower the speed, or write shorter sentences."
        )


def _film_inputs(takes: list[_Take], sound: dict[str, Any]) -> dict[str, Any]:
    """Return what the film is made from, known before any part of it is there."""
    return {
        "segments": [Path(take.name).name for take in takes],
        "sound": disk.digest(sound),
        "version": encode.VERSION,
    }


def _film(
    context: StageContext, plan: timeline.Timeline, segments: list[str], inputs: dict[str, Any]
) -> None:
    context.step(SOUND_END, "mux")
    context.make(
        VIDEO,
        inputs=inputs,
        build=lambda path: encode.join(
            [context.project.path(name) for name in segments],
            context.project.path(SOUND),
            path,
            frames=[segment.frames for segment in plan.segments],
            fps=plan.fps,
            report=context.report(SOUND_END, 1.0, "mux"),
        ),
        check=lambda path: _check(path, plan),
    )


def _check(path: Path, plan: timeline.Timeline) -> None:
    found = ffmpeg.probe(path)
    if abs(found.duration - plan.seconds) > 2 / FPS:
        raise MediaError(
            "video_length",
            f"The film came out {found.duration:.2f} s long instead of {plan.seconds:.2f} s.",
            "Run the project again; if it stays so, report it with the worker's log.",
        )
