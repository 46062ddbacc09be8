"""What stands behind a card's words: one drawing per kind of ground, named in a style.

All are drawn with numpy, deterministic by their seed, calm where words and captions stand. To add
one: a function from a `Plot` to pixels, a row in `GROUNDS` and its name in `styles.Cards`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from app.media.grounds import graphic, land, wash
from app.media.grounds.plot import Box, Kind, Pixels, Plot, grain
from app.media.styles import Ground, Style

__all__ = ["GROUNDS", "VERSION", "Box", "Kind", "background"]

VERSION = "6"
"""Raised when the same inputs give another picture."""

GROUNDS: dict[Ground, Callable[[Plot], Pixels]] = {
    "hills": land.hills,
    "night": land.night,
    "grid": graphic.grid,
    "ink": wash.ink,
    "shapes": graphic.shapes,
}
"""Name in a style → its drawing."""


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

    Args:
        canvas: Width and height of the picture.
        frame: Of its middle, which is seen at rest.
        style: Its ground and colours.
        kind: Opens or ends a video, or stands between.
        seed: Any text.
        quiet: The places of the words, in pixels of the frame: nothing there is so dark, light or
            busy that they could not be read.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    pixels = GROUNDS[style.cards.ground](Plot(canvas, frame, style, kind, quiet, random))
    grain(pixels, style.cards.texture)
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))
