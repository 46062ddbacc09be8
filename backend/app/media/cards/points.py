"""`list`: builds up point by point, each as its sentence begins to be spoken."""

from __future__ import annotations

import re
from itertools import pairwise
from math import log

from app import language as written
from app.media import lettering
from app.media.cards.sheet import Bar, Page, Placed, Sheet, Stack, complete
from app.media.cards.words import (
    LONG,
    SHORT,
    Point,
    Told,
    Words,
    brief,
    capitalised,
    display,
    plain,
)
from app.media.lettering import Setting
from app.models import Language

MOST = 6
"""Points of a card; who has more to tell has a text, not a list."""
_LEAST_OF_TWO = 2
"""Points on the first of two pages, at least."""

_HEADS = (0.32, 0.22, 0.15)
"""Shares of the page that a heading has at most: less of it where the points gain by that."""
_WORTH = 0.1
"""How much larger they get then at least, as a logarithm."""
_SMALLEST = 0.04
"""Size of points at least, as a share of the frame's shorter side."""
_BELOW_HEADING = 0.82
"""Of the heading's size that points have at most."""
_LEADING = 0.42
"""Ems between two points, at least; `_WIDEST` where there is room."""
_WIDEST = 0.8
_PARTED = 0.72
"""The least where a point has further lines: these stand closer than points do."""
_BROKEN = 0.2
"""What a point's further line costs, against the size that it would take to spare it: 16 %; a third
of that in an upright frame, which has lines enough."""

_BULLET = re.compile(r"[-*+•‣◦・●○▪–—]\s+|[・●○▪]")
_NUMERAL = re.compile(
    r"\(?\d{1,2}[.)、．）]\s*|[①-⑳]\s*|[一二三四五六七八九十]、|step \d+[:.]\s*", re.IGNORECASE
)
_ORDERED = re.compile(
    r"\bsteps?\b|\bhow to\b|\brecipe\b|步驟|做法|作法|流程|手順|作り方|やり方|使い方|ステップ",
    re.IGNORECASE,
)
"""Headings of what is done in order, so that a list below has numbers."""
_ENDED = re.compile(r"[.!?。！？…,，、;；:：][\"'”’」』)）]*$")
_COLON = re.compile("[:：]$")

_FIRST: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        r"(?:first(?:ly| of all)?|to begin with|number one)[,:]\s*|one:\s*", re.IGNORECASE
    ),
    "zh-TW": re.compile("(?:第一(?:步|點|項)?|一來|其一)[，、：,:]\\s*|首先[，、：,]?\\s*"),
    "ja": re.compile("(?:第一に|一つ目は|1つ目は|１つ目は|まずは?|最初に|はじめに)、?"),
}
_NEXT: dict[Language, re.Pattern[str]] = {
    # what counts as a following point by itself
    "en": re.compile(
        r"(?:second|third|fourth|fifth|sixth)(?:ly)?[,:]\s*|(?:two|three|four|five|six):\s*"
        r"|number (?:two|three|four|five|six)[,:]\s*|(?:finally|lastly|last)[,:]\s*",
        re.IGNORECASE,
    ),
    "zh-TW": re.compile(
        "(?:第[二三四五六](?:步|點|項)?|二來|三來|其二|其三)[，、：,:]\\s*|(?:其次|最後|再者)[，、：,]?\\s*"
    ),
    "ja": re.compile(
        "(?:第[二三四五六]に|[二三四五六]つ目は|[2-6２-６]つ目は|次に|つぎに|最後に|おわりに)、?"
    ),
}
_THEN: dict[Language, re.Pattern[str]] = {
    # what does so only between others
    "en": re.compile(r"(?:then|next|after that)[,:]?\s+", re.IGNORECASE),
    "zh-TW": re.compile("(?:接著|接下來|然後|再來)[，、：,]?\\s*"),
    "ja": re.compile("(?:それから|続いて|つづいて|そのあと|その後)、?"),
}


def read(told: Told) -> Words | None:
    """Take the lines of a list, or the sentences of an enumeration, if each can be short."""
    found = _lines(told) or _enumerated(told)
    if found is None and told.wanted == "list":
        found = _every(told)
    if found is None:
        return None
    points, numbered = found
    texts = [brief(text, told.language) for text, _ in points]
    if not 2 <= len(texts) <= MOST or not all(map(written.speakable, texts)):
        return None
    made = tuple(
        Point(capitalised(text, told.language), told.sentence_at(place))
        for text, (_, place) in zip(texts, points, strict=True)
    )
    if any(before.sentence >= after.sentence for before, after in pairwise(made)):
        return None  # spoken in one breath: nothing to build up
    heading = plain(told.heading) or _intro(told, made[0].sentence)
    verse = not numbered and _is_verse(told, points[0][1])
    numbered = not verse and (numbered or bool(_ORDERED.search(told.heading)))
    return Words("list", heading=heading, points=made, numbered=numbered, verse=verse)


_Found = tuple[list[tuple[str, int]], bool]
"""Texts with their places in the narration, and whether they have an order."""


def _lines(told: Told) -> _Found | None:
    """Return the lines with the marks of a list, or those that a Markdown list leaves."""
    lines = [
        (match[1], match.start(1)) for match in re.finditer(r"[ \t]*(\S[^\n]*)", told.narration)
    ]
    for mark, numbered in ((_BULLET, False), (_NUMERAL, True)):
        marked = [(mark.match(text), at) for text, at in lines]
        points = [(match.string[match.end() :], at + match.end()) for match, at in marked if match]
        if len(points) >= 2:
            return points, numbered
    bare = [(plain(text), at) for text, at in lines]
    after_colon = [n for n, (text, _) in enumerate(bare) if _COLON.search(text)]
    if after_colon and len(bare) - after_colon[0] > 2:
        bare = bare[after_colon[0] + 1 :]
        return (bare, False) if all(_item(text, told) for text, _ in bare) else None
    asked = told.wanted == "list"
    items = [(asked or not _ENDED.search(text)) and _item(text, told) for text, _ in bare]
    start = next((n for n, fits in enumerate(items) if fits), len(bare))
    if len(bare) - start >= 3 and all(items[start:]):
        return bare[start:], False
    return None


def _is_verse(told: Told, start: int) -> bool:
    """Return True where the points from `start` on are lines below each other, without marks."""
    lines = told.narration[start:].strip().split("\n")
    marked = re.compile(f"{_BULLET.pattern}|{_NUMERAL.pattern}", re.IGNORECASE)
    before = told.narration[:start].rstrip(" \t").rpartition("\n")[2]
    return len(lines) > 1 and all(lines) and not before and not any(map(marked.match, lines))


def _item(text: str, told: Told) -> bool:
    one = len(written.sentences(text, told.language)) == 1
    return one and written.width(text) <= LONG[told.language]


def _enumerated(told: Told) -> _Found | None:
    """Return the sentences that say which of several points they are, without saying so."""
    language = told.language
    points: list[tuple[str, int]] = []
    set_off = 0
    for start, end in told.spans:
        text = told.narration[start:end]
        marks = (_NEXT[language], _THEN[language]) if points else (_FIRST[language],)
        for mark in marks:
            if match := mark.match(text):
                points.append((text[match.end() :], start))
                set_off += mark is not _THEN[language] and bool(_ENDED.search(match[0].strip()))
                break
    if len(points) < 2 or (len(points) == 2 and set_off < 2):
        return None
    return points, True


def _every(told: Told) -> _Found:
    return [(told.narration[start:end], start) for start, end in told.spans], False


def _intro(told: Told, first: int) -> str:
    """Return the sentence before the first point where it can be a heading."""
    if first != 1:
        return ""
    line = told.sentences[0]
    return display(line) if written.width(line) <= SHORT[told.language] else ""


def lay(words: Words, page: Page) -> Sheet | None:
    """Set the points in one size below the heading; None where they are too much for the page.

    What doesn't fit at once is shown on two pages: the second one begins with its first point.
    """
    count = len(words.points)
    half = (count + 1) // 2
    found = _laid(words, page, (range(count),))
    if found is None and half >= _LEAST_OF_TWO:
        found = _laid(words, page, (range(half), range(half, count)))
    return found


_Pages = tuple[range, ...]
"""Which points are shown together."""


def _laid(words: Words, page: Page, pages: _Pages) -> Sheet | None:
    best: tuple[float, Sheet] | None = None
    for share in _HEADS if words.heading else _HEADS[:1]:
        top = _top(words, page, share)
        if top is None:
            continue
        rows = _fitted(words, page, top, page.height - top.height - _between(page, top), pages)
        if not rows:
            continue
        size = log(rows[0].size)
        if best is None or size > best[0] + _WORTH:
            best = size, _placed(words, page, top, rows, pages)
    return best[1] if best else None


def _top(words: Words, page: Page, share: float) -> Stack | None:
    """Return rule and heading, at most `share` of the page; None where there is no room for them."""
    colours, top = page.style.colours, Stack()
    if not words.heading:
        return top
    for lines in (2, 3):
        head = page.heading(
            words.heading,
            height=round(page.height * share),
            largest=page.style.scale.heading * (0.9 if page.tall else 1.05),
            least=0.4,
            lines=lines,
        )
        if complete(head, words.heading):
            break
    else:
        return None
    top.add(page.rule, colours.accent)
    top.add(head, colours.ink, above=page.px(0.045))
    return top


def _fitted(words: Words, page: Page, top: Stack, room: int, pages: _Pages) -> list[Setting] | None:
    """Return the points in the one size that is best for all of them."""
    scale = page.style.scale
    largest = page.px(scale.text * (1.9 if page.tall else 2))
    if top.items and isinstance(head := top.items[-1][0], Setting):
        largest = min(largest, round(_BELOW_HEADING * head.size))
    broken = _BROKEN / 3 if page.tall else _BROKEN
    best: tuple[float, list[Setting]] | None = None
    for size in lettering.sizes(largest, page.px(_SMALLEST)):
        lost = log(max(largest, size) / size)
        if best is not None and lost + lost**2 >= best[0]:
            break
        rows = _rows(words, page, size)
        if not rows:
            continue
        further = sum(len(row.lines) - 1 for row in rows)
        if _height(rows, pages, round((_PARTED if further else _LEADING) * size)) > room:
            continue
        cost = lost + lost**2 + broken * further
        if best is None or cost < best[0]:
            best = cost, rows
    return best[1] if best else None


def _height(rows: list[Setting], pages: _Pages, leading: int) -> int:
    """Return the pixels that the fullest page takes."""
    return max(sum(rows[at].height for at in shown) + leading * (len(shown) - 1) for shown in pages)


def _between(page: Page, top: Stack) -> int:
    """Return the pixels between a heading, if there is one, and the points."""
    head = top.items[-1][0].height if top.items else 0
    return min(page.px(0.055) + head // 4, page.px(0.09)) if head else 0


def _placed(words: Words, page: Page, top: Stack, rows: list[Setting], pages: _Pages) -> Sheet:
    size, between = rows[0].size, _between(page, top)
    spare = page.height - top.height - between - _height(rows, pages, 0)
    leading = min(round(_WIDEST * size), spare // max(1, len(pages[0]) - 1))
    height = top.height + between + _height(rows, pages, leading)
    first = page.first(height)
    parts = top.at(page.left, first, page)
    indent = _indent(words, size)
    left = page.left
    if page.centred:
        left += (page.width - indent - max(row.width for row in rows)) // 2
    for shown in pages:
        y = first + top.height + between
        until = None if shown is pages[-1] else shown[-1] + 1
        for at in shown:
            row = rows[at]
            text = Placed(row, (left + indent, y), page.style.colours.ink, at + 1, until)
            parts += [text] if words.verse else [_mark(words, page, text, row, left), text]
            y += row.height + leading
    return Sheet(tuple(parts))


def _indent(words: Words, size: int) -> int:
    if words.verse:
        return 0
    return round((1.3 if words.numbered else 0.95) * size)


def _rows(words: Words, page: Page, size: int) -> list[Setting] | None:
    """Return all points at one size, None where one doesn't fit."""
    found = [
        lettering.whole(
            point.text,
            page.language,
            weight="regular",
            size=size,
            width=min(page.width, page.px(1.5)) - _indent(words, size),
            lines=3 if page.tall else 2,
            family=page.style.fonts.text,
        )
        for point in words.points
    ]
    rows = [row for row in found if row is not None]
    return rows if len(rows) == len(found) else None


def _mark(words: Words, page: Page, text: Placed, row: Setting, left: int) -> Placed:
    """Return a point's numeral, or its square, at the height of its first line."""
    top, accent = text.at[1], page.style.colours.accent
    if words.numbered:
        numeral = lettering.whole(
            str(text.step),
            page.language,
            weight="bold",
            size=row.size,
            width=page.width,
            lines=1,
            family=page.style.fonts.heading,
        )
        if numeral is not None:
            return Placed(numeral, (left, top), accent, text.step, text.until)
    side = round(row.size * 0.3)
    middle = row.baselines(top)[0] - round(row.size * (0.36 if page.language == "en" else 0.38))
    return Placed(Bar(side, side), (left, middle - side // 2), accent, text.step, text.until)
