"""Captions as a viewer reads them: how fast, how long a line, one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from app import language as languages
from app.errors import MediaError
from app.media import captions
from app.media.captions import Cue
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged

GROUP = "captions"

ROUNDING = 1.02
"""By how much a file's milliseconds may make a cue faster than it is."""
FLICKER = 0.06
"""Seconds of nothing between two cues that an eye takes for a flicker: under two frames."""
OFF = 0.002
"""Seconds that a time in the file may differ from its plan."""

_TIMES = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{3}) --> (\d+):(\d\d):(\d\d)[,.](\d{3})")
_JOINER = "\u2060"
_SLOWER = "Set a lower `speed`, or say the same in fewer words"


def read(path: Path) -> list[Cue]:
    """Return the cues of a SubRip file.

    Raises:
        MediaError: `captions_unreadable`.
    """
    try:
        return list(_cues(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError) as error:
        raise MediaError(
            "captions_unreadable",
            f"The captions {path.name} can't be read ({type(error).__name__}).",
            "Run the project again from video_rendering.",
        ) from None


def _cues(text: str) -> Iterator[Cue]:
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()):
        lines = block.split("\n")
        at = next((n for n, line in enumerate(lines) if _TIMES.match(line)), None)
        if at is None:
            if block.strip():
                raise ValueError(block)
            continue
        found = _TIMES.match(lines[at])
        figures = [int(part) for part in found.groups()] if found else []
        start, end = (
            3600 * hour + 60 * minute + second + thousandth / 1000
            for hour, minute, second, thousandth in (figures[:4], figures[4:])
        )
        yield Cue(start, end, _bare(lines[at + 1 :]), ())


def _bare(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line.replace(_JOINER, "") for line in lines)


def rows(meant: Meant) -> list[Row]:
    """Return what the caption file is like."""
    cues = read(meant.captions)
    planned = [cue for cue in meant.plan.cues if cue.end - cue.start >= OFF]
    whole = len(cues) == len(planned) and all(
        one.lines == _bare(other.lines) and abs(one.start - other.start) <= OFF
        for one, other in zip(cues, planned, strict=True)
    )
    kept = judged(
        GROUP,
        "cues in the file",
        len(cues),
        limit=f"the {len(planned)} that were planned",
        good=whole,
        says=f"{meant.captions.name} says something else than the film. {AGAIN}",
    )
    if not cues:
        return [kept]
    return [kept, _speed(cues, meant), _overlap(cues), _gaps(cues), _lines(cues, meant)]


def _speed(cues: Sequence[Cue], meant: Meant) -> Row:
    limit = captions.LIMITS[meant.language]
    fastest = max(cues, key=lambda cue: captions.speed(cue, meant.language))
    speed = captions.speed(fastest, meant.language)
    many = sum(captions.speed(cue, meant.language) > limit * ROUNDING for cue in cues)
    return judged(
        GROUP,
        "reading speed",
        speed,
        "characters/s",
        limit=f"≤ {limit:g}",
        good=not many,
        says=f"{many} of {len(cues)} cues go by too fast, most at {clock(fastest.start)}: "
        f"{_short(fastest)}. {_SLOWER}.",
    )


def _overlap(cues: Sequence[Cue]) -> Row:
    over, at = max(
        ((one.end - two.start, two) for one, two in pairwise(cues)),
        default=(0.0, cues[0]),
        key=lambda pair: pair[0],
    )
    backwards = [cue for cue in cues if cue.end <= cue.start]
    return judged(
        GROUP,
        "overlap",
        1000 * max(over, 0.0),
        "ms",
        limit="0",
        good=over < OFF and not backwards,
        says=f"Two cues are shown at once at {clock(at.start)}: {_short(at)}. {AGAIN}",
    )


def _gaps(cues: Sequence[Cue]) -> Row:
    found = [
        (two.start - one.end, two)
        for one, two in pairwise(cues)
        if OFF < two.start - one.end < FLICKER
    ]
    return judged(
        GROUP,
        "flicker between cues",
        len(found),
        "times",
        limit=f"no gap under {1000 * FLICKER:g} ms",
        good=not found,
        says=f"The first is at {clock(found[0][1].start) if found else ''}. {AGAIN}",
        otherwise="warn",
    )


def _lines(cues: Sequence[Cue], meant: Meant) -> Row:
    most = captions.COLUMNS[captions.shape(meant.plan.size)][meant.language]
    wide = 1 if meant.language == "en" else 2

    def longest(cue: Cue) -> int:
        return max((languages.width(line) for line in cue.lines), default=0)

    worst = max(cues, key=lambda cue: (len(cue.lines) > captions.LINES, longest(cue)))
    good = len(worst.lines) <= captions.LINES and longest(worst) <= most
    return judged(
        GROUP,
        "lines of a cue",
        f"{len(worst.lines)} × {longest(worst) / wide:g}",
        "characters",
        limit=f"≤ {captions.LINES} × {most / wide:g}",
        good=good,
        says=f"Too much is shown at once at {clock(worst.start)}: {_short(worst)}. {AGAIN}",
    )


def _short(cue: Cue) -> str:
    text = " ".join(cue.lines)
    return f"“{text[:40]}{'…' if len(text) > 40 else ''}”"
