"""The picture that stands for the video: its title in very large type, in the best composition.

Every composition that suits is drawn over the most promising pictures, and measured as a viewer
gets it: contrast and clutter around the letters, their size in a list of videos, what is seen of
the scene. A face is never under the title.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from app.media import contrast, interest
from app.media.faces import Region
from app.media.grounds import VERSION as _GROUNDS
from app.media.styles import Style
from app.media.thumbnail import layouts
from app.media.thumbnail import scene as scenes
from app.media.thumbnail.layouts import BADGE, LAYOUTS, STAMP, Box, Composition, Sheet
from app.media.thumbnail.scene import SIZE, Scene
from app.models import CaptionStyle, Language

__all__ = ["BADGE", "SIZE", "STAMP", "VERSION", "Candidate", "Facts", "candidates", "draw"]

VERSION = f"4 {_GROUNDS}"
"""Raised when the same inputs give another picture."""

MAX_BYTES = 2_000_000
"""What YouTube takes is 2 MB (2,097,152 bytes)."""
SCENES = 2
"""Pictures that are tried in every composition."""
_FIRST = 0.05
"""For the first picture: it mostly shows what the video is about."""
_MARKS = frozenset("，。！？：；、,.!?:;—–")
_LIKED: dict[CaptionStyle, tuple[str, ...]] = {
    "karaoke": ("lower", "side", "upper"),
    "clean": ("split", "mirrored", "side"),
    "boxed": ("side", "label", "split"),
    "phrase": ("label", "mirrored", "split"),
}
"""How a style sets its captions → the compositions that go with it, the best first: little, so that
others win where they are read better."""
_LIKING = (0.14, 0.1, 0.06)
_LARGE: dict[Language, float] = {"en": 9.0, "zh-TW": 13.0, "ja": 13.0}
"""How much higher than the least letters are as large as is of use."""
_HEART = 0.2
"""Sides of what draws the eye most in a scene, in shares of it: words are to stay off it."""


@dataclass(frozen=True)
class Facts:
    """What was measured of a thumbnail.

    Attributes:
        composition: Its name in `layouts.LAYOUTS`.
        picture: The number of the picture shown, counted from 0; None where there is none.
        score: About 0-1; the best is taken.
        contrast: Of the title with what is around it, as `contrast.around` measures it.
        clutter: Edges behind the words, 0-1.
        letter: Height in pixels of a capital, or of a Chinese character, in a `STAMP`.
        lines: How many the title takes.
        covers: Whether words stand on a face.
        whole: Whether all of the title is there.
        warnings: Sentences for the user.
    """

    composition: str
    picture: int | None
    score: float
    contrast: float
    clutter: float
    letter: float
    lines: int
    covers: bool
    whole: bool
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A finished thumbnail, RGB of `SIZE`, and what was measured of it."""

    image: Image.Image
    facts: Facts


def draw(
    target: Path, *, title: str, language: Language, pictures: Sequence[Path], style: Style
) -> Facts:
    """Write the best thumbnail to `target`: a JPEG of 1280 × 720 pixels, under 2 MB.

    Raises:
        InputError: as `pictures.check`.
        MediaError: `font_unusable`.
    """
    best = candidates(title=title, language=language, pictures=pictures, style=style)[0]
    target.write_bytes(_jpeg(best.image))
    return best.facts


def candidates(
    *, title: str, language: Language, pictures: Sequence[Path], style: Style
) -> list[Candidate]:
    """Return every composition over the best of `pictures`, the best first.

    Args:
        title: Set as it is; too long a one ends in an ellipsis, with a warning.
        language: Of the title.
        pictures: What the video shows, in order; none is a card.
        style: Fonts, colours, ground.

    Raises:
        InputError: as `pictures.check`.
        MediaError: `font_unusable`.
    """
    found = [
        _measured(composition, sheet)
        for sheet in _sheets(title, language, pictures, style)
        for layout in LAYOUTS.values()
        if (composition := layout(sheet)) is not None
    ]
    order = list(LAYOUTS)
    return sorted(
        found,
        key=lambda one: (
            one.facts.covers,
            not one.facts.whole,
            -one.facts.score,
            one.facts.picture or 0,
            order.index(one.facts.composition),
        ),
    )


def _sheets(
    title: str, language: Language, pictures: Sequence[Path], style: Style
) -> Iterator[Sheet]:
    if not pictures:
        yield Sheet(title, language, style, None)
        return
    for found in scenes.best(pictures, style, most=SCENES):
        yield Sheet(title, language, style, found)


# -- measuring -----------------------------------------------------------------------------------


def _measured(composition: Composition, sheet: Sheet) -> Candidate:
    """Draw the words, and measure them in the picture as a player shows it."""
    letters = Image.new("RGB", SIZE)
    composition.setting.draw(ImageDraw.Draw(letters), composition.at, (255, 255, 255))
    ink = np.asarray(letters.getchannel("G"))
    image = composition.ground.copy()
    composition.setting.draw(ImageDraw.Draw(image), composition.at, composition.ink)
    with Image.open(io.BytesIO(_jpeg(image))) as compressed:
        ratio = contrast.around(np.asarray(compressed), ink)
    words = composition.boxes
    clutter = _clutter(composition.ground, words)
    letter = layouts.letter(composition.setting)
    heads = _heads(composition, sheet.scene)
    covers = any(_meet(head, box) for head in heads for box in composition.covering)
    said = "".join(composition.setting.lines)
    facts = Facts(
        composition=composition.name,
        picture=sheet.scene.number if sheet.scene else None,
        score=round(_score(composition, sheet, ratio, clutter, letter), 3),
        contrast=round(ratio, 2),
        clutter=round(clutter, 3),
        letter=round(letter, 1),
        lines=len(words),
        covers=covers,
        whole="".join(said.split()) == "".join(sheet.title.split()),
    )
    return Candidate(image, _warned(facts, sheet.language))


def _warned(facts: Facts, language: Language) -> Facts:
    """Return `facts` with what the user should know of them."""
    said: list[str] = []
    least = layouts.least(language)
    if not facts.whole:
        said.append("The title is too long for the thumbnail and ends in an ellipsis there.")
    elif facts.lines and facts.letter < least:
        said.append(
            f"The title's letters are {facts.letter:.1f} pixels high in a list of videos; below "
            f"{least:.0f} they are hard to read. A shorter title is set larger."
        )
    if facts.covers:
        said.append("The thumbnail's title stands on a face; a shorter title would leave it free.")
    return Facts(**{**facts.plain(), "warnings": tuple(said)})


def _score(
    composition: Composition, sheet: Sheet, ratio: float, clutter: float, letter: float
) -> float:
    """Return how good a thumbnail is: it must be read first, then draw the eye."""
    least = layouts.least(sheet.language)
    large = least + _LARGE[sheet.language]
    read = 0.1 * _share(ratio, contrast.LEAST, 9) + 0.3 * _share(letter, least - 3, large)
    calm = 0.15 * (1 - _share(clutter, 0.0, 0.3))
    read -= 0.12 * _against_sense(composition.setting.lines, sheet.title)
    if ratio < contrast.LEAST:
        read -= 0.5
    if letter < least:
        read -= 0.2 + 0.1 * (least - letter)
    if sheet.scene is None:
        return read + calm
    pixels = np.asarray(composition.ground.resize((160, 90), Image.Resampling.BOX), np.float64)
    vivid = 0.1 * _share(scenes.colourfulness(pixels), 10, 80)
    shown = 0.3 * _shown(composition, sheet.scene) + 0.1 * sheet.scene.worth
    if _on_heart(composition, sheet.scene):
        shown -= 0.3
    favourites = _LIKED[sheet.style.captions.style]
    name = composition.name
    liked = _LIKING[favourites.index(name)] if name in favourites else 0.0
    first = _FIRST * (sheet.scene.number == 0)
    return read + calm + vivid + shown + liked + first


def _against_sense(lines: Sequence[str], title: str) -> float:
    """Return 0-1: how many of the title's clauses end within a line instead of at its end."""
    inner = sum(mark in _MARKS for mark in title.strip()[:-1])
    if not inner or len(lines) < 2:
        return 0.0
    ends = sum(line.rstrip()[-1:] in _MARKS for line in lines[:-1])
    return 1 - ends / min(inner, len(lines) - 1) if ends < min(inner, len(lines) - 1) else 0.0


def _share(value: float, least: float, most: float) -> float:
    return min(1.0, max(0.0, (value - least) / (most - least)))


def _shown(composition: Composition, scene: Scene) -> float:
    """Return how much of what is interesting in the scene is seen, and not under the words."""
    window, place = composition.window, composition.place
    if window is None:
        return 0.0
    seen = interest.share(scene.seen, window)
    for covered in _covered(composition):
        seen -= 0.9 * interest.share(scene.seen, covered.placed(window))
    wide, high = place[2] - place[0], place[3] - place[1]
    large = 0.55 + 0.45 * wide * high / (SIZE[0] * SIZE[1])
    return max(0.0, seen) * composition.clarity * large


def _covered(composition: Composition) -> list[Region]:
    """Return what of the scene lies under the words, in shares of what is seen of it."""
    left, top, right, bottom = composition.place
    place = Region(left / SIZE[0], top / SIZE[1], right / SIZE[0], bottom / SIZE[1])
    boxes = [
        Region(a / SIZE[0], b / SIZE[1], c / SIZE[0], d / SIZE[1]).seen_from(place)
        for a, b, c, d in composition.covering
    ]
    return [box for box in boxes if box.width > 0 and box.height > 0]


def _on_heart(composition: Composition, scene: Scene) -> bool:
    """Tell whether words stand on what draws the eye most, or whether it is not seen at all."""
    if composition.window is None:
        return False
    rows, columns = scene.seen.shape
    size = (max(1, round(_HEART * columns)), max(1, round(_HEART * rows)))
    around = cv2.boxFilter(scene.seen, -1, size, borderType=cv2.BORDER_CONSTANT)
    row, column = np.unravel_index(int(np.argmax(around)), around.shape)
    across, down = (float(column) + 0.5) / columns, (float(row) + 0.5) / rows
    point = Region(across, down, across, down)
    if not point.within(composition.window):
        return True
    seen = point.seen_from(composition.window)
    return any(seen.within(box) for box in _covered(composition))


def _clutter(ground: Image.Image, boxes: list[Box]) -> float:
    """Return the share of steep slopes behind the words, 0-1."""
    if not boxes:
        return 0.0
    grey = cv2.GaussianBlur(np.asarray(ground.convert("L")), (0, 0), 1.5)
    slopes = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    behind = np.zeros(grey.shape, bool)
    for left, top, right, bottom in boxes:
        behind[max(0, top - 12) : bottom + 12, max(0, left - 12) : right + 12] = True
    return float((np.asarray(slopes)[behind] > 14).mean())


def _heads(composition: Composition, scene: Scene | None) -> list[Box]:
    """Return where the heads are on the thumbnail."""
    window, place = composition.window, composition.place
    if scene is None or window is None:
        return []
    wide, high = place[2] - place[0], place[3] - place[1]
    seen = [head.seen_from(window) for head in scene.people]
    return [
        (
            round(place[0] + head.left * wide),
            round(place[1] + head.top * high),
            round(place[0] + head.right * wide),
            round(place[1] + head.bottom * high),
        )
        for head in seen
        if head.width > 0 and head.height > 0
    ]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _jpeg(image: Image.Image) -> bytes:
    """Return the finest JPEG that is small enough."""
    for quality in (92, 85, 75, 60, 40, 20):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=0)
        if file.tell() < MAX_BYTES:
            break
    return file.getvalue()
