"""The sheet a ground is drawn on, and what all grounds draw with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.media import captions
from app.media.styles import RGB, Style

Kind = Literal["title", "statement"]
"""How a ground is lit: a `title`'s opens or ends a video, a `statement`'s stands between."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

Place = tuple[float, float, float]
"""Centre across and down as shares of the frame, radius as a share of its shorter side."""

Pixels = NDArray[np.float32]
"""(height, width, 3) of the canvas, sRGB 0-255."""


@dataclass(frozen=True)
class Plot:
    """One ground to be: the canvas with the frame in its middle, the style, the words' places.

    Attributes:
        canvas: Width and height of what is drawn.
        frame: Of what is seen at rest.
        style: Gives the colours.
        kind: Opens or ends a video, or stands between.
        quiet: Where words stand, in pixels of the frame.
        random: Of this ground alone.
    """

    canvas: tuple[int, int]
    frame: tuple[int, int]
    style: Style
    kind: Kind
    quiet: Sequence[Box]
    random: np.random.Generator

    @property
    def shape(self) -> str:
        """`wide`, `tall` or `square`."""
        slope = self.frame[0] / self.frame[1]
        return "wide" if slope > 1.2 else "tall" if slope < 0.8 else "square"

    @property
    def unit(self) -> int:
        """The frame's shorter side."""
        return min(self.frame)

    @property
    def corner(self) -> tuple[float, float]:
        """The frame's upper left corner on the canvas."""
        return (self.canvas[0] - self.frame[0]) / 2, (self.canvas[1] - self.frame[1]) / 2

    @property
    def zone(self) -> float:
        """Where the captions' part begins, in pixels of the frame from the top."""
        return self.frame[1] * (1 - captions.zone(self.frame, self.style))

    @property
    def lowest(self) -> float:
        """Where the words end, in pixels of the frame from the top; 0 without words."""
        return float(max((box[3] for box in self.quiet), default=0))

    @cached_property
    def columns(self) -> NDArray[np.float32]:
        """Where each column's centre lies in the frame."""
        return np.arange(self.canvas[0], dtype=np.float32) + np.float32(0.5 - self.corner[0])

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """Where each row's centre lies in the frame; shape (height, 1)."""
        rows = np.arange(self.canvas[1], dtype=np.float32) + np.float32(0.5 - self.corner[1])
        return rows[:, None]

    def sky(self) -> Pixels:
        """Return the canvas in the background's colour, towards the horizon's at its lower edge."""
        fall = np.clip(self.rows[..., None] / self.frame[1], 0, 1) ** 1.4
        ground, horizon = colour(self.style.colours.background), colour(self.style.colours.horizon)
        sky = (ground + (horizon - ground) * fall).astype(np.float32)
        return np.broadcast_to(sky, (self.canvas[1], self.canvas[0], 3)).copy()

    def away(self, x: float, y: float) -> float:
        """Return how far a spot is from the nearest words, 0 inside; infinite without words."""
        found = (
            np.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom))
            for left, top, right, bottom in self.quiet
        )
        return float(min(found, default=np.inf))

    def distance(self, x: float, y: float) -> Pixels:
        """Return every pixel's distance from a spot of the frame; shape (height, width)."""
        found: Pixels = np.hypot(self.columns[None, :] - np.float32(x), self.rows - np.float32(y))
        return found

    def patch(self, pixels: Pixels, at: tuple[float, float], reach: float) -> Patch | None:
        """Return the part of the canvas around a spot of the frame; None where it is outside."""
        ends = []
        for place, corner, length in zip(at, self.corner, self.canvas, strict=True):
            first = max(0, int(place + corner - reach))
            ends.append((first, min(length, int(place + corner + reach) + 2)))
        (left, right), (top, bottom) = ends
        if left >= right or top >= bottom:
            return None
        part = pixels[top:bottom, left:right]
        return Patch(part, self.columns[left:right], self.rows[top:bottom])

    def roomiest(
        self, spots: Sequence[tuple[float, float]], *, most: float, gap: float, floor: float
    ) -> tuple[float, float, float] | None:
        """Return centre and radius of the largest disc that touches no words.

        Args:
            spots: Centres to try, as shares of the frame; the first of equals is taken.
            most: Radius that is large enough, in pixels, as all here.
            gap: Kept between disc and words.
            floor: What the disc stays above.
        """
        best: tuple[float, float, float] | None = None
        for across, down in spots:
            x, y = across * self.frame[0], down * self.frame[1]
            radius = min(most, self.away(x, y) - gap, floor - y)
            if radius > 0 and (best is None or radius > best[2] + 1):
                best = x, y, radius
        return best


@dataclass(frozen=True)
class Patch:
    """A part of the canvas, for a shape that is small.

    Attributes:
        pixels: A view of the canvas.
        columns: Where each of its columns lies in the frame.
        rows: Where each of its rows lies; shape (height, 1).
    """

    pixels: Pixels
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]

    def distance(self, x: float, y: float) -> Pixels:
        """Return every pixel's distance from a spot of the frame; shape (height, width)."""
        found: Pixels = np.hypot(self.columns[None, :] - np.float32(x), self.rows - np.float32(y))
        return found

    @property
    def corner(self) -> tuple[float, float]:
        """Its upper left corner in the frame; its first pixel's centre lies half a pixel further."""
        return float(self.columns[0]) - 0.5, float(self.rows[0, 0]) - 0.5


def colour(value: RGB) -> NDArray[np.float32]:
    """Return a colour to calculate with."""
    return np.array(value, dtype=np.float32)


def lay(pixels: Pixels, value: RGB, cover: NDArray[np.float32]) -> None:
    """Lay a colour over `pixels` as far as `cover` (0-1, (height, width)) says."""
    pixels += (colour(value) - pixels) * cover[..., None]


def edge(signed: NDArray[np.float32], softness: float = 1.0) -> NDArray[np.float32]:
    """Return the cover of a shape from each pixel's distance to its edge, above 0 outside."""
    cover: NDArray[np.float32] = np.clip(np.float32(0.5) - signed / np.float32(softness), 0, 1)
    return cover


def clouds(
    random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.float32]:
    """Return smooth noise of mean 0 and deviation 1, (height, width) for `size` (width, height)."""
    coarse = random.standard_normal((cells[1], cells[0])).astype(np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    return np.asarray((smooth - smooth.mean()) / max(1e-6, float(smooth.std())), np.float32)


def grain(pixels: Pixels, strength: float) -> None:
    """Add the tooth of paper: fine noise and faint long fibres, up to about four levels.

    Some of the fine noise is there in any case: without it a slow gradient shows its steps.
    """
    high, wide = pixels.shape[:2]
    random = np.random.default_rng(7)
    fine = random.standard_normal((high, wide), dtype=np.float32)
    coarse = random.normal(0, 1, (high // 3 + 1, wide // 24 + 1))
    fibres = np.asarray(
        Image.fromarray(coarse.astype(np.float32)).resize((wide, high), Image.Resampling.BICUBIC)
    )
    pixels += (np.float32(max(0.5, 2 * strength)) * fine + np.float32(2.2 * strength) * fibres)[
        ..., None
    ]
