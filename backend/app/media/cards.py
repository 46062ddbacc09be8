"""Typographic cards: what a scene without a picture shows, drawn from its words.

A `title` opens a video: its type is large and the sun, or moon, stands high. A `statement` sets a
heading over a short text, and the sun is going down. Both stand before paper-cut hills that fill
the lower part of the frame, which belongs to the captions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from app.media import lettering, pictures
from app.media.styles import RGB, Style
from app.models import Language

VERSION = "1"
"""Raised when the same inputs give another picture."""

Kind = Literal["title", "statement"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels of the frame."""

    bar: Box
    parts: tuple[tuple[lettering.Setting, tuple[int, int], RGB], ...]

    @property
    def boxes(self) -> list[Box]:
        """The rule, and every line of words."""
        return [self.bar, *(box for setting, at, _ in self.parts for box in setting.boxes(at))]


_HILLS = 3
_HIGHEST = 0.73
"""Height of the farthest crest, as a share of the frame's from the top."""
_Place = tuple[float, float, float]
"""Centre across and down as shares of the frame, radius as a share of its shorter side."""

_SUN: dict[tuple[Kind, str], _Place] = {
    ("title", "wide"): (0.79, 0.33, 0.25),
    ("title", "square"): (0.79, 0.25, 0.22),
    ("title", "tall"): (0.72, 0.19, 0.27),
    ("statement", "wide"): (0.83, 0.70, 0.21),
    ("statement", "square"): (0.80, 0.79, 0.18),
    ("statement", "tall"): (0.70, 0.71, 0.25),
}
_MOON: dict[tuple[Kind, str], _Place] = {
    ("title", "wide"): (0.86, 0.21, 0.085),
    ("title", "square"): (0.85, 0.12, 0.065),
    ("title", "tall"): (0.78, 0.12, 0.10),
    ("statement", "wide"): (0.86, 0.22, 0.085),
    ("statement", "square"): (0.85, 0.12, 0.065),
    ("statement", "tall"): (0.76, 0.17, 0.12),
}


def draw(
    target: Path,
    *,
    heading: str,
    text: str,
    language: Language,
    size: tuple[int, int],
    style: Style,
    kind: Kind,
) -> None:
    """Write the card for a frame of `size` to `target`, `pictures.canvas(size)` pixels, RGB.

    `target` becomes a PNG if its name ends so, else a JPEG. Words that don't fit end in an
    ellipsis; nothing is drawn outside the frame at rest, nor in the captions' zone.

    Raises:
        MediaError: `font_unusable`.
    """
    layout = _LAYOUTS[kind](
        " ".join(heading.split()), " ".join(text.split()), language, size, style
    )
    image = background(
        pictures.canvas(size), size, style, kind=kind, seed=f"{heading}\n{text}", quiet=layout.boxes
    )
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    pen = ImageDraw.Draw(image)
    if any(setting.lines for setting, _, _ in layout.parts):
        x0, y0, x1, y1 = layout.bar
        pen.rectangle((left + x0, top + y0, left + x1 - 1, top + y1 - 1), fill=style.colours.accent)
    for setting, (x, y), colour in layout.parts:
        setting.draw(pen, (left + x, top + y), colour)
    pictures.save(image, target)


def background(
    canvas: tuple[int, int],
    frame: tuple[int, int],
    style: Style,
    *,
    kind: Kind,
    seed: str,
    quiet: Sequence[Box],
) -> Image.Image:
    """Return the card without its words; equal `seed`s give equal hills.

    `quiet` are the places of the words, in pixels of the frame: a moon behind them stays dim, and
    no star shows there.
    """
    random = np.random.default_rng(
        int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    )
    high = canvas[1]
    top = (high - frame[1]) / 2
    fall = np.clip((np.arange(high) - top) / frame[1], 0, 1)[:, None, None] ** 1.4
    ground, horizon = _array(style.colours.background), _array(style.colours.horizon)
    sky = (ground + (horizon - ground) * fall).astype(np.float32)
    pixels = np.broadcast_to(sky, (high, canvas[0], 3)).copy()
    slope = frame[0] / frame[1]
    shape = "wide" if slope > 1.2 else "tall" if slope < 0.8 else "square"
    if style.cards.ground == "night":
        _stars(pixels, frame, random, quiet)
        _moon(pixels, frame, style, _MOON[kind, shape], quiet)
    else:
        _sun(pixels, frame, style, _SUN[kind, shape])
    _hills(pixels, frame, style, random)
    _grain(pixels, style.cards.texture)
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _block(size: tuple[int, int], style: Style) -> Box:
    """Return the part of the frame that words may take."""
    margin = round(style.scale.margin * min(size))
    zone = round(size[1] * (1 - style.captions.zone))
    return margin, margin, size[0] - margin, zone - margin // 3


def _title(
    heading: str, text: str, language: Language, size: tuple[int, int], style: Style
) -> _Layout:
    """Set the heading large under a short rule, the text small below it."""
    unit, scale = min(size), style.scale
    left, top, right, bottom = _block(size, style)
    bar, gap = round(unit * 0.012), round(unit * 0.05)
    room = bottom - top - bar - 2 * gap
    title = lettering.fit(
        heading or text,
        language,
        weight="bold",
        width=right - left,
        height=round(room * 0.8),
        largest=round(unit * scale.title),
        smallest=round(unit * scale.title * 0.4),
        lines=4,
    )
    below = lettering.fit(
        text if heading else "",
        language,
        weight="regular",
        width=min(right - left, round(unit * 1.3)),
        height=room - title.height,
        largest=round(unit * scale.text),
        smallest=round(unit * scale.text * 0.8),
        lines=2,
    )
    total = bar + gap + title.height + (gap + below.height if below.lines else 0)
    rule = top + round((bottom - top - total) * 0.56)
    first = rule + bar + gap
    return _Layout(
        bar=(left, rule, left + round(unit * 0.12), rule + bar),
        parts=(
            (title, (left, first), style.colours.ink),
            (below, (left, first + title.height + gap), style.colours.muted),
        ),
    )


def _statement(
    heading: str, text: str, language: Language, size: tuple[int, int], style: Style
) -> _Layout:
    """Set heading over text beside an upright rule; a text without heading is set larger."""
    unit, scale = min(size), style.scale
    left, top, right, bottom = _block(size, style)
    bar, indent = round(unit * 0.012), round(unit * 0.055)
    wide = right - left - indent
    head = lettering.fit(
        heading,
        language,
        weight="bold",
        width=min(wide, round(unit * 1.4)),
        height=round((bottom - top) * (0.6 if text else 1)),
        largest=round(unit * scale.heading),
        smallest=round(unit * scale.heading * 0.5),
        lines=3,
    )
    gap = round(unit * 0.045) if head.lines and text else 0
    body = lettering.fit(
        text,
        language,
        weight="regular",
        width=min(wide, round(unit * 1.25)),
        height=bottom - top - head.height - gap,
        largest=round(unit * (scale.text if head.lines else scale.heading * 0.8)),
        smallest=round(unit * scale.text * 0.8),
        lines=5,
    )
    total = head.height + gap + body.height
    first = top + (bottom - top - total) // 2
    parts = (
        (head, (left + indent, first), style.colours.ink),
        (
            body,
            (left + indent, first + head.height + gap),
            style.colours.muted if head.lines else style.colours.ink,
        ),
    )
    return _Layout(bar=(left, first, left + bar, first + total), parts=parts)


_LAYOUTS: dict[Kind, Callable[[str, str, Language, tuple[int, int], Style], _Layout]] = {
    "title": _title,
    "statement": _statement,
}


def _sun(pixels: np.ndarray, frame: tuple[int, int], style: Style, place: _Place) -> None:
    """Paint a disc in a tint of the accent."""
    distance, radius = _from_centre(pixels, frame, place)
    disc = np.clip(radius - distance + 0.5, 0, 1)
    halo = np.exp(-np.maximum(distance - radius, 0) / (radius * 0.5))
    colour = _array(style.colours.accent)
    pixels += (colour - pixels) * (disc * 0.20 + (1 - disc) * halo * 0.07)


def _moon(
    pixels: np.ndarray, frame: tuple[int, int], style: Style, place: _Place, quiet: Sequence[Box]
) -> None:
    """Paint a bright disc with its glow, dim where words stand before it."""
    distance, radius = _from_centre(pixels, frame, place)
    spot = (place[0] * frame[0], place[1] * frame[1])
    away = min((_away(spot, box) for box in quiet), default=np.inf)
    strength = 0.92 if away > radius * 1.15 else 0.13
    disc = np.clip(radius - distance + 0.5, 0, 1)
    seas = np.ones_like(disc)
    for across, down, share in ((-0.32, -0.22, 0.34), (0.24, 0.3, 0.3), (0.36, -0.3, 0.2)):
        place_of_sea = (
            place[0] + across * radius / frame[0],
            place[1] + down * radius / frame[1],
            share * place[2],
        )
        near, reach = _from_centre(pixels, frame, place_of_sea)
        seas -= 0.11 * np.clip((reach - near) / (0.4 * reach), 0, 1)
    halo = np.exp(-np.maximum(distance - radius, 0) / (radius * 0.9))
    colour = _array(style.colours.ink)
    pixels += (colour * seas - pixels) * disc * strength
    pixels += (colour - pixels) * (1 - disc) * halo * 0.22 * min(1.0, strength * 1.1)


def _away(spot: tuple[float, float], box: Box) -> float:
    """Return how far `spot` is from `box`, 0 inside."""
    x, y = spot
    return float(np.hypot(max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])))


def _from_centre(
    pixels: np.ndarray, frame: tuple[int, int], place: _Place
) -> tuple[np.ndarray, float]:
    """Return every pixel's distance from the disc's centre, and the disc's radius."""
    high, wide = pixels.shape[:2]
    x = (wide - frame[0]) / 2 + place[0] * frame[0]
    y = (high - frame[1]) / 2 + place[1] * frame[1]
    distance = np.hypot(
        (np.arange(wide) - x).astype(np.float32)[None, :],
        (np.arange(high) - y).astype(np.float32)[:, None],
    )
    return distance[..., None], place[2] * min(frame)


def _stars(
    pixels: np.ndarray, frame: tuple[int, int], random: np.random.Generator, quiet: Sequence[Box]
) -> None:
    high, wide = pixels.shape[:2]
    left, top = (wide - frame[0]) / 2, (high - frame[1]) / 2
    aside = min(frame) // 40
    for across, down, light in random.uniform(size=(140, 3)):
        x, y = across * wide, down * high * 0.72
        if any(_away((x - left, y - top), box) < aside for box in quiet):
            continue
        radius = min(frame) / 1080 * (0.8 + 1.5 * light**3)
        reach = int(4 * radius) + 1
        rows = np.arange(max(0, int(y) - reach), min(high, int(y) + reach + 1))
        columns = np.arange(max(0, int(x) - reach), min(wide, int(x) + reach + 1))
        square = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2
        glow = np.exp(-square / (2 * radius**2))[..., None] * (0.25 + 0.6 * light)
        area = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        area += (250 - area) * glow


def _hills(
    pixels: np.ndarray, frame: tuple[int, int], style: Style, random: np.random.Generator
) -> None:
    """Paint layers of hills from far to near, each with the soft shadow of cut paper above it."""
    high, wide = pixels.shape[:2]
    top = (high - frame[1]) / 2
    across = np.arange(wide) / min(frame)
    rows = np.arange(high, dtype=np.float32)[:, None]
    far, near = _array(style.colours.horizon), _array(style.colours.ornament)
    for layer in range(_HILLS):
        depth = (layer + 1) / _HILLS
        wave = np.zeros(wide)
        for step in range(1, 5):
            phase = random.uniform(0, 2 * np.pi)
            wave += np.sin(across * step * (1.5 + 0.3 * layer) + phase) / step**1.3
        swing = 0.030 * frame[1] * wave / max(1e-9, float(np.abs(wave).max()))
        crest = top + frame[1] * (_HIGHEST + 0.03 + 0.085 * layer) + swing
        crest = crest.astype(np.float32)
        first = max(0, int(crest.min() - 0.08 * frame[1]))
        area = pixels[first:]
        above = crest[None, :] - rows[first:]
        shadow = np.where(above > 0, np.exp(-np.maximum(above, 0) / (0.012 * frame[1])), 0)
        area *= 1 - 0.10 * shadow[..., None]
        cover = np.clip(0.5 - above, 0, 1)[..., None]
        tone = far + (near - far) * depth**1.2
        fade = np.clip(-above / (0.30 * frame[1]), 0, 1)[..., None]
        area += (tone + (far - tone) * 0.35 * fade - area) * cover


def _grain(pixels: np.ndarray, strength: float) -> None:
    """Add the tooth of paper: fine noise and faint long fibres, up to about four levels."""
    high, wide = pixels.shape[:2]
    random = np.random.default_rng(7)
    fine = random.standard_normal((high, wide), dtype=np.float32)
    coarse = random.normal(0, 1, (high // 3 + 1, wide // 24 + 1))
    fibres = np.asarray(
        Image.fromarray(coarse.astype(np.float32)).resize((wide, high), Image.Resampling.BICUBIC)
    )
    pixels += (np.float32(strength) * (2 * fine + np.float32(2.2) * fibres))[..., None]


def _array(colour: RGB) -> np.ndarray:
    return np.array(colour, dtype=np.float32)
