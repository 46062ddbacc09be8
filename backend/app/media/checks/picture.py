"""The picture: black frames, scenes that stand still and should not, steps that are left out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.captions import Painter
from app.media.checks._play import reduced
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, scene_at
from app.media.compositor import Frame
from app.media.timeline import Pose

GROUP = "picture"

LONGEST_FREEZE = 1.0
"""Seconds in which a picture that travels may look the same."""

_BLACK = 24
"""Luma up to which a picture is black: half of what the darkest look has."""
_LIGHT = 0.005
"""Share of a black picture that may be lighter."""
_SAME = 0.35
"""Mean difference in luma below which two pictures look the same; what the encoder adds is less."""
_TOLD = 4.0
"""How many times that the plan must promise, before a picture that stays the same is a fault."""

Small = NDArray[np.uint8]


def band(meant: Meant) -> tuple[int, int]:
    """Return the rows of the frame that burnt-in captions are drawn in; none are (0, 0)."""
    cues = meant.plan.cues
    if not meant.burnt or not cues:
        return 0, 0
    painter = Painter(style=meant.style, language=meant.language, size=meant.plan.size)
    tallest = max(cues, key=lambda cue: len(cue.lines))
    drawn = painter.raster(tallest, tallest.start)
    return drawn.y, drawn.y + drawn.pixels.shape[0]


def clear(meant: Meant, count: int) -> NDArray[np.bool_]:
    """Return which of `count` rows that a frame is reduced to are free of burnt-in captions."""
    high = meant.plan.size[1]
    top, bottom = band(meant)
    rows, margin = (np.arange(count) + 0.5) * high / count, high / count
    return np.asarray((rows < top - margin) | (rows > bottom + margin))


class Eye:
    """Looks at every frame, small; remembers where it was black or the same for long."""

    def __init__(self, meant: Meant) -> None:
        self._meant = meant
        self._size = reduced(meant.plan.size)
        self._seen = clear(meant, self._size[1])
        self._frames = 0
        self._black: list[tuple[int, int]] = []  # length, first frame
        self._frozen: list[tuple[int, int]] = []
        self._dark = 0
        self._held: tuple[int, Small] | None = None

    def glance(self, number: int, frame: Frame) -> None:
        """Take in the next frame, reduced."""
        small = frame.planes[0][self._seen]
        self._frames = number + 1
        if np.count_nonzero(small > _BLACK) <= _LIGHT * small.size:
            self._dark += 1
        else:
            self._end_black(number)
        if self._held is None or self._differs(small):
            self._end_freeze(number)
            self._held = number, small

    def _differs(self, small: Small) -> bool:
        return self._held is not None and bool(
            cv2.norm(self._held[1], small, cv2.NORM_L1) > _SAME * small.size
        )

    def _end_black(self, number: int) -> None:
        if self._dark:
            self._black.append((self._dark, number - self._dark))
        self._dark = 0

    def _end_freeze(self, number: int) -> None:
        """A run of frames that look alike ends; it is a fault where the plan says they differ."""
        if self._held is None:
            return
        first, small = self._held
        if number - first <= LONGEST_FREEZE * self._meant.plan.fps:
            return
        part = scene_at(self._meant.plan, first)
        last = min(number - 1, part.first + part.frames - 1)
        before, after = (part.motion.at(n - part.first) for n in (first, last))
        whole = np.zeros((self._size[1], self._size[0]), np.uint8)
        whole[self._seen] = small
        moved = np.asarray(_moved(whole, before, after), np.uint8)[self._seen]
        if cv2.norm(moved, small, cv2.NORM_L1) > _TOLD * _SAME * small.size:
            self._frozen.append((last + 1 - first, first))

    def rows(self) -> list[Row]:
        """Return what was found."""
        self._end_black(self._frames)
        self._end_freeze(self._frames)
        plan = self._meant.plan
        fading = plan.frames - max(plan.segments[-1].fade_out, 1)
        black, at = max(((min(at + n, fading) - at, at) for n, at in self._black), default=(0, 0))
        frozen, since = max(self._frozen, default=(0, 0))
        where = scene_at(plan, since)
        return [
            judged(
                GROUP,
                "frames",
                self._frames,
                limit=f"{plan.frames}",
                good=self._frames == plan.frames,
                says=f"Frames are missing or too many. {AGAIN}",
            ),
            judged(
                GROUP,
                "black",
                max(black, 0) / plan.fps,
                "s",
                limit="0 before the fade",
                good=black <= 0,
                says=f"The picture is black at {clock(at / plan.fps)}, in scene {scene_at(plan, at).id}. "
                "Give that scene another picture, or run the project again with `--from video_rendering`.",
            ),
            judged(
                GROUP,
                "frozen",
                frozen / plan.fps,
                "s",
                limit=f"≤ {LONGEST_FREEZE:g} where it moves",
                good=not frozen,
                says=f"Scene {where.id} stands still from {clock(since / plan.fps)} on. {AGAIN}",
            ),
        ]


def _moved(small: Small, before: Pose, after: Pose) -> NDArray[np.uint8]:
    """Return what `small`, seen from one pose, would look like from another."""
    high, wide = small.shape
    step = before.zoom / after.zoom
    left = (after.x - before.x) * before.zoom * wide + wide / 2 * (1 - step)
    top = (after.y - before.y) * before.zoom * high + high / 2 * (1 - step)
    way = np.array([[step, 0, left], [0, step, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(small, way, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)
