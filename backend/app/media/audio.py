"""The sound of a video: narration over ducked music, at the loudness the platforms ask for.

Placement to the sample happens in `tracks` (numpy); filtering, mixing, measuring and encoding in
FFmpeg, whose graphs are built here with `ffmpeg-python` and run only by `media.ffmpeg`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ffmpeg as graph

from app.errors import InputError, MediaError, NotFoundError
from app.media import ffmpeg, tracks
from app.media import music as beds
from app.media.styles import Mood
from app.media.tracks import RATE

VERSION = f"3.{beds.VERSION}"
"""Part of the inputs of every mix: raise it when the same sounds are mixed differently."""

TARGET = -14.0
"""Integrated loudness in LUFS (ITU-R BS.1770) that video platforms play at."""
TOLERANCE = 0.5
CEILING = -1.0
"""True peak in dBTP that the decoded sound never exceeds."""
UNDER_SPEECH = 20.0
"""Loudness units that music lies below the voice while somebody speaks."""
IN_PAUSES = 11.0
"""Loudness units that music lies below the voice in long pauses."""

_HEADROOM = 1.2
"""Decibels that the limiter stays below the ceiling: what AAC adds to peaks, measured, is less."""
_SPOKEN_LEVEL = -20.0
"""Mean power in dB that speech is brought to before compression."""
_INAUDIBLE = -60.0
"""LUFS below which a sound is taken for silence."""
_ROOM = 0.0012
"""Amplitude of the room tone: about -66 dB, so that a pause is not digital zero."""
_AAC = {"aac_coder": "fast", "aac_pns": 0, "aac_is": 0}
"""At 192 kbit/s the fast search comes within 2 dB of the thorough one in half the time, and waves
are kept as they are better than as substituted noise or as intensity."""
_RUMBLE = 25
"""Hertz below which music has nothing to hear; a constant offset would pass for loudness."""
_LONGEST = 6 * 3600.0
_STEREO = {"sample_fmts": "fltp", "channel_layouts": "stereo"}
"""Mono to both sides, each at 0.7071 of it. `channelmap` would give both sides one buffer, on
which filters that work in place act twice."""
_MONO_TO_STEREO = 10 * math.log10(2)
"""Decibels that the conversion above takes from a side."""

_log = logging.getLogger(__name__)

Report = Callable[[float], None]


@dataclass(frozen=True)
class Loudness:
    """What a listener gets, measured after decoding.

    Attributes:
        integrated: LUFS over the whole file, gated; -70 or less for silence.
        true_peak: dBTP, at four times the sampling rate.
        range: Loudness range in LU.
    """

    integrated: float
    true_peak: float
    range: float


def mix(
    voice: Sequence[tuple[Path, int]],
    seconds: float,
    target: Path,
    *,
    music: Path | Literal["auto"] | None,
    seed: int = 0,
    mood: Mood = "calm",
    report: Report | None = None,
) -> Loudness:
    """Mix a video's sound into `target`: AAC-LC, 48 kHz stereo, -14 LUFS, peaks below -1 dBTP.

    Args:
        voice: Spoken sentences (24 kHz mono 16-bit WAV) and the sample each starts at, on the
            48 kHz clock.
        seconds: Duration of the result; nothing may be spoken past it.
        target: The `.m4a` to write. Working files lie beside it while it is made: 0.6 MB a second.
        music: A sound file, `auto` for a bed of our own, None for none.
        seed: Chooses the bed.
        mood: What it feels like.
        report: Called with the fraction done; may raise to stop.

    Returns:
        The loudness of the finished file. With neither voice nor music there is only room tone,
        which is left as quiet as it is.

    Raises:
        InputError: `duration_invalid`, `music_missing`, `music_no_sound`, `music_silent`,
            `music_short`.
        MediaError: `voice_unreadable`, `voice_past_end`, `media_unreadable`, `music_unreadable`,
            or FFmpeg's own.
    """
    if not 0 < seconds <= _LONGEST:
        raise InputError(
            "duration_invalid",
            f"A sound of {seconds:g} s can't be mixed.",
            f"Make the video longer than nothing and shorter than {_LONGEST / 3600:g} hours.",
        )
    work = _Mix(target, seconds, report or (lambda _fraction: None), mood)
    try:
        return work.make(voice, music, seed)
    finally:
        work.clear()


def measure(path: Path, *, report: Report | None = None, seconds: float | None = None) -> Loudness:
    """Return the loudness of a sound file (or of a video's sound), decoded as a listener gets it.

    Args:
        path: The file.
        report: Called with the fraction done, if `seconds` tells how long the sound is.
        seconds: Its duration.

    Raises:
        MediaError: Where FFmpeg can't decode it.
    """
    sound = graph.input(str(path.absolute()), protocol_whitelist="file").audio
    meter = sound.filter("ebur128", peak="true", framelog="verbose").output("-", format="null")
    return loudness(ffmpeg.run(meter.get_args(), report=report, duration=seconds))


def loudness(log: str) -> Loudness:
    """Read the figures that the ebur128 filter prints when it ends.

    Raises:
        MediaError: `loudness_unknown` where it did not.
    """
    _, _, text = log.rpartition("Summary:")

    def figure(pattern: str) -> float:
        match = re.search(pattern, text)
        return float(match[1]) if match else math.nan

    found = Loudness(
        integrated=figure(r"\bI:\s+(\S+) LUFS"),
        true_peak=figure(r"\bPeak:\s+(\S+) dBFS"),
        range=figure(r"\bLRA:\s+(\S+) LU"),
    )
    if math.isnan(found.integrated):
        raise MediaError(
            "loudness_unknown",
            "FFmpeg did not tell how loud the sound is.",
            "See `reelchain doctor` for the FFmpeg in use.",
        )
    return found


@dataclass
class _Levels:
    """Integrated loudness of the parts in LUFS, and the gain in dB that the mix gets on top."""

    voice: float = -math.inf
    music: float = -math.inf
    gain: float = 0.5  # what the limiter takes from a usual voice


class _Mix:
    """One mix. Its working files lie beside the target, under the target's name and their own."""

    def __init__(self, target: Path, seconds: float, report: Report, mood: Mood) -> None:
        self._mood = mood
        self._ends = False
        self._target = target
        self._seconds = seconds
        self._total = round(seconds * RATE)
        self._listener = report
        self._done = 0.0
        self._used: set[Path] = set()
        self._lift = 0.0
        self._quiet: float | None = None

    def make(
        self,
        voice: Sequence[tuple[Path, int]],
        music: Path | Literal["auto"] | None,
        seed: int,
    ) -> Loudness:
        spoken = tracks.place(voice, self._total, self._file("voice.wav"), self._part(0, 0.05))
        depth = UNDER_SPEECH - IN_PAUSES
        tracks.duck(spoken.intervals, self._total, depth, self._file("duck.wav"))
        if spoken.intervals:
            self._quiet = self._seconds - spoken.intervals[-1][1] / RATE
        levels = _Levels()
        if spoken.level > _INAUDIBLE:
            self._lift = min(_SPOKEN_LEVEL - spoken.level, 40.0)
            levels.voice = max(self._level(self._voice(), 0.05, 0.15), _SPOKEN_LEVEL - 12)
        if music is not None:
            self._music(music, seed, self._part(0.15, 0.3))
            levels.music = self._level(self._input("music.wav"), 0.3, 0.35)
        return self._finish(levels)

    def clear(self) -> None:
        """Remove all working files."""
        for path in self._used:
            path.unlink(missing_ok=True)

    def _finish(self, levels: _Levels) -> Loudness:
        """Master and encode, and measure what came out; once anew where that is not right."""
        limit, aim = CEILING - _HEADROOM, TARGET
        for last in (False, True):
            trim = self._mastered(levels, aim, limit)
            self._encode(trim or 0.0)
            loudness = measure(self._target, report=self._part(0.95, 1), seconds=self._seconds)
            over = max(0.0, loudness.true_peak - CEILING)
            off = TARGET - loudness.integrated if trim is not None else 0.0
            if over == 0 and abs(off) < 0.8 * TOLERANCE:
                break
            if last:
                _log.warning("the sound is not at its loudness: %s", loudness)
            limit -= over + 0.3 if over else 0.0
            aim += off
        return loudness

    def _mastered(self, levels: _Levels, aim: float, limit: float) -> float | None:
        """Write `master.wav`; return what it lacks to `aim`, in dB; None where it is silence."""
        lacks = None
        for _ in range(2):
            integrated = self._master(levels, aim, limit)
            if integrated < _INAUDIBLE:
                return None  # room tone alone stays as quiet as it is
            lacks = aim - integrated
            if lacks < 0.7:  # more would undo the limiter
                break
            levels.gain += 1.3 * lacks
        return lacks

    def _part(self, start: float, stop: float) -> Report:
        def report(fraction: float) -> None:
            # A second attempt goes over the same ground; what was reported never falls.
            self._done = max(self._done, start + (stop - start) * fraction)
            self._listener(self._done)

        return report

    def _file(self, name: str) -> Path:
        path = self._target.with_name(f"{self._target.name}.{name}")
        self._used.add(path)
        return path

    def _input(self, name: str) -> Any:
        return graph.input(str(self._file(name).absolute())).audio

    def _run(self, output: Any, start: float, stop: float) -> str:
        return ffmpeg.run(output.get_args(), report=self._part(start, stop), duration=self._seconds)

    def _level(self, sound: Any, start: float, stop: float) -> float:
        """Return the integrated loudness of a node of the graph (its peaks would cost as much)."""
        meter = sound.filter("ebur128", framelog="verbose").output("-", format="null")
        return loudness(self._run(meter, start, stop)).integrated

    def _music(self, music: Path | Literal["auto"], seed: int, report: Report) -> None:
        """Write `music.wav`, as long as the video."""
        ready = self._file("music.wav")
        if music == "auto":
            self._ends = True
            beds.bed(ready, self._seconds, seed, mood=self._mood, quiet=self._quiet, report=report)
            return
        decoded = self._file("decoded.wav")
        _decode(Path(music), self._seconds, decoded, report)
        tracks.loop(decoded, self._total, ready)
        decoded.unlink()

    def _voice(self) -> Any:
        """The narrator, without rumble, its loud and quiet words brought together a little."""
        return (
            self._input("voice.wav")
            .filter("volume", f"{self._lift:.3f}dB", precision="float")
            .filter("highpass", frequency=70)
            .filter(
                "acompressor", threshold=0.1, ratio=2.5, attack=6, release=140, knee=4, makeup=1
            )
        )

    def _backing(self, gain: float, *, alone: bool) -> Any:
        if not alone:
            gain += _MONO_TO_STEREO  # the curve's own way from mono to stereo lowers it
        sound = self._input("music.wav").filter("volume", f"{gain:.3f}dB", precision="float")
        if not alone:
            curve = self._input("duck.wav").filter("aresample", RATE)
            sound = graph.filter([sound, curve.filter("aformat", **_STEREO)], "amultiply")
        fall = min(beds.fall(self._quiet), self._seconds / 2)
        sound = sound.filter("afade", type="in", duration=min(0.4, fall))
        if self._ends:  # with a last chord; a second fade would end it before the film
            return sound
        return sound.filter(
            "afade", type="out", start_time=self._seconds - fall, duration=fall, curve="qsin"
        )

    def _parts(self, levels: _Levels, aim: float) -> list[Any]:
        """Return voice, music and room tone, each as loud as it shall be."""
        speaks = levels.voice > _INAUDIBLE
        tone = f"anoisesrc=color=pink:sample_rate={RATE}:amplitude={_ROOM}:seed=1"
        room = graph.input(tone, format="lavfi", t=self._seconds).audio
        parts = [room.filter("lowpass", frequency=4000).filter("aformat", **_STEREO)]
        aim += levels.gain
        if speaks:
            voice = self._voice().filter("volume", f"{aim - levels.voice:.3f}dB")
            parts.append(voice.filter("aformat", **_STEREO))
        if levels.music > _INAUDIBLE:
            below = IN_PAUSES if speaks else 0.0
            parts.append(self._backing(aim - below - levels.music, alone=not speaks))
        return parts

    def _master(self, levels: _Levels, aim: float, limit: float) -> float:
        """Write `master.wav`, its peaks limited to `limit` dBTP; return its loudness."""
        parts = self._parts(levels, aim)
        out = graph.filter(parts, "amix", inputs=len(parts), normalize=0, duration="longest")
        out = out.filter("aresample", 2 * RATE)  # peaks between samples become samples
        out = out.filter(
            "alimiter", limit=10 ** (limit / 20), level=0, attack=5, release=80, latency=1
        )
        out = out.filter("aresample", RATE).filter("apad").filter("atrim", end_sample=self._total)
        fall = min(0.25, self._seconds / 4)
        out = out.filter("afade", type="out", start_time=self._seconds - fall, duration=fall)
        out = out.filter("ebur128", framelog="verbose")
        file = str(self._file("master.wav").absolute())
        log = self._run(out.output(file, acodec="pcm_s16le"), 0.35, 0.65)
        return loudness(log).integrated

    def _encode(self, gain: float) -> None:
        sound = self._input("master.wav").filter("volume", f"{gain:.3f}dB")
        out = sound.output(
            str(self._target.absolute()),
            format="ipod",
            acodec="aac",
            audio_bitrate="192k",
            ar=RATE,
            ac=2,
            map_metadata=-1,
            fflags="+bitexact",
            **_AAC,
        )
        self._run(out, 0.65, 0.95)


def _decode(source: Path, seconds: float, target: Path, report: Report) -> None:
    """Write at most `seconds` of the user's music as 48 kHz stereo WAV."""
    if not source.is_file():
        raise NotFoundError(
            "music_missing",
            f"There is no music file {source.name}.",
            "Check the name, or choose `music: auto` or `music: none`.",
        )
    if ffmpeg.probe(source).audio_codec is None:
        raise InputError(
            "music_no_sound",
            f"{source.name} holds no sound.",
            "Choose a sound file, or `music: auto` or `music: none`.",
        )
    sound = graph.input(str(source.absolute()), protocol_whitelist="file").audio
    sound = sound.filter("highpass", frequency=_RUMBLE)
    out = sound.output(str(target.absolute()), t=seconds, ar=RATE, ac=2, acodec="pcm_s16le")
    try:
        ffmpeg.run(out.get_args(), report=report, duration=seconds)
    except MediaError as error:
        raise MediaError(
            "music_unreadable",
            f"The music {source.name} could not be decoded. {error.message}",
            "Export it again in a common format, or choose `music: auto` or `music: none`.",
        ) from error
