"""Sound placed to the sample: the narrator's track, the curve that ducks music, looped music.

Everything streams through numpy in blocks into 16-bit WAV files, so memory does not grow with
the length of the video. A file holds 4 GiB at most: twelve hours of narration, six of music.
"""

from __future__ import annotations

import contextlib
import math
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import InputError, MediaError

RATE = 48_000
"""The clock of every track, samples per second."""
VOICE_RATE = 24_000
"""The clock of a spoken sentence."""
DUCK_RATE = 1_000
"""The clock of the ducking curve: its ramps are smooth over hundreds of samples even so."""

_BLOCK = RATE
_EDGE = round(0.004 * VOICE_RATE)
"""Samples over which a sentence fades in and out, so that no join clicks."""
_AHEAD, _HOLD, _RELEASE = 0.25, 0.15, 0.6
"""Seconds in which music goes down before speech, waits after it, and comes back."""
_SHORT_GAP = 1.2
"""A pause of fewer seconds stays ducked; more than ahead + hold + release, so ramps never meet."""
_AUDIBLE = 10 ** (-54 / 20)
_OPPOSED = -0.3
"""Correlation of two sides below which they cancel each other rather than differ."""
_CROSSFADE = 2.0
"""Seconds over which the end of looped music blends into its start."""

Mono = NDArray[np.float32]


@dataclass(frozen=True)
class Spoken:
    """What is known of a narrator's track.

    Attributes:
        intervals: Samples (start, end) between which somebody speaks, in order.
        level: Mean power of the speech in dB below full scale; -inf where nobody speaks.
    """

    intervals: tuple[tuple[int, int], ...]
    level: float


def place(
    voice: Sequence[tuple[Path, int]],
    total: int,
    target: Path,
    report: Callable[[float], None] | None = None,
) -> Spoken:
    """Write the narrator's track: 48 kHz mono 16-bit, exactly `total` samples.

    Args:
        voice: Sentences (24 kHz mono 16-bit WAV) and the sample each starts at, on the 48 kHz
            clock, in any order; where two overlap, both sound.
        total: Samples of the track.
        target: The file to write.
        report: Called with the fraction done after each sentence; may raise to stop.

    Raises:
        MediaError: `voice_unreadable`, or `voice_past_end` for one that does not fit.
    """
    intervals: list[tuple[int, int]] = []
    power, heard = 0.0, 0
    pending, at = np.zeros(0, np.float32), 0
    with writing(target, channels=1) as file:
        for count, (path, start) in enumerate(sorted(voice, key=lambda item: item[1]), 1):
            spoken = _sentence(path, start, total)
            write(file, pending[: start - at])
            _silence(file, start - at - len(pending))
            pending, at = _added(pending[start - at :], spoken), start
            if (extent := _loud(spoken)) is not None:
                intervals.append((start + extent.start, start + extent.stop))
                power += float(np.square(spoken[extent], dtype=np.float64).sum())
                heard += extent.stop - extent.start
            if report is not None:
                report(count / len(voice))
        write(file, pending)
        _silence(file, total - at - len(pending))
    return Spoken(tuple(intervals), 10 * math.log10(power / heard) if heard else -math.inf)


def _sentence(path: Path, start: int, total: int) -> Mono:
    """Return a sentence at 48 kHz, ready to be placed at `start`."""
    spoken = upsample(_softened(read_voice(path)))
    if start < 0 or start + len(spoken) > total:
        raise MediaError(
            "voice_past_end",
            f"The sentence {path.name} does not fit into the video: it would sound from"
            f" {start / RATE:.2f} s to {(start + len(spoken)) / RATE:.2f} s"
            f" of {total / RATE:.2f} s.",
            "Run the project again from the asset stage.",
        )
    return spoken


def _loud(spoken: Mono) -> slice | None:
    """Return where in `spoken` somebody speaks: what is within 34 dB of its peak."""
    size = np.abs(spoken)
    where = np.flatnonzero(size > 0.02 * max(0.02, float(size.max())))
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else None


def read_voice(path: Path) -> Mono:
    """Return the samples of one spoken sentence, -1..1.

    Raises:
        MediaError: `voice_unreadable` for anything but a whole 24 kHz mono 16-bit WAV.
    """
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            data = file.readframes(file.getnframes())
            whole = len(data) == 2 * file.getnframes() > 0
    except (OSError, EOFError, wave.Error) as error:
        raise _unreadable(path, str(error) or "it ends too early") from None
    if shape != (1, 2, VOICE_RATE):
        raise _unreadable(
            path, f"it has {shape[0]} channels of {8 * shape[1]} bit at {shape[2]} Hz"
        )
    if not whole:
        raise _unreadable(path, "it is empty or cut short")
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def _unreadable(path: Path, reason: str) -> MediaError:
    return MediaError(
        "voice_unreadable",
        f"The spoken sentence {path.name} can't be used: {reason}.",
        "Delete that file and run the project again; the sentence is then spoken anew.",
    )


def _softened(sound: Mono) -> Mono:
    """Return `sound` with its first and last few milliseconds faded."""
    edge = min(_EDGE, len(sound) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, edge, dtype=np.float32)) ** 2
    soft = sound.copy()
    soft[:edge] *= ramp
    soft[len(soft) - edge :] *= ramp[::-1]
    return soft


def _half_band() -> Mono:
    """Return the taps that give the sample between two: a sinc under a Kaiser window."""
    taps = np.sinc(np.arange(-31.5, 32)) * np.kaiser(64, 8.0)
    return np.asarray(taps / taps.sum(), np.float32)


_BETWEEN = _half_band()


def upsample(sound: Mono) -> Mono:
    """Return `sound` at twice its rate. Sample n stands unchanged at 2n: nothing is delayed."""
    out = np.empty(2 * len(sound), np.float32)
    out[0::2] = sound
    out[1::2] = np.convolve(sound, _BETWEEN)[32 : 32 + len(sound)]
    return out


def duck(intervals: Sequence[tuple[int, int]], total: int, depth: float, target: Path) -> None:
    """Write the music's gain over time: 1.0 in long pauses, `depth` dB less under speech.

    It goes down just before speech, comes back after it and stays down in short pauses, so it
    never pumps: we know where speech is and need not listen for it.

    Args:
        intervals: Where somebody speaks, in samples at 48 kHz, in order.
        total: Length of the track in samples at 48 kHz.
        depth: Decibels, above zero.
        target: The file: mono 16-bit WAV at `DUCK_RATE`, full scale for 1.0.
    """
    times, down = [0.0], [0.0]
    for start, end in _merged(intervals):
        times += [start - _AHEAD, start, end + _HOLD, end + _HOLD + _RELEASE]
        down += [0.0, 1.0, 1.0, 0.0]
    ticks = -(-total * DUCK_RATE // RATE) + 1
    with writing(target, channels=1, rate=DUCK_RATE) as file:
        for first in range(0, ticks, 60 * DUCK_RATE):
            clock = np.arange(first, min(first + 60 * DUCK_RATE, ticks)) / DUCK_RATE
            amount = np.interp(clock, times, down)
            amount *= amount * (3 - 2 * amount)
            write(file, (10 ** (-depth * amount / 20)).astype(np.float32))


def _merged(intervals: Sequence[tuple[int, int]]) -> Iterator[tuple[float, float]]:
    """Yield intervals in seconds, those with short pauses between them as one."""
    now: tuple[float, float] | None = None
    for start, end in intervals:
        if now is not None and start / RATE - now[1] < _SHORT_GAP:
            now = (now[0], max(now[1], end / RATE))
            continue
        if now is not None:
            yield now
        now = (start / RATE, end / RATE)
    if now is not None:
        yield now


def loop(source: Path, total: int, target: Path) -> None:
    """Write `total` samples of the music in `source`, its end blended into its start.

    Silence before and after the music is left out. Where its sides take from each other, one is
    turned round: from one loudspeaker nothing would be left.

    Args:
        source: 48 kHz stereo 16-bit WAV.
        total: Samples of the result.
        target: The file to write, of the same format.

    Raises:
        InputError: `music_silent`, or `music_short` for less than a second to loop.
    """
    first, last, turn = _extent(source)
    if last - first < min(RATE, total):
        raise InputError(
            "music_short",
            f"The music lasts only {(last - first) / RATE:.2f} s; that can't be looped.",
            "Choose a piece of a few seconds at least, or `music: none`.",
        )
    fade = min(round(_CROSSFADE * RATE), (last - first) // 4)
    rise = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))[:, None]
    left, tail = total, None
    with wave.open(str(source), "rb") as file, writing(target, channels=2) as out:
        while left > 0:
            file.setpos(first)
            head = _stereo(file, fade)
            if tail is not None:
                head = head * rise + tail * rise[::-1]
            write(out, head[:left] * turn)
            left -= len(head)
            while left > 0 and (want := min(_BLOCK, last - fade - file.tell())) > 0:
                block = _stereo(file, want)
                write(out, block[:left] * turn)
                left -= len(block)
            tail = _stereo(file, fade)


def _extent(source: Path) -> tuple[int, int, NDArray[np.float32]]:
    """Return the samples between which the music in `source` can be heard, and its sides' signs."""
    first, last, step = None, 0, RATE // 20
    alike = power = 0.0
    with wave.open(str(source), "rb") as file:
        while len(block := _stereo(file, step)):
            alike += float(np.vdot(block[:, 0], block[:, 1]))
            power += float(np.vdot(block, block)) / 2
            if np.abs(block).max() > _AUDIBLE:
                first = file.tell() - len(block) if first is None else first
                last = file.tell()
    if first is None:
        raise InputError(
            "music_silent",
            "The music can't be heard: the file is silent.",
            "Choose another piece, or `music: none`.",
        )
    return first, last, np.array([1, -1 if alike < _OPPOSED * power else 1], np.float32)


def _stereo(file: wave.Wave_read, samples: int) -> NDArray[np.float32]:
    data = np.frombuffer(file.readframes(samples), "<i2")
    return data.reshape(-1, 2).astype(np.float32) / np.float32(32768)


@contextlib.contextmanager
def writing(target: Path, *, channels: int, rate: int = RATE) -> Iterator[wave.Wave_write]:
    """Open `target` as a 16-bit WAV to be written in blocks."""
    with wave.open(str(target), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        yield file


def write(file: wave.Wave_write, block: NDArray[np.float32]) -> None:
    """Append samples of -1..1 (louder ones are clipped)."""
    scaled = np.rint(np.clip(block, -1, 1) * np.float32(32767))
    file.writeframesraw(scaled.astype("<i2").tobytes())


def _silence(file: wave.Wave_write, samples: int) -> None:
    while samples > 0:
        file.writeframesraw(bytes(2 * min(samples, _BLOCK)))
        samples -= _BLOCK


def _added(below: Mono, above: Mono) -> Mono:
    out = np.zeros(max(len(below), len(above)), np.float32)
    out[: len(below)] += below
    out[: len(above)] += above
    return out
