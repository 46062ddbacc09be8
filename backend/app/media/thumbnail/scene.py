"""The pictures a thumbnail could show: how good each is, and which part of it to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from app.media import faces, interest, mounts, pictures
from app.media.faces import WHOLE, Region
from app.media.styles import Style

SIZE = (1280, 720)
LOOKED_AT = 8
"""Pictures that are compared, spread over the video: each takes a third of a second."""

_SCALES = (1.0, 1.15, 1.3, 1.5)
"""How much closer than needed a picture may be shown, to bring what matters to a free place."""
_PLACES = 12
_SMALL = 640
"""Pixels of a longer side below which a picture looks soft at this size."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, looked at.

    Attributes:
        number: Its place among the pictures given.
        picture: RGB, at least about as large as the thumbnail.
        people: The heads in it, in shares of it.
        seen: How much each part draws the eye; see `interest.measured`.
        drawn: A diagram, a page, a logo: cut, it says nothing.
        worth: How much it promises, about 0-1.
        border: The one colour of its edges, where they have but one.
    """

    number: int
    picture: Image.Image
    people: tuple[Region, ...]
    seen: interest.Levels
    drawn: bool
    worth: float
    border: tuple[int, int, int] | None = None

    @cached_property
    def _table(self) -> np.ndarray:
        return interest.table(self.seen)

    def shown(self, window: Region, size: tuple[int, int]) -> Image.Image:
        """Return what `window` shows, as `size` pixels, a little stronger: it holds as a stamp."""
        part = pictures.cropped(self.picture, window, size)
        return ImageEnhance.Contrast(ImageEnhance.Color(part).enhance(1.15)).enhance(1.06)

    def whole(self, size: tuple[int, int], ground: tuple[int, int, int]) -> Image.Image:
        """Return `size` pixels with all of the picture in their middle, on `ground`."""
        part = ImageOps.contain(self.picture, (size[0] - 48, size[1] - 48))
        sheet = Image.new("RGB", size, self.border or ground)
        sheet.paste(part, ((size[0] - part.width) // 2, (size[1] - part.height) // 2))
        return sheet

    def window(self, size: tuple[int, int], free: Region = WHOLE) -> Region:
        """Return the part to show in `size` so that what matters lies in `free`.

        Args:
            size: Width and height in pixels of where it is shown.
            free: What of that is not covered by words, in shares.
        """
        across, down = size[0] / self.picture.width, size[1] / self.picture.height
        slope = across / down
        best: tuple[float, Region] | None = None
        for scale in _SCALES:
            wide, high = min(1.0, slope) / scale, min(1.0, 1 / slope) / scale
            for row in range(_PLACES + 1):
                for column in range(_PLACES + 1):
                    left, top = (1 - wide) * column / _PLACES, (1 - high) * row / _PLACES
                    region = Region(left, top, left + wide, top + high)
                    worth = self._suits(region, free) - 0.35 * (scale - 1)
                    if best is None or worth > best[0] + 1e-9:
                        best = worth, region
                if high == 1:
                    break
        return best[1] if best else WHOLE

    def _suits(self, region: Region, free: Region) -> float:
        """Return how well a window suits: interest where it is free, heads whole and free."""
        open_ = Region(
            region.left + free.left * region.width,
            region.top + free.top * region.height,
            region.left + free.right * region.width,
            region.top + free.bottom * region.height,
        )
        worth = interest.quick(self._table, open_) + 0.3 * interest.quick(self._table, region)
        for head in self.people:
            worth -= (0.0 if head.within(region) else 1.0) / len(self.people)
            worth -= (0.0 if head.within(open_) else 0.6) / len(self.people)
        return worth


def best(paths: Sequence[Path], style: Style, *, most: int) -> list[Scene]:
    """Return the `most` pictures that promise most; the first of the video wins a tie.

    Raises:
        InputError: as `pictures.check`.
    """
    step = max(1.0, len(paths) / LOOKED_AT)
    picked = sorted({int(number * step) for number in range(min(len(paths), LOOKED_AT))})
    scenes = [_looked_at(number, paths[number], style) for number in picked]
    return sorted(scenes, key=lambda scene: (-scene.worth, scene.number))[:most]


def _looked_at(number: int, path: Path, style: Style) -> Scene:
    whole = pictures.decoded(path, SIZE[1])
    ground = mounts.behind(whole, style)[0] if whole.mode == "RGBA" else style.colours.background
    picture = pictures.flat(whole, ground)
    people = faces.heads(picture)
    seen = interest.measured(picture, people)
    made_of = interest.surface(picture)
    drawn = made_of.drawn or made_of.border is not None
    worth = _promise(picture, seen) + (0.25 if people else 0.0) - (0.3 if drawn else 0.0)
    worth -= 0.4 if max(picture.size) < _SMALL else 0.0
    worth += 0.06 if number == 0 else 0.0
    return Scene(number, _compact(picture), people, seen, drawn, worth, made_of.border)


def _compact(picture: Image.Image) -> Image.Image:
    """Return `picture` no larger than the closest window needs: it is cut out many times."""
    scale = max(side / extent for side, extent in zip(SIZE, picture.size, strict=True)) * _SCALES[1]
    if scale >= 0.9:
        return picture
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _promise(picture: Image.Image, seen: interest.Levels) -> float:
    """Return how strong a picture is: colours, light against dark, one place to look at."""
    small = picture.resize((160, 90), Image.Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small, np.float64)
    strength = min(1.0, colourfulness(pixels) / 80)
    light = cv2.cvtColor((pixels / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[..., 0]
    range_ = float(np.subtract(*np.percentile(light, (95, 5)))) / 90
    top = np.sort(seen.ravel())[::-1]
    close = float(top[: max(1, top.size // 6)].sum())
    return 0.3 * strength + 0.3 * min(1.0, range_) + 0.25 * close


def colourfulness(pixels: np.ndarray) -> float:
    """Return about 0 (grey) to 100 (vivid); Hasler and Süsstrunk, SPIE 5007 (2003), M3.

    Args:
        pixels: sRGB, (…, 3), 0-255.
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    spread = float(np.hypot(first.std(), second.std()))
    return spread + 0.3 * float(np.hypot(first.mean(), second.mean()))
