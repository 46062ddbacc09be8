"""Every frame against the picture it was to show: flashes, other pictures, other colours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.checks.facts import AGAIN, Meant, Row, clock, judged
from app.media.checks.motion import seen
from app.media.checks.picture import GROUP, band
from app.media.compositor import BUILD, Frame, planes
from app.media.timeline import Segment

LIMIT = 4.0
"""Mean levels (of 256) that a frame may be off; what scaling and the encoder change is under 1.4."""

_ACROSS = 96
_FINE = 3
"""How many times as fine a canvas is kept, so that the edges of type fall into the same pixels."""

Small = list[NDArray[np.float32]]


class Likeness:
    """Compares what is seen of each scene's picture, small, in all three planes.

    Frames on which two pictures or a fade mix are left out, and so are the rows of captions.
    """

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        wide, high = meant.plan.size
        self._size = (_ACROSS, max(2, round(high * _ACROSS / wide)))
        top, bottom = band(meant)
        rows = (np.arange(self._size[1]) + 0.5) * high / self._size[1]
        margin = high / self._size[1]
        self._rows = (rows < top - margin) | (rows > bottom + margin)
        self._left = list(meant.plan.segments)
        self._canvas: tuple[object, Small] | None = None
        self._worst = (0.0, 0)
        self._many = 0

    def see(self, number: int, frame: Frame) -> None:
        """Take in the next frame."""
        while len(self._left) > 1 and number >= self._left[1].first:
            self._left.pop(0)
        part = self._left[0]
        expected = self._expected(part, number - part.first)
        if expected is None:
            return
        found = (
            _soft(cv2.resize(plane, self._size, interpolation=cv2.INTER_AREA))
            for plane in frame.planes
        )
        off = max(
            float(np.abs(one[self._rows] - other[self._rows]).mean())
            for one, other in zip(found, expected, strict=True)
        )
        self._worst = max(self._worst, (off, number))
        self._many += off > LIMIT

    def _expected(self, part: Segment, number: int) -> Small | None:
        """Return the planes that frame `number` of a scene was to show; None where they are mixed."""
        shown = [step for step in part.steps if step.frame <= number]
        since = shown[-1].frame if shown else -part.fps
        building = number - since <= BUILD * part.fps + 1
        if number <= part.transition or number >= part.frames - part.fade_out - 1 or building:
            return None
        picture = shown[-1].picture if shown else part.picture
        if self._canvas is None or self._canvas[0] != picture:
            image = cv2.imread(str(picture), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is None:
                return None
            wide = round(image.shape[1] * _FINE * _ACROSS / self._meant.plan.size[0])
            size = wide, round(image.shape[0] * wide / image.shape[1])
            self._canvas = (
                picture,
                [
                    np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
                    for plane in planes(np.asarray(image, np.uint8))
                ],
            )
        pose = part.motion.at(number)
        fine = self._size[0] * _FINE, self._size[1] * _FINE
        views = (seen(plane, pose, fine) for plane in self._canvas[1])
        return [_soft(cv2.resize(view, self._size, interpolation=cv2.INTER_AREA)) for view in views]

    def rows(self) -> list[Row]:
        """Return what was found."""
        off, at = self._worst
        frames = f"{self._many} frames" if self._many > 1 else "A frame"
        return [
            judged(
                GROUP,
                "frames against their pictures",
                off,
                "levels",
                limit=f"≤ {LIMIT:g} (mean)",
                good=not self._many,
                says=f"{frames} did not show what was planned, worst at {clock(at / self._meant.plan.fps)}. {AGAIN}",
            )
        ]


def _soft(plane: NDArray[Any]) -> NDArray[np.float32]:
    """Return a plane as if seen from afar: type of high contrast leaves no seams."""
    return np.asarray(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1.5), np.float32)
