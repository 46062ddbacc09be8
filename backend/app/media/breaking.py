"""Where lines of display type break: by sense first, of even length second.

A text is cut into units that stay whole, each with what it costs to break the line after it: next to
nothing after a mark, some between two phrases, more where a word leans on the next one, most inside
a word. `best` adds how uneven the lines are and returns the
cheapest ones, of as many rows as that takes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

from app import language as written
from app.models import Language

CLOSING = "，。！？：；、」』》〉）】〕,.!?:;”’)]—–…"

_SENTENCE = "。！？!?…"
_CLAUSE = "，、；：,;:—–"
_BRACKETS = "」』》〉）】〕”’\"')]"

# What a break costs. Lines that differ by a quarter from their mean cost 0.05 each.
_AFTER_CLAUSE = 0.04
_AFTER_BRACKET = 0.4
_AT_SPACE = 0.3
_BETWEEN_PHRASES = 0.35
_BETWEEN_WORDS = 0.25
_IN_COMPOUND = 0.7
_IN_PHRASE = 2.0
_IN_WORD = 4.0
_LEANS = 0.4
_LINKS = -0.15
_LONE = 0.2
_FIGURE = 0.6
_NAME = 0.2

# What a line costs among others.
_UNEVEN = 0.8
_SHORT = 0.45
"""Share of the mean length below which a line looks like a mistake."""
_COST_SHORT = 0.3
_COST_WIDOW = 1.0
_COST_BEGUN = 0.3
"""Of each end of a line that is amid a clause, where another clause ends or begins in the line."""
_MORE_ROWS = 4
"""Rows beyond the fewest possible that are tried."""

_JOINTS = re.compile(
    "(?<=[ァ-ヺー])(?=[一-鿿])|(?<=[ァ-ヺー]{2})(?=アプリケーション|インターネット|インテリジェンス|エネルギー"
    "|エンジニア|オペレーション|カメラ|ガイド|グループ|ゲーム|コミュニケーション|コンピュータ|コンピューティング|サービス"
    "|システム|スタイル|ステーション|スペース|セキュリティ|セット|センター|ソフトウェア|チャンネル|テクノロジー|データ|デザイン"
    "|トレーニング|ネットワーク|ハードウェア|ビジネス|プラットフォーム|プログラム|プロジェクト|プロセス|マネジメント|マーケット"
    "|モデル|ライン|ラーニング)"
)
"""Where a Japanese compound may be broken that is too long for a line of large type."""
_KATAKANA = re.compile("[ァ-ヺー]")
_GLUED_KANA = "ーンぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々"
"""What no line begins with, even in a word that is cut."""
_COMPOUND = 14
"""Columns from which on it is."""
LOOSE = 12
"""Columns of a piece that stays whole where long ones are cut into characters."""

_LINKING_EN = frozenset(
    [
        "and",
        "as",
        "at",
        "because",
        "but",
        "by",
        "for",
        "from",
        "if",
        "in",
        "into",
        "of",
        "on",
        "or",
        "so",
        "than",
        "that",
        "through",
        "to",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "with",
    ]
)
"""English words that begin a line well."""
_FIRM_EN = frozenset(["a", "an", "every", "her", "his", "its", "my", "our", "the", "their", "your"])
"""What leans on its noun more than other small words do on what follows."""
_FIRMLY = 1.4
_LEANING_ZH = (
    *"不在把被向從到用由比對和與跟及或給讓使將為是有這那每各很最更太也都就還才再又會能要可以於而但並請已正",
    *[
        "怎麼",
        "這麼",
        "那麼",
        "多麼",
        "什麼",
        "已經",
        "沒有",
        "如果",
        "因為",
        "所以",
        "雖然",
        "而且",
        "從來",
        "一直",
        "一定",
        "可能",
        "應該",
        "必須",
        "非常",
    ],
)
"""What a line of Chinese does not end with."""
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d$")
_COUNTED_ZH = re.compile(
    "[一二兩三四五六七八九十百千萬幾每這那]"
    "[個片座隻條張本杯盞位顆朵根匙滴種件間棟艘群段層道場次份把塊棵頭匹輛架支枝幅首句篇]$"
)
"""A number with its measure word, which has its noun in the same line."""
_LINKING_ZH = frozenset("卻而但因所就才還也都並則或和與在從把被讓為以")
_TRAILING_ZH = frozenset("的了著過呢嗎吧啊")
_AFTER_JA = {
    "は": -0.2, "も": -0.15, "が": -0.1, "て": -0.1, "で": -0.1, "に": -0.05, "を": -0.05, "の": 0.15,
}  # fmt: skip
"""How much more a break costs after a Japanese particle than between any two phrases."""
_DOES_JA = re.compile("して|した|しま|する|され|させ")
_MODIFIES = 0.15
_LEADING_JA = frozenset("のはがをにでともへ")
"""Particles that a line does not begin with, after a Latin word."""


class Unit(NamedTuple):
    """A part of a text that stays on one line.

    Attributes:
        text: With the white space that follows it.
        cost: Of a line break after it.
        hyphen: Whether such a break is shown by a hyphen.
    """

    text: str
    cost: float = 0.0
    hyphen: bool = False


def units(clean: str, language: Language, *, most: int | None = None) -> list[Unit]:
    """Return the units of a text of one line; pieces of over `most` columns are cut into characters."""
    parts: list[str] = []
    inside: dict[int, float] = {}  # number of a part: what it costs to part it from the next
    for start, end in written.phrases(clean, language):
        piece = clean[start:end]
        if parts and (
            _in_katakana(parts[-1], piece) or (_in_word(parts[-1], piece) and most is None)
        ):
            piece = parts.pop() + piece
        compound = written.width(piece) > _COMPOUND
        found = _JOINTS.split(piece) if compound else [piece]
        cost = _IN_COMPOUND
        if most is not None and written.width(piece) > most:
            found, cost = _characters(piece), _IN_PHRASE
        inside.update((len(parts) + at, cost) for at in range(len(found) - 1))
        parts += found
    made = []
    for number, (part, after) in enumerate(pairwise(parts)):
        cut = _in_word(part, after)
        cost = _IN_WORD if cut else inside.get(number, 0.0) or _cost(part, after, language)
        made.append(Unit(part, cost, cut))
    return [*made, Unit(parts[-1])] if parts else []


def _characters(piece: str) -> list[str]:
    """Cut a piece into characters with their marks."""
    parts: list[str] = []
    for character in piece:
        glued = unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf", "Zs")
        glued = glued or character in CLOSING or character in _GLUED_KANA
        if parts and (glued or parts[-1] in written.OPENING):
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _in_word(before: str, after: str) -> bool:
    left, right = before[-1], after[0]
    return left.isalnum() and right.isalnum() and written.width(left) == written.width(right) == 1


def _in_katakana(before: str, after: str) -> bool:
    return bool(_KATAKANA.match(before[-1]) and _KATAKANA.match(after))


def leaning(before: str, after: str, language: Language) -> float:
    """Return how much worse than between any two phrases a line would break there; 0 after a mark."""
    part = before.strip()
    bare = part.rstrip(_BRACKETS)
    opens = bare != part or after[:1] in written.OPENING
    if not bare or not after or opens or _after_mark(bare, spaced=before != part) is not None:
        return 0.0
    usual = _BETWEEN_PHRASES if written.width(bare[-1] + after[0]) > 2 else _BETWEEN_WORDS
    return _cost(before, after, language) - usual


def _cost(before: str, after: str, language: Language) -> float:
    """Return what it costs to break the line between two parts of a text that are no one word."""
    part = before.strip()
    bare = part.rstrip(_BRACKETS)
    marked = _after_mark(bare, spaced=before != part)
    if marked is not None:
        return marked
    if bare != part or after[0] in written.OPENING:
        return _AFTER_BRACKET
    if bare[-1].isdigit() and not _goes_on(bare, after):
        return _BETWEEN_PHRASES + _FIGURE
    wide = written.width(bare[-1]) == 2, written.width(after[0]) == 2
    if not any(wide):
        return _BETWEEN_WORDS + _latin(bare, after)
    cost = _AT_SPACE if before != part and all(wide) else _BETWEEN_PHRASES
    if language == "ja":
        return cost + _japanese(bare, after, to_latin=not wide[0])
    return cost + _chinese(bare, after)


def _after_mark(bare: str, *, spaced: bool) -> float | None:
    """Return what a break costs after what ends in a mark; None where that is none."""
    if not bare:
        return _BETWEEN_PHRASES
    if bare[-1] in _SENTENCE or (bare[-1] == "." and spaced):
        return 0.0
    return _AFTER_CLAUSE if bare[-1] in _CLAUSE else None


def _goes_on(bare: str, after: str) -> bool:
    """Return True where an English text goes on after a figure that counts nothing there."""
    first = after.strip().partition(" ")[0].lower()
    return written.width(after[0]) == 1 and bool(_YEAR.search(bare) or first in _LINKING_EN)


def _latin(bare: str, after: str) -> float:
    last, first = bare.rpartition(" ")[2], after.strip().partition(" ")[0]
    cost = _LEANS * (last.lower() in written.LEANING) + _LINKS * (first.lower() in _LINKING_EN)
    cost *= _FIRMLY if last.lower() in _FIRM_EN else 1
    return cost + _NAME * (last[:1].isupper() and (first[:1].isupper() or first[:1].isdigit()))


def _japanese(bare: str, after: str, *, to_latin: bool) -> float:
    if (bare[-1] == "を" and _DOES_JA.match(after)) or (to_latin and after[0] in _LEADING_JA):
        return _LEANS
    return _AFTER_JA.get(bare[-1], 0.0)


def _chinese(bare: str, after: str) -> float:
    cost = 0.0
    if bare.endswith(_LEANING_ZH) or _COUNTED_ZH.search(bare):
        cost += _LEANS
    elif bare[-1] in _TRAILING_ZH:
        cost += _MODIFIES if bare[-1] == "的" else _LINKS
    elif len(bare) == 1:
        cost += _LONE
    if after[0] in _TRAILING_ZH:
        cost += _LEANS
    return cost + _LINKS * (after[0] in _LINKING_ZH)


def best(
    parts: Sequence[Unit], full: Sequence[float], bare: Sequence[float], *, width: int, most: int
) -> tuple[float, list[int]] | None:
    """Return what the best lines cost, and their edges (0 … number of units); None if they don't fit.

    Args:
        parts: Of the text.
        full: Pixels by which each moves what follows.
        bare: Pixels of each at the end of a line.
        width: Of a line in pixels.
        most: Lines.
    """
    fewest = _fewest(full, bare, width)
    if fewest is None or fewest > most:
        return None
    sheet = _Sheet(parts, full, bare, width)
    rows = range(fewest, min(most, len(parts), fewest + _MORE_ROWS) + 1)
    cost, edges = min((sheet.lines(count) for count in rows), key=lambda found: found[0])
    return (cost, edges) if edges else None


def _fewest(full: Sequence[float], bare: Sequence[float], width: int) -> int | None:
    """Return the fewest lines that hold all units, None where one is wider than a line."""
    rows, used = 1, 0.0
    for advance, ink in zip(full, bare, strict=True):
        if ink > width:
            return None
        if used + ink > width:
            rows, used = rows + 1, 0.0
        used += advance
    return rows


class _Sheet:
    """A text to be broken into lines of a width."""

    def __init__(
        self, parts: Sequence[Unit], full: Sequence[float], bare: Sequence[float], width: int
    ) -> None:
        self._costs = [0.0, *(part.cost for part in parts[:-1]), 0.0]
        marks = [
            0 < number < len(parts) and cost <= _AFTER_CLAUSE
            for number, cost in enumerate(self._costs)
        ]
        self._marks = list(accumulate(marks))
        self._letters = [0, *accumulate(sum(map(str.isalnum, part.text)) for part in parts)]
        self._weak = [part.text.strip().lower() in written.LEANING for part in parts]
        self._starts = [0.0, *accumulate(full)]
        self._bare, self._width = bare, width

    def lines(self, rows: int) -> tuple[float, list[int]]:
        """Return the cheapest `rows` lines; infinitely dear where there are none."""
        count = len(self._bare)
        mean = (self._starts[-2] + self._bare[-1]) / rows
        reached: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
        for row in range(1, rows + 1):
            found: dict[int, tuple[float, int]] = {}
            for start, (before, _) in reached[-1].items():
                for end in range(start + 1, count + 1):
                    used = self._starts[end - 1] - self._starts[start] + self._bare[end - 1]
                    if used > self._width:
                        break
                    if (end == count) != (row == rows):
                        continue
                    cost = before + self._costs[end]
                    cost += self._line(start, end, used / mean) if rows > 1 else 0.0
                    if end not in found or cost < found[end][0]:
                        found[end] = cost, start
            reached.append(found)
        if count not in reached[-1]:
            return inf, []
        edges = [count]
        for found in reached[:0:-1]:
            edges.append(found[edges[-1]][1])
        return reached[-1][count][0], edges[::-1]

    def _line(self, start: int, end: int, share: float) -> float:
        """Return what a line costs among others, `share` of their mean length."""
        cost = _UNEVEN * (share - 1) ** 2
        if share < _SHORT:
            cost += _COST_SHORT
        if self._marks[end - 1] > self._marks[start]:
            amid = (self._costs[start] > _AFTER_CLAUSE) + (self._costs[end] > _AFTER_CLAUSE)
            cost += _COST_BEGUN * amid
        widow = start > 0 and self._letters[end] - self._letters[start] <= 1
        if widow or (end == start + 1 and self._weak[start]):
            cost += _COST_WIDOW
        return cost
