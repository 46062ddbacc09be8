"""The notes the music bed is played with. All are sums of partials below the hearing limit.

A pad is one long period made by an inverse Fourier transform: each partial is a narrow band of
random phases, which sounds like an ensemble and loops without a seam. Plucks, bass and percussion
are rendered once per pitch, with their reverberation, and added wherever they are played.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RATE = 48_000
"""Samples per second of everything here."""

Sound = NDArray[np.float32]
"""(samples, 2): left and right, about -1..1."""

_PERIOD = 1 << 18
"""Samples of a pad's loop: 5.5 s, long enough not to be heard as one."""
_PAD_CEILING = 5_000.0
_PAD_BINS = round(_PAD_CEILING / RATE * _PERIOD) + 200
_SPREAD = 2 ** (4.5 / 1200) - 1
"""Half the width of a pad's partial, in parts of its frequency: the detuning of an ensemble."""
_MIDDLE = 1.25
"""By how much a pad's middle is louder than its sides: sides that have nothing in common lose 3 dB where
one loudspeaker plays both, and by chance more; with this they lose 2."""
_NOTE = round(2.4 * RATE)
_HALL = round(1.9 * RATE)
_CEILING = 9_000.0
"""No partial above this many hertz: nothing can alias, nothing is shrill."""

_PLUCKS: dict[str, tuple[tuple[tuple[float, float, float], ...], float]] = {
    # (ratio to the fundamental, level, seconds to fall by 8.7 dB) …, seconds of attack
    "felt": (
        tuple((k * math.sqrt(1 + 0.0004 * k * k), k**-1.15, 0.95 / k**0.6) for k in range(1, 9)),
        0.007,
    ),
    "nylon": (
        tuple(
            (float(k), abs(math.sin(0.24 * math.pi * k)) * k**-1.0, 0.7 / k**0.7)
            for k in range(1, 10)
        ),
        0.004,
    ),
    "koto": (
        tuple(
            (
                float(k) * (1 + 0.00012 * k * k),
                abs(math.sin(0.13 * math.pi * k)) * k**-0.8,
                1.5 / k**0.75,
            )
            for k in range(1, 14)
        ),
        0.003,
    ),
    "mallet": (((1.0, 1.0, 0.6), (2.0, 0.3, 0.4), (3.99, 0.3, 0.16), (9.2, 0.06, 0.05)), 0.004),
    "tine": (
        ((1.0, 1.0, 0.9), (2.0, 0.45, 0.7), (3.0, 0.22, 0.45), (4.0, 0.1, 0.3), (7.03, 0.1, 0.12)),
        0.006,
    ),
}


def frequency(note: int) -> float:
    """Return the frequency in hertz of a MIDI note (69 is 440 Hz)."""
    return 440.0 * 2 ** ((note - 69) / 12)


def add(canvas: Sound, sound: Sound, start: int, gain: float) -> None:
    """Add `sound` to `canvas` from sample `start` on; what reaches past the end is cut."""
    room = min(len(sound), len(canvas) - start)
    if room > 0:
        canvas[start : start + room] += sound[:room] * np.float32(gain)


def looped(period: Sound, start: int, samples: int) -> Sound:
    """Return `samples` of the endless repetition of `period`, from sample `start` of it."""
    first = start % len(period)
    parts = [period[first:]]
    have = len(parts[0])
    while have < samples:
        parts.append(period)
        have += len(period)
    return np.concatenate(parts)[:samples]


class Band:
    """The instruments of one piece. Notes are made on first use and kept.

    Args:
        rng: Source of every random choice; its state decides how the instruments sound.
        instrument: What plucks are played with, a key of `_PLUCKS`.
    """

    def __init__(self, rng: np.random.Generator, instrument: str) -> None:
        self._seed = int(rng.integers(1 << 31))
        self._instrument = instrument
        self._pads: dict[tuple[int, ...], tuple[Sound, Sound]] = {}
        self._plucks: dict[int, Sound] = {}
        self._basses: dict[int, Sound] = {}

    def pad(self, notes: tuple[int, ...]) -> tuple[Sound, Sound]:
        """Return the dark and the bright part of a held chord: endless periods."""
        if notes not in self._pads:
            self._pads[notes] = (self._held(notes, 1100.0, 0.06), self._held(notes, 3200.0, 0.05))
        return self._pads[notes]

    def _held(self, notes: tuple[int, ...], cut: float, level: float) -> Sound:
        spectrum = np.zeros((2, _PAD_BINS), np.complex64)
        for note in notes:
            # A note has the same phases in all chords: held over, it sounds on without a seam.
            rng = np.random.default_rng([self._seed, 1, note])
            spectrum += _ensemble(rng, frequency(note), cut)
        spectrum += (_MIDDLE - 1) / 2 * (spectrum + spectrum[::-1])
        loop = np.fft.irfft(spectrum, _PERIOD).T
        return np.ascontiguousarray(loop * np.float32(level / loop.std()), np.float32)

    def pluck(self, note: int) -> Sound:
        """Return one struck or plucked note in its room."""
        if note not in self._plucks:
            partials, attack = _PLUCKS[self._instrument]
            dry = _struck(frequency(note), partials, attack)
            side = 0.32 * math.sin(note * 2.4)
            self._plucks[note] = self._in_room(dry, wet=0.3, side=side, level=0.3)
        return self._plucks[note]

    def bass(self, note: int) -> Sound:
        """Return a round low note in the middle."""
        if note not in self._basses:
            partials = ((1.0, 1.0, 1.3), (2.0, 0.35, 0.9), (3.0, 0.12, 0.5), (4.0, 0.04, 0.3))
            dry = _struck(frequency(note), partials, 0.03)
            self._basses[note] = np.repeat(dry[:, None] * np.float32(0.2), 2, axis=1)
        return self._basses[note]

    @cached_property
    def shaker(self) -> Sound:
        """A brush of filtered noise."""
        rng = np.random.default_rng([self._seed, 2])
        samples = round(0.16 * RATE)
        hiss = _band_noise(rng, samples, 3500.0, 8000.0)
        clock = np.arange(samples) / RATE
        shape = np.minimum(clock / 0.03, 1) * np.exp(-clock / 0.035)
        dry = (hiss * shape * _release(samples)).astype(np.float32)
        return self._in_room(dry, wet=0.15, side=0.25, level=0.03)

    @cached_property
    def clap(self) -> Sound:
        """Hands: three short bursts of noise, a hundredth of a second apart."""
        rng = np.random.default_rng([self._seed, 4])
        samples = round(0.22 * RATE)
        noise = _band_noise(rng, samples, 900.0, 2600.0)
        clock = np.arange(samples) / RATE
        shape = np.zeros(samples)
        for late, fall in ((0.0, 0.004), (0.010, 0.004), (0.020, 0.03)):
            since = clock - late
            burst = np.minimum(since / 0.002, 1) * np.exp(-since / fall)
            shape = np.maximum(shape, np.where(since > 0, burst, 0))
        dry = (noise * shape * _release(samples)).astype(np.float32)
        return self._in_room(dry, wet=0.25, side=0.0, level=0.05)

    @cached_property
    def thump(self) -> Sound:
        """A very soft drum: a falling sine."""
        samples = round(0.4 * RATE)
        clock = np.arange(samples) / RATE
        phase = 2 * math.pi * (52 * clock + 26 * 0.03 * (1 - np.exp(-clock / 0.03)))
        shape = np.minimum(clock / 0.004, 1) * np.exp(-clock / 0.09) * _release(samples)
        dry = (np.sin(phase) * shape).astype(np.float32)
        return self._in_room(dry, wet=0.05, side=0.0, level=0.22)

    @cached_property
    def _room(self) -> NDArray[np.complex64]:
        """The spectrum of the hall, left and right: noise that dies away, high tones first."""
        rng = np.random.default_rng([self._seed, 3])
        clock = np.arange(_HALL) / RATE
        hall = np.zeros((2, _HALL))
        for low, high, fall in (
            (150.0, 700.0, 0.34),
            (700.0, 2500.0, 0.27),
            (2500.0, 7000.0, 0.14),
        ):
            noise = np.stack([_band_noise(rng, _HALL, low, high) for _ in range(2)])
            hall += noise * np.exp(-clock / fall)
        hall *= np.minimum(clock / 0.03, 1) * _release(_HALL)
        hall /= math.sqrt(float((hall**2).sum() / 2))
        return np.asarray(np.fft.rfft(hall.astype(np.float32), _PERIOD), np.complex64)

    def _in_room(self, dry: NDArray[np.float32], wet: float, side: float, level: float) -> Sound:
        echo = np.fft.irfft(np.fft.rfft(dry, _PERIOD) * self._room, _PERIOD)
        samples = len(dry) + _HALL
        sound = np.zeros((samples, 2), np.float32)
        sound[: len(dry), 0] = dry * math.cos((1 + side) * math.pi / 4)
        sound[: len(dry), 1] = dry * math.cos((1 - side) * math.pi / 4)
        sound += wet * echo[:, :samples].T
        return sound * np.float32(level)


def _struck(
    pitch: float, partials: tuple[tuple[float, float, float], ...], attack: float
) -> NDArray[np.float32]:
    """Return a decaying mono note; higher pitches decay sooner, as strings and bars do."""
    clock = np.arange(_NOTE, dtype=np.float32) / np.float32(RATE)
    note = np.zeros(_NOTE, np.float32)
    haste = (pitch / 260.0) ** 0.4
    for ratio, level, fall in partials:
        if pitch * ratio < _CEILING:
            turn = np.float32(2 * math.pi * pitch * ratio)
            note += (
                np.float32(level) * np.sin(turn * clock) * np.exp(clock * np.float32(-haste / fall))
            )
    note *= np.sin(np.minimum(clock / np.float32(attack), 1) * np.float32(math.pi / 2)) ** 2
    return note * _release(_NOTE).astype(np.float32)


def _release(samples: int) -> NDArray[np.float64]:
    """Return ones that fall to zero over the last tenth, so that nothing ends in a click."""
    left = (samples - 1 - np.arange(samples)) / (samples / 10)
    return np.sin(np.minimum(left, 1) * math.pi / 2) ** 2


def _ensemble(rng: np.random.Generator, pitch: float, cut: float) -> NDArray[np.complex64]:
    """Return the spectra (left, right) of a pad's note, gently low-passed at `cut` hertz."""
    step = RATE / _PERIOD
    size = np.zeros(_PAD_BINS, np.float32)
    for k in range(1, int(_PAD_CEILING / pitch)):
        centre, width = pitch * k / step, pitch * k / step * _SPREAD
        first = max(0, int(centre - 4 * width))
        near = np.arange(first, min(_PAD_BINS, int(centre + 4 * width) + 2))
        slope = k**-0.6 / (1 + (pitch * k / cut) ** 2) / math.sqrt(width)
        size[near] += slope * np.exp(-(((near - centre) / width) ** 2))
    turns = rng.random((2, _PAD_BINS), np.float32) * np.float32(2 * math.pi)
    spectra = np.empty((2, _PAD_BINS), np.complex64)
    spectra.real = size * np.cos(turns)
    spectra.imag = size * np.sin(turns)
    return spectra


def _band_noise(
    rng: np.random.Generator, samples: int, low: float, high: float
) -> NDArray[np.float64]:
    """Return noise between `low` and `high` hertz with soft edges, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    bins = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 1.0)
    spectrum *= 1 / (1 + (low / bins) ** 6) / (1 + (bins / high) ** 6)
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / noise.std())
