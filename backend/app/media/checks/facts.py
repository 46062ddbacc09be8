"""What a check is given, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.media.cards.sheet import Sheet
from app.media.styles import Style
from app.media.thumbnail import Facts
from app.media.timeline import Segment, Timeline
from app.models import Language

Verdict = Literal["pass", "warn", "fail"]

AGAIN = "Run the project again with `--from video_rendering`."
"""What helps where the film itself is at fault."""


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Attributes:
        group: Which of `GROUPS` it belongs to.
        name: What it is, in a few words.
        value: The figure.
        unit: Of the figure; empty where it has none.
        limit: What it must keep to, in words.
        verdict: Whether it does; a warning is worth a look and no fault.
        says: Where it was found, and what to change; empty where all is well.
    """

    group: str
    name: str
    value: float | str
    unit: str
    limit: str
    verdict: Verdict
    says: str = ""


def judged(
    group: str,
    name: str,
    value: float | str,
    unit: str = "",
    *,
    limit: str,
    good: bool,
    says: str = "",
    otherwise: Verdict = "fail",
) -> Row:
    """Return a row that passes where `good`, and else has the verdict `otherwise` and `says` why."""
    shown = round(value, 3) if isinstance(value, float) else value
    return Row(group, name, shown, unit, limit, "pass" if good else otherwise, "" if good else says)


@dataclass(frozen=True)
class Meant:
    """What a film was meant to be.

    Attributes:
        plan: Its scenes, words and voices; the files it names must be there.
        style: Its look.
        language: Of its captions.
        captions: The SubRip file beside it.
        burnt: Whether captions are part of the picture.
        music: Whether music was to sound.
        own_music: Whether that is the user's own, which may have clicks and swells to itself.
        sheets: What is set on the card of each scene that shows one and whose words are known.
        thumbnail: The picture that stands for it, and what was measured as it was drawn, if it was;
            None where there is none.
        altered: Whether that picture is another one than was drawn.
        reading: Seconds that its words take to say, by rule of thumb; 0 is unknown.
        length: Seconds that were asked for, where only a topic was given.
    """

    plan: Timeline
    style: Style
    language: Language
    captions: Path
    burnt: bool = True
    music: bool = True
    own_music: bool = False
    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    thumbnail: tuple[Path, Facts | None] | None = None
    altered: bool = False
    reading: float = 0.0
    length: float | None = None


def clock(seconds: float) -> str:
    """Return 65.4 as `1:05.4`."""
    minutes, rest = divmod(max(seconds, 0.0), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def scene_at(plan: Timeline, frame: int) -> Segment:
    """Return the scene that frame `frame` belongs to."""
    for part in reversed(plan.segments):
        if frame >= part.first:
            return part
    return plan.segments[0]


def spread(items: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of `items`, evenly."""
    if len(items) <= most:
        return list(items)
    return [items[round(number * (len(items) - 1) / (most - 1))] for number in range(most)]
