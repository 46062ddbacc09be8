"""How a picture of any shape comes into the frame: the largest crop that keeps what it is about.

`auto` goes from the fullest view to the least full, and takes the first that keeps enough:

1. The frame is filled. Where less than `_STANDS` of the picture is seen at once, the view travels
   across it (`Plan.spread`), at most `_REACH` views far, around what draws the eye most.
2. A part of the picture spans the frame's shorter way, its cut edges melting into a blurred ground.
3. The picture is whole: within the frame, over a blurred ground.

Enough is kept where every head is in every view and leaves room around it, where each of the few places that stand
out (`interest.places`) is seen, where what is left out holds no more than `_allowed` of the interest, and where no
pixel is blown up beyond `FILLED_ENLARGEMENT`. Diagrams,
pages, screenshots, logos and pictures with a border of one colour are never cropped.
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

Way = Literal["crop", "part", "blur", "solid"]

MAX_ENLARGEMENT = 2.0
"""Most of a picture that is shown whole: beyond it its pixels would be seen."""
FILLED_ENLARGEMENT = 2.16
"""The same of one that fills the canvas, a fifth larger than the frame: 1.8 there, so that 1080
lines, the commonest picture, fill the 1920 of a telephone."""
MOST_ENLARGEMENT = 4.0
"""The same where the user asks for a crop."""

_LOST = 0.36
"""Most of the interest that a crop may lose, where it holds the places that stand out."""
_LOST_MORE, _SMALL = 0.5, 0.6
"""What a picture loses when it is shown small: this much more may go for each share of the frame
below `_SMALL` that it would fill if it were whole. A landscape in an upright frame fills 0.32."""
_STANDS = 0.7
"""Share of the picture from which on a filled frame shows it at once: a photo of 4:3 in 16:9 shows
0.75. Below, too much is hidden for a view that stands."""
_HEAD = (0.8, 0.6)
"""Most of a view's width and height that a head takes where a crop makes it that large: shoulders
tell who it is, and captions stand below the chin."""
_REACH = 1.7
"""Most that a travelling view sees of the picture, in views: 0.8 of a frame in 8 seconds, at
`motion` 1, is as fast as eyes follow at ease."""
_CORE = 0.5
"""Share of the best view, around its middle, that stays in sight as the view travels."""
_AROUND = 0.01
"""Share of the picture by which a place may stand out of what is seen: its edge is a blurred one."""
_BLURRED = 0.025
"""Share of the picture around a place: what stands out is its heart."""
_TOWARDS = 0.045
"""Share of what is swept, off its middle, by which a view is told on which side to end."""
_NEARLY = 0.92
"""Share of a picture from which on cutting the rest off gains too little to be worth it."""
_GROWTH = 1.1
"""From one part of the picture that is tried to the next, larger one."""

CENTRE = (0.5, 0.45)
"""Where a crop without anything of interest is centred; heads are rather above the middle."""
_ABOVE = 0.42
"""Of what a part leaves free of the canvas, above it: the eye's middle is higher, and captions
stand below."""
_STEPS = 40
"""Windows that are compared."""


@dataclass(frozen=True)
class Plan:
    """How a picture is to be framed.

    Attributes:
        way: `crop` fills the canvas with `window`, `part` fills `box` of it; the others show it all.
        window: What of the picture is seen.
        people: The heads in it, in shares of the picture.
        ground: The colour of its border, where a plain ground is to continue it.
        clear: Captions would hide what it says: a page, a diagram, a logo.
        box: Where on the canvas `window` is shown, in shares of it.
        spread: How much wider and higher than usual the canvas is, for a view that travels.
        core: What of the canvas stays in sight beside the heads; of a view that travels, instead of
            them where there are none.
    """

    way: Way
    window: Region
    people: tuple[Region, ...]
    ground: tuple[int, int, int] | None = None
    clear: bool = False
    box: Region = WHOLE
    spread: tuple[float, float] = (1.0, 1.0)
    core: Region | None = None

    @property
    def keep(self) -> Region | None:
        """What of the canvas the motion must keep in sight, in shares of it; None is nothing."""
        if self.way not in ("crop", "part"):
            return None
        heads = tuple(head.seen_from(self.window).placed(self.box) for head in self.people)
        still = self.spread == (1.0, 1.0)
        if still and self.core is not None:
            return faces.union((*heads, self.core))
        return faces.union(heads) or self.core


def plan(
    picture: Image.Image,
    canvas: tuple[int, int],
    *,
    framing: Framing,
    zone: float,
    motion: float = 1.0,
) -> Plan:
    """Decide how `picture` is framed.

    Args:
        picture: RGB; RGBA where something shows through.
        canvas: Width and height of what is to be filled.
        framing: What the user asks for.
        zone: Share of the height, from the lower edge, where captions stand.
        motion: How much of its room a view uses that travels, 0-1.
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
    return _filled(picture, canvas, framing == "crop", zone, motion) or whole


def _filled(
    picture: Image.Image, canvas: tuple[int, int], asked: bool, zone: float, motion: float
) -> Plan | None:
    """Return the plan that fills most of the canvas, or None where all would lose too much."""
    across, down = canvas[0] / picture.width, canvas[1] / picture.height
    slope = across / down
    share = min(slope, 1 / slope)
    scale = max(across, down) / (MOST_ENLARGEMENT if asked else FILLED_ENLARGEMENT)
    if share * scale >= _NEARLY or (asked and scale > 1):
        return None
    people = faces.heads(picture, small=True)
    drawing = interest.measured(picture, people)
    reach = 1.0 if share > _STANDS else 1 + (_REACH - 1) * motion
    subject = _Subject(drawing, people, _places(drawing, people, share, upright=slope < 1), zone)
    for extent in _extents(share, scale):
        fills = extent == share
        view = _window(subject, extent if slope < 1 else 1 / extent, reach if fills else 1.0)
        if view is None or (share <= _STANDS and not asked and _crowded(view, people)):
            continue  # it cut a head, or showed little else
        swept = _swept(view, subject.places, reach) if fills else view
        if share <= _STANDS and not asked and not subject.seen_in(swept):
            continue
        if asked or 1 - interest.share(drawing, swept) <= _allowed(share, fills=fills):
            if fills:
                return _travelling(view, swept, subject)
            return _partly(view, subject, extent / share, upright=slope < 1)
    return None


def _places(
    drawing: np.ndarray, people: tuple[Region, ...], share: float, *, upright: bool
) -> tuple[Region, ...]:
    """Return the places to be seen: no heads, and each fits into a view of a filled frame."""
    return tuple(
        Region(
            max(0.0, place.left - _BLURRED),
            max(0.0, place.top - _BLURRED),
            min(1.0, place.right + _BLURRED),
            min(1.0, place.bottom + _BLURRED),
        )
        for place in interest.places(drawing)
        if (place.width if upright else place.height) <= share
        and not any(place.meets(head) for head in people)
    )


def _extents(share: float, scale: float) -> Iterator[float]:
    """Yield the shares of a picture's longer way to be tried, from the fullest view on.

    Args:
        share: What of it is seen where the canvas is filled.
        scale: How much too large its pixels would be there; at most 1 is none.
    """
    extent = share
    if scale <= 1:
        yield share
    while (extent := extent * _GROWTH) < _NEARLY:
        if extent >= share * scale:
            yield extent


def _crowded(view: Region, people: tuple[Region, ...]) -> bool:
    """Tell whether a head leaves too little of a view to its surroundings, and to captions."""
    seen = [head.seen_from(view) for head in people]
    return any(head.width > _HEAD[0] or head.height > _HEAD[1] for head in seen)


def _allowed(share: float, *, fills: bool) -> float:
    """Return how much of the interest may be left out, by the share that is seen at once.

    A view that fills the frame travels: half of what more it may lose is what it passes.
    """
    more = _LOST_MORE * max(0.0, _SMALL - share)
    return _LOST + (more if fills else more / 2)


def _swept(view: Region, places: tuple[Region, ...], reach: float) -> Region:
    """Return what is seen as a view travels, at most `reach` views: the places, and around the view."""
    if reach <= 1:
        return view
    upright = view.width < view.height
    near, far = (view.left, view.right) if upright else (view.top, view.bottom)
    length = min(1.0, reach * (far - near))
    first, last = near, far
    for place in places:
        sides = (place.left, place.right) if upright else (place.top, place.bottom)
        if max(last, sides[1]) - min(first, sides[0]) <= length:
            first, last = min(first, sides[0]), max(last, sides[1])
    start = min(max(0.0, (first + last - length) / 2), 1 - length)
    if upright:
        return Region(start, 0.0, start + length, 1.0)
    return Region(0.0, start, 1.0, start + length)


def _travelling(view: Region, swept: Region, subject: _Subject) -> Plan:
    """Return the plan of a filled canvas: as wide or as high as what is swept."""
    people, places = subject.people, subject.places
    if swept == view:
        return Plan("crop", view, people, core=_seen(places, view))
    spread = (swept.width / view.width, swept.height / view.height)
    wide, high = (_CORE if times > 1 else 1.0 for times in spread)
    core = Region(
        view.left + view.width * (1 - wide) / 2,
        view.top + view.height * (1 - high) / 2,
        view.right - view.width * (1 - wide) / 2,
        view.bottom - view.height * (1 - high) / 2,
    )
    if subject.seen_in(view):
        core = faces.union((core, *places)) or core
        sight = core.seen_from(swept)
    else:
        across = spread[0] > 1
        last = places[0] if across else min(places, key=lambda place: place.top)
        sight = _towards(last.seen_from(swept))  # what stands is looked at last at its head
    if spread[0] > 1:  # up and down all is in sight anyway
        sight = Region(sight.left, 0.5, sight.right, 0.5)
    else:
        sight = Region(0.5, sight.top, 0.5, sight.bottom)
    return Plan("crop", swept, people, spread=spread, core=sight)


def _towards(place: Region) -> Region:
    """Return a point that every pose of a view sees, on the side of the place where it is to end."""
    middles = (place.left + place.right) / 2, (place.top + place.bottom) / 2
    across, down = (0.5 + (_TOWARDS if middle > 0.5 else -_TOWARDS) for middle in middles)
    return Region(across, down, across, down)


def _seen(places: tuple[Region, ...], view: Region) -> Region | None:
    """Return what holds those of the places that lie in a view, in shares of it."""
    return faces.union(
        tuple(place.seen_from(view) for place in places if place.within(view, _AROUND))
    )


def _partly(view: Region, subject: _Subject, larger: float, *, upright: bool) -> Plan:
    """Return the plan of a part that spans the canvas one way and `1 / larger` of it the other."""
    free = 1 - 1 / larger
    if upright:
        box = Region(0.0, _ABOVE * free, 1.0, _ABOVE * free + 1 / larger)
    else:
        box = Region(free / 2, 0.0, 1 - free / 2, 1.0)
    core = _seen(subject.places, view)
    return Plan("part", view, subject.people, box=box, core=core.placed(box) if core else None)


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a picture is about.

    Attributes:
        drawing: As `interest.measured` returns it.
        people: Heads, which have to be in every view.
        places: What else stands out, the strongest first.
        zone: As in `plan`.
    """

    drawing: np.ndarray
    people: tuple[Region, ...]
    places: tuple[Region, ...]
    zone: float

    def seen_in(self, view: Region) -> bool:
        """Tell whether all places lie in a view."""
        return all(place.within(view, _AROUND) for place in self.places)


def _window(subject: _Subject, slope: float, reach: float) -> Region | None:
    """Return the window, as large as fits, with most of the interest; None if it cut a head.

    Args:
        subject: What the picture is about.
        slope: Aspect of the window over that of the picture.
        reach: How many windows a view sees that travels from there.
    """
    group = faces.union(subject.people)
    best: tuple[int, float, Region] | None = None
    for region in _windows(slope):
        if group is not None and not group.within(region):
            continue
        swept = _swept(region, subject.places, reach)
        seen = sum(place.within(swept, _AROUND) for place in subject.places)
        worth = _worth(subject.drawing, region, subject.people, subject.zone)
        if best is None or (seen, worth) > (best[0], best[1] + 1e-9):
            best = seen, worth, region
    return best[2] if best else None


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
