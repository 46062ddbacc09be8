"""Grounds of plain shapes: a strict grid with one red figure, and loud shapes around the edge."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.grounds.plot import Patch, Pixels, Plot, colour, edge, lay
from app.media.styles import RGB

_SHIFT = 4
"""Fractional bits of polygon corners."""
_WHITE: RGB = (255, 255, 255)
_LIGHTNING = np.array(
    [(0.1, -1), (0.55, -0.2), (0.2, -0.2), (0.5, 0.95), (-0.55, 0.05), (-0.12, 0.05), (-0.45, -0.8)]
)

# -- grid ------------------------------------------------------------------------------------

_MODULES = {"wide": (8, 4), "square": (6, 6), "tall": (4, 8)}
_LATTICE = tuple(
    (across, down)
    for across in (1.0, 0.92, 1.06, 0.84, 0.76, 0.0, -0.06, 0.5)
    for down in (0.36, 0.28, 0.44, 0.5, 0.2, 0.12, 0.0, 0.6)
)


def grid(plot: Plot) -> Pixels:
    """Draw fine lines on modules, and one large red figure where the words leave room."""
    pixels = plot.sky()
    _lines(pixels, plot)
    most = (0.46 if plot.kind == "title" else 0.3) * plot.unit
    found = plot.roomiest(_LATTICE, most=most, gap=0.045 * plot.unit, floor=plot.zone)
    if found is not None and found[2] > 0.06 * plot.unit:
        _figure(pixels, plot, *found)
    return pixels


def _lines(pixels: Pixels, plot: Plot) -> None:
    """Draw the modules that everything stands on, under one heavy line."""
    across, down = _MODULES[plot.shape]
    margin = plot.style.scale.margin * plot.unit
    thick = max(1.0, plot.unit / 640)
    tone, ink = plot.style.colours.ornament, plot.style.colours.ink
    for number in range(across + 1):
        _upright(pixels, plot, margin + number * (plot.frame[0] - 2 * margin) / across, thick, tone)
    for number in range(1, down + 1):
        _level(pixels, plot, margin + number * (plot.zone - margin) / down, thick, tone)
    _level(pixels, plot, 0.5 * margin, max(2.0, plot.unit / 150), ink)


def _upright(pixels: Pixels, plot: Plot, at: float, thick: float, tone: RGB) -> None:
    cover = edge(np.abs(plot.columns - np.float32(at)) - np.float32(thick / 2))
    near = np.flatnonzero(cover)
    area = pixels[:, near[0] : near[-1] + 1]
    area += (colour(tone) - area) * cover[None, near, None]


def _level(pixels: Pixels, plot: Plot, at: float, thick: float, tone: RGB) -> None:
    cover = edge(np.abs(plot.rows[:, 0] - np.float32(at)) - np.float32(thick / 2))
    near = np.flatnonzero(cover)
    area = pixels[near[0] : near[-1] + 1]
    area += (colour(tone) - area) * cover[near, None, None]


def _figure(pixels: Pixels, plot: Plot, x: float, y: float, radius: float) -> None:
    """Draw a disc, two halves, rings or bars."""
    patch = plot.patch(pixels, (x, y), radius + 2)
    if patch is None:
        return
    distance = patch.distance(x, y)
    red, ink = plot.style.colours.accent, plot.style.colours.ink
    disc = edge(distance - np.float32(radius))
    match 0 if plot.kind == "title" else int(plot.random.integers(4)):
        case 0:
            lay(patch.pixels, red, disc)
        case 1:
            upper = edge(patch.rows - np.float32(y))
            lay(patch.pixels, red, disc * upper)
            lay(patch.pixels, ink, disc * (1 - upper))
        case 2:
            wave = np.abs((distance / np.float32(radius) * 3.5) % 1 - 0.5)
            lay(patch.pixels, red, disc * edge((0.25 - wave) * np.float32(radius / 3.5)))
        case _:
            pitch = np.float32(2 * radius / 7)
            wave = np.abs(((patch.rows - np.float32(y - radius)) / pitch) % 1 - 0.5)
            lay(patch.pixels, red, disc * edge((wave - np.float32(0.28)) * pitch))


# -- shapes ----------------------------------------------------------------------------------

_AROUND = (
    # where shapes may stand, largest radius as a share of the unit, whether it is cut by the edge
    (0.97, 0.08, 0.24, True),
    (0.03, 0.62, 0.20, True),
    (0.03, 0.07, 0.15, True),
    (0.95, 0.60, 0.15, False),
    (0.50, 0.00, 0.12, True),
    (0.07, 0.36, 0.10, False),
    (0.93, 0.36, 0.10, False),
    (0.80, 0.07, 0.09, False),
    (0.20, 0.07, 0.09, False),
)
_MOST = 6
_SHAPE = Callable[[Plot, Patch, tuple[float, float], float], None]


def shapes(plot: Plot) -> Pixels:
    """Draw rays behind the words, outlined shapes around them, a scalloped band below."""
    pixels = plot.sky()
    _rays(pixels, plot)
    _band(pixels, plot)
    cut: list[_SHAPE] = [_ball, _ring, _dots]
    whole: list[_SHAPE] = [_burst, _bolt, _ring, _ball]
    plot.random.shuffle(cut)
    plot.random.shuffle(whole)
    used: list[tuple[float, float, float]] = []
    gap = 0.03 * plot.unit + 2.4 * _pen(plot)  # outline and shadow lie outside the shape
    for across, down, most, at_edge in _AROUND:
        x, y = across * plot.frame[0], down * plot.frame[1]
        room = min(plot.away(x, y), plot.zone - y) - gap
        room = min([room, *(np.hypot(x - a, y - b) - r - gap for a, b, r in used)])
        if not at_edge:
            room = min(room, x - 0.3 * gap, plot.frame[0] - x - 0.3 * gap, y - 0.3 * gap)
        radius = min(room, plot.unit * most)
        if radius < 0.045 * plot.unit or len(used) == _MOST:
            continue
        kinds = cut if at_edge else whole
        drawn = kinds.pop(0)
        kinds.append(drawn)
        patch = plot.patch(pixels, (x, y), radius + 4 * _pen(plot))
        if patch is not None:
            drawn(plot, patch, (x, y), radius)
            used.append((x, y, radius))
    return pixels


def _rays(pixels: Pixels, plot: Plot) -> None:
    """Fan out rays of the horizon's colour from behind the words."""
    x, y = plot.frame[0] / 2, 0.42 * plot.frame[1]
    angle = np.arctan2(plot.rows - np.float32(y), plot.columns[None, :] - np.float32(x))
    distance = plot.distance(x, y)
    wave = np.sin(angle * 12 + np.float32(0.3))
    cover = np.clip(wave * distance / 12 + 0.5, 0, 1)
    lay(pixels, plot.style.colours.horizon, cover * np.clip(distance / (0.5 * plot.unit), 0, 1))


def _band(pixels: Pixels, plot: Plot) -> None:
    """Fill the captions' part with one colour under a scalloped edge."""
    _scallops(pixels, plot, plot.zone, plot.style.colours.ornament)
    if plot.zone < 0.7 * plot.frame[1]:  # a tall band has room for a hem
        _scallops(pixels, plot, 0.9 * plot.frame[1], plot.style.colours.accent)


def _scallops(pixels: Pixels, plot: Plot, below: float, fill: RGB) -> None:
    pitch = np.float32(plot.unit / 7)
    arch = np.sqrt(np.clip(0.25 - ((plot.columns / pitch) % 1 - 0.5) ** 2, 0, None)) * pitch
    top = np.float32(below + 0.5 * pitch) - arch[None, :] * np.float32(0.8)
    first = max(0, int(plot.corner[1] + below - 0.1 * plot.unit))
    area, above = pixels[first:], top - plot.rows[first:]
    lay(area, plot.style.colours.ink, edge(above - np.float32(_pen(plot))))
    lay(area, fill, edge(above))


def _pen(plot: Plot) -> float:
    return max(2.0, plot.unit * 0.0085)


def _outlined(plot: Plot, patch: Patch, cover: NDArray[np.float32], fill: RGB) -> None:
    """Lay a filled shape with a thick outline and a hard shadow down to the right."""
    pen = _pen(plot)
    size = 2 * round(pen) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    wide = np.asarray(cv2.dilate(cover, kernel), np.float32)
    step = round(1.4 * pen)
    shadow = np.zeros_like(wide)
    shadow[step:, step:] = wide[:-step, :-step]
    lay(patch.pixels, plot.style.colours.ink, np.maximum(wide, shadow))
    lay(patch.pixels, fill, cover)


def _polygon(
    patch: Patch, at: tuple[float, float], corners: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the cover of a polygon with its corners around `at`."""
    mask = np.zeros(patch.pixels.shape[:2], np.uint8)
    left, top = patch.corner
    placed = corners + np.array([at[0] - left - 0.5, at[1] - top - 0.5])
    points = np.rint(placed * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return mask.astype(np.float32) / np.float32(255)


def _ball(plot: Plot, patch: Patch, at: tuple[float, float], radius: float) -> None:
    disc = edge(patch.distance(*at) - np.float32(radius))
    _outlined(plot, patch, disc, plot.style.colours.accent)
    x, y = at[0] - 0.32 * radius, at[1] - 0.32 * radius
    if y > 0 and x > 0:
        lay(patch.pixels, _WHITE, edge(patch.distance(x, y) - np.float32(0.17 * radius)))


def _ring(plot: Plot, patch: Patch, at: tuple[float, float], radius: float) -> None:
    off = np.abs(patch.distance(*at) - np.float32(0.72 * radius)) - np.float32(0.26 * radius)
    _outlined(plot, patch, edge(off), plot.style.colours.ornament)


def _burst(plot: Plot, patch: Patch, at: tuple[float, float], radius: float) -> None:
    angles = np.arange(24) * 2 * np.pi / 24 + plot.random.uniform(0, 0.5)
    lengths = np.where(np.arange(24) % 2, 0.7, 1.0) * radius
    corners = np.stack([np.cos(angles) * lengths, np.sin(angles) * lengths], axis=1)
    _outlined(plot, patch, _polygon(patch, at, corners), _WHITE)


def _bolt(plot: Plot, patch: Patch, at: tuple[float, float], radius: float) -> None:
    _outlined(plot, patch, _polygon(patch, at, _LIGHTNING * radius), plot.style.colours.ornament)


def _dots(plot: Plot, patch: Patch, at: tuple[float, float], radius: float) -> None:
    """Print a patch of dots that grow towards its middle."""
    pitch = plot.unit / 42
    across = ((patch.columns[None, :] + patch.rows) / pitch) % 1 - 0.5
    down = ((patch.columns[None, :] - patch.rows) / pitch) % 1 - 0.5
    near = np.clip(1 - patch.distance(*at) / np.float32(radius), 0, 1)
    size = 0.42 * near**0.6
    dots = edge((np.hypot(across, down) - size) * pitch) * (near > 0)
    lay(patch.pixels, plot.style.colours.ink, dots.astype(np.float32))
