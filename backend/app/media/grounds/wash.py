"""Ink wash: mountains that stand in mist, a brushed circle or a red sun, a seal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.media.grounds.plot import Pixels, Plot, clouds, colour, edge, lay

_LAYERS: tuple[tuple[float, float, float, float], ...] = (
    # crest and swing as shares of the frame's height, density, depth of the mist below
    (0.655, 0.12, 0.20, 0.12),
    (0.725, 0.085, 0.42, 0.12),
    (0.785, 0.05, 0.80, 0.5),
    (0.84, 0.03, 0.97, 2.0),
)
_FOOT = 0.9
"""The crests are pressed together towards here where words stand low."""
_RING = 0.17
"""Density of the brushed circle: words on it stay as legible as on paper."""
_SPIRAL = (
    # x0, y0, x1, y1 of its strokes, from the outer end to the middle
    (-0.7, 0.7, 0.7, 0.7),
    (-0.7, -0.7, -0.7, 0.7),
    (-0.7, -0.7, 0.7, -0.7),
    (0.7, -0.7, 0.7, 0.35),
    (-0.35, 0.35, 0.7, 0.35),
    (-0.35, -0.35, -0.35, 0.35),
    (-0.35, -0.35, 0.35, -0.35),
    (0.35, -0.35, 0.35, 0.0),
    (0.0, 0.0, 0.35, 0.0),
)
_CORNERS = ((0.85, 0.2), (0.15, 0.2), (0.85, 0.55), (0.15, 0.55), (0.5, 0.12))


def ink(plot: Plot) -> Pixels:
    """Draw mountains in ink; behind a title a circle of one stroke, beside a statement a sun."""
    pixels = plot.sky()
    damp = clouds(plot.random, plot.canvas, (7, 5))
    pixels -= np.float32(1.6) * damp[..., None]
    if plot.kind == "title":
        _circle(pixels, plot)
    else:
        _sun(pixels, plot)
    _mountains(pixels, plot, damp)
    if plot.kind == "title":
        _seal(pixels, plot)
    return pixels


def _mountains(pixels: Pixels, plot: Plot, damp: NDArray[np.float32]) -> None:
    """Lay washes from far to near: dark along the crest, thinned out into mist below it."""
    high = plot.frame[1]
    far, near = colour(plot.style.colours.horizon), colour(plot.style.colours.ornament)
    peak = _LAYERS[0][0] - _LAYERS[0][1]
    free = max(peak, plot.lowest / high + 0.03)
    press = (_FOOT - free) / (_FOOT - peak)
    for place, height, density, mist in _LAYERS:
        crest, swing = _FOOT - press * (_FOOT - place), press * height
        line = high * (
            crest + swing * _ridge(plot.random, plot.canvas[0] / plot.unit, len(plot.columns))
        )
        below = plot.rows - line[None, :].astype(np.float32)
        first = max(0, int(plot.corner[1] + line.min() - 4))
        below, area = below[first:], pixels[first:]
        thin = np.exp(-np.maximum(below, 0) / np.float32(mist * high))
        wash = np.float32(density) * thin * (1 + np.float32(0.14 * (1 - density)) * damp[first:])
        rim = np.exp(-((below / np.float32(0.006 * high)) ** 2)) * np.float32(0.10 * density)
        cover = np.clip(wash + rim, 0, 1) * edge(-below, 2.5)
        tone = near + (far - near) * np.float32(0.25 * (1 - density))
        area += (tone - area) * cover[..., None]


def _ridge(random: np.random.Generator, width: float, count: int) -> NDArray[np.float64]:
    """Return a crest of `count` samples, -1 (a peak) to 1: few large shapes, many small ones."""
    across = np.linspace(0, width, count)
    line = np.zeros(count)
    for octave in range(7):
        pitch = 2.1 * 1.9**octave
        turn = random.uniform(0, 2 * np.pi)
        sharp = 2 * np.abs(np.sin(0.5 * across * pitch + turn)) - 1
        round_ = np.sin(across * pitch * 1.13 + 2 * turn)
        line += (0.45 * sharp + 0.55 * round_) / 2.05**octave
    return line / max(1e-9, float(np.abs(line).max()))


def _circle(pixels: Pixels, plot: Plot) -> None:
    """Brush a circle around the words in one stroke that runs dry before it closes."""
    middle, radius = _around(plot)
    distance = plot.distance(*middle)
    angle = np.arctan2(plot.rows - middle[1], plot.columns[None, :] - middle[0])
    start = plot.random.uniform(0.35, 0.75) * np.pi
    along = ((angle - start) / (2 * np.pi)) % 1
    width = radius * (0.055 + 0.11 * np.sin(np.pi * np.clip(along * 1.06, 0, 0.999)) ** 0.7)
    wobble = radius * 0.012 * np.sin(3 * angle + start) + radius * 0.03 * along
    place = (distance - radius - wobble) / width  # -1 to 1 across the stroke
    strands = _strands(plot.random, place, along)
    dry = np.clip((along - 0.45) / 0.5, 0, 1)
    worn = np.clip(1.2 - dry * (0.75 + 1.1 * strands), 0, 1)
    cover = edge(np.abs(place) - 1, 0.22) * worn * np.clip((0.985 - along) / 0.03, 0, 1)
    lay(pixels, plot.style.colours.ornament, (cover * _RING).astype(np.float32))


def _around(plot: Plot) -> tuple[tuple[float, float], float]:
    """Return centre and radius of the circle: about the words, above the captions."""
    x, y = plot.frame[0] / 2, plot.zone * 0.52
    if plot.quiet:
        y = (min(box[1] for box in plot.quiet) + max(box[3] for box in plot.quiet)) / 2
    return (x, y), 0.335 * plot.unit


def _strands(
    random: np.random.Generator, place: NDArray[np.float32], along: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return 0-1: how little ink each hair of the brush holds, slowly changing along the stroke."""
    table = clouds(random, (512, 96), (14, 48))
    rows = np.clip((place + 1) * 47.5, 0, 95).astype(np.intp)
    columns = np.clip(along * 511, 0, 511).astype(np.intp)
    lacking: NDArray[np.float32] = np.clip(0.5 + np.float32(0.4) * table[rows, columns], 0, 1)
    return lacking


def _sun(pixels: Pixels, plot: Plot) -> None:
    """Paint a small red sun where the words leave room for it."""
    found = plot.roomiest(
        _CORNERS, most=0.062 * plot.unit, gap=0.055 * plot.unit, floor=0.72 * plot.frame[1]
    )
    if found is None or found[2] < 0.045 * plot.unit:
        return
    x, y, radius = found
    disc = edge(plot.distance(x, y) - radius, 1.6)
    worn = 1 - 0.06 * np.clip(clouds(plot.random, plot.canvas, (60, 40)), 0, 1)
    lay(pixels, plot.style.colours.accent, (disc * worn * 0.92).astype(np.float32))


def _seal(pixels: Pixels, plot: Plot) -> None:
    """Press a square seal beside the circle's end where no words are; its fret says nothing."""
    (x, y), radius = _around(plot)
    side = 0.072 * plot.unit
    spots = [(x + a * radius, y + b * radius) for a, b in ((0.98, 0.72), (-0.98, 0.72), (0, 1.12))]
    free = (at for at in spots if plot.away(*at) > side and at[1] < plot.zone - 0.6 * side)
    at = next(free, None)
    patch = plot.patch(pixels, at, side) if at else None
    if at is None or patch is None:
        return
    across = (patch.columns[None, :] - np.float32(at[0])) / np.float32(side / 2)
    down = (patch.rows - np.float32(at[1])) / np.float32(side / 2)
    soft = np.float32(2 / side)
    outside = np.maximum(np.abs(across), np.abs(down)) - 1
    stone = edge(outside / soft, 1.2) * (1 - _fret(across, down, soft))
    lay(patch.pixels, plot.style.colours.accent, (0.94 * stone).astype(np.float32))


def _fret(
    across: NDArray[np.float32], down: NDArray[np.float32], soft: np.float32
) -> NDArray[np.float32]:
    """Return the carved lines of a squared spiral within -1 to 1."""
    lines = np.zeros(np.broadcast_shapes(across.shape, down.shape), np.float32)
    for x0, y0, x1, y1 in _SPIRAL:
        wide = np.maximum(np.maximum(x0 - across, across - x1), np.maximum(y0 - down, down - y1))
        lines = np.maximum(lines, edge((wide - np.float32(0.07)) / soft))
    return lines
