"""The sound as a listener gets it: loudness, peaks, clipping, silence, its end."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.media import audio
from app.media.audio import Loudness
from app.media.checks._play import RATE, Sound
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged

GROUP = "sound"

LONGEST_ZEROS = 0.01
"""Seconds of digital zero that nobody takes for a hole; room tone has a hundredth of that."""
LONGEST_SILENCE = 2.0
"""Seconds without any sound where there was to be some."""
WIDEST_RANGE = 15.0
"""Loudness units (EBU Tech 3342) beyond which quiet words are lost on a phone."""
LATEST_END = 2.0
"""Seconds before the end of the film by which music may have faded away."""

_FULL = 32_766
_RUN = 3  # samples at full scale one behind the other: a wave cut off, not a peak
_WINDOW = RATE // 100
FLATTEST = 5.0
"""How many times as often as slightly lower levels one may occur, in half a second; sounds of ours reach
1.7, waves cut off at any level, then turned down and encoded, 20."""
_LEVELS, _LOWEST = 50, 12
"""Steps from zero to the loudest sample of half a second, and the one from which on they are looked at."""
_PEAK = 2_600
"""Of 32,768: a loudest sample below which nothing is told."""
_FEW = 15
_SILENT = -50.0  # dB: well over room tone, well under music beneath speech
_CUT = -40.0
_FADE = 0.3
"""Seconds at the end in which a fade may reach digital zero."""

_VOICE = "Choose another `voice`, or run the project again with `--from asset_generation`."


class Ear:
    """Listens to the whole sound; keeps its level every hundredth of a second."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        self._heard = 0
        self._levels: list[NDArray[np.float32]] = []
        self._zeros: list[tuple[int, int]] = []
        self._since = 0  # samples of zero that the sound so far ends with
        self._clipped: list[int] = []
        self._flattest = (0.0, 0)  # times, sample
        self._before = np.zeros((_RUN - 1, 2), np.int16)

    def hear(self, block: Sound) -> None:
        """Take in the next samples."""
        self._find_zeros(block)
        self._find_clipping(block)
        self._find_flat(block)
        whole = block[: len(block) // _WINDOW * _WINDOW].astype(np.float32) / 32768
        power = np.square(whole).reshape(-1, _WINDOW * 2).mean(axis=1)
        self._levels.append(10 * np.log10(power + 1e-12))
        self._heard += len(block)

    def _find_zeros(self, block: Sound) -> None:
        loud = np.flatnonzero(block.any(axis=1))
        if not len(loud):
            self._since += len(block)
            return
        edges = np.concatenate(([-1 - self._since], loud))
        gaps = np.diff(edges) - 1
        for place in np.flatnonzero(gaps > LONGEST_ZEROS * RATE):
            self._zeros.append((self._heard + int(edges[place]) + 1, int(gaps[place])))
        self._since = len(block) - 1 - int(loud[-1])

    def _find_clipping(self, block: Sound) -> None:
        joined = np.concatenate((self._before, block))
        full = np.abs(joined.astype(np.int32)) >= _FULL
        runs = full[:-2] & full[1:-1] & full[2:]
        starts = np.flatnonzero(
            (runs & ~np.vstack((np.zeros((1, 2), bool), runs[:-1]))).any(axis=1)
        )
        self._clipped += [self._heard + int(at) - _RUN + 1 for at in starts]
        self._before = joined[-(_RUN - 1) :]

    def _find_flat(self, block: Sound) -> None:
        for half in np.array_split(np.abs(block.astype(np.int32)), 2):
            for side in half.T:
                if len(side) and int(side.max()) >= _PEAK:
                    self._flattest = max(self._flattest, (_flatness(side), self._heard))

    @property
    def seconds(self) -> float:
        """How much was heard."""
        return self._heard / RATE

    def rows(self) -> list[Row]:
        """Return what was found."""
        levels = np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)
        rows = [self._clipping(), self._flat(), self._holes()]
        spoken = [(at / RATE, at / RATE + _seconds(path)) for path, at in self._meant.plan.voice]
        if spoken or self._meant.music:
            rows += [self._silence(levels, spoken), self._end(levels)]
        return rows

    def _clipping(self) -> Row:
        first = f"the first at {clock(self._clipped[0] / RATE)}" if self._clipped else ""
        return judged(
            GROUP,
            "clipping",
            len(self._clipped),
            "places",
            limit="0",
            good=not self._clipped,
            says=f"Waves are cut off at full scale, {first}. {AGAIN}",
        )

    def _flat(self) -> Row:
        times, at = self._flattest
        own = self._meant.own_music
        return judged(
            GROUP,
            "waves cut off, then turned down",
            times,
            "times their neighbours",
            limit=f"≤ {FLATTEST:g}",
            good=times <= FLATTEST,
            says=f"The sound at {clock(at / RATE)} was too loud before it came here. "
            + (f"Listen to your `music`: it may be so by itself. {AGAIN}" if own else _VOICE),
            otherwise="warn" if own else "fail",
        )

    def _holes(self) -> Row:
        last = self._heard - round(_FADE * RATE)
        found = [(min(at + run, last) - at, at) for at, run in self._zeros if at < last]
        run, at = max(found, default=(0, 0))
        return judged(
            GROUP,
            "digital zero",
            1000 * run / RATE,
            "ms",
            limit=f"≤ {1000 * LONGEST_ZEROS:g}",
            good=run <= LONGEST_ZEROS * RATE,
            says=f"There is a hole in the sound at {clock(at / RATE)}: not even room tone. {AGAIN}",
        )

    def _silence(self, levels: NDArray[np.float32], spoken: list[tuple[float, float]]) -> Row:
        times = np.arange(len(levels)) / 100
        end = self._meant.plan.seconds
        if self._meant.music:
            due = times < end - LATEST_END
        else:
            due = np.zeros(len(levels), bool)
            for start, stop in spoken:
                due |= (times >= start) & (times < stop)
        run, at = _longest((levels < _SILENT) & due)
        return judged(
            GROUP,
            "silence where sound is due",
            run / 100,
            "s",
            limit=f"≤ {LONGEST_SILENCE:g}",
            good=run <= LONGEST_SILENCE * 100,
            says=f"Nothing is heard from {clock(at / 100)} on. Look at the voice of that scene, and at "
            "`music`; then run the project again with `--from asset_generation`.",
        )

    def _end(self, levels: NDArray[np.float32]) -> Row:
        end = self._meant.plan.seconds
        loud = np.flatnonzero(levels > _SILENT)
        last = (int(loud[-1]) + 1) / 100 if len(loud) else 0.0
        cut = bool(len(levels)) and float(levels[-3:].max()) > _CUT
        early = self._meant.music and end - last > LATEST_END
        why = "is cut off" if cut else "ends too early"
        return judged(
            GROUP,
            "last sound before the end",
            end - last,
            "s",
            limit=f"≤ {LATEST_END:g}, faded out" if self._meant.music else "faded out",
            good=not cut and not early,
            says=f"The sound {why}. {AGAIN}",
        )


def _flatness(side: NDArray[np.int32]) -> float:
    """Return how much more often a level occurs than levels a little below it, at most."""
    steps = side * _LEVELS // (int(side.max()) + 1)
    counts = np.bincount(steps, minlength=_LEVELS)
    sums = np.concatenate(([0], np.cumsum(counts)))
    levels = np.arange(_LOWEST, _LEVELS)
    below = (sums[levels - 2] - sums[levels - 6]) / 4
    return float((counts[_LOWEST:] / (below + _FEW)).max())


def loudness(found: Loudness, meant: Meant) -> list[Row]:
    """Return the rows of a measured loudness; a film of room tone alone has none to keep."""
    quiet = not meant.music and not meant.plan.voice
    off = abs(found.integrated - audio.TARGET)
    rows = [
        judged(
            GROUP,
            "true peak",
            found.true_peak,
            "dBTP",
            limit=f"≤ {audio.CEILING:g}",
            good=found.true_peak <= audio.CEILING,
            says=f"Players may distort the loudest moments. {AGAIN}",
        )
    ]
    if quiet:
        return rows
    level = judged(
        GROUP,
        "loudness",
        found.integrated,
        "LUFS",
        limit=f"{audio.TARGET:g} ± {audio.TOLERANCE:g}",
        good=off <= audio.TOLERANCE,
        says=f"It is {off:.1f} LU too {'loud' if found.integrated > audio.TARGET else 'quiet'}. {AGAIN}",
    )
    if math.isnan(found.range):
        return [level, *rows]
    spread = judged(
        GROUP,
        "loudness range",
        found.range,
        "LU",
        limit=f"≤ {WIDEST_RANGE:g}",
        good=found.range <= WIDEST_RANGE,
        says="Quiet and loud parts lie far apart; choose `music: none`, or a piece that is more even.",
        otherwise="warn",
    )
    return [level, *rows, spread]


def _seconds(wav: Path) -> float:
    import wave

    with wave.open(str(wav), "rb") as file:
        return file.getnframes() / file.getframerate()


def _longest(found: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the length and the start of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], found, [False])).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, stops = edges[0::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return int(stops[best] - starts[best]), int(starts[best])
