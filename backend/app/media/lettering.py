"""Display type: the largest size at which a text fits its box, with lines broken by sense.

Lines are balanced, so no last line holds a single character; breaks fall after punctuation where
they can, inside a word only where nothing else fits. Full-width opening brackets hang into the
margin, so that every line seems to start at the same place.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from PIL import ImageDraw, ImageFont

from app import language as written
from app.media import fonts
from app.models import Language

_Hand = tuple[Language, fonts.Weight]

_REFERENCE = 100
"""Size in pixels at which pieces are measured; advances grow in proportion."""
_STEP = 0.95
_LONGEST = 400
"""Characters that are laid out at all; no box here holds more."""
_ELLIPSIS = "…"

_PITCH: dict[Language, float] = {"en": 1.18, "zh-TW": 1.3, "ja": 1.3}
"""Baseline to baseline, in ems."""
_RISE: dict[Language, float] = {"en": 0.74, "zh-TW": 0.86, "ja": 0.86}
"""First baseline below the top of the ink: capitals; Chinese characters."""
_FALL: dict[Language, float] = {"en": 0.2, "zh-TW": 0.1, "ja": 0.1}
"""Ink below the last baseline."""

_OPENING = "「『《〈（【〔"
_CLOSING = "，。！？：；、」』》〉）】〕,.!?:;—–…"
_WEAK = frozenset(
    {"a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "of", "on", "that", "the"}
    | {"but", "or", "to", "with"}
)

# What a line break costs, against the squared share of the measure that a line leaves empty.
_COST_IN_WORD = 4.0
_COST_WIDOW = 1.0
_COST_WEAK = 0.2
_GAIN_PUNCTUATION = 0.12
_COST_SMALLER = 1.2
"""Against the share of the size that is given up for better lines, at most to `_TRADED`."""
_TRADED = 0.7


@dataclass(frozen=True)
class Setting:
    """A text set in lines at one size, ready to be measured and drawn."""

    lines: tuple[str, ...]
    language: Language
    weight: fonts.Weight
    size: int

    @property
    def face(self) -> ImageFont.FreeTypeFont:
        return fonts.face(self.language, self.weight, self.size)

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
        return round(
            max((_length(line, self.face, self.language) for line in self.lines), default=0)
        )

    def boxes(self, at: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Return left, top, right, bottom of every line drawn `at`."""
        rise, fall = self.size * _RISE[self.language], self.size * _FALL[self.language]
        return [
            (
                at[0],
                round(baseline - rise),
                at[0] + round(_length(line, self.face, self.language)),
                round(baseline + fall),
            )
            for line, baseline in zip(self.lines, self.baselines(at[1]), strict=True)
        ]

    def baselines(self, top: int) -> list[int]:
        first = top + round(self.size * _RISE[self.language])
        return [first + self.pitch * row for row in range(len(self.lines))]

    def draw(
        self, draw: ImageDraw.ImageDraw, at: tuple[int, int], fill: tuple[int, int, int]
    ) -> None:
        """Draw the lines with their left edge and the top of their ink at `at`."""
        for line, baseline in zip(self.lines, self.baselines(at[1]), strict=True):
            left = at[0] - (self.size // 2 if line[0] in _OPENING else 0)
            draw.text(
                (left, baseline),
                line,
                font=self.face,
                fill=fill,
                anchor="ls",
                language=fonts.tag(self.language),
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
) -> Setting:
    """Set `text` as large as it fits into `width` × `height` pixels and at most `lines` lines.

    A long word makes the type smaller before it is broken. What is still too long at the
    smallest size ends in an ellipsis. The result has no lines where there is no text or room.
    """
    clean = " ".join(text.split())[:_LONGEST]
    hand = (language, weight)
    pieces = [clean[start:end] for start, end in written.phrases(clean, language)]
    if not pieces:
        return Setting((), language, weight, smallest)
    for units in (_words(pieces), _characters(pieces)):
        best: tuple[float, Setting] | None = None
        for size in _sizes(largest, smallest):
            room = min(lines, _rows(size, height, language))
            found = _set(units, hand, size, width=width, most=room)
            if found is None:
                continue
            setting = Setting(found[1], language, weight, size)
            if best is not None and size < _TRADED * best[1].size:
                break
            if best is None or found[0] + _COST_SMALLER * (1 - size / best[1].size) < best[0]:
                best = found[0], setting
        if best is not None:
            return best[1]
    room = min(lines, _rows(smallest, height, language))
    cut = _cut(pieces, hand, smallest, width=width, most=room)
    return Setting(cut, language, weight, smallest)


def _sizes(largest: int, smallest: int) -> Iterator[int]:
    size = float(max(largest, smallest))
    while size > smallest:
        yield round(size)
        size *= _STEP
    yield smallest


def _rows(size: int, height: int, language: Language) -> int:
    ink = size * (_RISE[language] + _FALL[language])
    return 0 if ink > height else 1 + int((height - ink) / round(size * _PITCH[language]))


def _words(pieces: Sequence[str]) -> list[str]:
    """Join the pieces of a Latin word that was cut only because it is long."""
    joined: list[str] = []
    for piece in pieces:
        if joined and _in_word(joined[-1], piece):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _characters(pieces: Sequence[str]) -> list[str]:
    """Cut Latin words into characters with their marks; leave short and Chinese pieces whole."""
    parts: list[str] = []
    for piece in pieces:
        if written.width(piece) <= 12:
            parts.append(piece)
            continue
        start = len(parts)
        for character in piece:
            glued = unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf", "Zs")
            if len(parts) > start and (glued or character in _CLOSING or parts[-1] in _OPENING):
                parts[-1] += character
            else:
                parts.append(character)
    return parts


def _in_word(before: str, after: str) -> bool:
    left, right = before[-1], after[0]
    return left.isalnum() and right.isalnum() and written.width(left) == written.width(right) == 1


def _set(
    units: Sequence[str], hand: _Hand, size: int, *, width: int, most: int
) -> tuple[float, tuple[str, ...]] | None:
    """Return what the best lines cost, and the lines; None where they don't fit."""
    language, weight = hand
    scale = size / _REFERENCE
    full = [_advance(unit, language, weight) * scale for unit in units]
    bare = [_advance(unit.rstrip(), language, weight) * scale for unit in units]
    rows = _greedy(full, bare, width)
    if rows is None or rows > most:
        return None
    cost, edges = _balanced(units, full, bare, width, rows)
    found = tuple("".join(units[start:end]).rstrip() for start, end in pairwise(edges))
    final = fonts.face(language, weight, size)
    fits = all(_length(line, final, language) <= width for line in found)
    return (cost, found) if fits else None


@lru_cache(maxsize=8192)
def _advance(unit: str, language: Language, weight: fonts.Weight) -> float:
    return _length(unit, fonts.face(language, weight, _REFERENCE), language)


def _length(text: str, face: ImageFont.FreeTypeFont, language: Language) -> float:
    return face.getlength(text, language=fonts.tag(language))


def _greedy(full: Sequence[float], bare: Sequence[float], width: int) -> int | None:
    """Return the fewest lines that hold all units, None where one is wider than a line."""
    rows, used = 1, 0.0
    for advance, ink in zip(full, bare, strict=True):
        if ink > width:
            return None
        if used + ink > width:
            rows, used = rows + 1, 0.0
        used += advance
    return rows


def _balanced(
    units: Sequence[str], full: Sequence[float], bare: Sequence[float], width: int, rows: int
) -> tuple[float, list[int]]:
    """Return cost and edges (0 … number of units) of the `rows` lines that look best."""
    count = len(units)
    letters = [0, *accumulate(sum(map(str.isalnum, unit)) for unit in units)]
    breaks = [0.0, *(_break_cost(units, end) for end in range(1, count)), 0.0]
    lone = [unit.strip().lower() in _WEAK for unit in units]
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for row in range(1, rows + 1):
        reached: dict[int, tuple[float, int]] = {}
        for start, (before, _) in best[-1].items():
            used = 0.0
            for end in range(start + 1, count + 1):
                if used + bare[end - 1] > width:
                    break
                used += full[end - 1]
                if (end == count) != (row == rows):
                    continue
                cost = before + breaks[end] + max(0.0, 1 - used / width) ** 2
                widow = start > 0 and letters[end] - letters[start] <= 1
                if widow or (end == start + 1 and lone[start]):
                    cost += _COST_WIDOW
                if end not in reached or cost < reached[end][0]:
                    reached[end] = (cost, start)
        best.append(reached)
    edges = [count]
    for reached in reversed(best[1:]):
        edges.append(reached[edges[-1]][1])
    return best[-1][count][0], edges[::-1]


def _break_cost(units: Sequence[str], end: int) -> float:
    """Return what it costs to break the line before `units[end]`."""
    last = units[end - 1].strip()
    cost = _COST_IN_WORD if _in_word(units[end - 1], units[end]) else 0.0
    if last.lower() in _WEAK:
        cost += _COST_WEAK
    return cost - _GAIN_PUNCTUATION if last and last[-1] in _CLOSING else cost


def _cut(
    pieces: Sequence[str], hand: _Hand, size: int, *, width: int, most: int
) -> tuple[str, ...]:
    """Return the longest beginning of the text, with an ellipsis, that fits."""
    for units in (_words(pieces), _characters(pieces)):
        low, high = 0, len(units)
        found: tuple[str, ...] | None = None
        while low < high:
            kept = (low + high + 1) // 2
            last = units[kept - 1].rstrip().rstrip(_CLOSING) + _ELLIPSIS
            lines = _set([*units[: kept - 1], last], hand, size, width=width, most=most)
            if lines is None:
                high = kept - 1
            else:
                low, found = kept, lines[1]
        if found is not None:
            return found
    return ()
