"""Cues drawn, in four styles.

`karaoke`  the cue on a rounded box, the word (in Chinese and Japanese the phrase) being said in
           another colour with a bar below it;
`boxed`    each line on a box of its own, solid, as broadcasters do;
`clean`    no box: a fine outline and a soft shadow;
`phrase`   a few words at a time on one line, large, with a strong outline, popping in gently.

Outline and shadow have the colour of the box, against which text is legible: what surrounds a
letter is never the picture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.media import fonts
from app.media.captions import places
from app.media.captions.cues import Cue, Mark
from app.media.captions.cutting import grouped, pieces
from app.media.captions.places import LINE_HEIGHT, PADDING
from app.media.styles import RGB, Style
from app.models import FPS, CaptionStyle, Language

Cover = NDArray[np.float32]

_RADIUS = {"karaoke": 0.34, "boxed": 0.1}
_BAR = 0.075  # of the type size, as are all lengths here
_DENSITY = 2
"""Of a shadow: how many lie one upon the other."""
_CAPITALS = 0.36
"""Half the height of capitals: they stand in the middle of their row."""

_POP = (0.92, 0.98)
"""Size of a phrase in its first frames; it is whole from then on."""
_POP_COVER = (0.5, 0.85)


@dataclass(frozen=True)
class _Edge:
    """What surrounds letters without a box: an outline, and a shadow around that."""

    outline: float
    blur: float
    spread: float
    drop: float
    opacity: float


_EDGES: dict[CaptionStyle, _Edge] = {
    "clean": _Edge(outline=0.06, blur=0.16, spread=0.14, drop=0.01, opacity=0.84),
    "phrase": _Edge(outline=0.1, blur=0.16, spread=0.1, drop=0.02, opacity=0.75),
}


@dataclass(frozen=True, eq=False)
class Raster:
    """A drawn caption: its upper left corner in the frame (even) and premultiplied RGBA."""

    x: int
    y: int
    pixels: NDArray[np.uint8]
    """Shape (height, width, 4), both even."""


class Painter:
    """Draws cues for frames of one size in one style; keeps the letters of the last cues."""

    def __init__(self, *, style: Style, language: Language, size: tuple[int, int]) -> None:
        self._look = style.captions
        self._style = style
        self._language = language
        self._size = size
        self._type = places.type_size(style, size, phrase=self._look.style == "phrase")
        self._letters = lru_cache(maxsize=2)(self._draw_letters)
        self._pieces = lru_cache(maxsize=2)(self._cut_pieces)
        self._sung = lru_cache(maxsize=2)(self._grouped)

    def moment(self, cue: Cue, time: float) -> Hashable:
        """Return what `raster` depends on: it draws the same for the same moment."""
        match self._look.style:
            case "karaoke":
                return cue, self._sung(cue).spoken(time)
            case "phrase":
                piece = self._piece(cue, time)
                return piece, _popped(piece, time)
            case _:
                return cue

    def raster(self, cue: Cue, time: float) -> Raster:
        """Return `cue` as it looks at `time` (the clock of the cue)."""
        match self._look.style:
            case "phrase":
                shown = self._piece(cue, time)
            case "karaoke":
                shown = self._sung(cue)
            case _:
                shown = cue
        drawn = self._letters(shown)
        pixels = drawn.pixels
        if self._look.style == "karaoke" and (spoken := shown.spoken(time)) is not None:
            pixels = pixels.copy()
            self._mark(drawn, shown, spoken, pixels)
        solid = np.rint(pixels).astype(np.uint8)
        if self._look.style == "phrase" and (step := _popped(shown, time)) < len(_POP):
            solid = _smaller(solid, _POP[step], _POP_COVER[step])
        return Raster(drawn.x, drawn.y, solid)

    def _grouped(self, cue: Cue) -> Cue:
        return grouped(cue, self._language)

    def _cut_pieces(self, cue: Cue) -> tuple[Cue, ...]:
        return pieces(cue, language=self._language, size=self._size)

    def _piece(self, cue: Cue, time: float) -> Cue:
        parts = self._pieces(cue)
        return next((part for part in reversed(parts) if part.start <= time), parts[0])

    def _mark(self, drawn: _Letters, cue: Cue, spoken: float, pixels: Cover) -> None:
        for mark in cue.marks:
            if mark.start == spoken:
                (left, right), (top, bottom) = drawn.reach(mark), drawn.rows[mark.line]
                cover = drawn.text[top:bottom, left:right].copy()
                cover[drawn.bar : drawn.bar + drawn.thickness] = 1
                _lay(self._look.mark, cover, pixels[top:bottom, left:right])

    def _draw_letters(self, cue: Cue) -> _Letters:
        family = fonts.suited("".join(cue.lines), self._language, self._style.fonts.caption)
        kind = self._look.style
        aside, above = self._padding()
        size = self._fitting(cue.lines, family)
        reaches = [self._inked(line, size, family) for line in cue.lines]
        lengths = [right - left for left, right in reaches]
        row = round(LINE_HEIGHT * size)
        width, height = _even(max(lengths) + 2 * aside), _even(len(cue.lines) * row + 2 * above)
        lefts = [(width - left - right) / 2 for left, right in reaches]
        tops = [above + number * row for number in range(len(cue.lines))]
        base = round(0.5 * row + _CAPITALS * size)
        ink = _Ink(cue.lines, lefts, [top + base for top in tops], size, self._language, family)
        pixels = np.zeros((height, width, 4), np.float32)
        text = ink.cover((width, height))
        if kind in _EDGES:
            self._surround(ink, _EDGES[kind], pixels)
        else:
            self._box(list(zip(lengths, tops, strict=True)), row, pixels)
        _lay(self._look.text, text, pixels)
        return _Letters(
            x=_even((self._size[0] - width) / 2),
            y=int(self._top(height, above)) // 2 * 2,  # up, never down over the safe area's edge
            pixels=pixels,
            text=text,
            reach=lambda mark: self._reach(cue.lines[mark.line], mark, lefts[mark.line], ink),
            rows=[(top, top + row) for top in tops],
            bar=base + round(0.2 * size),
            thickness=max(1, round(_BAR * size)),
        )

    def _padding(self) -> tuple[int, int]:
        """Return pixels around the text, sideways and up and down: of a box, or for a shadow."""
        edge = _EDGES.get(self._look.style)
        if edge is None:
            return round(PADDING[0] * self._type), round(PADDING[1] * self._type)
        reach = edge.outline + edge.spread + edge.drop + 3 * edge.blur
        return round(reach * self._type), round(reach * self._type)

    def _box(self, lines: Sequence[tuple[float, int]], row: int, pixels: Cover) -> None:
        """Draw one box around all lines, or in `boxed` one around each."""
        height, width = pixels.shape[:2]
        radius = _RADIUS[self._look.style] * self._type
        if self._look.style == "karaoke":
            _lay(self._look.box, _rounded(width, height, radius) * self._look.opacity, pixels)
            return
        aside, _ = self._padding()
        widest = max(length for length, _ in lines)
        cover = np.zeros((height, width), np.float32)
        for number, (length, top) in enumerate(lines):
            upper = top if number else 0
            lower = height if number == len(lines) - 1 else top + row
            alike = widest - length < 2 * self._type  # a step that small looks like a slip
            wide = min(width, _even((widest if alike else length) + 2 * aside))
            left = (width - wide) // 2
            part = cover[upper:lower, left : left + wide]
            np.maximum(part, _rounded(wide, lower - upper, radius), out=part)
        _lay(self._look.box, cover, pixels)

    def _surround(self, ink: _Ink, edge: _Edge, pixels: Cover) -> None:
        """Draw shadow and outline; the text comes over them."""
        size = (pixels.shape[1], pixels.shape[0])
        thick = ink.cover(size, outline=(edge.outline + edge.spread) * ink.size)
        drop = round(edge.drop * ink.size)
        thick = np.roll(thick, drop, axis=0)
        shadow = np.asarray(cv2.GaussianBlur(thick, (0, 0), max(0.5, edge.blur * ink.size)))
        shadow = 1 - (1 - shadow) ** _DENSITY  # dense at the letters, thin at its rim
        _lay(self._look.box, shadow * np.float32(edge.opacity), pixels)
        outline = max(1.0, edge.outline * ink.size)
        _lay(self._look.box, ink.cover(size, outline=outline), pixels)

    def _fitting(self, lines: Sequence[str], family: fonts.Family) -> int:
        """Return the size of type: the style's, or what the widest line leaves room for."""
        edge = _EDGES.get(self._look.style)
        reach = edge.outline + edge.spread + edge.blur if edge else PADDING[0]
        aside = round(reach * self._type)
        room = places.room(self._size) - 2 * aside
        reaches = [self._inked(line, self._type, family) for line in lines]
        widest = max(right - left for left, right in reaches)
        return self._type if widest <= room else max(8, int(self._type * room / widest))

    def _top(self, height: int, above: int) -> float:
        """Return the upper edge: boxes end at the safe area; a phrase is in the middle of two lines."""
        floor, whole = places.safe(self._size).bottom, places.block(self._style, self._size)
        match self._look.style:
            case "phrase":
                return floor - (whole + height) / 2
            case "clean":  # the letters end where those on a box do
                return floor - height + above - round(PADDING[1] * self._type)
            case _:
                return floor - height

    def _length(self, text: str, size: int, family: fonts.Family) -> float:
        font = fonts.face(self._language, "bold", size, family)
        return font.getlength(text, language=fonts.tag(self._language))

    def _inked(self, line: str, size: int, family: fonts.Family) -> tuple[float, float]:
        """Return where a line's ink begins and ends: a full-width comma is mostly blank."""
        font = fonts.face(self._language, "bold", size, family)
        mask, offset = font.getmask2(line, "L", anchor="ls", language=fonts.tag(self._language))
        ink = mask.getbbox()
        if ink is None:
            return 0.0, self._length(line, size, family)
        return offset[0] + ink[0], offset[0] + ink[2]

    def _reach(self, line: str, mark: Mark, left: float, ink: _Ink) -> tuple[int, int]:
        """Return the columns of pixels a marked word takes."""
        start = left + self._length(line[: mark.begin], ink.size, ink.family)
        end = left + self._length(line[: mark.until], ink.size, ink.family)
        return max(0, round(start)), max(0, round(end))


@dataclass(frozen=True)
class _Ink:
    """Lines of text with the place of each: its left end and its baseline."""

    lines: Sequence[str]
    lefts: Sequence[float]
    baselines: Sequence[int]
    size: int
    language: Language
    family: fonts.Family

    def cover(self, size: tuple[int, int], outline: float = 0.0) -> Cover:
        """Return how far each pixel is covered (0-1), letters made `outline` pixels wider."""
        letters = Image.new("L", size)
        draw = ImageDraw.Draw(letters)
        font = fonts.face(self.language, "bold", self.size, self.family)
        bold = fonts.stroke("bold", self.size, self.family)
        for line, left, baseline in zip(self.lines, self.lefts, self.baselines, strict=True):
            draw.text(
                (left, baseline),
                line,
                fill=255,
                font=font,
                anchor="ls",
                language=fonts.tag(self.language),
                stroke_width=bold + outline,
            )
        return np.asarray(letters, np.float32) / np.float32(255)


@dataclass(frozen=True, eq=False)
class _Letters:
    """A cue without a mark, and where its words are; the bar's place is within a row."""

    x: int
    y: int
    pixels: Cover
    text: Cover
    reach: Callable[[Mark], tuple[int, int]]
    rows: list[tuple[int, int]]
    bar: int
    thickness: int


def _popped(piece: Cue, time: float) -> int:
    """Return the frames a phrase has been there, as far as they look different."""
    return min(len(_POP), max(0, int((time - piece.start) * FPS + 1e-6)))


def _smaller(pixels: NDArray[np.uint8], scale: float, cover: float) -> NDArray[np.uint8]:
    """Return the picture smaller, about its middle, and with `cover` of its strength."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), 0, scale)
    seen = cv2.warpAffine(pixels, matrix, (width, height))
    return np.asarray(cv2.convertScaleAbs(seen, alpha=cover), np.uint8)


def _lay(colour: RGB, cover: Cover, pixels: Cover) -> None:
    """Lay a colour over premultiplied RGBA `pixels`, as far as `cover` (0-1) says."""
    solid = np.array([*colour, 255], np.float32)
    pixels += cover[..., None] * (solid - pixels)


def _rounded(width: int, height: int, radius: float) -> Cover:
    """Return the coverage of a rounded box, smooth at its corners."""
    columns = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    rows = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    across, down = np.meshgrid(columns.clip(0), rows.clip(0))
    return np.asarray((radius + 0.5 - np.hypot(across, down)).clip(0, 1), np.float32)


def _even(length: float) -> int:
    return 2 * round(length / 2)
