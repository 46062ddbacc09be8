"""What is heard while nobody speaks: the music under its ducking, and clicks where sounds are joined.

A voice has clicks of its own (every "k" is one), so only what lies between sentences is looked at.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.media import audio
from app.media.checks._play import RATE, Sound
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged
from app.media.checks.sound import GROUP

LOUDEST_UNDER = 3.0
"""Decibels that music in short pauses may lie over its level under speech. Beds of ours lie 3 below it,
by their dynamics 5; one that is not held down, or comes up between words, lies 6 above."""
PAUSES = 3
"""Short pauses without which nothing is said of the music: one alone may be its loudest moment."""
UNHEARD = -58.0
"""Decibels below which there is no music but only room tone, which has -66."""
SHORT, LEAST = 1.0, 0.2
"""Seconds that a pause lasts in which music stays down; and that one lasts at least, to be measured."""
SHARPEST = 12.0
"""How far a millisecond may stand out of what is around it; music of ours reaches 4, a click 100."""

_STEP = RATE // 1000
_AROUND, _NEAR = 20, 3
_FAINT = 0.008
"""Of full scale: a third difference below which nothing clicks."""
_FLOOR = 2e-4
_INTO = (0.025, 0.06)
"""Seconds of a sentence's file that are silent at least, at its beginning and its end."""

Levels = NDArray[np.float32]


class Pauses:
    """Hears the sound millisecond by millisecond: how loud it is, and how sudden."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        self._power: list[Levels] = []
        self._sharp: list[Levels] = []
        self._peak: list[Levels] = []
        self._before = np.zeros(3, np.float32)

    def hear(self, block: Sound) -> None:
        """Take in the next samples; only the last block may be no whole number of milliseconds."""
        whole = block[: len(block) // _STEP * _STEP].astype(np.float32).mean(axis=1) / 32768
        if not len(whole):
            return
        sudden = np.abs(np.diff(np.concatenate((self._before, whole)), 3)).reshape(-1, _STEP)
        self._before = whole[-3:]
        self._power.append(np.square(whole.reshape(-1, _STEP)).mean(axis=1))
        self._sharp.append(np.sqrt(np.square(sudden).mean(axis=1)))
        self._peak.append(sudden.max(axis=1))

    def rows(self) -> list[Row]:
        """Return what was found; nothing of a film in which nobody speaks."""
        if not self._power or not self._meant.plan.voice:
            return []
        spoken = _spoken(self._meant.plan.voice)
        rows = [self._clicks(spoken)]
        if self._meant.music:
            rows += self._music(spoken)
        return rows

    def _clicks(self, spoken: Sequence[tuple[float, float]]) -> Row:
        sharp, peak = np.concatenate(self._sharp), np.concatenate(self._peak)
        silent = np.ones(len(peak), bool)
        for start, end in spoken:
            silent[int(1000 * (start + _INTO[0])) : int(1000 * (end - _INTO[1]))] = False
        stands = np.where(silent & (peak > _FAINT), peak / (_usual(sharp) + _FLOOR), 0)
        at = int(np.argmax(stands))
        worst, own = float(stands[at]), self._meant.own_music
        return judged(
            GROUP,
            "clicks between sentences",
            worst,
            "times its surroundings",
            limit=f"≤ {SHARPEST:g}",
            good=worst <= SHARPEST,
            says=f"There is a click at {clock(at / 1000)}. "
            + ("Listen whether your music clicks by itself." if own else AGAIN),
            otherwise="warn" if own else "fail",
        )

    def _music(self, spoken: Sequence[tuple[float, float]]) -> Iterator[Row]:
        power = np.concatenate(self._power)
        parts = [power[int(1000 * a) : int(1000 * b)] for a, b in _short(spoken)]
        heard = np.concatenate(parts) if parts else power[:0]
        if len(parts) < PAUSES:
            return
        level = float(10 * np.log10(heard.mean() + 1e-12))
        most = audio.TARGET - audio.UNDER_SPEECH + LOUDEST_UNDER
        own = self._meant.own_music
        why = (
            "No music is heard between sentences"
            if level < UNHEARD
            else "Music comes up in short pauses"
        )
        yield judged(
            GROUP,
            "music between sentences",
            level,
            "dB",
            limit=f"{UNHEARD:g} to {most:g}",
            good=UNHEARD <= level <= most,
            says=f"{why}. "
            + ("Choose a piece that is more even, or `music: auto`." if own else AGAIN),
            otherwise="warn" if own else "fail",
        )


def _usual(sharp: Levels) -> Levels:
    """Return how sudden the sound is around each millisecond: before it or after it, the greater."""
    found = np.full(len(sharp), np.inf, np.float32)  # at the ends there is nothing to compare with
    inner = len(sharp) - 2 * _AROUND
    if inner > 0:
        span = _AROUND - _NEAR
        sums = np.concatenate(([0.0], np.cumsum(sharp, dtype=np.float64)))
        means = (sums[span:] - sums[:-span]) / span  # of a span that begins at each place
        after = _AROUND + _NEAR
        found[_AROUND:-_AROUND] = np.maximum(means[:inner], means[after : after + inner])
    return found


def _spoken(voice: Sequence[tuple[Path, int]]) -> list[tuple[float, float]]:
    """Return when each sentence's file begins and ends, in seconds, in order."""
    found = []
    for path, at in voice:
        with wave.open(str(path), "rb") as file:
            found.append((at / RATE, at / RATE + file.getnframes() / file.getframerate()))
    return sorted(found)


def _short(spoken: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the pauses in which music stays down, without their edges."""
    for (_, end), (start, _) in pairwise(spoken):
        if LEAST <= start - end <= SHORT:
            yield end, start
