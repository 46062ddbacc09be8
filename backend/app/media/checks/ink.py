"""Type in the picture: whether it stands inside the safe area, and out of what is behind it.

Where the letters are is known: captions and cards are drawn once more, alone. How they look is
read from the decoded frames.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app import language as languages
from app.media import captions, contrast
from app.media.captions import Cue, Painter, Raster
from app.media.cards.sheet import Bar, Placed
from app.media.checks.facts import AGAIN, Meant, Row, clock, judged, scene_at, spread
from app.media.compositor import Canvas, Frame, Overlay
from app.media.styles import RGB

GROUP = "text"

LIMIT = contrast.LEAST

_SMALLEST = 240
"""Shorter side of a frame in pixels; in a smaller draft letters are too thin to be measured."""
_LIKE = 12
"""How far a drawn pixel may be from a colour of the style and still be that."""
_STRANGE = 64
"""How far a caption's pixels may be from its colours in the median, and still be the caption's: thin
letters blur in a small draft; of another picture half are farther off."""
_REACH = 0.08
"""Of a line's height: how far from a letter its surroundings reach."""
_COLOURS = "Choose another `style` or `caption_style`"
_AGAIN = "run the project again."

# ITU-R BT.709-6: Y'CbCr, limited range, to R'G'B'.
_FROM_COLOUR = np.array([[1.1644, 0, 1.7927], [1.1644, -0.2132, -0.5329], [1.1644, 2.1124, 0]])
_TO_RGB = np.column_stack([_FROM_COLOUR, _FROM_COLOUR @ (-16, -128, -128)]).astype(np.float32)

_WHITE = (255, 255, 255)

Letters = NDArray[np.uint8]
Box = tuple[int, int, int, int]


class Ink:
    """Looks at the type of some captions and of all cards."""

    def __init__(self, meant: Meant, *, most: int = 24) -> None:
        """Choose what to look at.

        Args:
            meant: What the film was meant to be.
            most: Captions whose contrast is measured, at most; the places of twice as many are.
        """
        self._meant = meant
        self._most = most
        self._painter = Painter(style=meant.style, language=meant.language, size=meant.plan.size)
        self._cues = _chosen(meant, most) if meant.burnt else {}
        self._edges = _edges(meant, self._cues.values())
        self._boxes: dict[Hashable, Box] = {}
        self._moments = 0
        self._missed: list[tuple[float, Cue]] = []
        self._cards = _at_rest(meant)
        self.frames = self._cues.keys() | self._edges.keys() | self._cards.keys()
        """Numbers of the frames to look at."""
        self._captions: list[tuple[float, float]] = []  # contrast, seconds
        self._type: list[tuple[float, str]] = []  # contrast, scene

    def see(self, number: int, frame: Frame) -> None:
        """Take in one of `frames`."""
        time = number / self._meant.plan.fps
        if cue := self._cues.get(number):
            drawn = self._drawn(cue, time)
            if self._shown(drawn, frame, cue, time):
                self._captions.append((self._stands_out(drawn, frame), time))
        if cue := self._edges.get(number):
            self._shown(self._drawn(cue, time), frame, cue, time)
        for scene in self._cards.get(number, ()):
            sheet = self._meant.sheets[scene]
            for part in sheet.parts:
                if not isinstance(part.what, Bar) and part.until is None:  # else its page is turned
                    self._type.append((_of_card(part, frame), scene))

    def _drawn(self, cue: Cue, time: float) -> Raster:
        """Return a caption as it is meant to look, and remember its place."""
        drawn = self._painter.raster(cue, time)
        self._boxes[self._painter.moment(cue, time)] = inked(drawn)
        return drawn

    def see_drawn(self) -> None:
        """Look at the captions on frames drawn for it, where there is no film yet."""
        plan = self._meant.plan
        for number, cue in self._cues.items():
            part, frame = scene_at(plan, number), Frame(plan.size)
            shown = [step.picture for step in part.steps if step.frame <= number - part.first]
            canvas = Canvas(shown[-1] if shown else part.picture, plan.size, zoom=None)
            canvas.view(part.motion.at(number - part.first), frame)
            drawn = _within(self._drawn(cue, number / plan.fps), plan.size)
            Overlay(drawn).onto(frame)
            self.see(number, frame)

    def _shown(self, drawn: Raster, frame: Frame, cue: Cue, time: float) -> bool:
        """Note whether a caption is in the picture: whether its solid pixels have its colours."""
        drawn = _within(drawn, self._meant.plan.size)
        rows, columns = drawn.pixels.shape[:2]
        seen = pixels(frame, (drawn.x, drawn.y, drawn.x + columns, drawn.y + rows))
        solid = drawn.pixels[..., 3] >= 250
        self._moments += 1
        if not solid.any():
            return True
        off = _apart(seen, drawn.pixels)[solid]
        there = bool(np.median(off) <= _STRANGE)
        if not there:
            self._missed.append((time, cue))
        return there

    def _stands_out(self, drawn: Raster, frame: Frame) -> float:
        """Return the contrast of a caption: of its words, and of the word that is marked."""
        look = self._meant.style.captions
        drawn = _within(drawn, self._meant.plan.size)
        rows, columns = drawn.pixels.shape[:2]
        seen = pixels(frame, (drawn.x, drawn.y, drawn.x + columns, drawn.y + rows))
        reach = max(2, round(_REACH * rows / captions.LINES))
        letters = [_letters(drawn, colour) for colour in {look.text, look.mark}]
        thin = [_thin(drawn, colour, look.box) for colour in {look.text, look.mark}]
        # a marked word stands between words, not behind them
        beside = np.maximum.reduce([*letters, *thin])
        return min(contrast.around(seen, one, reach=reach, aside=beside) for one in letters)

    def rows(self) -> list[Row]:
        """Return what was found."""
        rows = [*self._safe()]
        if self._moments:
            rows.append(self._there())
        if self._captions:
            worst, at = min(self._captions)
            says = (
                f"Captions are hard to read at {clock(at)}. {_COLOURS}, or another picture there."
            )
            rows.append(self._row("contrast of captions", worst, says))
        if self._type:
            worst, scene = min(self._type)
            says = f"The card of scene {scene} is hard to read. {_COLOURS}, then {_AGAIN}"
            rows.append(self._row("contrast of cards", worst, says))
        return rows

    def _there(self) -> Row:
        time, cue = min(self._missed, default=(0.0, None), key=lambda one: one[0])
        text = " ".join(cue.lines)[:40] if cue else ""
        return judged(
            GROUP,
            "captions in the picture",
            f"{self._moments - len(self._missed)} of {self._moments} moments",
            limit="all, from their beginning to their end",
            good=not self._missed,
            says=f"“{text}” is not there at {clock(time)}. {AGAIN}",
        )

    def _row(self, name: str, value: float, says: str) -> Row:
        large = min(self._meant.plan.size) >= _SMALLEST
        return judged(
            GROUP,
            name,
            value,
            ": 1",
            limit=f"≥ {LIMIT:g}",
            good=value >= LIMIT,
            says=says if large else f"{says} In a draft this small it can hardly be told.",
            otherwise="fail" if large else "warn",
        )

    def _safe(self) -> Iterator[Row]:
        meant = self._meant
        safe = captions.safe(meant.plan.size)
        cues = _roomiest(meant.plan.cues, 2 * self._most) if meant.burnt else []
        taken = [(self._taken(cue), cue.start) for cue in cues]
        if taken:
            out, at = max((_outside(box, safe), at) for box, at in taken)
            says = (
                f"Captions at {clock(at)} reach where players and apps draw over them. "
                "Shorten the words there, or choose another `caption_style`."
            )
            yield _place("captions in the safe area", out, says)
        boxes = [
            (_outside(box, safe), scene)
            for scene, sheet in meant.sheets.items()
            for part in sheet.parts
            if not isinstance(part.what, Bar)
            for box in part.boxes
        ]
        if boxes:
            out, scene = max(boxes)
            says = f"The card of scene {scene} reaches there. Shorten its heading."
            yield _place("cards in the safe area", out, says)
        if boxes and taken:
            out, scene = max(self._covered(min(box[1] for box, _ in taken)))
            says = f"Captions stand on the words of scene {scene}'s card. Shorten its heading."
            row = _place("cards clear of captions", out, says)
            yield replace(row, unit="px covered")

    def _taken(self, cue: Cue) -> Box:
        """Return the place of a caption; its last moment shows all of it."""
        time = cue.end - 1e-3
        box = self._boxes.get(self._painter.moment(cue, time))
        return box or inked(self._drawn(cue, time))

    def _covered(self, highest: int) -> Iterator[tuple[int, str]]:
        """Yield by how many rows the captions of a scene lie over the words of its card.

        Captions are drawn only for words below row `highest`, which none reaches above.
        """
        for part in self._meant.plan.segments:
            sheet = self._meant.sheets.get(part.id)
            words = [p for p in sheet.parts if not isinstance(p.what, Bar)] if sheet else []
            boxes = [box for placed in words for box in placed.boxes if box[3] > highest]
            for cue in part.cues if boxes else ():
                left, top, right, _ = self._taken(cue)
                below = [b[3] for b in boxes if b[0] < right and left < b[2]]
                yield max(max(below, default=0) - top, 0), part.id
        yield 0, ""


def _place(name: str, out: int, says: str) -> Row:
    return judged(GROUP, name, out, "px outside", limit="0", good=out <= 0, says=says)


def _chosen(meant: Meant, most: int) -> dict[int, Cue]:
    """Return some cues, each with a frame at which all of it is there."""
    plan = meant.plan
    long = [n for n, cue in enumerate(plan.cues) if cue.end - cue.start > 4 / plan.fps]
    chosen = (plan.cues[n] for n in spread(long, most))
    return {int((cue.start + 0.6 * (cue.end - cue.start)) * plan.fps): cue for cue in chosen}


def _edges(meant: Meant, cues: Collection[Cue]) -> dict[int, Cue]:
    """Return frames just after the beginning and before the end of cues, but none of the fade-out."""
    plan, found = meant.plan, {}
    fading = plan.frames - plan.segments[-1].fade_out - 1
    for cue in cues:
        first, last = ceil(cue.start * plan.fps) + 1, ceil(cue.end * plan.fps) - 3
        found.update({number: cue for number in (first, last) if first <= number < fading})
    return found


def _roomiest(cues: Sequence[Cue], most: int) -> list[Cue]:
    """Return the cues with too many or the longest lines: where these have room, all have."""

    def room(cue: Cue) -> tuple[bool, int]:
        longest = max((languages.width(line) for line in cue.lines), default=0)
        return len(cue.lines) > captions.LINES, longest

    return sorted(cues, key=room, reverse=True)[:most]


def _at_rest(meant: Meant) -> dict[int, list[str]]:
    """Return the frames at which cards stand still, whole and unfaded."""
    found: dict[int, list[str]] = {}
    for part in meant.plan.segments:
        if part.id in meant.sheets and part.frames > part.motion.frames:
            last = part.first + part.frames - 2 - part.fade_out
            found.setdefault(last, []).append(part.id)
    return found


def pixels(frame: Frame, box: Box) -> NDArray[np.uint8]:
    """Return a part of a frame as sRGB: shape (rows, columns, 3)."""
    left, top, right, bottom = box
    luma, cb, cr = frame.planes
    part = luma[top:bottom, left:right]
    size = (part.shape[1], part.shape[0])
    half = slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2)
    colours = [cv2.resize(plane[half], size) for plane in (cb, cr)]
    return np.asarray(cv2.transform(cv2.merge([part, *colours]), _TO_RGB), np.uint8)


def _apart(found: NDArray[np.uint8], meant: NDArray[np.uint8] | RGB) -> NDArray[np.uint8]:
    """Return how far pixels are from others, or from a colour: the most of the three channels."""
    one = np.ascontiguousarray(found[..., :3])
    other = np.broadcast_to(np.asarray(meant, np.uint8)[..., :3], one.shape)
    off = cv2.absdiff(one, np.ascontiguousarray(other))
    return np.asarray(np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2]), np.uint8)


def _letters(drawn: Raster, colour: RGB) -> Letters:
    """Return where the letters of `colour` are, as `contrast.around` takes them; none if few."""
    off = _apart(drawn.pixels, colour)
    solid = ((off <= _LIKE) & (drawn.pixels[..., 3] >= 250)).astype(np.uint8)
    if solid.sum() < 20:
        return np.zeros_like(solid)
    near = cv2.dilate(solid, np.ones((3, 3), np.uint8))  # what their edges blend into is theirs
    return np.asarray(np.maximum(solid * np.uint8(255), near * np.uint8(128)), np.uint8)


def _thin(drawn: Raster, colour: RGB, box: RGB) -> Letters:
    """Return where strokes are that are too thin to be solid: nearer to `colour` than to the box.

    None where the two can hardly be told apart: all of the box would be letters.
    """
    way = np.subtract(colour, box).astype(np.float64)
    if np.abs(way).max() <= _STRANGE:
        return np.zeros(drawn.pixels.shape[:2], np.uint8)
    share = (drawn.pixels[..., :3] - np.asarray(box, np.float64)) @ way / (way @ way)
    found = (share >= 0.5) & (drawn.pixels[..., 3] >= 128)
    return np.asarray(found * np.uint8(128), np.uint8)


def _of_card(part: Placed, frame: Frame) -> float:
    """Return the contrast of one part of a card, as it is seen in a frame."""
    boxes = part.boxes
    if not boxes or isinstance(part.what, Bar):
        return 21.0
    high, wide = frame.planes[0].shape
    around = 24
    left = max(0, min(box[0] for box in boxes) - around) // 2 * 2
    top = max(0, min(box[1] for box in boxes) - around) // 2 * 2
    right = min(wide, max(box[2] for box in boxes) + around)
    bottom = min(high, max(box[3] for box in boxes) + around)
    sheet = Image.new("RGB", (right - left, bottom - top))
    part.what.draw(ImageDraw.Draw(sheet), (part.at[0] - left, part.at[1] - top), _WHITE)
    letters = np.asarray(sheet, np.uint8)[..., 1]
    return contrast.around(pixels(frame, (left, top, right, bottom)), letters)


def inked(drawn: Raster) -> Box:
    """Return the box of what can be seen of a drawn caption, in pixels of the frame."""
    rows, columns = (np.flatnonzero((drawn.pixels[..., 3] > 64).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return drawn.x, drawn.y, drawn.x, drawn.y
    return (
        drawn.x + int(columns[0]),
        drawn.y + int(rows[0]),
        drawn.x + int(columns[-1]) + 1,
        drawn.y + int(rows[-1]) + 1,
    )


def _within(drawn: Raster, size: tuple[int, int]) -> Raster:
    """Return what of a drawn caption lies in the frame."""
    left, top = max(0, drawn.x), max(0, drawn.y)
    part = drawn.pixels[top - drawn.y : size[1] - drawn.y, left - drawn.x : size[0] - drawn.x]
    return Raster(left, top, part)


def _outside(box: Sequence[int], safe: captions.Box) -> int:
    """Return by how many pixels a box reaches out of the safe area."""
    left, top, right, bottom = box
    return max(safe.left - left, safe.top - top, right - safe.right, bottom - safe.bottom, 0)
