"""Captions: a spoken sentence cut into cues, a cue drawn with its current word marked, SRT, VTT.

A cue shows the text as written. It starts with its first word and ends with its last one; where
a sentence needs several cues, each lasts until the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from itertools import zip_longest
from math import inf

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app import language as languages
from app.media import fonts
from app.media.styles import RGB, Style
from app.models import Language, Word

LINES = 2
"""Most lines of a cue: what a viewer takes in beside the picture."""

PAUSE = 0.5
"""Seconds of silence inside a sentence after which its cue is taken away."""

_COLUMNS: dict[str, dict[Language, int]] = {
    "wide": {"en": 42, "zh-TW": 32, "ja": 32},
    "square": {"en": 32, "zh-TW": 28, "ja": 28},
    "tall": {"en": 24, "zh-TW": 24, "ja": 24},
}
"""Columns of a line. 42 and 16 characters are what broadcasters and streaming services allow."""

_CLAUSE_END = frozenset(",.;:!?…—，。；：！？、）」』”)")
_LINE_HEIGHT = 1.32  # of the type size, here and below
_PADDING = (0.62, 0.36)  # sideways, up and down
_RADIUS = 0.34
_BAR = 0.075
_TALL_TYPE = 1.3
_SAFE = 0.05  # share of the frame's height kept free at its lower edge


@dataclass(frozen=True)
class Mark:
    """A word's place in a cue: while it sounds, `begin`-`until` of line `line` is marked."""

    start: float
    end: float
    line: int
    begin: int
    until: int


@dataclass(frozen=True)
class Cue:
    """What is shown at once: at most two lines, from `start` to `end` in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]

    def shifted(self, seconds: float) -> Cue:
        """Return this cue `seconds` later."""
        marks = tuple(
            replace(mark, start=mark.start + seconds, end=mark.end + seconds) for mark in self.marks
        )
        return replace(self, start=self.start + seconds, end=self.end + seconds, marks=marks)

    def spoken(self, time: float) -> float | None:
        """Return the start of the word marked at `time`: the last one that has begun."""
        begun = [mark.start for mark in self.marks if mark.start <= time]
        return begun[-1] if begun else None


def shape(size: tuple[int, int]) -> str:
    """Return `wide`, `square` or `tall` for a frame of `size`."""
    ratio = size[0] / size[1]
    return "wide" if ratio > 1.2 else "tall" if ratio < 0.85 else "square"


def cues(
    text: str,
    words: Sequence[Word],
    seconds: float,
    *,
    language: Language,
    size: tuple[int, int],
) -> tuple[Cue, ...]:
    """Cut one spoken sentence into cues on the clock of its sound.

    Args:
        text: The sentence as written; the words' spans point into it.
        words: Its words, in order.
        seconds: Length of the sound; what a sentence without words is shown for.
        language: Decides where lines may break.
        size: Of the frame; decides how long a line may be.
    """
    clean = "".join(" " if character.isspace() else character for character in text)
    if not clean.strip():
        return ()
    columns = _COLUMNS[shape(size)][language]
    places = _places(clean, words, language, columns)
    found: list[Cue] = []
    for start, end in _cut(clean, places, words, columns):
        lines = _lines(clean, [p for p in places if start <= p <= end], columns)
        cue = _cue(clean, lines, words, seconds)
        if cue.marks or not words:  # signs without a sound have no time of their own
            found.append(cue)
    return tuple(
        replace(cue, end=following.start)
        if following and following.start - cue.end < PAUSE
        else cue
        for cue, following in zip_longest(found, found[1:])
    )


def _places(text: str, words: Sequence[Word], language: Language, columns: int) -> list[int]:
    """Return where a line may break, ends included: between phrases, inside a word only if it must."""
    places = [0]
    ends = [end for _, end in languages.phrases(text, language)]
    inside = {at for word in words for at in range(word.span[0] + 1, word.span[1])}
    held: list[int] = []
    for end in ends:
        if end in inside:
            held.append(end)
            continue
        if held and languages.width(text[places[-1] : end].strip()) > columns:
            places += held
        held = []
        places.append(end)
    if places[-1] != len(text):
        places.append(len(text))
    return places


def _cut(
    text: str, places: Sequence[int], words: Sequence[Word], columns: int
) -> list[tuple[int, int]]:
    """Return the spans of the cues: few, of even length, ending with a clause where they can."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for last in range(1, len(places)):
        costs: list[tuple[float, int]] = []
        for first in range(last - 1, -1, -1):
            part = text[places[first] : places[last]].strip()
            filled = languages.width(part) / (LINES * columns)
            if filled > 1 and costs:
                break
            if not _fits(text, places[first : last + 1], columns) and last - first > 1:
                continue
            open_end = places[last] < len(text) and part[-1:] not in _CLAUSE_END
            silent = bool(words) and not _within(words, places[first], places[last])
            cost = 1 + filled**2 + (0.35 if open_end else 0) + (100 if silent else 0)
            costs.append((best[first][0] + cost, first))
        best.append(min(costs, default=(inf, last - 1)))
    spans: list[tuple[int, int]] = []
    last = len(places) - 1
    while last > 0:
        first = best[last][1]
        spans.append((places[first], places[last]))
        last = first
    return spans[::-1]


def _within(words: Sequence[Word], start: int, end: int) -> list[Word]:
    return [word for word in words if word.span[0] < end and word.span[1] > start]


def _fits(text: str, places: Sequence[int], columns: int) -> bool:
    return all(
        languages.width(text[start:end].strip()) <= columns
        for start, end in _lines(text, places, columns)
    )


def _lines(text: str, places: Sequence[int], columns: int) -> list[tuple[int, int]]:
    """Return the spans of the lines of a cue, as even as the places to break allow."""
    start, end = places[0], places[-1]
    if languages.width(text[start:end].strip()) <= columns or len(places) < 3:
        return [(start, end)]

    def cost(at: int) -> float:
        upper, lower = (languages.width(part.strip()) for part in (text[start:at], text[at:end]))
        clause = text[start:at].rstrip()[-1:] in _CLAUSE_END
        return max(upper, lower, columns) * 10 + abs(upper - lower) - (columns / 4 if clause else 0)

    middle = min(places[1:-1], key=cost)
    return [(start, middle), (middle, end)]


def _cue(text: str, spans: Sequence[tuple[int, int]], words: Sequence[Word], seconds: float) -> Cue:
    """Return the cue whose lines are `spans`, from its first word's start to its last one's end."""
    lines, marks = [], []
    for number, (start, end) in enumerate(spans):
        line = text[start:end]
        left = start + len(line) - len(line.lstrip())
        lines.append(line.strip())
        for word in _within(words, start, end):
            begin = max(word.span[0] - left, 0)
            until = begin + len(lines[-1][begin : max(word.span[1] - left, 0)].rstrip())
            if until > begin:
                marks.append(Mark(word.start, word.end, number, begin, until))
    first = marks[0].start if marks else 0.0
    last = max((mark.end for mark in marks), default=seconds)
    return Cue(first, max(last, first), tuple(lines), tuple(marks))


def srt(cues: Sequence[Cue]) -> str:
    """Return the cues as SubRip text."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "".join(f"{_untagged(line)}\n" for line in cue.lines)
        for number, cue in enumerate(_shown(cues), 1)
    ]
    return "\n".join(blocks)


def vtt(cues: Sequence[Cue]) -> str:
    """Return the cues as WebVTT, where `&`, `<` and `>` are markup and so escaped."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        + "".join(f"{escape(line, quote=False)}\n" for line in cue.lines)
        for cue in _shown(cues)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _shown(cues: Sequence[Cue]) -> list[Cue]:
    """Return the cues a player can show: those that last a millisecond at least."""
    return [cue for cue in cues if round(cue.end * 1000) > round(cue.start * 1000)]


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _untagged(line: str) -> str:
    """Return `line` such that no player takes part of it for a tag or a time (SubRip can't escape)."""
    joiner = "\u2060"
    for sign in ("<", "{"):
        line = line.replace(sign, sign + joiner)
    return line.replace("-->", f"--{joiner}>")


@dataclass(frozen=True, eq=False)
class Raster:
    """A drawn caption: its upper left corner in the frame (even) and premultiplied RGBA."""

    x: int
    y: int
    pixels: NDArray[np.uint8]
    """Shape (height, width, 4), both even."""


class Painter:
    """Draws cues for frames of one size in one style; keeps the letters of the last cue."""

    def __init__(self, *, style: Style, language: Language, size: tuple[int, int]) -> None:
        self._style = style
        self._language = language
        self._size = size
        scale = style.scale.caption * (_TALL_TYPE if shape(size) == "tall" else 1)
        self._type = max(8, round(scale * min(size)))
        self._letters = lru_cache(maxsize=2)(self._draw_letters)

    def raster(self, cue: Cue, time: float) -> Raster:
        """Return `cue` with the word marked that sounds at `time` (the clock of the cue)."""
        drawn = self._letters(cue)
        pixels = drawn.pixels.copy()
        spoken = cue.spoken(time)
        for mark in cue.marks:
            if mark.start == spoken:
                (left, right), (top, bottom) = drawn.reach(mark), drawn.rows[mark.line]
                word = pixels[top:bottom, left:right]
                cover = drawn.text[top:bottom, left:right].copy()
                cover[drawn.bar : drawn.bar + drawn.thickness] = 1
                _lay(self._style.captions.mark, cover, word)
        return Raster(drawn.x, drawn.y, np.rint(pixels).astype(np.uint8))

    def _draw_letters(self, cue: Cue) -> _Letters:
        lines = [_drawable(line, self._language) for line in cue.lines]
        aside, above = (round(share * self._type) for share in _PADDING)
        size = self._fitting(lines, aside)
        lengths = [self._length(line, size) for line in lines]
        row = round(_LINE_HEIGHT * size)
        width, height = _even(max(lengths) + 2 * aside), _even(len(lines) * row + 2 * above)
        lefts = [(width - length) / 2 for length in lengths]
        tops = [above + number * row for number in range(len(lines))]
        base = round(0.5 * row + 0.36 * size)  # capitals stand in the middle of their row
        letters = Image.new("L", (width, height))
        draw = ImageDraw.Draw(letters)
        font, tag = fonts.face(self._language, "bold", size), fonts.tag(self._language)
        for line, left, top in zip(lines, lefts, tops, strict=True):
            draw.text((left, top + base), line, fill=255, font=font, anchor="ls", language=tag)
        text = np.asarray(letters, np.float32) / np.float32(255)
        pixels = np.zeros((height, width, 4), np.float32)
        look = self._style.captions
        _lay(look.box, _rounded(width, height, _RADIUS * self._type) * look.opacity, pixels)
        _lay(look.text, text, pixels)
        return _Letters(
            x=_even((self._size[0] - width) / 2),
            y=_even(self._bottom() - height),
            pixels=pixels,
            text=text,
            reach=lambda mark: self._reach(lines[mark.line], mark, lefts[mark.line], size),
            rows=[(top, top + row) for top in tops],
            bar=base + round(0.2 * size),
            thickness=max(1, round(_BAR * size)),
        )

    def _fitting(self, lines: Sequence[str], aside: int) -> int:
        """Return the size of type: the style's, or what the widest line leaves room for."""
        room = self._size[0] - self._style.scale.margin * min(self._size) - 2 * aside
        widest = max(self._length(line, self._type) for line in lines)
        return self._type if widest <= room else max(8, int(self._type * room / widest))

    def _bottom(self) -> float:
        """Return the lower edge of every box: two lines just fill the zone cards leave free."""
        height = self._size[1]
        full = (LINES * _LINE_HEIGHT + 2 * _PADDING[1]) * self._type
        zone = height * (1 - self._style.captions.zone) + full
        return min(zone, height * (1 - _SAFE))

    def _length(self, text: str, size: int) -> float:
        font = fonts.face(self._language, "bold", size)
        return font.getlength(text, language=fonts.tag(self._language))

    def _reach(self, line: str, mark: Mark, left: float, size: int) -> tuple[int, int]:
        """Return the columns of pixels a marked word takes."""
        start = left + self._length(line[: mark.begin], size)
        end = left + self._length(line[: mark.until], size)
        return max(0, round(start)), max(0, round(end))


@dataclass(frozen=True, eq=False)
class _Letters:
    """A cue without a mark, and where its words are; the bar's place is within a row."""

    x: int
    y: int
    pixels: NDArray[np.float32]
    text: NDArray[np.float32]
    reach: Callable[[Mark], tuple[int, int]]
    rows: list[tuple[int, int]]
    bar: int
    thickness: int


def _lay(colour: RGB, cover: NDArray[np.float32], pixels: NDArray[np.float32]) -> None:
    """Lay a colour over premultiplied RGBA `pixels`, as far as `cover` (0-1) says."""
    solid = np.array([*colour, 255], np.float32)
    pixels += cover[..., None] * (solid - pixels)


def _drawable(line: str, language: Language) -> str:
    """Return `line` with what no font of ours draws made invisible, character for character."""
    gone = dict.fromkeys(map(ord, fonts.missing(line, language)), "\u200b")
    return line.translate(gone)


def _rounded(width: int, height: int, radius: float) -> NDArray[np.float32]:
    """Return the coverage of a rounded box, smooth at its corners."""
    columns = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    rows = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    across, down = np.meshgrid(columns.clip(0), rows.clip(0))
    return np.asarray((radius + 0.5 - np.hypot(across, down)).clip(0, 1), np.float32)


def _even(length: float) -> int:
    return 2 * round(length / 2)
