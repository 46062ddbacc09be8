"""The music bed we write ourselves: pads, plucks, a little bass and percussion, in several moods.

A bed is composed bar by bar from a seed (key, tempo, progressions, instrument, patterns) and
played from a handful of notes that are rendered once, so that half an hour costs little more
processor time and no more memory than half a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from app.media import tones, tracks
from app.media.moods import MOODS, Chord, Section
from app.media.styles import Mood
from app.media.tones import RATE, Sound

VERSION = "3"
"""Part of the inputs of everything made with a bed: raise it when beds sound different."""

Report = Callable[[float], None]

_FALL, _SHORTEST_FALL = 3.5, 1.0
"""Seconds over which music fades at the end of a video, at most and at least."""
_BEFORE = 0.3
"""Seconds before the last word's end at which it begins to: music is all that is heard from there on."""

_TAIL = 6 * RATE
"""Samples a note may sound on after the bar it starts in."""
_SWELL = 0.9
"""Seconds a pad takes to rise."""
_RELEASE = 1.6
"""Seconds a pad takes to fall, over the rise of the next one."""
_BREATH = 19.0
"""Seconds in which the pads' brightness comes and goes."""

_CLOSE = Section(pad=1.0, pluck=0.6, melody=0.0, bass=0.7, beat=0.0)
_SECTION_BARS = 8


def bed(
    target: Path,
    seconds: float,
    seed: int,
    *,
    mood: Mood = "calm",
    quiet: float | None = None,
    report: Report | None = None,
) -> None:
    """Write a bed of `seconds` to `target`: 48 kHz stereo 16-bit WAV.

    The same seed and duration give the same samples. It begins with the first chord, resolves to
    the tonic shortly before the end and has faded out with the last sample.

    Args:
        target: The file to write; memory stays the same for any length.
        seconds: Duration; above zero.
        seed: Chooses key, tempo, progressions, instrument and patterns.
        mood: What they are chosen from.
        quiet: Seconds at the end in which nobody speaks any more: its last chord is struck as they
            begin. None gives it two bars.
        report: Called with the fraction done after each bar; may raise to stop.
    """
    done = 0
    with tracks.writing(target, channels=2) as file:
        for block in blocks(seconds, seed, mood, quiet):
            tracks.write(file, block)
            done += len(block)
            if report is not None:
                report(done / (seconds * RATE))


def blocks(
    seconds: float, seed: int, mood: Mood = "calm", quiet: float | None = None
) -> Iterator[Sound]:
    """Yield the bed bar by bar as (samples, 2) float32 in -1..1, in all `seconds` long."""
    total = round(seconds * RATE)
    piece = _Piece(seconds, seed, mood, quiet)
    level = np.float32(MOODS[mood].level)
    pending = np.zeros((0, 2), np.float32)
    for bar in range(piece.bars + 1):
        start = piece.start(bar)
        stop = total if bar == piece.bars else piece.start(bar + 1)
        canvas = np.zeros((stop - start + _TAIL, 2), np.float32)
        canvas[: len(pending)] = pending
        piece.play(canvas, bar, stop - start)
        out = np.tanh(canvas[: stop - start] * level)
        pending = canvas[stop - start :]
        yield out * _ending(start, stop, total, quiet)


def fall(quiet: float | None) -> float:
    """Return over how many seconds music fades at its end.

    Args:
        quiet: Seconds at the end in which nobody speaks any more; None where nobody spoke at all.
    """
    if quiet is None:
        return _FALL
    return min(_FALL, max(_SHORTEST_FALL, quiet + _BEFORE))


def _ending(start: int, stop: int, total: int, quiet: float | None) -> Sound:
    """Return the master's gain for samples `start` to `stop`: a short rise, a long fall."""
    rise = min(round(0.02 * RATE), total // 4)
    last = min(round(fall(quiet) * RATE), total // 2)
    clock = np.arange(start, stop, dtype=np.float32)
    left = np.clip((total - 1 - clock) / max(1, last), 0, 1)
    # where it follows a voice, it is to be heard for most of its way
    steep = 2 if quiet is None else 1
    gain = np.clip(clock / max(1, rise), 0, 1) * np.sin(left * (math.pi / 2)) ** steep
    return np.asarray(gain, np.float32)[:, None]


class _Piece:
    """One composition: its choices, and how a bar of it sounds."""

    def __init__(
        self, seconds: float, seed: int, mood: Mood = "calm", quiet: float | None = None
    ) -> None:
        self._mood = MOODS[mood]
        self._seed = abs(seed)
        rng = np.random.default_rng([self._seed, 1])
        tempo = float(rng.uniform(*self._mood.tempo))
        minor = bool(rng.random() < self._mood.minor)
        self._tonic = int(rng.choice([48, 50, 51, 53, 55, 57]))
        book = self._mood.minor_themes if minor else self._mood.major_themes
        self._themes = [book[int(place)] for place in rng.permutation(len(book))]
        self._home: Chord = (0, 3, 7, 12) if minor else (0, 4, 7, 12)
        self._turn: Chord = (7, 12, 14, 17)
        self._scale = (0, 3, 5, 7, 10) if minor else (0, 2, 4, 7, 9)
        self._band = tones.Band(rng, str(rng.choice(self._mood.instruments)))
        self._beats = bool(rng.random() < self._mood.beats)
        bar = 4 * 60 / tempo
        self._bar = bar
        last = 1.9 * bar if quiet is None else min(1.9 * bar, max(_SHORTEST_FALL, quiet))
        closing = min(seconds, last)
        self.bars = round((seconds - closing) / bar)
        if self.bars:
            # The tempo gives way by a few percent, so that the last chord falls where it should.
            self._bar = (seconds - closing) / self.bars

    def start(self, bar: int) -> int:
        """Return the first sample of `bar`, on the bed's clock."""
        return round(bar * self._bar * RATE)

    def play(self, canvas: Sound, bar: int, length: int) -> None:
        """Add all notes that begin in `bar` (the last one is the closing chord) to `canvas`."""
        rng = np.random.default_rng([self._seed, 2, bar])
        chord = self._chord(bar)
        section = self._section(bar)
        self._pad(canvas, bar, chord, section.pad, length)
        if bar == self.bars:
            self._close(canvas, chord)
            return
        self._plucks(canvas, bar, chord, section.pluck, rng)
        self._melody(canvas, bar, chord, section.melody, rng)
        self._bass(canvas, chord, section.bass, rng)
        if self._beats and section.beat:
            self._beat(canvas, section.beat, rng)

    @cached_property
    def _opening(self) -> int:
        return min(4, self.bars // 4)

    def _section(self, bar: int) -> Section:
        if bar < self._opening:
            return self._mood.opening
        if bar >= self.bars - 1:
            return _CLOSE
        parts = self._mood.sections
        return parts[(bar - self._opening) // _SECTION_BARS % len(parts)]

    def _chord(self, bar: int) -> Chord:
        if bar == self.bars:
            return self._home
        if bar == self.bars - 1 and bar:
            return self._turn
        played = bar - self._opening
        turn = max(0, played) // (_SECTION_BARS * len(self._mood.sections))
        theme = self._themes[(2 * turn + self._section(bar).second) % len(self._themes)]
        return theme[played % len(theme)]

    def _voicing(self, chord: Chord, middle: int) -> list[int]:
        """Return the chord's tones as MIDI notes, each in the octave around `middle`.

        One octave for all chords is what leads the voices by small steps.
        """
        low = middle - 6
        return sorted({low + (self._tonic + tone - low) % 12 for tone in chord})

    def _open(self, notes: list[int]) -> tuple[int, ...]:
        """Return a close chord with its second voice an octave higher, which keeps it clear."""
        return (*notes[:1], *notes[2:], notes[1] + 12)

    def _pad(self, canvas: Sound, bar: int, chord: Chord, gain: float, length: int) -> None:
        last = bar == self.bars
        samples = length if last else length + round(_RELEASE * RATE)
        clock = np.arange(samples, dtype=np.float32) / np.float32(RATE)
        rise = np.minimum(clock / np.float32(0.25 if bar == 0 else _SWELL), 1)
        if not last:
            rise *= np.minimum((clock[-1] - clock) / np.float32(_RELEASE), 1)
        shape = np.sin(rise * np.float32(math.pi / 2)) * np.float32(gain)
        begin = self.start(bar)
        place = np.float32(begin / RATE % _BREATH)
        breath = np.sin((clock + place) * np.float32(2 * math.pi / _BREATH)) * np.float32(0.5)
        dark, bright = self._band.pad(self._open(self._voicing(chord, self._mood.middle)))
        sound = tones.looped(bright, begin, samples)
        sound *= (breath + np.float32(0.5))[:, None]
        sound += tones.looped(dark, begin, samples)
        sound *= shape[:, None]
        canvas[:samples] += sound

    def _plucks(
        self, canvas: Sound, bar: int, chord: Chord, gain: float, rng: np.random.Generator
    ) -> None:
        part = np.random.default_rng([self._seed, 3, bar // _SECTION_BARS])
        pattern = self._mood.patterns[int(part.integers(len(self._mood.patterns)))]
        sparse = gain < 0.5
        notes = self._voicing(chord, 70)
        for eighth, tone in enumerate(pattern):
            if tone < 0 or (sparse and eighth % 4) or rng.random() < 0.08:
                continue
            accent = (1.0, 0.62, 0.78, 0.6)[eighth % 4] * rng.uniform(0.85, 1.1)
            self._strike(canvas, notes[tone % len(notes)], eighth / 8, gain * accent, rng)

    def _melody(
        self, canvas: Sound, bar: int, chord: Chord, gain: float, rng: np.random.Generator
    ) -> None:
        """Play a short motif of chord and scale tones; two bars ask, two bars leave room."""
        if not gain or bar % 4 > 1:
            return
        motif = np.random.default_rng([self._seed, 4, bar % 2])
        above = self._voicing(chord, 77)
        passing = self._voicing(self._scale, 77)
        for beat in sorted(motif.choice([0, 1.5, 2, 3, 3.5], 3, replace=False)):
            pool = above if beat in (0, 2) else passing
            note = pool[int(motif.integers(len(pool)))]
            self._strike(canvas, note, float(beat) / 4, gain * rng.uniform(0.6, 0.75), rng)

    def _strike(
        self, canvas: Sound, note: int, place: float, gain: float, rng: np.random.Generator
    ) -> None:
        late = place * self._bar + rng.uniform(0.0, 0.012)
        tones.add(canvas, self._band.pluck(note), round(late * RATE), gain)

    def _bass(self, canvas: Sound, chord: Chord, gain: float, rng: np.random.Generator) -> None:
        if not gain:
            return
        root = 34 + (self._tonic + chord[0] - 34) % 12
        for place, share, odds in self._mood.bass:
            if odds == 1 or rng.random() < odds:
                at = round(place * self._bar * RATE)
                tones.add(canvas, self._band.bass(root), at, gain * share)

    def _beat(self, canvas: Sound, gain: float, rng: np.random.Generator) -> None:
        for eighth in range(8):
            at = round((eighth / 8 * self._bar + rng.uniform(0, 0.006)) * RATE)
            accent = (0.45, 1.0)[eighth % 2] * rng.uniform(0.8, 1.1)
            tones.add(canvas, self._band.shaker, at, gain * accent)
            if eighth in self._mood.kicks:
                tones.add(canvas, self._band.thump, at, gain * (1.0 if eighth == 0 else 0.6))
            if eighth in self._mood.claps:
                tones.add(canvas, self._band.clap, at, gain)

    def _close(self, canvas: Sound, chord: Chord) -> None:
        """Roll the last chord from below and let it ring."""
        tones.add(canvas, self._band.bass(34 + (self._tonic - 34) % 12), 0, 0.7)
        for step, note in enumerate([*self._voicing(chord, 67), self._tonic + 24]):
            tones.add(canvas, self._band.pluck(note), round(step * 0.09 * RATE), 0.6 - 0.06 * step)
