"""How steadily pictures move: where each frame really shows its picture from, against the plan."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, spread
from app.media.checks.picture import band
from app.media.compositor import Frame, planes
from app.media.timeline import Pose, Segment

GROUP = "motion"

LIMIT = 0.1
"""Pixels (root mean square) that a step from one frame to the next may be off its way."""

_FRAMES = 30
_MOST = 12
_TEXTURE = 4.0
"""Least mean gradient, in luma a pixel, without which no displacement can be measured."""

Plane = NDArray[np.float32]


class Jitter:
    """Measures some frames of the scenes that move, at half the frame's size."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        plan = meant.plan
        top, bottom = band(meant)
        high = plan.size[1] // 2
        self._rows = slice(0, high) if top == bottom else slice(0, max(8, top // 2 - 4))
        moving = [n for n, part in enumerate(plan.segments) if _moves(part)]
        chosen = [plan.segments[n] for n in spread(moving, _MOST)]
        self._wanted = {first: part for part in chosen for first in [_first(part)]}
        self._part: Segment | None = None
        self._until = 0
        self._canvas: Plane | None = None
        self._off: list[tuple[float, float]] = []
        self._found: list[tuple[float, Segment]] = []

    def see(self, number: int, frame: Frame) -> None:
        """Take in the next frame."""
        if number in self._wanted:
            self._end()
            self._begin(self._wanted[number], number)
        if self._part is None:
            return
        if number >= self._until:
            self._end()
            return
        pose = self._part.motion.at(number - self._part.first)
        luma = cv2.resize(frame.planes[0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        off = self._offset(np.asarray(luma, np.float32), pose)
        if off is not None:
            self._off.append(off)

    def _begin(self, part: Segment, number: int) -> None:
        image = cv2.imread(str(part.picture), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            return
        luma = planes(np.asarray(image, np.uint8))[0]
        small = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        self._canvas = np.asarray(small, np.float32)
        self._part, self._off = part, []
        self._until = min(number + _FRAMES, part.first + part.frames - part.fade_out)

    def _end(self) -> None:
        if self._part is not None and len(self._off) > _FRAMES // 2:
            steps = np.diff(np.array(self._off), axis=0)
            self._found.append((float(np.sqrt(np.mean(np.square(steps)))), self._part))
        self._part = self._canvas = None

    def _offset(self, luma: Plane, pose: Pose) -> tuple[float, float] | None:
        """Return by how many pixels of the frame a picture lies off its place, across and down.

        One step of Lucas and Kanade's method against the canvas as it is meant to be seen.
        """
        if self._canvas is None:
            return None
        meant = seen(self._canvas, pose, (luma.shape[1], luma.shape[0]))[self._rows]
        luma = luma[self._rows]
        meant = np.asarray(cv2.GaussianBlur(meant, (0, 0), 1.0), np.float32)
        luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), 1.0), np.float32)
        across = cv2.Sobel(meant, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)[4:-4, 4:-4]
        down = cv2.Sobel(meant, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)[4:-4, 4:-4]
        rest = (meant - luma)[4:-4, 4:-4]
        rest = rest - float(rest.mean())
        matrix = np.array(
            [
                [np.vdot(across, across), np.vdot(across, down)],
                [np.vdot(across, down), np.vdot(down, down)],
            ]
        )
        if np.linalg.eigvalsh(matrix)[0] < _TEXTURE / 4 * rest.size / 10:
            return None
        x, y = np.linalg.solve(matrix, [np.vdot(across, rest), np.vdot(down, rest)])
        return 2 * float(x), 2 * float(y)

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


def seen(canvas: Plane, pose: Pose, size: tuple[int, int]) -> Plane:
    """Return what of a canvas is seen from a pose, at any size; pixels' centres lie at + 0.5."""
    high, wide = canvas.shape
    step = wide / (size[0] * pose.zoom)
    left = pose.x * wide - step * size[0] / 2 + step / 2 - 0.5
    top = pose.y * high - step * size[1] / 2 + step / 2 - 0.5
    way = np.array([[step, 0, left], [0, step, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(canvas, way, size, flags=flags), np.float32)
