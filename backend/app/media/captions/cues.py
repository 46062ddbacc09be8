"""Cues: what is shown at once, when, and how fast that has to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from app import language as languages
from app.models import Language

LIMITS: dict[Language, float] = {"en": 17, "zh-TW": 9, "ja": 9}
"""Characters a second that can be read beside a picture; counted as `speed` does."""

SHORTEST = 0.8
"""Seconds a cue stays at least, where its neighbours leave them."""
LEAD = 0.2
"""Seconds a cue may come before its first word, to be read in time."""
HOLD = 0.25
"""Seconds a cue stays after its last word, unless the next one comes sooner."""
JOIN = 0.6
"""A cue stays until the next one where that comes within this time: no flicker between them."""


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

    @property
    def said(self) -> tuple[float, float]:
        """When its first word starts and its last one ends; its own times where it has none."""
        if not self.marks:
            return self.start, self.end
        return self.marks[0].start, max(mark.end for mark in self.marks)


def speed(cue: Cue, language: Language) -> float:
    """Return the characters a second at which `cue` has to be read; see `LIMITS`.

    Spaces are not counted, as in Aegisub's counter: 17 a second is what services that count them
    call 20. In Chinese and Japanese a Latin letter is half a character, as in Netflix's guides.
    """
    text = "".join("".join(cue.lines).split())
    characters = _characters(text, language)
    return characters / (cue.end - cue.start) if cue.end > cue.start else inf * bool(characters)


def too_fast(cues: Sequence[Cue], language: Language) -> list[Cue]:
    """Return the cues that nobody can read in their time: the voice itself is that fast."""
    return [cue for cue in cues if speed(cue, language) > LIMITS[language]]


def timed(
    cues: Sequence[Cue], *, language: Language, until: float, fps: int = 30
) -> tuple[Cue, ...]:
    """Give the cues of a scene their times on the screen.

    A cue is there while its words sound. It stays on into the pause after them, and comes up to
    `LEAD` before them where it could not be read otherwise; two neighbours share a pause by what
    they need. Between two cues there are two frames at least, or none.

    Args:
        cues: In order, as `cut` made them, on the clock of the scene.
        language: Decides how fast one reads.
        until: End of the scene in seconds.
        fps: Frames per second.
    """
    if not cues:
        return ()
    wanted = [max(SHORTEST, _wanted(cue, language)) for cue in cues]
    said = [cue.said for cue in cues]
    latest = [*(start for start, _ in said[1:]), max(until, said[-1][1])]
    starts = [_early(said[0][0], wanted[0], latest[0], floor=0.0)]
    ends: list[float] = []
    for (at, following), need, due in zip(
        pairwise(range(len(cues))), wanted[1:], latest[1:], strict=True
    ):
        finished, begins = said[at][1], said[following][0]
        start = _early(begins, need, due, floor=min(finished, begins))
        if starts[at] + wanted[at] > start:
            shared = starts[at] + (due - starts[at]) * wanted[at] / (wanted[at] + need)
            start = min(max(shared, start), begins)
        end = max(finished + HOLD, starts[at] + wanted[at])
        joined = start - finished < JOIN or start - end < 2 / fps
        ends.append(start if joined else end)
        starts.append(start)
    ends.append(max(said[-1][1], min(until, max(said[-1][1] + HOLD, starts[-1] + wanted[-1]))))
    return tuple(
        replace(cue, start=start, end=end)
        for cue, start, end in zip(cues, starts, ends, strict=True)
    )


def _early(begins: float, wanted: float, due: float, *, floor: float) -> float:
    """Return when a cue comes whose words start at `begins` and that must be gone when `due`."""
    lead = min(LEAD, max(0.0, wanted - (due - begins)))
    return min(begins, max(floor, begins - lead))


def _wanted(cue: Cue, language: Language) -> float:
    """Return the seconds in which `cue` is read with ease: spaces are counted, too."""
    return _characters(" ".join(cue.lines), language) / LIMITS[language]


def _characters(text: str, language: Language) -> float:
    return languages.width(text) / (1 if language == "en" else 2)
