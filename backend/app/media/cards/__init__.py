"""Typographic cards: what a scene without a picture shows, drawn from its words.

`settled` chooses a design by what the scene says (`choose.py`) and by the room there is for it;
`draw` draws it on the style's ground. The lower part of the frame belongs to the captions. A list
is drawn once for each of its points, and the renderer shows them one after the other.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image

from app.media import pictures
from app.media.cards import choose
from app.media.cards.choose import DESIGNS
from app.media.cards.sheet import Page, Sheet
from app.media.cards.words import Told, Words
from app.media.grounds import VERSION as _GROUNDS
from app.media.grounds import Box, Kind, background
from app.media.styles import Style
from app.models import Language

__all__ = [
    "VERSION",
    "Box",
    "Kind",
    "Told",
    "Words",
    "background",
    "draw",
    "laid_out",
    "settled",
    "shown_at_once",
]

VERSION = f"4 {_GROUNDS}"
"""Raised when the same inputs give another picture."""


def settled(told: Told, *, size: tuple[int, int], style: Style) -> Words:
    """Return what the card of a scene shows in a frame of `size`, and in which design.

    Raises:
        MediaError: `font_unusable`.
    """
    return choose.settled(told, Page(size, style, told.language))


def shown_at_once(words: Words) -> int:
    """Return how many points of a list are there from the start: one where nothing else is."""
    return 1 if words.points and not words.heading else 0


def laid_out(words: Words, *, language: Language, size: tuple[int, int], style: Style) -> Sheet:
    """Return all type and rules of a card with their places in a frame of `size`.

    Raises:
        MediaError: `font_unusable`.
    """
    return DESIGNS[words.design].lay(words, Page(size, style, language)) or Sheet(())


def draw(
    target: Path,
    words: Words,
    *,
    language: Language,
    size: tuple[int, int],
    style: Style,
    shown: int | None = None,
) -> None:
    """Write the card for a frame of `size` to `target`, `pictures.canvas(size)` pixels, RGB.

    `target` becomes a PNG if its name ends so, else a JPEG. Nothing is drawn outside the frame at
    rest, nor in the captions' zone.

    Args:
        target: The file.
        words: What is shown, as `settled` returns it.
        language: Of the words.
        size: Of the frame in pixels.
        style: The look.
        shown: Points of a list that are there already; None is all of them.

    Raises:
        MediaError: `font_unusable`.
    """
    sheet = laid_out(words, language=language, size=size, style=style)
    seed = f"{words.heading}\n{words.text}\n{words.number}"
    ground = DESIGNS[words.design].ground
    image = _ground(size, style, ground, seed, tuple(sheet.boxes)).copy()
    offset = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    sheet.onto(image, offset, shown=len(words.points) if shown is None else shown)
    pictures.save(image, target)


@lru_cache(maxsize=1)
def _ground(
    size: tuple[int, int], style: Style, kind: Kind, seed: str, quiet: tuple[Box, ...]
) -> Image.Image:
    """Return the ground, kept for the other stills of a list: it takes longer than the words."""
    return background(pictures.canvas(size), size, style, kind=kind, seed=seed, quiet=quiet)
