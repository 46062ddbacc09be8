"""What a font lacks in the line: emoji, taken from Noto Emoji, and small figures above or below it.

Noto Emoji is drawn in one colour, so an emoji has the ink of the words around it, and its weight.
The subscript of H₂O and most superscripts are in none of our fonts: they are its figures, smaller.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageFont

from app import language

PACKAGE, FILE = "manimgx_fonts", "NotoEmoji[wght].ttf"
_SCALE = 0.9
"""Size of an emoji to that of the words: as tall as a Chinese character, whose em it then fills."""
_WEIGHTS = {"regular": 400, "bold": 700}
"""On the font's axis `wght`, which goes from 300 to 700."""
_RAISE = 0.035
"""How far above the baseline of the words its own is, in their ems: centred on capitals and Han."""

_ABOVE, _BELOW = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎"
SMALL = frozenset(_ABOVE + _BELOW)
"""Characters that are drawn as smaller ones of the font, whether it has them or not."""
_SMALL_RUN = re.compile(f"[{_ABOVE}]+|[{_BELOW}]+")
_SMALL_SCALE = 0.62
_SMALL_RISES = (0.34, -0.1)
"""Of superscripts and subscripts: how far above the baseline of the words, in their ems."""


def path() -> Path:
    """Return the font file.

    Raises:
        ModuleNotFoundError: Its wheel is not installed.
    """
    return Path(str(resources.files(PACKAGE).joinpath(FILE)))


@lru_cache(maxsize=64)
def _font(size: float, *, bold: bool) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(str(path()), size, layout_engine=ImageFont.Layout.RAQM)
    font.set_variation_by_axes([_WEIGHTS["bold" if bold else "regular"]])
    return font


class _Run(NamedTuple):
    """A piece of a line in one font; `drop` is how far below the baseline it is set, in pixels.

    Marks alone take their regional form from `company`, a character that is shaped with them and
    not drawn.
    """

    text: str
    font: ImageFont.FreeTypeFont | None = None
    drop: float = 0.0
    company: str = ""

    @property
    def shaped(self) -> str:
        return self.text + self.company


class Face(ImageFont.FreeTypeFont):
    """A font that draws and measures emoji and small figures as well; without any it costs nothing.

    Only lines from left to right, in one colour: what this program sets.
    """

    bold = False

    def _runs(self, text: str | bytes) -> list[_Run]:
        """Return the line's pieces; one without a font is this one's own."""
        if isinstance(text, bytes) or text.isascii():
            return []
        found = [(span, self._emoji) for span in language.emoji_spans(text)]
        found += [(match.span(), self._small) for match in _SMALL_RUN.finditer(text)]
        runs: list[_Run] = []
        at = 0
        for (start, end), run in sorted(found, key=lambda one: one[0]):
            if start > at:
                runs.append(_own(text[at:start]))
            runs.append(run(text[start:end]))
            at = end
        if runs and at < len(text):
            runs.append(_own(text[at:]))
        return runs

    def _emoji(self, text: str) -> _Run:
        font = _font(self.size * _SCALE, bold=self.bold)
        return _Run(text, font, -self.size * _RAISE)

    def _small(self, text: str) -> _Run:
        rise = _SMALL_RISES[text[0] in _BELOW]
        plain = unicodedata.normalize("NFKC", text)
        return _Run(plain, self._smaller, -self.size * rise)

    @cached_property
    def _smaller(self) -> ImageFont.FreeTypeFont:
        return self.font_variant(size=self.size * _SMALL_SCALE)

    def getlength(self, text: str | bytes, *more: Any, **named: Any) -> float:
        runs = self._runs(text)
        if not runs:
            return super().getlength(text, *more, **named)
        return sum(self._advance(run, *more, **named) for run in runs)

    def _advance(self, run: _Run, *more: Any, **named: Any) -> float:
        if run.font:
            return run.font.getlength(run.text)
        alone = super().getlength(run.company, *more, **named) if run.company else 0.0
        return super().getlength(run.shaped, *more, **named) - alone

    def getbbox(  # noqa: PLR0917 - Pillow's signature
        self,
        text: str | bytes | bytearray,
        mode: str = "",
        direction: str | None = None,
        features: list[str] | None = None,
        language: str | None = None,
        stroke_width: float = 0,
        anchor: str | None = None,
    ) -> tuple[float, float, float, float]:
        if isinstance(text, bytearray) or not self._runs(text):
            return super().getbbox(text, mode, direction, features, language, stroke_width, anchor)
        mask, (left, top) = self.getmask2(
            text, "L", direction, features, language, stroke_width, anchor
        )
        return left, top, left + mask.size[0], top + mask.size[1]

    def getmask2(  # noqa: PLR0917 - Pillow's signature
        self,
        text: str | bytes,
        mode: str = "",
        direction: str | None = None,
        features: list[str] | None = None,
        language: str | None = None,
        stroke_width: float = 0,
        anchor: str | None = None,
        ink: int = 0,
        start: tuple[float, float] | None = None,
        *more: Any,
        **named: Any,
    ) -> tuple[Any, tuple[int, int]]:
        given = (direction, features, language, stroke_width)
        runs = self._runs(text)
        if not runs:
            return super().getmask2(text, mode, *given, anchor, ink, start, *more, **named)
        across, down = start or (0.0, 0.0)
        pieces: list[tuple[Image.Image, int, int]] = []
        for run in runs:
            x, y = across, down + run.drop
            part = (x % 1, y % 1)  # below zero Pillow would cut a row off
            if run.font:
                mask, offset = run.font.getmask2(
                    run.text, "L", None, None, None, stroke_width, "ls", ink, part, *more, **named
                )
            else:
                mask, offset = super().getmask2(
                    run.shaped, "L", *given, "ls", ink, part, *more, **named
                )
            wide = self._advance(run, "", direction, features, language)
            across += wide
            image = Image.Image()._new(mask)  # noqa: SLF001 - no other way from a mask of Pillow's
            if run.company:
                seen = min(image.width, max(0, round(wide) - offset[0]))
                image = image.crop((0, 0, seen, image.height))
            pieces.append((image, math.floor(x) + offset[0], math.floor(y) + offset[1]))
        whole, left, top = _joined(pieces)
        dx, dy = self._anchored(anchor or "la", across - (start or (0.0, 0.0))[0], whole, top)
        return whole.im, (left + dx, top + dy)

    def _anchored(
        self, anchor: str, length: float, whole: Image.Image, top: int
    ) -> tuple[int, int]:
        """Return how far a line on its baseline is to be moved for an anchor of Pillow's."""
        ascent, descent = self.getmetrics()
        dx = {"l": 0.0, "m": -length / 2, "r": -length}[anchor[0]]
        dy = {
            "s": 0.0,
            "a": float(ascent),
            "d": float(-descent),
            "m": (ascent - descent) / 2,
            "t": float(-top),
            "b": float(-top - whole.height),
        }[anchor[1]]
        return round(dx), round(dy)


def _own(text: str) -> _Run:
    marks = not any(map(str.isalnum, text)) and any(language.width(c) == 2 for c in text)
    return _Run(text, company="一" if marks else "")


def _joined(pieces: list[tuple[Image.Image, int, int]]) -> tuple[Image.Image, int, int]:
    """Return the masks as one, and where its upper left corner lies."""
    inked = [piece for piece in pieces if piece[0].width and piece[0].height]
    if not inked:
        return Image.new("L", (0, 0)), 0, 0
    left, top = min(x for _, x, _ in inked), min(y for _, _, y in inked)
    right = max(x + mask.width for mask, x, _ in inked)
    bottom = max(y + mask.height for mask, _, y in inked)
    whole = Image.new("L", (right - left, bottom - top))
    for mask, x, y in inked:
        box = (x - left, y - top, x - left + mask.width, y - top + mask.height)
        whole.paste(ImageChops.lighter(whole.crop(box), mask), box)
    return whole, left, top
