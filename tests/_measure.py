"""Measures of a finished video, taken from the decoded file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from app.media import ffmpeg

RATE = 48_000
FRAME = 240
"""Samples of an energy frame: 5 ms."""
THRESHOLD_DB = -35.0
"""Speech is what lies less than this below the loudest 5 ms of its sentence."""


def decoded_sound(path: Path, folder: Path) -> np.ndarray[Any, Any]:
    """Return the film's sound as mono float32 samples at 48 kHz."""
    target = folder / "sound.f32"
    ffmpeg.run(["-i", path, "-map", "0:a", "-ac", "1", "-ar", str(RATE), "-f", "f32le", target])
    return np.fromfile(target, dtype=np.float32)


def cues(srt: str) -> list[tuple[float, float, str]]:
    """Return start, end and text of every cue of an SRT file."""
    found = []
    for block in re.split(r"\n\n+", srt.strip()):
        _, times, *lines = block.splitlines()
        start, end = (_seconds(part) for part in times.split(" --> "))
        found.append((start, end, "\n".join(lines)))
    return found


def _seconds(text: str) -> float:
    hours, minutes, rest = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def sung(ass: str) -> list[tuple[float, str]]:
    """Return when the first word of every cue of an ASS file with `\\k` tags is marked, and its text."""
    found = []
    for line in ass.splitlines():
        if line.startswith("Dialogue: "):
            _, start, *_, text = line.split(",", 9)
            waits = re.match(r"\{\\k(\d+)\}", text)
            later = int(waits[1]) / 100 if waits else 0.0
            found.append((_seconds(start) + later, re.sub(r"\{[^}]*\}|\\N", "", text)))
    return found


def sentences(project: Path) -> list[tuple[float, float, str]]:
    """Return when the captions mark the first word of each sentence, when its last ends, its text."""
    manifest = json.loads((project / "assets" / "assets.json").read_text())
    spoken = [s for scene in manifest["scenes"] for s in scene["sentences"]]
    left = sung((project / "captions.ass").read_text())
    found = []
    for sentence in spoken:
        wanted = re.sub(r"\W", "", sentence["text"])
        start, said = left[0][0], ""
        while left and len(said) < len(wanted):
            said += re.sub(r"\W", "", left.pop(0)[1])
        assert said == wanted, (said, wanted)
        words = json.loads((project / sentence["words"]).read_text())["words"]
        lasts = words[-1]["end"] - words[0]["start"]
        found.append((start, start + lasts, sentence["text"]))
    assert not left
    return found


def caption_errors(project: Path, folder: Path) -> list[tuple[float, float, str]]:
    """Return, per sentence, caption start and end minus those of the voice's energy, in seconds."""
    sound = decoded_sound(project / "video.mp4", folder)
    spoken = sentences(project)
    errors = []
    for number, (start, end, text) in enumerate(spoken):
        # half way into the pauses on both sides: the neighbours' voices stay out
        before = spoken[number - 1][1] if number else 0.0
        after = spoken[number + 1][0] if number + 1 < len(spoken) else len(sound) / RATE
        begin, finish = (before + start) / 2, (end + after) / 2
        loud = _loud(sound[int(begin * RATE) : int(finish * RATE)])
        onset, offset = begin + loud[0] * FRAME / RATE, begin + (loud[-1] + 1) * FRAME / RATE
        errors.append((start - onset, end - offset, text))
    return errors


def _loud(sound: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    return np.flatnonzero(level > level.max() + THRESHOLD_DB)


def frame_times(path: Path, folder: Path) -> list[int]:
    """Return every decoded frame's time in units of the stream's time base ticks of a frame."""
    target = folder / "frames.txt"
    ffmpeg.run(["-i", path, "-map", "0:v", "-f", "framemd5", target])
    rows = [line.split(",") for line in target.read_text().splitlines() if line[:1] != "#"]
    return [int(row[2]) for row in rows]


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4's outermost boxes, in order."""
    found, at, data = [], 0, path.read_bytes()
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 8].decode("latin-1"))
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or len(data)
    return found
