"""Small whole films, made as the render makes them, and what they were meant to be."""

from __future__ import annotations

import hashlib
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from app import language
from app.media import audio, captions, encode, ffmpeg, pictures, styles, timeline
from app.media.checks import Meant
from app.media.styles import Style
from app.models import Speech, Word

SIZE = (480, 270)
SENTENCES = (
    "The light comes over the ridge at seven.",
    "Nobody hurries, and the river lies still.",
)
STYLE = styles.load(styles.DEFAULT)
STYLE = replace(STYLE, motion=1.0, transition=replace(STYLE.transition, seconds=0.3))


@dataclass(frozen=True)
class Film:
    """A film, its parts, and what it was meant to be."""

    path: Path
    meant: Meant


def picture(folder: Path, seed: int) -> tuple[Path, str]:
    """Write a canvas with texture of all sizes."""
    wide, high = pictures.canvas(SIZE)
    random = np.random.default_rng(seed)
    image = np.full((high, wide, 3), 120.0, np.float32)
    for scale, strength in ((3, 12), (12, 25), (50, 30)):
        grain = random.standard_normal((high // scale + 1, wide // scale + 1, 3))
        grain = cv2.resize(grain.astype(np.float32), (wide, high), interpolation=cv2.INTER_CUBIC)
        image += strength * grain
    path = folder / f"canvas{seed}.png"
    cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def voice(folder: Path, number: int, text: str, seconds: float = 2.0) -> timeline.Take:
    """Write a sound that comes and goes as speech does, and its words' times."""
    random = np.random.default_rng(number)
    samples = round(seconds * 24_000)
    spans = language.phrases(text, "en")
    share = seconds / len(spans)
    clock = np.arange(samples) / 24_000
    syllables = np.sin(np.pi * (clock % (share / 2)) / (share / 2)) ** 2
    hum = sum(np.sin(2 * np.pi * (110 + 7 * number) * k * clock) / k for k in range(1, 12))
    sound = 0.12 * syllables * (hum + 0.7 * random.standard_normal(samples))
    path = folder / f"voice{number}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    words = tuple(
        Word(text=text[a:b].strip(), start=n * share, end=(n + 1) * share, span=(a, b))
        for n, (a, b) in enumerate(spans)
    )
    speech = Speech(
        text=text, voice="", provider="", sample_rate=24_000, samples=samples, words=words
    )
    return timeline.Take(text, path, speech)


def planned(folder: Path, style: Style = STYLE) -> timeline.Timeline:
    """Lay out two scenes of a sentence each, over pictures that travel."""
    scenes = []
    for number, text in enumerate(SENTENCES):
        path, _ = picture(folder, number)
        takes = (voice(folder, number, text),)
        scenes.append(timeline.SceneTake(f"s{number}", path, "00ff" + "00" * 30, "picture", takes))
    return timeline.plan(scenes, fps=30, size=SIZE, style=style, language="en")


def filmed(folder: Path, plan: timeline.Timeline, style: Style, sound: Path) -> Path:
    """Encode the scenes of `plan` and join them with `sound`."""
    parts = []
    for part in plan.segments:
        parts.append(folder / f"{part.id}.mp4")
        encode.segment(part, parts[-1], size=SIZE, style=style, language="en", captions=True)
    encode.join(parts, sound, folder / "video.mp4", frames=[part.frames for part in plan.segments])
    return folder / "video.mp4"


def good(folder: Path) -> Film:
    """Make a film with nothing wrong."""
    plan = planned(folder)
    sound = folder / "sound.m4a"
    audio.mix(plan.voice, plan.seconds, sound, music=None)
    return Film(filmed(folder, plan, STYLE, sound), meant(folder, plan))


def meant(folder: Path, plan: timeline.Timeline) -> Meant:
    """Write the captions of `plan`, and say that this is what a film is to be."""
    subtitles = folder / "captions.srt"
    subtitles.write_text(captions.srt(plan.cues), encoding="utf-8")
    return Meant(plan, STYLE, "en", subtitles, music=False)


def refilmed(film: Film, folder: Path, plan: timeline.Timeline, style: Style = STYLE) -> Path:
    """Film another plan (or in another look) with the sound of `film`."""
    return filmed(folder, plan, style, film.path.with_name("sound.m4a"))


def resounded(film: Film, folder: Path, filters: str, *options: str) -> Path:
    """Return the film with its sound filtered."""
    path = folder / "resounded.mp4"
    tail = ("-c:v", "copy", "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart")
    ffmpeg.run(["-i", film.path, "-af", filters, *options, *tail, path])
    return path


def repainted(film: Film, folder: Path, filters: str) -> Path:
    """Return the film with its picture filtered."""
    path = folder / "repainted.mp4"
    tail = (*encode.encoder(30)[2:], "-c:a", "copy", "-movflags", "+faststart")
    ffmpeg.run(["-i", film.path, "-vf", filters, *tail, path])
    return path
