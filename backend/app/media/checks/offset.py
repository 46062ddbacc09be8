"""Sound against picture: where each sentence and each cut really are, and where they were meant to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media import tracks
from app.media.checks._play import RATE, Sound
from app.media.checks._views import Small, Views, shown
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, spread
from app.media.checks.picture import clear
from app.media.compositor import Frame, way
from app.media.timeline import Segment
from app.media.transitions import Mixer, closer

GROUP = "offset"

LIMIT = 0.034
"""Seconds that sound may be off: a frame. Viewers notice 45 ms early and 125 ms late (ITU-R BT.1359)."""
CUT = 0.08
"""Seconds that a cut may be off: frames of a transition that lie side by side hardly differ."""
FOUND = 0.2
"""Least correlation of a sentence with what is heard; unlike sounds stay below 0.1."""

ALIKE = 0.5
"""Least correlation of a twentieth of a second with what was spoken then; good ones are above 0.75."""

_HUSH = 16.0
"""Of 32,768: the level of the room tone."""
_CLOCK = 8_000
_STEP = RATE // _CLOCK
_REACH = 0.6
_LONGEST = 6.0
_SPAN = _CLOCK // 20
_SLACK = 3
"""Samples by which a part of a sentence may lie beside the rest: what filters turn."""
_FAINT = 0.03
"""Share of a sentence's loudest parts' power, below which parts are not looked at."""
_MOST_CUTS = 40
_AROUND = 12
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
        least, spot = min(
            (
                _least(heard, voice[n][0], voice[n][1] / RATE + lag)
                for lag, n in known
                if abs(lag) < LIMIT
            ),
            default=(1.0, 0.0),
        )
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
            judged(
                GROUP,
                "voice as it was spoken",
                least,
                "alike",
                limit=f"≥ {ALIKE:g} everywhere",
                good=least >= ALIKE,
                says=f"At {clock(spot)} something else is heard, or a part twice. {AGAIN}",
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


def _least(heard: NDArray[np.int16], wav: Path, start: float) -> tuple[float, float]:
    """Return the least likeness (-1 to 1) of a loud part of a sentence with what is heard, and when."""
    spoken = _thinned(tracks.read_voice(wav), tracks.VOICE_RATE // _CLOCK)
    first = round(start * _CLOCK)
    part = np.zeros(len(spoken) + 2 * _SLACK, np.float32)
    inside = heard[max(first - _SLACK, 0) : max(first + len(spoken) + _SLACK, 0)]
    part[max(_SLACK - first, 0) :][: len(inside)] = inside
    spoken, part = _bright(spoken), _bright(part)
    own = _spans(spoken * spoken)
    if not own.size:
        return 1.0, start
    alike = np.full(len(own), -1.0)
    for late in range(2 * _SLACK + 1):
        other = part[late : late + len(spoken)]
        norm = np.sqrt(own * _spans(other * other)) + 1e-9
        alike = np.maximum(alike, _spans(spoken * other) / norm)
    alike[own < _FAINT * np.percentile(own, 90)] = 1.0
    worst = int(np.argmin(alike))
    return float(alike[worst]), start + worst * _SPAN / 2 / _CLOCK


def _bright(samples: Wave) -> Wave:
    """Return the changes of a sound below 1 kHz: the lowest tones, which a filter turns, are faint."""
    soft = np.convolve(samples, np.hanning(9) / 4, "same")
    return np.asarray(np.diff(soft, prepend=0), np.float32)


def _spans(samples: Wave) -> NDArray[np.float64]:
    """Return the sums over spans of a twentieth of a second, one beginning in the middle of another."""
    halves = samples[: len(samples) // (_SPAN // 2) * (_SPAN // 2)].astype(np.float64)
    sums = halves.reshape(-1, _SPAN // 2).sum(axis=1)
    return np.asarray(sums[:-1] + sums[1:])


class Cuts:
    """Looks for the middle of every transition where it was meant to be, but for the rows of captions."""

    def __init__(self, meant: Meant, views: Views) -> None:
        self._meant, self._views = meant, views
        plan = meant.plan
        self._rows = clear(meant, views.size[1])
        chosen = spread(range(1, len(plan.segments)), _MOST_CUTS)
        self._wanted = {_middle(plan.segments[n]): plan.segments[n] for n in chosen}
        self._recent: dict[int, Small] = {}
        self._found: list[tuple[int, float, int]] = []  # frames late, difference, frame

    def glance(self, number: int, frame: Frame) -> None:
        """Take in the next frame, reduced."""
        wanted = self._wanted.get(number - _AROUND)
        near = any(abs(number - middle) <= _AROUND for middle in self._wanted)
        if near:
            self._recent[number] = self._views.softened(frame.planes[0])[self._rows]
        if wanted is not None:
            self._look(number - _AROUND, wanted)
        self._recent.pop(number - 2 * _AROUND - 1, None)

    def _look(self, middle: int, part: Segment) -> None:
        meant = self._drawn(part, middle - part.first)
        off = {
            number - middle: cv2.norm(small, meant, cv2.NORM_L1) / meant.size
            for number, small in self._recent.items()
        }
        late = min(off, key=lambda frames: (round(off[frames], 1), abs(frames)))
        self._found.append((late, off[late], middle))

    def _drawn(self, part: Segment, number: int) -> Small:
        """Return what frame `number` of a scene was meant to show while the scene before goes."""
        own = self._views.view(shown(part, number), part.motion.at(number))[0]
        if part.previous is None or not part.transition:
            return self._views.softened(own)[self._rows]
        share, pose = way(part, number), part.previous.pose
        if part.transition_kind == "zoom":
            pose = replace(pose, zoom=pose.zoom * closer(share))
        before = self._views.view(part.previous.picture, pose)[0]
        mixer = Mixer(part.transition_kind, (own.shape[1], own.shape[0]))
        old, new, seen = (_planes(one) for one in (before, own, np.zeros_like(own)))
        mixer.mix(old, new, seen, share)
        return self._views.softened(seen[0])[self._rows]

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


def _planes(luma: Small) -> list[NDArray[np.uint8]]:
    """Return a view's luma as all planes of a frame."""
    whole = np.asarray(luma.round(), np.uint8)
    half = np.ascontiguousarray(whole[::2, ::2])
    return [whole, half, half.copy()]
