"""Where the faces are: found by BlazeFace, a network of 229 kB that is shipped here.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"
(arXiv:1907.05047); Google's model for faces at short range. It sees 128 pixels at once, so a picture
is looked at whole, and then in overlapping tiles of half its longer side, where smaller faces are
found. What looks like a face is looked at again from three distances: a face is one from all of
them, a cup, a bow window or a microscope's cell from one. Where a picture has none of that size, it may have
people in a landscape, or a large group: tiles of a quarter are looked at, and have to be surer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

SIDE = 640
"""Pixels of the longer side at which faces are looked for."""
LEAST = 0.045
"""Share of the longer side that a face has at least where a picture is about faces; a smaller one
beside it is a passer-by."""
SMALLEST = 0.022
"""The same of one that is looked for where there is none of that size."""
_FINE_SIDE, _FINE_TILES, _FINE_CERTAIN = 1280, 4, 0.8
"""As `SIDE`, `_TILES` and `_CERTAIN`, for those. Of 24 faces of 0.024 to 0.036, set into landscapes, 22
reach that mean; of about 410 pictures without a face none does (the nearest, a sudoku in a newspaper: 0.74)."""

_MODEL = Path(__file__).parent / "models" / "face_detection_short_range.tflite"
_SEES = 128
"""Pixels of a side that the network takes."""
_ANCHORS = ((16, 2), (8, 6))
"""Cells along a side, and faces told of each: the network's two grids."""
_PERHAPS, _CERTAIN = 0.5, 0.7
"""Least likelihood of what is looked at again, and the least mean of the three further looks. It is
set so that none of 24 pictures without a face has one (the nearest, a microscope's cell: 0.68); 46 of
50 blurred portraits of 25 pixels (the subset of LFW in scikit-image) reach it, the lowest has 0.57."""
_DISTANCES = (1.6, 2.4, 3.6)
"""Sides of what is seen in those looks, in faces."""
_TILES = 2
"""Tiles along the longer side, where they did not overlap."""
_OVERLAP = 0.3
_SAME = 0.3
"""Share of the smaller of two faces that lies in the other, where both are one."""


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

    def meets(self, other: Region) -> bool:
        """Tell whether they have a part in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
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

    def placed(self, box: Region) -> Region:
        """Return it in shares of what holds `box`, of which it is in shares."""
        return Region(
            box.left + self.left * box.width,
            box.top + self.top * box.height,
            box.left + self.right * box.width,
            box.top + self.bottom * box.height,
        )


WHOLE = Region(0.0, 0.0, 1.0, 1.0)


def union(regions: tuple[Region, ...]) -> Region | None:
    """Return the smallest region that holds all of `regions`; None where there are none."""
    if not regions:
        return None
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    return Region(min(lefts), min(tops), max(rights), max(bottoms))


class _Face(NamedTuple):
    """A face: its square in pixels, how likely it is one, and which way is up (a unit vector)."""

    left: float
    top: float
    side: float
    likely: float
    up: tuple[float, float]

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.side / 2, self.top + self.side / 2


def heads(picture: Image.Image, *, small: bool = False) -> tuple[Region, ...]:
    """Return the heads in `picture` with a little air, the largest first; any mode of Pillow's.

    Hair lies above the face, wherever above is for a head that is tilted.

    Args:
        picture: What is looked at.
        small: Look for small ones, too, where there are no others; it takes three times as long.
    """
    pixels = _pixels(picture, SIDE)
    seen = _found(pixels)
    if small and not seen:
        pixels = _pixels(picture, _FINE_SIDE)
        seen = _found_small(pixels)
    return tuple(_head(face, pixels.shape[1], pixels.shape[0]) for face in seen)


def found(picture: Image.Image) -> tuple[Region, ...]:
    """Return the faces in `picture`, from the brows to the chin, the largest first."""
    pixels = _pixels(picture, SIDE)
    high, wide = pixels.shape[:2]
    return tuple(
        Region(
            max(0.0, face.left / wide),
            max(0.0, face.top / high),
            min(1.0, (face.left + face.side) / wide),
            min(1.0, (face.top + face.side) / high),
        )
        for face in _found(pixels)
    )


def _head(face: _Face, wide: int, high: int) -> Region:
    """Return the head of a face in shares: 0.2 of it more on every side, and 0.35 above."""
    (x, y), (right, down) = face.middle, face.up
    half, hair = face.side * 0.7, face.side * 0.35
    return Region(
        max(0.0, (x - half + min(0.0, hair * right)) / wide),
        max(0.0, (y - half + min(0.0, hair * down)) / high),
        min(1.0, (x + half + max(0.0, hair * right)) / wide),
        min(1.0, (y + half + max(0.0, hair * down)) / high),
    )


def _pixels(picture: Image.Image, side: int) -> np.ndarray:
    """Return the picture as RGB, (rows, columns, 3), at most `side` pixels long."""
    scale = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small.convert("RGB"))


def _found(pixels: np.ndarray) -> list[_Face]:
    longer = max(pixels.shape[:2])
    if min(pixels.shape[:2]) < LEAST * longer:
        return []
    tiles = ((0, 0, pixels.shape[1], pixels.shape[0]), *_tiles(pixels, _TILES))
    seen = [face for tile in tiles for face in _looked(pixels, *tile)]
    apart = _apart([face for face in seen if face.side >= LEAST * longer])
    return _sure(pixels, apart, _CERTAIN)


def _found_small(pixels: np.ndarray) -> list[_Face]:
    """Return the faces from `SMALLEST` on; one a quarter larger than `LEAST` was no face before."""
    longer = max(pixels.shape[:2])
    if min(pixels.shape[:2]) < _SEES:
        return []
    seen = [face for tile in _tiles(pixels, _FINE_TILES) for face in _looked(pixels, *tile)]
    apart = _apart([face for face in seen if SMALLEST <= face.side / longer <= 1.25 * LEAST])
    return _sure(pixels, apart, _FINE_CERTAIN)


def _sure(pixels: np.ndarray, faces: list[_Face], certain: float) -> list[_Face]:
    """Return those that are faces from nearby, the largest first."""
    sure = [again for face in faces if (again := _again(pixels, face, certain)) is not None]
    return sorted(sure, key=lambda face: (-face.side, face.left, face.top))


def _tiles(pixels: np.ndarray, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, width and height of overlapping tiles, `count` along the longer side."""
    high, wide = pixels.shape[:2]
    side = max(1, round(max(high, wide) / count))
    for top in _starts(high, side):
        for left in _starts(wide, side):
            yield left, top, min(side, wide), min(side, high)


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - _OVERLAP)))) + 1
    return [round(at) for at in np.linspace(0, length - side, count)]


def _again(pixels: np.ndarray, face: _Face, certain: float) -> _Face | None:
    """Return the face as it is told from nearby; None where it is none."""
    looks: list[_Face] = []
    for distance in _DISTANCES:
        side = max(2, round(distance * face.side))
        left, top = (round(at - side / 2) for at in face.middle)
        near = [
            one
            for one in _looked(pixels, left, top, side, side, least=0.05)
            if _close(one, face) and 0.5 < one.side / face.side < 2
        ]
        if near:
            looks.append(max(near, key=lambda one: one.likely))
    if sum(one.likely for one in looks) < certain * len(_DISTANCES):
        return None
    best = max(looks, key=lambda one: one.likely)
    return best._replace(likely=face.likely)


def _close(one: _Face, other: _Face) -> bool:
    across, down = (a - b for a, b in zip(one.middle, other.middle, strict=True))
    return max(abs(across), abs(down)) < other.side / 2


def _looked(
    pixels: np.ndarray, left: int, top: int, wide: int, high: int, *, least: float = _PERHAPS
) -> list[_Face]:
    """Return what looks like a face in a part of the picture; what lies beyond it is black."""
    scale = _SEES / max(wide, high)
    part = _cut(pixels, left, top, wide, high)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    given = np.full((_SEES, _SEES, 3), -1, np.float32)
    column, row = (_SEES - size[0]) // 2, (_SEES - size[1]) // 2
    given[row : row + size[1], column : column + size[0]] = small / np.float32(127.5) - 1
    return [
        _Face(
            (face.left - column) / scale + left,
            (face.top - row) / scale + top,
            face.side / scale,
            face.likely,
            face.up,
        )
        for face in _told(given, least)
    ]


def _cut(pixels: np.ndarray, left: int, top: int, wide: int, high: int) -> np.ndarray:
    """Return a part of the picture, black where it lies beyond."""
    rows, columns = pixels.shape[:2]
    part = pixels[max(0, top) : max(0, top + high), max(0, left) : max(0, left + wide)]
    beyond = (
        (max(0, -top), max(0, top + high - rows)),
        (max(0, -left), max(0, left + wide - columns)),
        (0, 0),
    )
    return np.pad(part, beyond) if any(map(any, beyond)) else part


def _told(given: np.ndarray, least: float) -> list[_Face]:
    """Return what the network sees: (128, 128, 3), from -1 to 1; places in its pixels.

    Of each anchor it tells a logit, a box (middle and sides, from the anchor) and six points, of
    which the first two are the eyes and the fourth is the mouth.
    """
    logits, places = _Network.of_thread().see(given)
    likely = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    chosen = likely >= least
    anchors = _anchors()[chosen]
    told = places[chosen]
    faces = []
    for anchor, place, sure in zip(anchors, told, likely[chosen], strict=True):
        points = place.reshape(-1, 2) + anchor
        side = float(max(place[2:4]))
        left, top = (float(at) - side / 2 for at in points[0])
        up = (points[2] + points[3]) / 2 - points[5]
        length = float(np.hypot(*up)) or 1.0
        direction = (float(up[0]) / length, float(up[1]) / length)
        faces.append(_Face(left, top, side, float(sure), direction))
    return faces


class _Network:
    """The network, of one thread: OpenCV's are not shared."""

    _own = threading.local()

    def __init__(self) -> None:
        self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(_MODEL.read_bytes(), np.uint8))
        self._names = ("classificators", "regressors")

    @classmethod
    def of_thread(cls) -> _Network:
        if not hasattr(cls._own, "network"):
            cls._own.network = cls()
        network: _Network = cls._own.network
        return network

    def see(self, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logit of every anchor, and 16 numbers of each in pixels."""
        self._net.setInput(np.ascontiguousarray(given.transpose(2, 0, 1)[None]))
        logits, places = self._net.forward(self._names)
        return np.asarray(logits[0, :, 0]), np.asarray(places[0])


@cache
def _anchors() -> np.ndarray:
    """Return the middles of all anchors in pixels, in the order of the network."""
    grids = []
    for cells, times in _ANCHORS:
        rows, columns = np.mgrid[:cells, :cells] + 0.5
        middles = np.stack([columns, rows], axis=-1).reshape(-1, 2) * (_SEES / cells)
        grids.append(np.repeat(middles, times, axis=0))
    return np.concatenate(grids)


def _apart(faces: list[_Face]) -> list[_Face]:
    """Return `faces` without those that mostly lie in a likelier one."""
    kept: list[_Face] = []
    for face in sorted(faces, key=lambda one: -one.likely):
        if not any(_one(face, other) for other in kept):
            kept.append(face)
    return kept


def _one(face: _Face, other: _Face) -> bool:
    wide = min(face.left + face.side, other.left + other.side) - max(face.left, other.left)
    high = min(face.top + face.side, other.top + other.side) - max(face.top, other.top)
    if wide <= 0 or high <= 0:
        return False
    return wide * high > _SAME * min(face.side, other.side) ** 2
