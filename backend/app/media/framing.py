"""How a picture of any shape comes into the frame: cropped around what matters, or whole.

A crop keeps every head within its window; where that can't be, the picture is shown whole, over a
blurred ground or a plain one. What the motion must keep in sight is handed on as a region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from app.media import faces, interest
from app.media.faces import WHOLE, Region
from app.models import Framing

Way = Literal["crop", "blur", "solid"]

MAX_ENLARGEMENT = 2.0
"""Beyond this a picture shows its pixels: it is framed instead of filling the canvas."""
MOST_ENLARGEMENT = 4.0
"""The same where the user asks for a crop."""
FILLS_FROM = 0.7
"""Least ratio of the two aspects at which a usual picture is cropped to fill: 4:3 in 16:9 is 0.75."""
FILLS_SOME_FROM = 0.5
"""The same for one whose interest lies so close together that nearly nothing of it is lost."""
_LOST, _LOST_FAR = 0.3, 0.12
"""Most of the interest that a crop may lose, from `FILLS_FROM` and from `FILLS_SOME_FROM` on."""

CENTRE = (0.5, 0.45)
"""Where a crop without anything of interest is centred; heads are rather above the middle."""
_STEPS = 40
"""Windows that are compared."""


@dataclass(frozen=True)
class Plan:
    """How a picture is to be framed.

    Attributes:
        way: `crop` fills the canvas with `window`; the others show it all.
        window: What of the picture is seen.
        people: The heads in it, in shares of the picture.
        ground: The colour of its border, where a plain ground is to continue it.
        clear: Captions would hide what it says: a page, a diagram, a logo.
    """

    way: Way
    window: Region
    people: tuple[Region, ...]
    ground: tuple[int, int, int] | None = None
    clear: bool = False

    @property
    def keep(self) -> Region | None:
        """What of the canvas the motion must keep in sight, in shares of it; None is nothing."""
        if self.way != "crop":
            return None
        return faces.union(tuple(head.seen_from(self.window) for head in self.people))


def plan(picture: Image.Image, canvas: tuple[int, int], *, framing: Framing, zone: float) -> Plan:
    """Decide how `picture` is framed.

    Args:
        picture: RGB; RGBA where something shows through.
        canvas: Width and height of what is to be filled.
        framing: What the user asks for.
        zone: Share of the height, from the lower edge, where captions stand.
    """
    if picture.mode == "RGBA":
        return Plan("solid", WHOLE, (), clear=True)
    made_of = interest.surface(picture)
    plain = made_of.drawn or made_of.border is not None
    if framing in ("blur", "solid"):
        ground = made_of.border if framing == "solid" else None
        return Plan(framing, WHOLE, (), ground, clear=plain)
    whole = Plan("solid" if plain else "blur", WHOLE, (), made_of.border, clear=plain)
    if framing == "auto" and plain:
        return whole
    return _cropped(picture, canvas, asked=framing == "crop", zone=zone) or whole


def _cropped(
    picture: Image.Image, canvas: tuple[int, int], *, asked: bool, zone: float
) -> Plan | None:
    """Return the plan of a crop, or None where it would lose too much."""
    across, down = canvas[0] / picture.width, canvas[1] / picture.height
    ratio = min(across, down) / max(across, down)
    if max(across, down) > (MOST_ENLARGEMENT if asked else MAX_ENLARGEMENT):
        return None
    if ratio < FILLS_SOME_FROM and not asked:
        return None
    people = tuple(map(faces.head, faces.found(picture)))
    drawing = interest.measured(picture, people)
    best = _window(drawing, people, across / down, zone)
    if best is None:
        return None
    lost = 1 - interest.share(drawing, best)
    if not asked and lost > (_LOST if ratio >= FILLS_FROM else _LOST_FAR):
        return None
    return Plan("crop", best, people)


def _window(
    drawing: np.ndarray, people: tuple[Region, ...], slope: float, zone: float
) -> Region | None:
    """Return the window, as large as fits, with most of the interest; None if it cut a head.

    Args:
        drawing: As `interest.measured` returns it.
        people: Heads that have to be within.
        slope: Aspect of the window over that of the picture.
        zone: As in `plan`.
    """
    group = faces.union(people)
    best: tuple[float, Region] | None = None
    for region in _windows(slope):
        if group is not None and not group.within(region):
            continue
        worth = _worth(drawing, region, people, zone)
        if best is None or worth > best[0] + 1e-9:
            best = worth, region
    return best[1] if best else None


def _windows(slope: float) -> Iterator[Region]:
    """Yield windows over the whole picture along the axis that a crop shortens."""
    length = min(slope, 1 / slope)
    for step in range(_STEPS + 1):
        start = (1 - length) * step / _STEPS
        if slope < 1:
            yield Region(start, 0.0, start + length, 1.0)
        else:
            yield Region(0.0, start, 1.0, start + length)


def _worth(drawing: np.ndarray, region: Region, people: tuple[Region, ...], zone: float) -> float:
    """Return how good a window is: interest within, more of it near the middle, heads well placed."""
    inset = Region(
        region.left + region.width / 8,
        region.top + region.height / 8,
        region.right - region.width / 8,
        region.bottom - region.height / 8,
    )
    worth = interest.share(drawing, region) + 0.5 * interest.share(drawing, inset)
    middle = ((region.left + region.right) / 2, (region.top + region.bottom) / 2)
    usual = tuple(
        extent / 2 + at * (1 - extent)
        for at, extent in zip(CENTRE, (region.width, region.height), strict=True)
    )
    worth -= 0.15 * (abs(middle[0] - usual[0]) + abs(middle[1] - usual[1]))
    for head in people:
        seen = head.seen_from(region)
        across, down = (seen.left + seen.right) / 2, (seen.top + seen.bottom) / 2
        worth -= (0.25 * abs(across - 0.5) + 0.4 * abs(down - 0.42)) / len(people)
        if zone and seen.bottom > 1 - zone:  # captions would stand on the face
            worth -= 1.5 * min(1.0, (seen.bottom - (1 - zone)) / seen.height) / len(people)
    return worth
