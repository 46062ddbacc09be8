"""Where the faces are: found by OpenCV's Haar cascades, which come with its wheel.

The frontal cascade tells faces from their like by its last stages' sum; the threshold here keeps
all of a group of people and none of a plate of coins, gravel, a page of text or a cat. Heads seen
from the side are looked for only where nobody looks into the camera.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

SIDE = 512
"""Pixels of the longer side at which faces are looked for."""
LEAST = 24
"""Pixels of a face at that size; a smaller one is a passer-by, or no face."""
LEAST_SIDEWAYS = 56
"""The same from the side, where a likeness is more often chance."""

_NEIGHBOURS = 4
"""Windows that have to agree on a face; a chance likeness is seen by one or two."""
_FRONTAL = ("haarcascade_frontalface_alt2.xml", 55.0)
_SIDEWAYS = ("haarcascade_profileface.xml", 1.0)
"""Cascade, and least sum of its last stage: below it were textures and round things."""
_STEP = 1.12


class Region(NamedTuple):
    """A rectangle, as shares (0-1) of the width and height of what it lies in."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def within(self, other: Region, slack: float = 1e-6) -> bool:
        """Tell whether all of it lies in `other`."""
        return (
            self.left >= other.left - slack
            and self.top >= other.top - slack
            and self.right <= other.right + slack
            and self.bottom <= other.bottom + slack
        )

    def seen_from(self, window: Region) -> Region:
        """Return it in shares of `window`, cut at its edges."""
        across, down = window.width, window.height
        return Region(
            max(0.0, (self.left - window.left) / across),
            max(0.0, (self.top - window.top) / down),
            min(1.0, (self.right - window.left) / across),
            min(1.0, (self.bottom - window.top) / down),
        )


WHOLE = Region(0.0, 0.0, 1.0, 1.0)


def union(regions: tuple[Region, ...]) -> Region | None:
    """Return the smallest region that holds all of `regions`; None where there are none."""
    if not regions:
        return None
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    return Region(min(lefts), min(tops), max(rights), max(bottoms))


def head(face: Region) -> Region:
    """Return the whole head of a face, with a little air: hair and chin lie outside the face.

    A cascade's square reaches from the brows to the lips and a little further.
    """
    wide, high = face.width, face.height
    return Region(
        max(0.0, face.left - 0.18 * wide),
        max(0.0, face.top - 0.38 * high),
        min(1.0, face.right + 0.18 * wide),
        min(1.0, face.bottom + 0.22 * high),
    )


def found(picture: Image.Image) -> tuple[Region, ...]:
    """Return the faces in `picture` (any mode Pillow makes grey), the largest first."""
    grey = _grey(picture)
    if min(grey.shape) < LEAST:
        return ()
    boxes = _seen(grey, *_FRONTAL, LEAST)
    if not boxes:
        mirrored = np.ascontiguousarray(grey[:, ::-1])
        wide = grey.shape[1]
        boxes = _apart(
            _seen(grey, *_SIDEWAYS, LEAST_SIDEWAYS)
            + [
                (wide - x - w, y, w, h)
                for x, y, w, h in _seen(mirrored, *_SIDEWAYS, LEAST_SIDEWAYS)
            ]
        )
    boxes.sort(key=lambda box: (-box[2] * box[3], box))
    high, wide = grey.shape
    return tuple(Region(x / wide, y / high, (x + w) / wide, (y + h) / high) for x, y, w, h in boxes)


_Found = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def _grey(picture: Image.Image) -> np.ndarray:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if scale > 2:  # a tiny picture: nothing is gained by blowing it up
        size = picture.size
    grey = picture.convert("L").resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.ascontiguousarray(np.asarray(grey))


def _seen(grey: np.ndarray, name: str, certain: float, least: int) -> list[_Found]:
    boxes, _, sums = _cascade(name).detectMultiScale3(
        grey,
        scaleFactor=_STEP,
        minNeighbors=_NEIGHBOURS,
        minSize=(least, least),
        outputRejectLevels=True,
    )
    found_here = zip(np.reshape(boxes, (-1, 4)).tolist(), np.ravel(sums).tolist(), strict=True)
    return [
        (int(x), int(y), int(w), int(h)) for (x, y, w, h), total in found_here if total >= certain
    ]


def _apart(boxes: list[_Found]) -> list[_Found]:
    """Return `boxes` without those whose middle lies in one before: a head seen from both sides."""
    kept: list[_Found] = []
    for x, y, w, h in boxes:
        middle = (x + w / 2, y + h / 2)
        if not any(a <= middle[0] <= a + c and b <= middle[1] <= b + d for a, b, c, d in kept):
            kept.append((x, y, w, h))
    return kept


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))
