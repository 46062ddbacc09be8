"""A spoken sentence cut into cues, and a cue into the few words at a time of `phrase`.

A cue shows the text as written, in at most two lines that break between phrases.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf

from app import language as languages
from app.media import breaking
from app.media.captions.cues import LIMITS, SHORTEST, Cue, Mark
from app.media.captions.places import COLUMNS, LINES, PHRASE_COLUMNS, shape
from app.models import Language, Word

_CLAUSE_END = frozenset(",.;:!?…⋯—，。；：！？、）」』”)")
_SENTENCE_END = frozenset(".!?。！？；")
_HANGING = "，。、；：！？"
_JOINS = "\u200d\ufe0e\ufe0f"

# What a cue costs, against 1 for each and the squared share of its room that it fills.
_OPEN_END = 0.35
_SILENT = 100.0
_TOO_FAST = 1.5  # for every time the limit that it is above it
_TOO_SHORT = 1.2  # for every second it is too short
_LONELY = 1.0
_LEANING = 0.75  # of what `breaking` says, as below
_DANGLING = 0.6
_UNEASE = 0.9
_UNEASY = 0.5  # for a break between its lines that is worse than one in the middle of a clause

_CLAUSE = re.compile(
    r"(?:[;!?…⋯—，。；！？、]|[,:：](?!(?<=\d.)\d))+[）」』”)\"]*\s*|[.](?=\s)\s*"  # not 9:30
)
_FRAGMENT: dict[Language, int] = {"en": 9, "zh-TW": 8, "ja": 8}
"""Columns of a piece of a clause that does not stand by itself at the end or start of a line."""
_SENTENCE = re.compile(r"[。！？]|[.!?](?=\s)")
_CLOSING = '」』”)）" '
_ABBREVIATED = re.compile(
    r"\b(?:[A-Z]|[ap]\.m|Dr|Mrs?|Ms|Prof|St|Mt|Gen|Sen|vs|No|Nos|Fig|e\.g|i\.e|approx"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s)"
)
"""What ends in a full stop and goes on."""
_JOINT = re.compile(r"(?<=[/_?&=#-])(?=\w)|(?<=://)|(?<=\w)(?=\.\w)")
"""Where an address or an option is broken that is longer than a line."""
_SPACED = re.compile(r"[^\W\d_A-Za-z] [A-Za-z0-9]|[A-Za-z0-9%] [^\W\d_A-Za-z]")
"""A space between Chinese characters and others, which some writers set."""
_OPENED = re.compile(r"[「『（《“][^」』）》”]{1,3}$")
_PAIRS = {"」": "「", "』": "『", "）": "（", "》": "《", ")": "(", "”": "“"}
_ASIDE = frozenset("（(「『《“—―")
_ORPHAN = 6
"""Columns that no line is as short as, if the words allow: three characters."""


@dataclass(frozen=True)
class _Said:
    """A word or part of one: when it sounds, and where it stands in the text."""

    start: float
    end: float
    span: tuple[int, int]


@dataclass(frozen=True)
class _Task:
    """A text to cut: lines of `columns`, at most `lines` of them."""

    text: str
    words: Sequence[_Said]
    language: Language
    columns: int
    lines: int

    @cached_property
    def edges(self) -> list[int]:
        """Columns before each character."""
        return list(accumulate(map(languages.width, self.text), initial=0))

    @cached_property
    def sense(self) -> str:
        """The text, as long, with full stops only where a sentence ends."""
        return _ABBREVIATED.sub(lambda found: found[0][:-1] + "·", self.text)

    @cached_property
    def _spans(self) -> tuple[list[int], list[int]]:
        begun = [word.span[0] for word in self.words]
        return begun, list(accumulate((word.span[1] for word in self.words), max))

    def within(self, start: int, end: int) -> Sequence[_Said]:
        """Return the words of which a part lies in a part of the text."""
        begun, ended = self._spans
        return self.words[bisect_right(ended, start) : bisect_left(begun, end)]

    def after(self, end: int) -> _Said | None:
        """Return the first word that begins at a place or after it."""
        at = bisect_left(self._spans[0], end)
        return self.words[at] if at < len(self.words) else None

    def width(self, start: int, end: int) -> int:
        """Return the columns of a part of the text, without the white space around it."""
        blank = f"{_HANGING} " if self.lines == 1 else " "  # a large line may be a comma wider
        while end > start and self.text[end - 1] in blank:
            end -= 1
        while start < end and self.text[start] == " ":
            start += 1
        return self.edges[end] - self.edges[start]


def cut(
    text: str,
    words: Sequence[Word],
    seconds: float,
    *,
    language: Language,
    size: tuple[int, int],
) -> tuple[Cue, ...]:
    """Cut one spoken sentence into cues on the clock of its sound; `timed` places them.

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
    said = [_Said(word.start, word.end, word.span) for word in words]
    task = _Task(clean, said, language, COLUMNS[shape(size)][language], LINES)
    cues = (_cue(task, lines, seconds) for lines in _cut(task))
    return tuple(cue for cue in cues if cue.marks or not words)


def pieces(cue: Cue, *, language: Language, size: tuple[int, int]) -> tuple[Cue, ...]:
    """Cut a cue into single lines of a few words, each shown from its first word to the next's."""
    text, offsets = _joined(cue)
    said: list[_Said] = []
    for mark in cue.marks:
        begin, until = (offsets[mark.line] + at for at in (mark.begin, mark.until))
        if said and (said[-1].start, said[-1].span[1]) == (mark.start, begin):
            begin = said.pop().span[0]  # a word of two lines is one word again
        said.append(_Said(mark.start, mark.end, (begin, until)))
    task = _Task(text, said, language, PHRASE_COLUMNS[shape(size)][language], 1)
    found = [_cue(task, lines, cue.end) for lines in _cut(task)]
    shown = [piece for piece in found if piece.marks] or found
    edges = [cue.start, *(piece.said[0] for piece in shown[1:]), cue.end]
    return tuple(
        Cue(start, end, piece.lines, piece.marks)
        for piece, (start, end) in zip(shown, pairwise(edges), strict=True)
    )


def grouped(cue: Cue, language: Language) -> Cue:
    """Return `cue` with its marks joined into what a reader takes in at once.

    A voice tells when each Chinese character and each part of a Japanese word sounds; one of them
    lit alone is no word. A mark becomes a phrase: 月亮, 離我們, 灯台だけは. English is left as it is.
    """
    if language == "en" or not cue.marks:
        return cue
    text, offsets = _joined(cue)
    ends = [end for _, end in languages.phrases(text, language)]
    made: list[Mark] = []
    last = -1
    for mark in cue.marks:
        phrase = bisect_right(ends, offsets[mark.line] + mark.begin)
        if made and phrase == last and made[-1].line == mark.line:
            before = made.pop()
            made.append(replace(before, end=mark.end, until=mark.until))
        else:
            made.append(mark)
        last = phrase
    return replace(cue, marks=tuple(_closed(mark, cue.lines[mark.line]) for mark in made))


def _closed(mark: Mark, line: str) -> Mark:
    """Return `mark` with the bracket or quotation mark that closes what it opens."""
    marked = line[mark.begin : mark.until]
    pair = _PAIRS.get(line[mark.until : mark.until + 1])
    open_ = pair is not None and marked.count(pair) > marked.count(line[mark.until])
    return replace(mark, until=mark.until + 1) if open_ else mark


def _joined(cue: Cue) -> tuple[str, list[int]]:
    """Return the lines as one, and where in it each begins."""
    broken = {
        after.line
        for before, after in pairwise(cue.marks)
        if before.line < after.line and before.start == after.start
    }
    text, offsets = "", []
    mixed = any(map(_SPACED.search, cue.lines))
    for number, line in enumerate(cue.lines):
        sides = (text[-1:], line[:1])
        letters = "".join(sides).isalnum() and all(sides)
        widths = [languages.width(side) for side in sides]
        if (widths == [1, 1] or (mixed and letters and sum(widths) == 3)) and number not in broken:
            text += " "
        offsets.append(len(text))
        text += line
    return text, offsets


# --- places to break ------------------------------------------------------------------------


def _places(task: _Task) -> list[int]:
    """Return where a line may break, ends included: between phrases, inside a word only if it must."""
    text, places = task.text, [0]
    inside = {at for word in task.words for at in range(word.span[0] + 1, word.span[1])}
    edges = {at for word in task.words for at in word.span}
    held: list[int] = []
    for _, end in languages.phrases(text, task.language):
        if end in inside and end < len(text):
            held.append(end)
            continue
        if task.width(places[-1], end) > task.columns:
            for stop in (*held, end):
                places += _within_piece(task, places[-1], stop, edges)
                places.append(stop)
        else:
            places.append(end)
        held = []
    if places[-1] != len(text):
        places.append(len(text))
    return places


def _within_piece(task: _Task, start: int, end: int, edges: set[int]) -> Iterator[int]:
    """Yield places in a piece wider than a line: between its words, else between characters."""
    text, limit = task.text, task.columns
    columns = list(accumulate((languages.width(c) for c in text[start:end]), initial=0))
    joints = {match.start() for match in _JOINT.finditer(text, start, end)}
    at = 0
    while task.width(start + at, end) > limit:
        parts = -(-task.width(start + at, end) // limit)
        aim = columns[at] + (columns[-1] - columns[at]) / parts
        fits = [i for i in range(at + 1, end - start) if columns[i] - columns[at] <= limit]
        whole = [i for i in fits if not _glued(text, start + i)]
        joined = [i for i in whole if start + i in joints]
        best = joined or [i for i in whole if start + i in edges] or whole or fits or [at + 1]
        at = min(best, key=lambda i: abs(columns[i] - aim))
        if start + at >= end:
            return
        yield start + at


def _glued(text: str, at: int) -> bool:
    """Return True where no line may break before `at`, even in a piece without phrases."""
    return (
        languages.width(text[at]) == 0
        or text[at - 1] in _JOINS
        or text[at] in _CLAUSE_END
        or text[at].isspace()
        or text[at - 1] in "（「『“‘([{"
    )


# --- the best cues --------------------------------------------------------------------------

_Lines = list[tuple[int, int]]


def _cut(task: _Task) -> list[_Lines]:
    """Return the lines of every cue: few, of even length, ending with a clause where they can."""
    places = _places(task)
    best: list[tuple[float, int, _Lines]] = [(0.0, 0, [])]
    for last in range(1, len(places)):
        found: tuple[float, int, _Lines] = (inf, last - 1, [(places[last - 1], places[last])])
        for first in range(last - 1, -1, -1):
            filled = task.width(places[first], places[last]) / (task.lines * task.columns)
            if filled > 1 and found[0] < inf:
                break
            lines = _lines(task, places[first : last + 1])
            if last - first > 1 and any(task.width(*line) > task.columns for line in lines):
                continue
            cost = best[first][0] + _cost(
                task, places[first], places[last], lines[0][1] if lines[1:] else None, filled
            )
            found = min(found, (cost, first, lines))
        best.append(found)
    made: list[_Lines] = []
    last = len(places) - 1
    while last > 0:
        _, last, lines = best[last]
        made.append(lines)
    return made[::-1]


def _cost(task: _Task, start: int, end: int, break_at: int | None, filled: float) -> float:
    part = task.sense[start:end].strip()
    cost = 1 + filled**2
    if end < len(task.text) and part[-1:] not in _CLAUSE_END:
        leaning = breaking.leaning(task.text[start:end], task.text[end : end + 40], task.language)
        cost += _OPEN_END + _LEANING * max(0.0, leaning)
    if languages.width(part) <= 4 and len(part) < len(task.text.strip()):
        cost += _LONELY
    if end < len(task.text) and _dangles(part, task.language):
        cost += _DANGLING
    opened = start > 0 and task.sense[max(0, start - 9) : start].rstrip()[-1:] not in _CLAUSE_END
    if opened and _ends_soon(part, task.language):
        cost += _DANGLING
    if break_at is not None:
        cost += _UNEASY * max(0.0, _unease(task, start, break_at, end))
    words = task.within(start, end)
    if not words:
        return cost + (_SILENT if task.words else 0)
    default = words[-1].end + SHORTEST / 2
    following = task.after(end)
    gone = following.start if following else default
    shown = gone - words[0].start
    limit = LIMITS[task.language] * (1 if task.language == "en" else 2)
    excess = languages.width(part) / max(shown, 0.05) / limit - 1
    return cost + _TOO_FAST * min(max(excess, 0), 3) + _TOO_SHORT * max(SHORTEST - shown, 0)


def _lines(task: _Task, places: Sequence[int]) -> _Lines:
    """Return the spans of the lines of a cue, as even as the places to break allow."""
    columns, start, end = task.columns, places[0], places[-1]
    if task.width(start, end) <= columns or len(places) < 3 or task.lines == 1:
        return [(start, end)]

    inner = places[1:-1]
    fitting = [at for at in inner if max(task.width(start, at), task.width(at, end)) <= columns]
    middle = min(fitting or inner, key=lambda at: _unease(task, start, at, end))
    return [(start, middle), (middle, end)]


def _unease(task: _Task, start: int, at: int, end: int) -> float:
    """Return how badly a cue reads with its lines broken at `at`; an even break in a clause is 0."""
    text = task.sense
    before, after = text[start:at].rstrip(), text[at:end].strip()
    upper, lower = task.width(start, at), task.width(at, end)
    shorter, mark = min(upper, lower), before[-1:]
    unease = max(upper, lower, task.columns) * 10 / task.columns - 10
    unease += abs(upper - lower) / task.columns
    if before.rstrip(_CLOSING)[-1:] in _SENTENCE_END:
        unease -= 0.6
    elif mark in _CLAUSE_END or after[:1] in _ASIDE:
        unease -= 0.2 if mark in ("：", ":") else 0.5
    elif _SENTENCE.search(before):  # the next sentence begins in the line, and goes on in the other
        unease += 1.2
    if shorter < task.columns / 4:  # 「だが、」 is no line
        unease += 0.3
    if shorter <= _ORPHAN and task.language != "en":
        unease += 0.7
    if _OPENED.search(before):
        unease += 1.1
    unease += _UNEASE * max(0.0, breaking.leaning(text[start:at], after, task.language))
    if _dangles(before, task.language):
        unease += 0.6
    if mark not in _CLAUSE_END and _ends_soon(after, task.language):
        unease += 0.3
    return unease


def _ends_soon(part: str, language: Language) -> bool:
    """Return True where `part` begins with the last words of a clause."""
    first = _CLAUSE.search(f"{part} ")
    return first is not None and _is_fragment(part[: first.start()], language)


def _dangles(part: str, language: Language) -> bool:
    """Return True where `part` ends with the first words of a clause that goes on after it."""
    last = max(_CLAUSE.finditer(part, 0, max(0, len(part) - 1)), key=re.Match.start, default=None)
    if last is None or languages.width(part[: last.start()]) <= _FRAGMENT[language]:
        return False
    tail = part[last.end() :]
    open_end = tail[-1:] not in _CLAUSE_END
    after_sentence = last.group()[0] in _SENTENCE_END
    return (open_end or after_sentence) and _is_fragment(tail.rstrip("、，,"), language)


def _is_fragment(text: str, language: Language) -> bool:
    return 0 < languages.width(text.strip()) <= _FRAGMENT[language]


def _cue(task: _Task, spans: Sequence[tuple[int, int]], seconds: float) -> Cue:
    """Return the cue whose lines are `spans`, from its first word's start to its last one's end."""
    lines, marks = [], []
    for number, (start, end) in enumerate(spans):
        line = task.text[start:end]
        left = start + len(line) - len(line.lstrip())
        lines.append(line.strip())
        for word in task.within(start, end):
            begin = max(word.span[0] - left, 0)
            until = begin + len(lines[-1][begin : max(word.span[1] - left, 0)].rstrip())
            if until > begin:
                times = _heard(word, spans[0][0], spans[-1][1])
                marks.append(Mark(*times, number, begin, until))
    first = marks[0].start if marks else 0.0
    last = max((mark.end for mark in marks), default=seconds)
    return Cue(first, max(last, first), tuple(lines), tuple(marks))


def _heard(word: _Said, start: int, end: int) -> tuple[float, float]:
    """Return when that of a word sounds that a cue shows: cues share a word too long for one."""
    first, last = word.span
    pace = (word.end - word.start) / max(1, last - first)
    begins = word.start + pace * max(0, start - first)
    return begins, word.end - pace * max(0, last - end)
