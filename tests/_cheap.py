"""A render and a thumbnail that cost nothing, and a voice that says silence.

For a worker: `-A _cheap_app`, with SPEECH_PROVIDER=silent. What the stages read and write is as in the real ones:
the manifest, the word times, the recorded files; only pixels and sound are left out.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, get_args

from app import providers
from app.models import Language, Speech, Stage, Word
from app.providers import SpeechRequest, Voice
from app.tasks import _stage, assets, render, script, thumbnail
from app.tasks._stage import StageContext

RATE = 24_000


class SilentSpeech:
    """A tenth of a second of silence for every sentence."""

    name: ClassVar[str] = "silent"
    version: ClassVar[str] = "1"

    def voices(self) -> tuple[Voice, ...]:
        return tuple(
            Voice(name=f"silent_{language}", language=language, description="Says nothing.")
            for language in get_args(Language)
        )

    def concurrency(self) -> int:
        return 1

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        samples = RATE // 10
        with wave.open(str(target), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(b"\0\0" * samples)
        word = Word(text=request.text, start=0.0, end=0.1, span=(0, len(request.text)))
        return Speech(
            text=request.text,
            voice=f"silent_{request.language}",
            provider=self.name,
            sample_rate=RATE,
            samples=samples,
            words=(word,),
        )


def _render(context: StageContext) -> None:
    """Read all that a render reads, write all that it writes."""
    made = script.load(context)
    scenes = assets.load(context).scenes
    lines = [context.project.path(scene.picture).name for scene in scenes]
    for sentence in (sentence for scene in scenes for sentence in scene.sentences):
        spoken = assets.load_speech(context, sentence)
        lines.append(f"{spoken.text} {context.project.path(sentence.wav).stat().st_size}")
    text = "\n".join([made.title, *lines])
    for name in (render.VIDEO, render.SRT, render.VTT, render.ASS):
        context.make_text(name, f"{name}\n{text}")
    context.facts.update(seconds=1.0, frames=30)
    context.roles |= {"video": render.VIDEO, "captions_srt": render.SRT}
    context.roles |= {"captions_vtt": render.VTT, "captions_ass": render.ASS}


def _thumbnail(context: StageContext) -> None:
    context.make_text(thumbnail.THUMBNAIL, script.load(context).title)
    context.roles["thumbnail"] = thumbnail.THUMBNAIL


def install() -> Callable[[], None]:
    """Use the cheap works and the silent voice in this process; return what puts the real ones back."""
    kept = [(_stage.DEFINITIONS[stage], _stage.DEFINITIONS[stage].work) for stage in _WORKS]
    for definition, _ in kept:
        # the tasks hold the definition itself, so it is this object that has to change
        object.__setattr__(definition, "work", _WORKS[definition.stage])
    providers.TABLE["speech"]["silent"] = "_cheap.SilentSpeech"

    def restore() -> None:
        for definition, work in kept:
            object.__setattr__(definition, "work", work)
        del providers.TABLE["speech"]["silent"]

    return restore


_WORKS: dict[Stage, Callable[[StageContext], None]] = {
    "video_rendering": _render,
    "thumbnail_generation": _thumbnail,
}
