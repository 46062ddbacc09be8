"""Sentences: their ends, and cuts where one is too long."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from app.language._clusters import columns_of, splits, width
from app.language._phrases import phrases
from app.language._reading import speakable
from app.language._scripts import emoji_spans
from app.models import Language

SENTENCE_COLUMNS: dict[Language, int] = {"en": 220, "zh-TW": 120, "ja": 120}
"""Longest sentence in display columns: about 12 s of speech, and two lines of caption at a time
stay readable. It also keeps a sentence below the 510 phonemes a Kokoro voice takes at once."""

_CLOSING = "\"'”’»」』）〉》】〕］｝)]}＂＇"
_FULL_STOP = re.compile("[。！？；｡]")
_END = re.compile('[.!?…。！？；｡]+|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+|"')
_SOLID = re.compile(r"\S")
_LAST_WORD = re.compile(r"[\w.]*$")
_NEXT_WORD = re.compile(r"[A-Za-z']*")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])*")


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_NEVER_LAST = _words(
    "mr mrs ms mx dr prof st sen rep gov gen col capt cmdr lt sgt rev hon pres messrs "
    "e.g i.e eg ie cf vs viz approx ca mt ft"
)
_BEFORE_NUMBER = _words("no nos fig figs vol p pp ch sec eq art para ed v")
_MAYBE_LAST = _words(
    "etc inc ltd co corp jr sr bros al dept est ave blvd rd ph.d jan feb mar apr jun jul aug "
    "sep sept oct nov dec mon tue tues wed thu thurs fri sat sun"
)
_BEFORE_FIGURE = _words("jan feb mar apr jun jul aug sep sept oct nov dec est al approx")
"""Months and others that a figure goes with, though they may end a sentence: `Nov. 3`, `est. 1990`."""
_STARTERS = _words(
    "the a an it he she we they i you this that these those there here in on at but and or so "
    "if when while as after before for from by with to however then now its his her their our "
    "my your what who why how where not no yes one some many most all both each every"
)
_CLINGING: dict[Language, str] = {
    "en": "的地得之與和及呢嗎吧，、：；。」』）",
    "zh-TW": "的地得之與和及呢嗎吧，、：；。」』）",
    "ja": "とのはがをにへもでかって、。」』）",
}
"""What goes on with the sentence that a quotation stands in."""


def sentences(text: str, language: Language) -> list[tuple[int, int]]:
    """Return the spans of the sentences, in order, without the white space between them.

    Every letter and digit lies in exactly one span; a piece of nothing but punctuation that
    stands alone is left out, and emoji go with the sentence before them. A line break ends a
    sentence. A sentence longer than `SENTENCE_COLUMNS` is cut at punctuation, else between words or
    phrases, else hard, but never inside a grapheme cluster.
    """
    limit = SENTENCE_COLUMNS[language]
    spans: list[tuple[int, int]] = []
    for start, end in _rough(text, language):
        for span in _cut(text, start, end, limit, language):
            first, last = _trimmed(text, *span)
            if spans and (after := _after_emoji(text, spans[-1], (first, last), limit)) > first:
                spans[-1] = (spans[-1][0], after)
                first, last = _trimmed(text, after, last)
            if speakable(text[first:last]):
                spans.append((first, last))
    return spans


def _after_emoji(text: str, before: tuple[int, int], piece: tuple[int, int], limit: int) -> int:
    """Return where the emoji end that a piece begins with and the sentence before it has room for."""
    start, end = piece
    at = start
    if len(f".{text[before[1] : start]}.".splitlines()) > 1:
        return at
    for first, last in emoji_spans(text[start:end]):
        emoji = text[at : start + last]
        if text[at : start + first].strip() or speakable(emoji):
            break
        if width(text[before[0] : start + last]) > limit:
            break
        at = start + last
    return at


def _rough(text: str, language: Language) -> Iterator[tuple[int, int]]:
    """Yield spans between sentence ends; together they cover the text."""
    start, done, open_quote = 0, 0, False
    for match in _END.finditer(text):
        first, last = match.span()
        if first < done:
            continue
        mark = match.group()
        if mark == '"':
            open_quote = not open_quote
            continue
        if mark.isspace():
            open_quote = False
            yield start, last
            start = done = last
            continue
        after = last
        while after < len(text) and text[after] in _CLOSING:
            if text[after] == '"':
                if not open_quote:
                    break
                open_quote = False
            after += 1
        done = after
        if _ends_sentence(text, (start, after), (first, last), language):
            yield start, after
            start = after
    if start < len(text):
        yield start, len(text)


def _ends_sentence(
    text: str, span: tuple[int, int], mark: tuple[int, int], language: Language
) -> bool:
    """Return True where the punctuation `mark`, closed at the end of `span`, ends the sentence."""
    start, after = span
    found = _SOLID.search(text, after)
    if found is None or splits(text, after):
        return found is None
    follower, closed, spaced = found.group(), after > mark[1], found.start() > after
    wide = columns_of(follower) == 2
    run = text[mark[0] : mark[1]]
    if _FULL_STOP.search(run):
        return not (closed and follower in _CLINGING[language])
    if not spaced and not wide:
        ends = False  # 3.5, example.com, U.S.A
    elif "!" in run or "?" in run:
        ends = not (closed and follower.islower())
    elif len(run) > 1 or run == "…":
        # "I … don't know" is a pause, not an end.
        ends = mark[0] - start >= 6 if wide else not follower.islower()
    else:
        ends = follower != "." and not _abbreviated(text, start, mark[0], found.start())
    return ends


def _abbreviated(text: str, start: int, dot: int, following: int) -> bool:
    """Return True where the full stop at `dot` belongs to the word before it."""
    low = max(start, dot - 16)
    found = _LAST_WORD.search(text, low, dot)
    word = found.group().strip(".") if found else ""
    if word.isdigit() and len(word) <= 3 and not text[start : dot - len(word)].strip():
        return True  # "1. First": the number of a list
    lower, follower = word.lower(), text[following]
    if lower in _NEVER_LAST or (lower in _BEFORE_FIGURE and follower.isdigit()):
        return True
    if lower in _BEFORE_NUMBER and (follower.isdigit() or lower != "no"):
        return follower.isdigit() or follower.islower()
    if lower in _MAYBE_LAST or _INITIALS.fullmatch(word):
        next_word = _NEXT_WORD.match(text, following, following + 12)
        follows = next_word.group().lower() if next_word else ""
        if lower in ("etc", "a.m", "p.m", "ph.d"):
            return not follower.isupper() and columns_of(follower) == 1
        return follower.islower() or (bool(follows) and follows not in _STARTERS)
    return False


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace() and not splits(text, start + 1):
        start += 1
    return start, end


_CLAUSE = re.compile(
    f"[,;:—–]+[{re.escape(_CLOSING)}]*(?=\\s)|[，、；：—]+[{re.escape(_CLOSING)}]*"
)
_GAP = re.compile(r"(?<=\S)\s+")


def _cut(
    text: str, start: int, end: int, limit: int, language: Language
) -> Iterator[tuple[int, int]]:
    """Yield `start`–`end` in pieces of at most `limit` columns, as even as the text lets them."""
    if 2 * (end - start) <= limit:
        yield start, end
        return
    edges = [0, *accumulate(columns_of(character) for character in text[start:end])]
    at = 0
    while edges[-1] - edges[at] > limit:
        rest = edges[-1] - edges[at]
        aim = edges[at] + rest / -(-rest // limit)
        low = max(at + 1, bisect_left(edges, edges[at] + 0.4 * (aim - edges[at])))
        high = bisect_left(edges, edges[at] + limit + 1) - 1
        near = _best(text, (start + low, start + high), start + bisect_left(edges, aim), language)
        if near is None:
            break
        yield start + at, near
        at = near - start
    yield start + at, end


def _best(text: str, window: tuple[int, int], aim: int, language: Language) -> int | None:
    """Return the best place to cut in `window` (both ends allowed), near `aim`."""
    low, high = window
    places = [m.end() for m in _CLAUSE.finditer(text, low - 1, high)]
    places = [at for at in places if low <= at <= high and not splits(text, at)]
    if not places:
        places = [m.end() for m in _GAP.finditer(text, low - 1, high)]
        places = [at for at in places if low <= at <= high and not splits(text, at)]
    if not places:
        places = [low + at for _, at in phrases(text[low:high], language)[:-1]]
        places = [at for at in places if not splits(text, at)]
    if places:
        return min(places, key=lambda at: abs(at - aim))
    at = max(low, min(aim, high))
    while at > low and splits(text, at):
        at -= 1
    while at < len(text) and splits(text, at):
        at += 1
    return at if at < len(text) else None
