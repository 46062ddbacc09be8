"""Paper-cut hills: under a sun by day, under moon and stars by night."""

from __future__ import annotations

import numpy as np

from app.media.grounds.plot import Kind, Pixels, Place, Plot, colour, edge, lay

_HILLS = 3
_HIGHEST = 0.73
"""Height of the farthest crest, as a share of the frame's from the top."""

_SUN: dict[tuple[Kind, str], Place] = {
    ("title", "wide"): (0.79, 0.33, 0.25),
    ("title", "square"): (0.79, 0.25, 0.22),
    ("title", "tall"): (0.72, 0.19, 0.27),
    ("statement", "wide"): (0.83, 0.70, 0.21),
    ("statement", "square"): (0.80, 0.79, 0.18),
    ("statement", "tall"): (0.70, 0.71, 0.25),
}
_MOON: dict[tuple[Kind, str], Place] = {
    ("title", "wide"): (0.86, 0.21, 0.085),
    ("title", "square"): (0.85, 0.12, 0.065),
    ("title", "tall"): (0.78, 0.12, 0.10),
    ("statement", "wide"): (0.86, 0.22, 0.085),
    ("statement", "square"): (0.85, 0.12, 0.065),
    ("statement", "tall"): (0.76, 0.17, 0.12),
}


_RIM = 0.94
"""How far to the right sun and moon may go to be clear of words; a good half is still seen."""


def hills(plot: Plot) -> Pixels:
    """Draw hills under a sun that stands high over a title, and low behind a statement."""
    pixels = plot.sky()
    place, strength = _sun(plot)
    distance, radius = _disc(plot, place)
    disc = edge(distance - radius)
    halo = np.exp(-np.maximum(distance - radius, 0) / (radius * 0.5))
    lay(pixels, plot.style.colours.accent, disc * strength + (1 - disc) * halo * 0.35 * strength)
    _hills(pixels, plot)
    return pixels


def _sun(plot: Plot) -> tuple[Place, float]:
    """Return where the sun stands and how strong it is.

    Figures and quotation marks are set in its own colour: it gives way to them at the frame's rim, and
    where that is not enough it all but fades.
    """
    place = _SUN[plot.kind, plot.shape]
    if plot.kind == "title":
        return place, 0.20
    rim = (max(place[0], _RIM), place[1], place[2] * 0.75)
    for x, y, size in (place, rim):
        if plot.away(x * plot.frame[0], y * plot.frame[1]) > size * plot.unit * 1.35:
            return (x, y, size), 0.20
    return rim, 0.02


def night(plot: Plot) -> Pixels:
    """Draw hills under a moon and stars."""
    pixels = plot.sky()
    _stars(pixels, plot)
    x, y, radius = _MOON[plot.kind, plot.shape]
    if plot.away(x * plot.frame[0], y * plot.frame[1]) < radius * plot.unit * 1.3:
        x = max(x, _RIM - radius / 4)  # words would touch it
    _moon(pixels, plot, (x, y, radius))
    _hills(pixels, plot)
    return pixels


def _disc(plot: Plot, place: Place) -> tuple[Pixels, float]:
    """Return every pixel's distance from the disc's centre, and the disc's radius."""
    x, y = place[0] * plot.frame[0], place[1] * plot.frame[1]
    return plot.distance(x, y), place[2] * plot.unit


def _moon(pixels: Pixels, plot: Plot, place: Place) -> None:
    """Paint a bright disc with its glow, dim where words stand before it."""
    distance, radius = _disc(plot, place)
    away = plot.away(place[0] * plot.frame[0], place[1] * plot.frame[1])
    strength = 0.92 if away > radius * 1.15 else 0.13
    disc = edge(distance - radius)[..., None]
    seas = np.ones_like(disc)
    for across, down, share in ((-0.32, -0.22, 0.34), (0.24, 0.3, 0.3), (0.36, -0.3, 0.2)):
        sea = (
            place[0] + across * radius / plot.frame[0],
            place[1] + down * radius / plot.frame[1],
            share * place[2],
        )
        near, reach = _disc(plot, sea)
        seas -= 0.11 * np.clip((reach - near) / (0.4 * reach), 0, 1)[..., None]
    halo = np.exp(-np.maximum(distance - radius, 0) / (radius * 0.9))[..., None]
    tone = colour(plot.style.colours.ink)
    pixels += (tone * seas - pixels) * disc * strength
    pixels += (tone - pixels) * (1 - disc) * halo * 0.22 * min(1.0, strength * 1.1)


def _stars(pixels: Pixels, plot: Plot) -> None:
    high, wide = pixels.shape[:2]
    left, top = plot.corner
    aside = plot.unit // 40
    for across, down, light in plot.random.uniform(size=(140, 3)):
        x, y = across * wide, down * high * 0.72
        if plot.away(x - left, y - top) < aside:
            continue
        radius = plot.unit / 1080 * (0.8 + 1.5 * light**3)
        reach = int(4 * radius) + 1
        rows = np.arange(max(0, int(y) - reach), min(high, int(y) + reach + 1))
        columns = np.arange(max(0, int(x) - reach), min(wide, int(x) + reach + 1))
        square = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2
        glow = np.exp(-square / (2 * radius**2))[..., None] * (0.25 + 0.6 * light)
        area = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        area += (250 - area) * glow


def _hills(pixels: Pixels, plot: Plot) -> None:
    """Paint layers of hills from far to near, each with the soft shadow of cut paper above it."""
    high = plot.frame[1]
    across = (plot.columns + plot.corner[0]) / plot.unit
    far, near = colour(plot.style.colours.horizon), colour(plot.style.colours.ornament)
    highest = max(_HIGHEST, plot.lowest / high + 0.03)  # no shadow falls on words that stand low
    for layer in range(_HILLS):
        depth = (layer + 1) / _HILLS
        wave = np.zeros(plot.canvas[0])
        for step in range(1, 5):
            phase = plot.random.uniform(0, 2 * np.pi)
            wave += np.sin(across * step * (1.5 + 0.3 * layer) + phase) / step**1.3
        swing = 0.030 * high * wave / max(1e-9, float(np.abs(wave).max()))
        crest = (high * (highest + 0.03 + 0.085 * layer) + swing).astype(np.float32)
        first = max(0, int(plot.corner[1] + crest.min() - 0.08 * high))
        area = pixels[first:]
        above = crest[None, :] - plot.rows[first:]
        shadow = np.where(above > 0, np.exp(-np.maximum(above, 0) / (0.012 * high)), 0)
        area *= 1 - 0.10 * shadow[..., None]
        tone = far + (near - far) * depth**1.2
        fade = np.clip(-above / (0.30 * high), 0, 1)[..., None]
        area += (tone + (far - tone) * 0.35 * fade - area) * edge(above)[..., None]
