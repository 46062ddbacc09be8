"""A spoken sentence cut into cues, and a cue into the few words at a time of `phrase`.

A cue shows the text as written, in at most two lines that break between phrases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf

from app import language as languages
from app.media.captions.cues import LIMITS, SHORTEST, Cue, Mark
from app.media.captions.places import COLUMNS, LINES, PHRASE_COLUMNS, shape
from app.models import Language, Word

_CLAUSE_END = frozenset(",.;:!?…—，。；：！？、）」』”)")
_SENTENCE_END = frozenset(".!?。！？；")
_HANGING = "，。、；：！？"
_JOINS = "\u200d\ufe0e\ufe0f"

# What a cue costs, against 1 for each and the squared share of its room that it fills.
_OPEN_END = 0.35
_SILENT = 100.0
_TOO_FAST = 1.5  # for every time the limit that it is above it
_TOO_SHORT = 1.2  # for every second it is too short
_LONELY = 1.0
_LEANING = 0.3

_LEAN = frozenset(
    {"a", "an", "and", "as", "at", "but", "by", "for", "from", "her", "his", "in", "into", "is"}
    | {"its", "my", "no", "not", "of", "on", "or", "our", "so", "than", "that", "the", "their"}
    | {"this", "to", "was", "were", "with", "your"}
)
"""English words that lean on the next one; a line that ends with one reads badly."""


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


def _joined(cue: Cue) -> tuple[str, list[int]]:
    """Return the lines as one, and where in it each begins."""
    broken = {
        after.line
        for before, after in pairwise(cue.marks)
        if before.line < after.line and before.start == after.start
    }
    text, offsets = "", []
    for number, line in enumerate(cue.lines):
        spaced = text and line and languages.width(text[-1]) == 1 == languages.width(line[0])
        if spaced and number not in broken:
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
    at = 0
    while task.width(start + at, end) > limit:
        parts = -(-task.width(start + at, end) // limit)
        aim = columns[at] + (columns[-1] - columns[at]) / parts
        fits = [i for i in range(at + 1, end - start) if columns[i] - columns[at] <= limit]
        whole = [i for i in fits if not _glued(text, start + i)]
        best = [i for i in whole if start + i in edges] or whole or fits or [at + 1]
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
            cost = best[first][0] + _cost(task, places[first], places[last], filled)
            found = min(found, (cost, first, lines))
        best.append(found)
    made: list[_Lines] = []
    last = len(places) - 1
    while last > 0:
        _, last, lines = best[last]
        made.append(lines)
    return made[::-1]


def _cost(task: _Task, start: int, end: int, filled: float) -> float:
    part = task.text[start:end].strip()
    cost = 1 + filled**2
    if end < len(task.text) and part[-1:] not in _CLAUSE_END:
        cost += _OPEN_END + (_LEANING if _leans(part) else 0)
    if languages.width(part) <= 4 and len(part) < len(task.text.strip()):
        cost += _LONELY
    words = _within(task.words, start, end)
    if not words:
        return cost + (_SILENT if task.words else 0)
    default = words[-1].end + SHORTEST / 2
    gone = next((word.start for word in task.words if word.span[0] >= end), default)
    shown = gone - words[0].start
    limit = LIMITS[task.language] * (1 if task.language == "en" else 2)
    excess = languages.width(part) / max(shown, 0.05) / limit - 1
    return cost + _TOO_FAST * min(max(excess, 0), 3) + _TOO_SHORT * max(SHORTEST - shown, 0)


def _leans(text: str) -> bool:
    return text[-8:].rstrip().rpartition(" ")[2].lower() in _LEAN


def _within(words: Sequence[_Said], start: int, end: int) -> list[_Said]:
    return [word for word in words if word.span[0] < end and word.span[1] > start]


def _lines(task: _Task, places: Sequence[int]) -> _Lines:
    """Return the spans of the lines of a cue, as even as the places to break allow."""
    text, columns, start, end = task.text, task.columns, places[0], places[-1]
    if task.width(start, end) <= columns or len(places) < 3 or task.lines == 1:
        return [(start, end)]

    def cost(at: int) -> float:
        upper, lower = task.width(start, at), task.width(at, end)
        mark = text[start:at].rstrip()[-1:]
        shorter = min(upper, lower)
        clause = 0.6 if mark in _SENTENCE_END else 0.5 if mark in _CLAUSE_END else 0
        if shorter < columns / 4:  # 「だが、」 is no line
            clause /= 2
        lonely = columns if shorter <= 2 else 0
        leans = columns / 5 if _leans(text[start:at]) else 0
        return (
            max(upper, lower, columns) * 10 + abs(upper - lower) + lonely + leans - columns * clause
        )

    inner = places[1:-1]
    fitting = [at for at in inner if max(task.width(start, at), task.width(at, end)) <= columns]
    middle = min(fitting or inner, key=cost)
    return [(start, middle), (middle, end)]


def _cue(task: _Task, spans: Sequence[tuple[int, int]], seconds: float) -> Cue:
    """Return the cue whose lines are `spans`, from its first word's start to its last one's end."""
    lines, marks = [], []
    for number, (start, end) in enumerate(spans):
        line = task.text[start:end]
        left = start + len(line) - len(line.lstrip())
        lines.append(line.strip())
        for word in _within(task.words, start, end):
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
