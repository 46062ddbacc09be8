"""Every frame against the picture it was to show: flashes, other pictures, other colours, other places."""

from __future__ import annotations

import math

import cv2
import numpy as np

from app.media.checks._play import reduced
from app.media.checks._views import Small, Views, displaced, shown
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, scene_at
from app.media.checks.picture import GROUP, clear
from app.media.compositor import BUILD, Frame
from app.media.timeline import Segment

LIMIT = 4.0
"""Mean levels (of 256) that a frame may be off; what scaling and the encoder change is under 1.5."""

_EVERY = 5
"""Frames of which one is compared, as long as what is seen hardly changes."""
_CHANGED = 1.5
"""Mean levels from one compared frame on, by which another has changed: with what a slow motion changes
in `_EVERY` frames, less than lies between a good frame and the limit."""

STRAY = 0.0015
"""Of a frame's width: how far a picture may lie off its place; good ones stay below a third of it."""
_TEXTURE = 1.0
"""Mean square of the gradient, in luma a pixel, without which nobody can tell where a picture lies."""
_EDGE = 4
"""Pixels at the sides, and rows beside captions, that are too soft to be measured."""


class Likeness:
    """Compares what is seen of each scene's picture, small, in all three planes.

    Frames on which two pictures or a fade mix are left out, and so are the rows of captions.
    """

    def __init__(self, meant: Meant, views: Views) -> None:
        self._meant, self._views = meant, views
        self._rows = clear(meant, views.size[1])
        self._inside = np.repeat(self._rows[:, None], views.size[0], axis=1)
        self._inside = (
            cv2.erode(self._inside.astype(np.uint8), np.ones((2 * _EDGE + 1,) * 2), borderValue=0)
            > 0
        )
        self._left = list(meant.plan.segments)
        self._compared = Frame(reduced(meant.plan.size))
        self._last: int | None = None  # number of the frame that was compared
        self._worst = (0.0, 0)
        self._many = 0
        self._stray = (0.0, 0)  # pixels of a frame, frame

    def glance(self, number: int, frame: Frame) -> None:
        """Take in the next frame, reduced."""
        while len(self._left) > 1 and number >= self._left[1].first:
            self._left.pop(0)
            self._last = None
        part = self._left[0]
        if _mixed(part, number - part.first):
            self._last = None
            return
        if not self._changed(number, frame):
            return
        np.copyto(self._compared.buffer, frame.buffer)
        self._last = number
        picture = shown(part, number - part.first)
        expected = self._views.view(picture, part.motion.at(number - part.first))
        soft = [
            (self._views.softened(one), self._views.softened(other))
            for one, other in zip(frame.planes, expected, strict=True)
        ]
        self._compare(number, soft)

    def _changed(self, number: int, frame: Frame) -> bool:
        if self._last is None or number - self._last >= _EVERY:
            return True
        return any(
            cv2.norm(one, other, cv2.NORM_L1) > _CHANGED * one.size
            for one, other in zip(frame.planes, self._compared.planes, strict=True)
        )

    def _compare(self, number: int, soft: list[tuple[Small, Small]]) -> None:
        off = max(float(np.abs(one - other)[self._rows].mean()) for one, other in soft)
        self._worst = max(self._worst, (off, number))
        self._many += off > LIMIT
        if off > LIMIT:
            return  # it is another picture, wherever it lies
        place = displaced(*soft[0], self._inside, least=_TEXTURE)
        if place is not None:
            scale = self._meant.plan.size[0] / self._views.size[0]
            self._stray = max(self._stray, (scale * math.hypot(*place), number))

    def rows(self) -> list[Row]:
        """Return what was found."""
        plan = self._meant.plan
        (off, at), (stray, there) = self._worst, self._stray
        most = STRAY * plan.size[0]
        return [
            judged(
                GROUP,
                "frames against their pictures",
                off,
                "levels",
                limit=f"≤ {LIMIT:g} (mean)",
                good=not self._many,
                says="Something else is seen than was planned, most at "
                f"{clock(at / plan.fps)}. {AGAIN}",
            ),
            judged(
                GROUP,
                "pictures off their places",
                stray,
                "px",
                limit=f"≤ {most:.1f}",
                good=stray <= most,
                says=f"The picture of scene {scene_at(plan, there).id} has jumped aside at "
                f"{clock(there / plan.fps)}. {AGAIN}",
            ),
        ]


def _mixed(part: Segment, number: int) -> bool:
    """Tell whether frame `number` of a scene shows two pictures at once, or a fade."""
    since = max((step.frame for step in part.steps if step.frame <= number), default=-part.fps)
    building = number - since <= BUILD * part.fps + 1
    return number <= part.transition or number >= part.frames - part.fade_out - 1 or building
