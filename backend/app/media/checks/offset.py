"""Sound against picture: where each sentence and each cut really are, and where they were meant to be."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media import tracks
from app.media.checks._play import RATE, Sound
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, spread
from app.media.compositor import Compositor, Frame
from app.media.timeline import Segment

GROUP = "offset"

LIMIT = 0.034
"""Seconds that sound may be off: a frame. Viewers notice 45 ms early and 125 ms late (ITU-R BT.1359)."""
CUT = 0.08
"""Seconds that a cut may be off: frames of a transition that lie side by side hardly differ."""
FOUND = 0.2
"""Least correlation of a sentence with what is heard; unlike sounds stay below 0.1."""

_HUSH = 16.0
"""Of 32,768: the level of the room tone."""
_CLOCK = 8_000
_STEP = RATE // _CLOCK
_REACH = 0.6
_LONGEST = 6.0
_MOST_CUTS = 40
_AROUND = 12
_ACROSS = 160
_LIKE = 12.0
"""Mean difference in luma up to which a frame can be the one that was meant."""

Wave = NDArray[np.float32]


class Lags:
    """Hears the sound, in little; finds every sentence in it."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        self._blocks: list[NDArray[np.int16]] = []

    def hear(self, block: Sound) -> None:
        """Take in the next samples; only the last block may be no whole number of steps."""
        whole = block[: len(block) // _STEP * _STEP].astype(np.float32)
        self._blocks.append(_thinned(whole.mean(axis=1), _STEP).astype(np.int16))

    def rows(self) -> list[Row]:
        """Return what was found."""
        voice = self._meant.plan.voice
        if not voice or not self._blocks:
            return []
        heard = np.concatenate(self._blocks)
        found = [_placed(heard, path, at / RATE) for path, at in voice]
        known = [(lag, number) for number, (lag, like) in enumerate(found) if like >= FOUND]
        lost = [number for number, (_, like) in enumerate(found) if like < FOUND]
        worst, number = max(known, key=lambda one: abs(one[0]), default=(0.0, 0))
        at = clock(voice[number][1] / RATE)
        side = "behind" if worst > 0 else "ahead of"
        where = ", ".join(clock(voice[n][1] / RATE) for n in lost[:5])
        return [
            judged(
                GROUP,
                "sentences heard",
                f"{len(known)} of {len(voice)}",
                limit="all, where they were meant to be",
                good=not lost,
                says=f"What was spoken is not heard at {where}. {AGAIN}",
            ),
            judged(
                GROUP,
                "voice against its captions",
                1000 * worst,
                "ms",
                limit=f"± {1000 * LIMIT:g}",
                good=abs(worst) <= LIMIT,
                says=f"At {at} the voice is {1000 * abs(worst):.0f} ms {side} its words. {AGAIN}",
            ),
        ]


def _thinned(samples: Wave, step: int) -> Wave:
    whole = samples[: len(samples) // step * step]
    return np.asarray(whole.reshape(-1, step).mean(axis=1), np.float32)


def _placed(heard: NDArray[np.int16], wav: Path, meant: float) -> tuple[float, float]:
    """Return by how many seconds a sentence is late, and how surely (0-1): by correlation."""
    spoken = _thinned(tracks.read_voice(wav), tracks.VOICE_RATE // _CLOCK)
    spoken = spoken[: round(_LONGEST * _CLOCK)]
    first = round((meant - _REACH) * _CLOCK)
    last = first + len(spoken) + round(2 * _REACH * _CLOCK)
    window = np.zeros(last - first, np.float32)
    part = heard[max(first, 0) : max(last, 0)]
    window[max(0, -first) :][: len(part)] = part
    size = 1 << (len(window) + len(spoken)).bit_length()
    both = np.fft.rfft(window, size) * np.conj(np.fft.rfft(spoken, size))
    alike = np.fft.irfft(both, size)[: len(window) - len(spoken) + 1]
    energy = np.concatenate(([0.0], np.cumsum(np.square(window, dtype=np.float64))))
    energy = energy[len(spoken) :] - energy[: len(alike)]
    energy = energy + len(spoken) * _HUSH**2  # or silence would resemble anything
    norm = np.sqrt(energy * np.square(spoken, dtype=np.float64).sum()) + 1e-6
    score = alike / norm
    best = int(np.argmax(score))
    return best / _CLOCK - _REACH, float(score[best])


class Cuts:
    """Looks for the middle of every transition where it was meant to be."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        plan = meant.plan
        wide, high = plan.size
        self._size = (_ACROSS, max(2, round(high * _ACROSS / wide)))
        chosen = spread(range(1, len(plan.segments)), _MOST_CUTS)
        self._wanted = {_middle(plan.segments[n]): plan.segments[n] for n in chosen}
        self._recent: dict[int, NDArray[np.uint8]] = {}
        self._found: list[tuple[int, float, int]] = []  # frames late, difference, frame

    def see(self, number: int, frame: Frame) -> None:
        """Take in the next frame."""
        wanted = self._wanted.get(number - _AROUND)
        near = any(abs(number - middle) <= _AROUND for middle in self._wanted)
        if near:
            self._recent[number] = self._small(frame)
        if wanted is not None:
            self._look(number - _AROUND, wanted)
        self._recent.pop(number - 2 * _AROUND - 1, None)

    def _small(self, frame: Frame) -> NDArray[np.uint8]:
        small = cv2.resize(frame.planes[0], self._size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    def _look(self, middle: int, part: Segment) -> None:
        meant = self._drawn(part, middle - part.first)
        off = {
            number - middle: cv2.norm(small, meant, cv2.NORM_L1) / meant.size
            for number, small in self._recent.items()
        }
        late = min(off, key=lambda frames: (round(off[frames], 1), abs(frames)))
        self._found.append((late, off[late], middle))

    def _drawn(self, part: Segment, number: int) -> NDArray[np.uint8]:
        """Return frame `number` of a scene as it was meant to be."""
        meant = self._meant
        compositor = Compositor(
            part,
            size=meant.plan.size,
            style=meant.style,
            language=meant.language,
            captions=meant.burnt,
        )
        drawn = next(islice(compositor.frames(), number, None))
        wide, high = meant.plan.size
        luma = np.frombuffer(drawn, np.uint8)[: wide * high].reshape(high, wide)
        small = cv2.resize(luma, self._size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    def rows(self) -> list[Row]:
        """Return what was found."""
        if not self._found:
            return []
        fps = self._meant.plan.fps
        late, off, at = max(self._found, key=lambda one: (one[1] > _LIKE, abs(one[0])))
        strange = off > _LIKE
        why = "shows something else than planned" if strange else f"is {abs(late)} frames off"
        return [
            judged(
                GROUP,
                "cuts against their plan",
                1000 * late / fps,
                "ms",
                limit=f"± {1000 * CUT:g}",
                good=not strange and abs(late) <= CUT * fps,
                says=f"The cut at {clock(at / fps)} {why}. {AGAIN}",
            )
        ]


def _middle(part: Segment) -> int:
    return part.first + part.transition // 2
