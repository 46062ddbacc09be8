"""Display type: the largest size at which a text fits its box, with lines broken by sense.

Type gives up some of its size for lines that break after punctuation or between phrases, see
`breaking`; inside a word they break only where nothing else fits. Alignment is optical: the blank halves of
full-width marks and the side bearing of large letters hang out of the measure, Latin quotation
marks hang in part, and centred lines are centred without half of the marks they end in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple

from PIL import ImageDraw, ImageFont

from app import language as written
from app.media import breaking, fonts
from app.media.breaking import Unit
from app.models import Language

Align = Literal["left", "centre"]


class _Hand(NamedTuple):
    """What letters are drawn with, whatever their size."""

    language: Language
    weight: fonts.Weight
    family: fonts.Family


_REFERENCE = 100
"""Size in pixels at which pieces are measured; advances grow in proportion."""
_STEP = 0.95
_LONGEST = 400
"""Characters that are laid out at all; no box here holds more."""
_ELLIPSIS = "…"
_HYPHEN = "-"

_PITCH: dict[Language, float] = {"en": 1.18, "zh-TW": 1.3, "ja": 1.3}
"""Baseline to baseline, in ems."""
_RISE: dict[Language, float] = {"en": 0.74, "zh-TW": 0.86, "ja": 0.86}
"""First baseline below the top of the ink: capitals; Chinese characters."""
_FALL: dict[Language, float] = {"en": 0.2, "zh-TW": 0.1, "ja": 0.1}
"""Ink below the last baseline."""

_QUOTES = "“‘\"'«"
_LIGHT = "，。、；：,.;:"
"""What a centred line ends in with half its weight."""
_HANGING = 0.32
"""Ems that a Latin quotation mark hangs out."""


@dataclass(frozen=True)
class Setting:
    """A text set in lines at one size, ready to be measured and drawn.

    Attributes:
        measure: Pixels that centred lines are centred in.
    """

    lines: tuple[str, ...]
    language: Language
    weight: fonts.Weight
    size: int
    family: fonts.Family = "sans"
    align: Align = "left"
    measure: int = 0

    @property
    def face(self) -> ImageFont.FreeTypeFont:
        return fonts.face(self.language, self.weight, self.size, self.family)

    @property
    def pitch(self) -> int:
        return round(self.size * _PITCH[self.language])

    @property
    def height(self) -> int:
        """Pixels from the top of the first line's ink to the bottom of the last one's."""
        if not self.lines:
            return 0
        ink = self.size * (_RISE[self.language] + _FALL[self.language])
        return round(ink) + self.pitch * (len(self.lines) - 1)

    @property
    def width(self) -> int:
        """Pixels of the widest line."""
        return round(max((self._seen(line)[1] for line in self.lines), default=0))

    def _seen(self, line: str) -> tuple[float, float]:
        """Return how far a line's start hangs out of the measure, and the width of the rest."""
        hand = _Hand(self.language, self.weight, self.family)
        return _extent(line, hand, self.size)

    def _left(self, line: str) -> float:
        """Return where a line's pen starts, from the left edge of the measure."""
        hung, wide = self._seen(line)
        if self.align == "left":
            return -hung
        if (
            line[0] in _QUOTES
        ):  # it has its fellow in the same line, or the line is set apart anyway
            hung, wide = 0.0, wide + hung
        heavy = self._seen(line.rstrip(_LIGHT) or line)[1]
        return min((self.measure - (heavy + wide) / 2) / 2, self.measure - wide) - hung

    def boxes(self, at: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Return left, top, right, bottom of every line drawn `at`."""
        rise, fall = self.size * _RISE[self.language], self.size * _FALL[self.language]
        found = []
        for line, baseline in zip(self.lines, self.baselines(at[1]), strict=True):
            hung, wide = self._seen(line)
            left = at[0] + self._left(line) + hung
            found.append(
                (round(left), round(baseline - rise), round(left + wide), round(baseline + fall))
            )
        return found

    def baselines(self, top: int) -> list[int]:
        first = top + round(self.size * _RISE[self.language])
        return [first + self.pitch * row for row in range(len(self.lines))]

    def draw(
        self, draw: ImageDraw.ImageDraw, at: tuple[int, int], fill: tuple[int, int, int]
    ) -> None:
        """Draw the lines with their left edge and the top of their ink at `at`."""
        for line, baseline in zip(self.lines, self.baselines(at[1]), strict=True):
            draw.text(
                (at[0] + round(self._left(line)), baseline),
                line,
                font=self.face,
                fill=fill,
                anchor="ls",
                language=fonts.tag(self.language),
                stroke_width=fonts.stroke(self.weight, self.size, self.family),
            )


@dataclass(frozen=True)
class Run:
    """A few characters placed by their ink: a large figure, a quotation mark for an ornament.

    Attributes:
        rise: Pixels of ink above the baseline.
    """

    text: str
    language: Language
    weight: fonts.Weight
    size: int
    family: fonts.Family = "sans"

    @cached_property
    def _ink(self) -> tuple[int, int, int, int]:
        hand = _Hand(self.language, self.weight, self._family)
        return _ink(self.text, hand, self.size)

    @property
    def _family(self) -> fonts.Family:
        return fonts.suited(self.text, self.language, self.family)

    @property
    def width(self) -> int:
        return self._ink[2] - self._ink[0]

    @property
    def height(self) -> int:
        return self._ink[3] - self._ink[1]

    @property
    def rise(self) -> int:
        return -self._ink[1]

    def boxes(self, at: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Return left, top, right, bottom of the ink drawn `at`."""
        return [(*at, at[0] + self.width, at[1] + self.height)]

    def draw(
        self, draw: ImageDraw.ImageDraw, at: tuple[int, int], fill: tuple[int, int, int]
    ) -> None:
        """Draw the characters with the upper left corner of their ink at `at`."""
        draw.text(
            (at[0] - self._ink[0], at[1] - self._ink[1]),
            self.text,
            font=fonts.face(self.language, self.weight, self.size, self._family),
            fill=fill,
            anchor="ls",
            language=fonts.tag(self.language),
            stroke_width=fonts.stroke(self.weight, self.size, self._family),
        )


def fit(
    text: str,
    language: Language,
    *,
    weight: fonts.Weight,
    width: int,
    height: int,
    largest: int,
    smallest: int,
    lines: int,
    family: fonts.Family = "sans",
    align: Align = "left",
    smaller: float = 1.2,
) -> Setting:
    """Set `text` as large as it fits into `width` × `height` pixels and at most `lines` lines.

    A long word makes the type smaller before it is broken. What is still too long at the
    smallest size ends in an ellipsis. The result has no lines where there is no text or room.
    A text that `family` can't draw whole is set in sans. `smaller` weighs the size that is
    given up for better lines: 15 % cost 0.2 of it, half 1.2, and see `breaking` for what lines cost.

    Raises:
        MediaError: `font_unusable`.
    """
    clean, hand = _prepared(text, language, weight, family)

    def made(found: tuple[str, ...], size: int) -> Setting:
        return Setting(found, language, weight, size, hand.family, align, width)

    for most in (None, breaking.LOOSE):
        parts = breaking.units(clean, language, most=most)
        if not parts:
            return made((), smallest)
        best: tuple[float, Setting] | None = None
        for size in sizes(largest, smallest):
            lost = log(max(largest, smallest) / size)
            given_up = smaller * (lost + lost**2)
            if best is not None and given_up >= best[0]:
                break
            room = min(lines, _rows(size, height, language))
            found = _set(parts, hand, size, width=width, most=room)
            if found is not None and (best is None or found[0] + given_up < best[0]):
                best = found[0] + given_up, made(found[1], size)
        if best is not None:
            return best[1]
    room = min(lines, _rows(smallest, height, language))
    return made(_cut(clean, hand, smallest, width=width, most=room), smallest)


def whole(
    text: str,
    language: Language,
    *,
    weight: fonts.Weight,
    size: int,
    width: int,
    lines: int,
    family: fonts.Family = "sans",
    align: Align = "left",
) -> Setting | None:
    """Set all of `text` at just this size; None where that takes more room or a broken word.

    Raises:
        MediaError: `font_unusable`.
    """
    clean, hand = _prepared(text, language, weight, family)
    parts = breaking.units(clean, language)
    found = _set(parts, hand, size, width=width, most=lines) if parts else (0.0, ())
    if found is None or len(text) > _LONGEST:
        return None
    return Setting(found[1], language, weight, size, hand.family, align, width)


def _prepared(
    text: str, language: Language, weight: fonts.Weight, family: fonts.Family
) -> tuple[str, _Hand]:
    clean = " ".join(text.split())[:_LONGEST]
    return clean, _Hand(language, weight, fonts.suited(clean, language, family))


def sizes(largest: int, smallest: int) -> Iterator[int]:
    """Yield the sizes in pixels that are tried, from the largest on."""
    size = float(max(largest, smallest))
    while size > smallest:
        yield round(size)
        size *= _STEP
    yield smallest


def _rows(size: int, height: int, language: Language) -> int:
    ink = size * (_RISE[language] + _FALL[language])
    return 0 if ink > height else 1 + int((height - ink) / round(size * _PITCH[language]))


def _set(
    parts: Sequence[Unit], hand: _Hand, size: int, *, width: int, most: int
) -> tuple[float, tuple[str, ...]] | None:
    """Return what the best lines cost, and the lines; None where they don't fit."""
    scale = size / _REFERENCE
    full = [_advance(part.text, hand) * scale for part in parts]
    bare = [_advance(part.text.rstrip() + _HYPHEN * part.hyphen, hand) * scale for part in parts]
    broken = breaking.best(parts, full, bare, width=width, most=most)
    if broken is None:
        return None
    found = tuple(
        "".join(part.text for part in parts[start:end]).rstrip() + _HYPHEN * parts[end - 1].hyphen
        for start, end in pairwise(broken[1])
    )
    wide = (line for line in found if _length(line, hand, size) > width)  # ink takes less
    fits = all(_extent(line, hand, size)[1] <= width for line in wide)
    return (broken[0], found) if fits else None


@lru_cache(maxsize=8192)
def _advance(unit: str, hand: _Hand) -> float:
    return _length(unit, hand, _REFERENCE)


def _length(text: str, hand: _Hand, size: int) -> float:
    face = fonts.face(hand.language, hand.weight, size, hand.family)
    return face.getlength(text, language=fonts.tag(hand.language))


@lru_cache(maxsize=2048)
def _extent(line: str, hand: _Hand, size: int) -> tuple[float, float]:
    """Return how far a line hangs out to the left, and from there the width of its ink.

    A Chinese character keeps its square, so that columns of them stand in line.
    """
    left, _, right, _ = _ink(line, hand, size)
    hung = float(left)
    if written.width(line[0]) == 2 and line[0] not in written.OPENING:
        hung = min(hung, 0.04 * size)
    if line[0] in _QUOTES and len(line) > 1:
        hung = min(_advance(line[0], hand) / _REFERENCE, _HANGING) * size
    return hung, right - hung


@lru_cache(maxsize=2048)
def _ink(text: str, hand: _Hand, size: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the pixels that are inked, from the pen's start."""
    mask, offset = fonts.face(hand.language, hand.weight, size, hand.family).getmask2(
        text,
        anchor="ls",
        language=fonts.tag(hand.language),
        stroke_width=fonts.stroke(hand.weight, size, hand.family),
    )
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    x, y = round(offset[0]), round(offset[1])
    return left + x, top + y, right + x, bottom + y


def _cut(clean: str, hand: _Hand, size: int, *, width: int, most: int) -> tuple[str, ...]:
    """Return the longest beginning of the text, with an ellipsis, that fits."""
    for whole_to in (None, breaking.LOOSE, 1):
        parts = breaking.units(clean, hand.language, most=whole_to)
        low, high = 0, len(parts)
        found: tuple[str, ...] | None = None
        while low < high:
            kept = (low + high + 1) // 2
            last = parts[kept - 1].text.rstrip().rstrip(breaking.CLOSING) + _ELLIPSIS
            lines = _set([*parts[: kept - 1], Unit(last)], hand, size, width=width, most=most)
            if lines is None:
                high = kept - 1
            else:
                low, found = kept, lines[1]
        if found is not None:
            return found
    return ()
