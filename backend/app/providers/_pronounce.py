"""A project's own list of how words are said, applied to a text before a voice reads it.

An entry's word is looked for as a whole word, the longest entry first, and what was put in its
place is not looked at again. It stands for how the word is said in one of three ways: other words
of the language (`SQL` → `sequel`), kana (`橋本` → `はしもと`), or, in Mandarin, pinyin with tone
numbers (`重慶` → `chong2 qing4`). Words change the text; pinyin leaves it and goes along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.errors import InputError
from app.models import Language
from app.providers import _mandarin
from app.providers._voice import SILENCE, Reading

_PINYIN = re.compile(r"(?:[a-zü]{1,6}[1-5])(?:[ ']*[a-zü]{1,6}[1-5])*")
_EDGE = r"A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ0-9"


@dataclass(frozen=True)
class _Piece:
    """A stretch of the text to read (`start`, `end`) and where it stands as written."""

    start: int
    end: int
    written: tuple[int, int]
    replaced: bool


@dataclass(frozen=True)
class Spoken:
    """A text as it is to be read.

    Attributes:
        text: What the reader reads.
        readings: Span in `text` → the pinyin it is said with (`chong2 qing4`).
    """

    text: str
    readings: dict[tuple[int, int], str] = field(default_factory=dict)
    _pieces: tuple[_Piece, ...] = ()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where a span of `text` stands in the text as written, in code points.

        A part of what replaced a word is the whole word.
        """
        touched = [p for p in self._pieces if p.start < max(end, start + 1) and start < p.end]
        if not touched:
            return start, end
        first, last = touched[0], touched[-1]
        a = first.written[0] + (0 if first.replaced else max(start - first.start, 0))
        b = last.written[1] if last.replaced else last.written[0] + min(end, last.end) - last.start
        return a, b

    def written(self, reading: Reading) -> Reading:
        """Return a reading of `text` as one of the text as written.

        Neighbours that stand for one word as written are one word; so are those of which a reader
        joined a part of it with what is beside it (一 + AI → 人工智能 has 一人).
        """
        spans: list[tuple[int, int]] = []
        new: list[int] = []
        for span in reading.spans:
            at = self.span(*span)
            if spans and at[0] < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], at[1]))
            else:
                spans.append(at)
            new.append(len(spans) - 1)
        owners = [o if o == SILENCE else new[o] for o in reading.owners]
        return replace(reading, owners=owners, spans=spans)


def spoken(text: str, table: Mapping[str, str], language: Language) -> Spoken:
    """Return `text` with the words of `table` as they are said.

    Args:
        text: A sentence as written.
        table: Word as written → how it is said. A word without capitals is found in any case,
            one with capitals as it is written.
        language: Decides what is pinyin: in `zh-TW`, syllables with a tone number each.

    Raises:
        InputError: `pronunciation_unknown`, for a syllable that Mandarin has not.
    """
    if not table:
        return Spoken(text, {}, (_Piece(0, len(text), (0, len(text)), replaced=False),))
    out, at, length = [], 0, 0
    pieces: list[_Piece] = []
    readings: dict[tuple[int, int], str] = {}

    def add(part: str, span: tuple[int, int], *, replaced: bool) -> None:
        nonlocal length
        if part:
            pieces.append(_Piece(length, length + len(part), span, replaced))
            out.append(part)
            length += len(part)

    for found in _pattern(tuple(table)).finditer(text):
        said = table.get(found[0], table.get(found[0].lower(), found[0])).strip()
        add(text[at : found.start()], (at, found.start()), replaced=False)
        if language == "zh-TW" and _PINYIN.fullmatch(said.lower()):
            readings[length, length + len(found[0])] = " ".join(_syllables(said.lower(), found[0]))
            said = found[0]
        add(said, found.span(), replaced=said != found[0])
        at = found.end()
    add(text[at:], (at, len(text)), replaced=False)
    return Spoken("".join(out), readings, tuple(pieces))


def needed(text: str, table: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of `table` that change how `text` is read."""
    if not table:
        return {}
    found = {match[0] for match in _pattern(tuple(table)).finditer(text)}
    keys = {word if word in table else word.lower() for word in found}
    return {word: table[word] for word in sorted(keys & set(table))}


def _syllables(pinyin: str, word: str) -> list[str]:
    syllables = [s.replace("ü", "v") for s in re.findall(r"[a-zü]+[1-5]", pinyin)]
    for syllable in syllables:
        if not _mandarin.symbols(syllable):
            raise InputError(
                "pronunciation_unknown",
                f"The pronunciation of {word!r} has a syllable that is no pinyin: {syllable}.",
                "Write pinyin with a tone number from 1 to 5 after each syllable: chong2 qing4.",
            )
    return syllables


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds the words, the longest first."""
    return re.compile("|".join(_whole(word) for word in sorted(words, key=lambda w: (-len(w), w))))


def _whole(word: str) -> str:
    """Return what finds one word, not as part of a longer one where its edge is a Latin letter."""
    found = re.escape(word)
    if word == word.lower() and word != word.upper():
        found = f"(?i:{found})"
    left = rf"(?<![{_EDGE}])" if re.match(f"[{_EDGE}]", word) else ""
    right = rf"(?![{_EDGE}])" if re.search(f"[{_EDGE}]$", word) else ""
    return left + found + right
