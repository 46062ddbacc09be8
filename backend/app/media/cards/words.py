"""What a scene tells, and the few words of it that a card shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from app import language as written
from app.models import CardKind, Language

SHORT: dict[Language, int] = {"en": 44, "zh-TW": 32, "ja": 34}
"""Columns of what is read at a glance: a point of a list, a line instead of a heading."""
LONG: dict[Language, int] = {"en": 64, "zh-TW": 44, "ja": 48}
"""Columns of the longest of them."""

_FEW = ((4, 1.7), (8, 1.4), (12, 1.2))
"""Columns of a heading, and how much larger it may be."""

_STOP = re.compile(r"(?<![.。…])[.。．]$")
_CLAUSE: dict[Language, re.Pattern[str]] = {
    "en": re.compile(r"[,;:](?=\s)|\s[—–]\s|[，；：、—]"),
    "zh-TW": re.compile(r"[,;:](?=\s)|\s[—–]\s|[，；：—]"),  # 、 stands between the items of a row
    "ja": re.compile(r"[,;:](?=\s)|\s[—–]\s|[，；：、—]"),
}
_LEANS: dict[Language, re.Pattern[str]] = {
    # the start of a clause that says nothing without the next one
    "en": re.compile(
        r"(?:if|when|as|while|because|since|after|before|once|although|though|unless|until|to|with"
        r"|without|by|in|on|at|for|from|instead|despite|given|whether)\b",
        re.IGNORECASE,
    ),
    "zh-TW": re.compile(
        "如果|若|假如|要是|當|因為|由於|雖然|儘管|只要|只有|除非|為了|在|從|對|隨著|除了|不管|無論|與其"
    ),
    "ja": re.compile("もし|たとえ|なぜなら"),
}
_HANGS = re.compile(
    "(?:[てでがしりみきいえ]|ので|から|なら|ば|と|たら|ても|ため|ながら|けど|は|も|を|に)$"
)
"""The end of a Japanese clause that goes on."""


@dataclass(frozen=True)
class Told:
    """A scene as its card is made from it.

    Attributes:
        title: Of the video.
        place: Where the scene stands.
        wanted: The design the writer asks for; None leaves it to the words.
    """

    title: str
    heading: str
    narration: str
    language: Language
    place: Literal["first", "middle", "last", "only"] = "middle"
    wanted: CardKind | None = None

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The spoken sentences' places in the narration."""
        return tuple(written.sentences(self.narration, self.language))

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The spoken sentences, each on one line."""
        return tuple(plain(self.narration[start:end]) for start, end in self.spans)

    def sentence_at(self, place: int) -> int:
        """Return the number of the sentence that is spoken at a place of the narration."""
        found = [number for number, (start, _) in enumerate(self.spans) if start <= place]
        return found[-1] if found else 0


@dataclass(frozen=True)
class Point:
    """A point of a list, shown from when sentence number `sentence` of the scene begins."""

    text: str
    sentence: int


@dataclass(frozen=True)
class Words:
    """What a card shows, and in which design.

    Attributes:
        heading: Of a list; a statement's or a title's large type.
        text: A quotation; what a number stands for; a line of smaller type.
        points: Of a list.
        numbered: Whether the points have an order.
        verse: Whether they are the lines of a poem, which have no marks.
        number: A figure with what stands before it: `72`, `$3.5`.
        unit: What stands after it: `%`, `km`, `億`.
        speaker: Whose the quotation is, where it is known.
    """

    design: CardKind
    heading: str = ""
    text: str = ""
    points: tuple[Point, ...] = field(default=())
    numbered: bool = False
    verse: bool = False
    number: str = ""
    unit: str = ""
    speaker: str = ""


def plain(text: str) -> str:
    """Return `text` on one line."""
    return " ".join(text.split())


def display(text: str) -> str:
    """Return `text` without the full stop that display type has no use for."""
    return _STOP.sub("", plain(text)).rstrip(" ,，、;；:：")


def larger(text: str) -> float:
    """Return how much larger than usual a heading may be that is but a word or two."""
    columns = written.width(text)
    return next((factor for most, factor in _FEW if columns <= most), 1.0)


def capitalised(text: str, language: Language) -> str:
    """Return `text` with its first letter as at the start of a sentence."""
    return text[:1].upper() + text[1:] if language == "en" else text


def brief(text: str, language: Language) -> str:
    """Return what of a sentence can stand alone and be read at a glance; "" where nothing can.

    The whole of it where it is short, else its first clause where that says something by itself;
    in Chinese, whose clauses are short, as many as are read at a glance.
    """
    full = display(text)
    if written.width(full) <= SHORT[language]:
        return full
    found = ""
    begun = 0
    for mark in _CLAUSE[language].finditer(full):
        clause, last = full[: mark.start()].strip(), full[begun : mark.start()].strip()
        begun = mark.end()
        if written.width(clause) > (SHORT if found else LONG)[language]:
            break
        if _LEANS[language].match(last) and found:
            break
        if 4 * written.width(clause) >= SHORT[language] and _stands(clause, language):
            found = clause
            if language != "zh-TW":
                break
    return found or (full if written.width(full) <= LONG[language] else "")


def _stands(clause: str, language: Language) -> bool:
    """Return True for a clause that says something without what follows."""
    if _LEANS[language].match(clause):
        return False
    return language != "ja" or not _HANGS.search(clause)
