"""How steadily pictures move: where each frame really shows its picture from, against the plan."""

from __future__ import annotations

import cv2
import numpy as np

from app.media.checks._views import Small, Views, displaced, seen
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, spread
from app.media.checks.picture import band
from app.media.compositor import Frame
from app.media.timeline import Pose, Segment

GROUP = "motion"

LIMIT = 0.1
"""Pixels (root mean square) that a step from one frame to the next may be off its way."""

_FRAMES = 30
_MOST = 12
_BAND = 200
"""Rows that are looked at: where the picture has most to see."""
_TEXTURE = 0.1
"""Mean square of the gradient, in luma a pixel, without which no displacement can be measured."""


class Jitter:
    """Measures some frames of the scenes that move, at half the frame's size."""

    def __init__(self, meant: Meant, views: Views) -> None:
        self._views = views
        plan = meant.plan
        self._size = plan.size[0] // 2, plan.size[1] // 2
        top, bottom = band(meant)
        self._free = self._size[1] if top == bottom else max(8, top // 2 - 4)  # rows over captions
        moving = [n for n, part in enumerate(plan.segments) if _moves(part)]
        chosen = [plan.segments[n] for n in spread(moving, _MOST)]
        self._wanted = {_first(part): part for part in chosen}
        self.frames = frozenset(
            number for first in self._wanted for number in range(first, first + _FRAMES)
        )
        """Numbers of the frames to look at."""
        self._part: Segment | None = None
        self._canvas: Small = np.zeros((0, 0), np.float32)
        self._rows = slice(0)
        self._off: list[tuple[float, float]] = []
        self._found: list[tuple[float, Segment]] = []

    def see(self, number: int, frame: Frame) -> None:
        """Take in one of `frames`."""
        if number in self._wanted:
            self._end()
            self._begin(self._wanted[number], number)
        if self._part is None:
            return
        pose = self._part.motion.at(number - self._part.first)
        luma = frame.planes[0][2 * self._rows.start : 2 * self._rows.stop]
        half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        off = self._offset(np.asarray(half, np.float32), pose)
        if off is not None:
            self._off.append(off)

    def _begin(self, part: Segment, number: int) -> None:
        luma = self._views.planes(part.picture)[0]
        small = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        self._canvas = np.asarray(small, np.float32)
        whole = seen(self._canvas, part.motion.at(number - part.first), self._size)
        self._part, self._off = part, []
        self._rows = _richest(whole[: self._free])

    def _end(self) -> None:
        if self._part is not None and len(self._off) > _FRAMES // 2:
            steps = np.diff(np.array(self._off), axis=0)
            self._found.append((float(np.sqrt(np.mean(np.square(steps)))), self._part))
        self._part = None

    def _offset(self, found: Small, pose: Pose) -> tuple[float, float] | None:
        """Return by how many pixels of the frame a picture lies off its place, across and down."""
        meant = seen(self._canvas, pose, self._size, self._rows)
        meant = np.asarray(cv2.GaussianBlur(meant, (0, 0), 1.0), np.float32)
        found = np.asarray(cv2.GaussianBlur(found, (0, 0), 1.0), np.float32)
        off = displaced(found, meant, np.s_[4:-4, 4:-4], least=_TEXTURE)
        return off and (2 * off[0], 2 * off[1])

    def rows(self) -> list[Row]:
        """Return what was found; nothing where no scene moves."""
        self._end()
        if not self._found:
            return []
        worst, part = max(self._found, key=lambda one: one[0])
        at = clock(part.first / part.fps)
        return [
            judged(
                GROUP,
                "jitter of moving pictures",
                worst,
                "px",
                limit=f"≤ {LIMIT:g} (RMS, a frame's step)",
                good=worst <= LIMIT,
                says=f"Scene {part.id} at {at} does not move evenly. {AGAIN}",
            )
        ]


def _moves(part: Segment) -> bool:
    start, end = part.motion.start, part.motion.end
    long = part.motion.frames - part.transition - part.fade_out >= _FRAMES
    return long and (start != end) and not part.steps


def _first(part: Segment) -> int:
    """Return the first frame to look at: the way over from the scene before is done."""
    room = part.motion.frames - part.transition - part.fade_out - _FRAMES
    return part.first + part.transition + room // 3


def _richest(view: Small) -> slice:
    """Return the `_BAND` rows of a view that tell best how it moves, across as well as down."""
    if len(view) <= _BAND:
        return slice(0, len(view))
    across = np.abs(np.diff(view, axis=1)).mean(axis=1)[1:]
    down = np.abs(np.diff(view, axis=0)).mean(axis=1)
    sums = (np.concatenate(([0.0], np.cumsum(one))) for one in (across, down))
    weakest = np.minimum.reduce([one[_BAND - 1 :] - one[: 1 - _BAND] for one in sums])
    first = int(np.argmax(weakest))
    return slice(first, first + _BAND)
