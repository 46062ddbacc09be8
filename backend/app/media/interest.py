"""What of a picture draws the eye, and whether it is a photograph at all; cheap, on few pixels.

The measure of interest is the product of two, on about 200 pixels: a frequency-tuned one (Achanta et
al., CVPR 2009: how far a blurred colour is from the picture's mean in CIELAB) together with local
contrast, and how closed a shape is (Zhang and Sclaroff, ICCV 2013, "Boolean map based saliency"): what
one colour surrounds on all sides is a thing, what reaches the edges is ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.media.faces import Region

SIDE = 200
"""Pixels of the longer side at which interest is measured."""
_LEAST = 16
"""Pixels of a shorter side below which nothing is told of what a picture is made of."""
_FACE_SHARE = 0.6
"""Of all interest goes to faces where there are any."""
_CLOSED_SIDE, _CUTS = 160, 12
"""Pixels of the longer side at which closed shapes are looked for, and levels of each channel at
which they are cut out."""
_FLAT, _RICH = 4.0, 40.0
"""Range of a channel of CIELAB below which it tells nothing, and from which on it tells all."""
_EVEN = (0.15, 0.08)
"""Added to each of both measures, of their most, before they are multiplied: what only one of them
sees counts a little."""
_STANDS_OUT, _PEAK = 0.45, 0.6
"""Of the most interest, what a place has all over, and at its peak."""
_MASS, _PLACES = 0.025, 4
"""Least share of all interest in a place; where there are more places than this, there is none: the
interest is all over."""


Levels = NDArray[np.float32]


def measured(picture: Image.Image, faces: Sequence[Region] = ()) -> Levels:
    """Return how much each part of `picture` draws the eye: (rows, columns), sum 1.

    Args:
        picture: RGB.
        faces: As `faces.found` returns them.
    """
    scale = min(1.0, SIDE / max(picture.size))
    size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    lab = np.asarray(
        cv2.cvtColor(np.asarray(small, np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32
    )
    seen = _joined(_apart(lab), _closed(lab))
    if not faces:
        return seen
    people = np.zeros_like(seen)
    for face in faces:
        rows, columns = _slices(face, seen.shape)
        people[rows, columns] = max(face.width * face.height, 0.004) ** 0.5
    shared: Levels = (1 - _FACE_SHARE) * seen + _FACE_SHARE * (people / people.sum())
    return shared


def places(interest: Levels) -> tuple[Region, ...]:
    """Return the few places that stand out, the strongest first; none where interest is all over."""
    top = float(interest.max())
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(
        (interest > _STANDS_OUT * top).astype(np.uint8), connectivity=8
    )
    rows, columns = interest.shape
    found: list[tuple[float, Region]] = []
    for number, (left, top_row, wide, high, _) in enumerate(boxes.tolist()[1:], 1):
        levels = interest[parts == number]
        mass = float(levels.sum())
        if levels.max() >= _PEAK * top and mass >= _MASS:
            box = (left / columns, top_row / rows, (left + wide) / columns, (top_row + high) / rows)
            found.append((mass, Region(*box)))
    if len(found) > _PLACES:
        return ()
    return tuple(region for _, region in sorted(found, key=lambda one: -one[0]))


def _apart(lab: Levels) -> Levels:
    """Return how far each pixel is from the common colour, and from its surroundings."""
    side = max(lab.shape)
    colour = np.linalg.norm(_soft(lab, side / 70) - lab.mean(axis=(0, 1)), axis=2)
    light = np.ascontiguousarray(lab[..., 0])
    detail = _soft(abs(light - _soft(light, side / 60)), side / 40)
    return _soft(_above_common(colour) + 1.2 * _above_common(detail), side / 60)


def _closed(lab: Levels) -> Levels:
    """Return how often each pixel lies in a shape that a level of a channel cuts out whole.

    A small shape counts as much as a large one: its pixels share one.
    """
    scale = min(1.0, _CLOSED_SIDE / max(lab.shape))
    small = np.asarray(
        cv2.resize(lab, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32
    )
    found = np.zeros(small.shape[:2], np.float32)
    for channel in range(3):
        levels = _soft(np.ascontiguousarray(small[..., channel]), 1.0)
        low, high = np.percentile(levels, (0.5, 99.5))
        if high - low < _FLAT:
            continue
        telling = min(1.0, float(high - low) / _RICH)
        for cut in np.linspace(low, high, _CUTS + 2)[1:-1]:
            for above in (levels > cut, levels <= cut):
                found += telling * _surrounded(above)
    soft = _soft(found, max(found.shape) / 60)
    return np.asarray(
        cv2.resize(soft, lab.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )


def _surrounded(shape: np.ndarray) -> Levels:
    """Return what of a shape does not reach the edges, a little grown; the root of its size in all."""
    whole = cv2.morphologyEx(shape.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    framed = cv2.copyMakeBorder(whole, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(framed, None, (0, 0), 0)
    inner = np.ascontiguousarray(framed[1:-1, 1:-1])
    pixels = int(inner.sum())
    if not pixels:
        return np.zeros(shape.shape, np.float32)
    grown = cv2.dilate(inner, np.ones((3, 3), np.uint8))
    return np.asarray(grown, np.float32) / np.float32(pixels**0.5)


def _joined(first: Levels, second: Levels) -> Levels:
    """Return the product of two measures, as shares of 1 in all."""
    levels = np.ones(first.shape, np.float32)
    least = 1.0
    for measure, even in zip((first, second), _EVEN, strict=True):
        most = float(measure.max())
        levels *= (measure / most if most > 0 else 0 * measure) + np.float32(even)
        least *= even
    levels -= np.float32(least)
    total = float(levels.sum())
    return levels / total if total > 0 else np.full_like(levels, 1 / levels.size)


def _soft(levels: Levels, sigma: float) -> Levels:
    return np.asarray(cv2.GaussianBlur(levels, (0, 0), sigma), np.float32)


def _above_common(values: Levels) -> Levels:
    """Return what stands out of the common level, 0-1: a texture all over draws no eye."""
    common, top = np.percentile(values, (55, 99))
    if top - common < 1.0:  # a just noticeable difference in CIELAB is about 2
        return np.zeros_like(values, np.float32)
    above: Levels = np.clip((values - common) / (top - common), 0, 1).astype(np.float32)
    return above


def _slices(region: Region, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = shape[:2]
    top, left = int(region.top * rows), int(region.left * columns)
    return (
        slice(top, min(rows, max(top + 1, round(region.bottom * rows)))),
        slice(left, min(columns, max(left + 1, round(region.right * columns)))),
    )


def share(interest: Levels, region: Region) -> float:
    """Return how much of the interest lies in `region`, 0-1."""
    rows, columns = _slices(region, interest.shape)
    return float(interest[rows, columns].sum())


def table(interest: Levels) -> np.ndarray:
    """Return the interest above and left of every corner: `quick` needs four of its values."""
    return np.asarray(cv2.integral(interest, sdepth=cv2.CV_64F))


def quick(summed: np.ndarray, region: Region) -> float:
    """Return the same as `share`, from a `table`."""
    rows, columns = _slices(region, (summed.shape[0] - 1, summed.shape[1] - 1))
    return float(
        summed[rows.stop, columns.stop]
        - summed[rows.start, columns.stop]
        - summed[rows.stop, columns.start]
        + summed[rows.start, columns.start]
    )


@dataclass(frozen=True)
class Surface:
    """What a picture is made of.

    Attributes:
        drawn: A screenshot, a diagram, a page: flat areas with hard edges, few colours, or lines
            of text.
        border: The one colour of all its edges, 0-255; None where they have more.
    """

    drawn: bool
    border: tuple[int, int, int] | None


def surface(picture: Image.Image) -> Surface:
    """Tell drawn pictures from photographs, and find a border of one colour. `picture` is RGB."""
    if min(picture.size) < _LEAST:
        return Surface(drawn=False, border=None)
    sampled = _sampled(picture)
    pixels = np.asarray(sampled, np.int16)
    drawn = _drawn(pixels) or _written(np.asarray(sampled.convert("L")))
    return Surface(drawn, _border(pixels))


def _sampled(picture: Image.Image) -> Image.Image:
    """Return the picture at about 640 pixels, its noise averaged like a fine print's."""
    scale = 640 / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(4, round(picture.width * scale)), max(4, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _drawn(pixels: np.ndarray) -> bool:
    flat, hard = _grain(pixels)
    return flat > 0.5 and hard > 0.02 and _palette(pixels) > 0.6


def _written(grey: np.ndarray) -> bool:
    """Tell whether lines of text take a telling share of the picture.

    A line of text is a flat, filled run of steep slopes, crossed by many strokes; three of them on
    3 % of the area are more than fences and windows make by chance.
    """
    slopes = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    steep = (np.asarray(slopes) > 60).astype(np.uint8)
    joined = cv2.morphologyEx(steep, cv2.MORPH_CLOSE, np.ones((1, 9), np.uint8))
    runs = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(runs, connectivity=4)
    lines = [part for part in parts[1:].tolist() if _is_line(grey, part)]
    return len(lines) >= 3 and sum(w * h for _, _, w, h, _ in lines) > 0.03 * grey.size


def _is_line(grey: np.ndarray, part: list[int]) -> bool:
    left, top, wide, high, filled = part
    if not (5 <= high <= 0.14 * grey.shape[0] and wide >= 4 * high):
        return False
    if filled < 0.55 * wide * high:
        return False
    seen = grey[top : top + high, left : left + wide].astype(np.int16)
    dark = seen > (int(seen.max()) + int(seen.min())) / 2
    strokes = (dark[:, 1:] != dark[:, :-1]).sum(axis=1)
    return float(np.percentile(strokes, 70)) >= 1.2 * wide / high


def _grain(pixels: np.ndarray) -> tuple[float, float]:
    """Return the share of pixels like their neighbours, and of those at a hard edge."""
    across = abs(np.diff(pixels, axis=1)).max(axis=2)[:-1]
    down = abs(np.diff(pixels, axis=0)).max(axis=2)[:, :-1]
    most = np.maximum(across, down)
    return float((most <= 1).mean()), float((most > 48).mean())


def _palette(pixels: np.ndarray) -> float:
    """Return the share of pixels that the six commonest colours have, in steps of 8."""
    steps = (pixels >> 3).astype(np.int32)
    codes = (steps[..., 0] << 10) | (steps[..., 1] << 5) | steps[..., 2]
    counts = np.sort(np.bincount(codes.ravel()))[::-1]
    return float(counts[:6].sum() / counts.sum())


def _border(pixels: np.ndarray) -> tuple[int, int, int] | None:
    deep = max(1, min(pixels.shape[:2]) // 60)
    edges = [pixels[:deep], pixels[-deep:], pixels[:, :deep], pixels[:, -deep:]]
    ring = np.concatenate([edge.reshape(-1, 3) for edge in edges])
    middle = np.median(ring, axis=0)
    apart = abs(ring - middle).max(axis=1)
    if np.percentile(apart, 97) > 10:
        return None
    red, green, blue = (round(float(level)) for level in middle)
    return red, green, blue
