"""The compositions of a thumbnail: where the scene and the title stand, and on what.

To add one: a function from a `Sheet` to a `Composition` (or None where it does not suit), and a row
in `LAYOUTS`. The lower right corner stays free of words: players put the duration there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageFilter

from app.media import contrast, grounds, interest, lettering
from app.media.faces import WHOLE, Region
from app.media.lettering import Align, Setting
from app.media.styles import RGB, Style
from app.media.thumbnail.scene import SIZE, Scene
from app.models import Language

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

CONTRAST = 5.4
"""Aimed at for the title against every pixel around it; 4.5 is asked, the rest is for JPEG."""
BADGE: Box = (1064, 606, *SIZE)
"""Where players put the duration."""
LINES = 3
STAMP = (168, 94)
"""Pixels of a thumbnail in a list of videos."""
LEAST_LATIN, LEAST_CJK = 8.0, 9.0
"""Pixels of a capital, of a Chinese character, that are still read in a `STAMP`."""

_MARGIN = 60
_LARGEST, _SMALLEST = 220, 54
_WHITE: RGB = (255, 255, 255)
_BESIDE = BADGE[0] - _MARGIN - 24
"""Width that words in the lower part may take beside the duration."""
_OVER = 340
"""Height that words over a scene may take: more than half of it is left."""
_SHADE = 0.3
"""Least density of the shade behind the words."""
_GAMMA = 2.1
"""Below the slope of log luminance over log value for all light sRGB values (2.14-2.28)."""


@dataclass(frozen=True)
class Sheet:
    """What a thumbnail is composed of."""

    title: str
    language: Language
    style: Style
    scene: Scene | None

    def set(self, width: int, height: int, align: Align = "left") -> Setting:
        """Return the title as large as it fits."""
        return lettering.fit(
            self.title,
            self.language,
            weight="bold",
            width=width,
            height=height,
            largest=_LARGEST,
            smallest=_SMALLEST,
            lines=LINES,
            family=self.style.fonts.heading,
            align=align,
        )

    def scene_in(self, window: Region, free: Region) -> float:
        """Return how much of what draws the eye lies in the `free` part of a window, 0-1."""
        return interest.share(self.scene.seen, free.placed(window)) if self.scene else 0.0


@dataclass(frozen=True, eq=False)
class Composition:
    """A thumbnail without its words, and the words.

    Attributes:
        ground: RGB, `SIZE`.
        setting: The title.
        at: Its left and top.
        ink: Its colour.
        place: Where the scene is shown.
        window: What of it.
        clarity: How well it is seen, 0-1.
        pad: How far sideways, and up and down, what the words stand on reaches beyond them.
    """

    name: str
    ground: Image.Image
    setting: Setting
    at: tuple[int, int]
    ink: RGB
    place: Box = (0, 0, 0, 0)
    window: Region | None = None
    clarity: float = 1.0
    pad: tuple[int, int] = (0, 0)

    @property
    def boxes(self) -> list[Box]:
        return self.setting.boxes(self.at)

    @property
    def covering(self) -> list[Box]:
        """What the words take of the scene, with what they stand on."""
        return _padded(self.boxes, *self.pad)


def letter(setting: Setting) -> float:
    """Return the height in pixels, in a `STAMP`, of a capital or of a Chinese character."""
    sample = "H" if setting.language == "en" else "國"
    _, top, _, bottom = setting.face.getbbox(sample, anchor="ls")
    return float(bottom - top) * STAMP[0] / SIZE[0]


def least(language: Language) -> float:
    """Return the height of `letter` below which a title is hard to read."""
    return LEAST_LATIN if language == "en" else LEAST_CJK


def legible(setting: Setting) -> bool:
    """Tell whether a title is read in a list of videos."""
    return letter(setting) >= least(setting.language)


def _lower(sheet: Sheet) -> Composition | None:
    """Set the title lower left over the scene, which is darkened as far as legibility needs."""
    setting = sheet.set(_BESIDE, _OVER)
    at = _off_badge(setting, (_MARGIN, SIZE[1] - _MARGIN - setting.height))
    return _over(sheet, "lower", setting, at, Region(0, 0, 1, max(0.3, (at[1] - 40) / SIZE[1])))


def _upper(sheet: Sheet) -> Composition | None:
    """Set the title upper left, for scenes whose subject stands low."""
    setting = sheet.set(SIZE[0] - 2 * _MARGIN, _OVER)
    at = (_MARGIN, _MARGIN + (30 if _rule(sheet.style, (0, 0)) else 0))
    below = min(0.7, (at[1] + setting.height + 30) / SIZE[1])
    return _over(sheet, "upper", setting, at, Region(0, below, 1, 1))


def _over(
    sheet: Sheet, name: str, setting: Setting, at: tuple[int, int], free: Region
) -> Composition | None:
    if sheet.scene is None or sheet.scene.drawn:
        return None
    window = sheet.scene.window(SIZE, free)
    scene = sheet.scene.shown(window, SIZE)
    image = _darkened(scene, setting.boxes(at), _dark(sheet.style), upward=name == "upper")
    if setting.lines:
        _ruled(image, sheet.style, (at[0], at[1] - 36), _bright(sheet.style))
    return Composition(name, image, setting, at, _WHITE, (0, 0, *SIZE), window)


def _centre(sheet: Sheet) -> Composition | None:
    """Set the title in the middle over the scene, out of focus and dim: it only lends its light."""
    if sheet.scene is None or sheet.scene.drawn:
        return None
    setting = sheet.set(SIZE[0] - 3 * _MARGIN, 460, "centre")
    at = ((SIZE[0] - setting.measure) // 2, (SIZE[1] - setting.height) // 2 - 8)
    window = sheet.scene.window(SIZE)
    small = sheet.scene.shown(window, (SIZE[0] // 8, SIZE[1] // 8))
    scene = small.filter(ImageFilter.GaussianBlur(1)).resize(SIZE, Image.Resampling.BICUBIC)
    image = _darkened(scene, setting.boxes(at), _dark(sheet.style), upward=None)
    return Composition("centre", image, setting, at, _WHITE, (0, 0, *SIZE), window, 0.4)


def _side(sheet: Sheet) -> Composition | None:
    """Set the title on the style's colour, into which the scene beside it fades: on the calm side."""
    if sheet.scene is None or sheet.scene.drawn:
        return None
    for width in (640, 740):
        setting = sheet.set(width, SIZE[1] - 2 * _MARGIN - 40)
        if legible(setting):
            break
    shown = SIZE[0] - width + 140
    free = {left: Region(0.3, 0, 1, 1) if left else Region(0, 0, 0.7, 1) for left in (True, False)}
    windows = {left: sheet.scene.window((shown, SIZE[1]), free[left]) for left in free}
    left = max(windows, key=lambda side: (sheet.scene_in(windows[side], free[side]), side))
    style, ink = sheet.style, sheet.style.colours.ink
    place = (SIZE[0] - shown, 0, *SIZE) if left else (0, 0, shown, SIZE[1])
    longest = max((box[2] for box in setting.boxes((0, 0))), default=0)
    across = _MARGIN if left else min(SIZE[0] - _MARGIN - longest, shown - 40)
    at = _off_badge(setting, (across, (SIZE[1] - setting.height) // 2))
    scene = np.asarray(sheet.scene.shown(windows[left], (shown, SIZE[1])), np.float32)
    pixels = np.empty((SIZE[1], SIZE[0], 3), np.float32)
    pixels[:] = style.colours.background
    fade = np.clip((np.arange(shown, dtype=np.float32) - 40) / 320, 0, 1)
    fade = (fade * fade * (3 - 2 * fade))[None, :: 1 if left else -1, None]
    pixels[:, place[0] : place[2]] += (scene - pixels[:, place[0] : place[2]]) * fade
    image = _cleared(pixels, setting.boxes(at), ink, style.colours.background)
    if setting.lines:
        _ruled(image, style, (at[0], at[1] - 40), style.colours.accent)
    return Composition("side", image, setting, at, ink, place, windows[left])


def _split(sheet: Sheet) -> Composition | None:
    """Set the title on a card on the left, beside the scene on the right."""
    return _halved(sheet, "split", mirrored=False)


def _mirrored(sheet: Sheet) -> Composition | None:
    """Set the title on a card on the right, beside the scene on the left."""
    return _halved(sheet, "mirrored", mirrored=True)


def _halved(sheet: Sheet, name: str, *, mirrored: bool) -> Composition | None:
    if sheet.scene is None:
        return None
    style, seam, aside = sheet.style, 10, 44
    for wide in (600, 500) if sheet.scene.drawn else (500, 410):
        setting = sheet.set(SIZE[0] - wide - seam - 2 * aside, SIZE[1] - 2 * 84)
        if legible(setting):
            break
    left = wide + seam + aside if mirrored else aside
    at = _off_badge(setting, (left, (SIZE[1] - setting.height) // 2))
    place = (0, 0, wide, SIZE[1]) if mirrored else (SIZE[0] - wide, 0, *SIZE)
    image = _card(sheet, setting, at)
    if sheet.scene.drawn:
        window = WHOLE
        picture = sheet.scene.whole((wide, SIZE[1]), style.colours.horizon)
    else:
        window = sheet.scene.window((wide, SIZE[1]))
        picture = sheet.scene.shown(window, (wide, SIZE[1]))
    image.paste(picture, place[:2])
    edge = wide if mirrored else SIZE[0] - wide - seam
    image.paste(style.colours.accent, (edge, 0, edge + seam, SIZE[1]))
    return Composition(name, image, setting, at, style.colours.ink, place, window)


def _label(sheet: Sheet) -> Composition | None:
    """Set each line on a strip of the style's colour, over the scene as it is: low or high."""
    scene = sheet.scene
    if scene is None or scene.drawn:
        return None
    style = sheet.style
    setting = sheet.set(_BESIDE - 90, _OVER - 30)
    if not setting.lines:
        return None
    first = setting.boxes((0, 0))[0]
    pad = round(0.2 * setting.size), (setting.pitch - (first[3] - first[1])) // 2 + 2
    low = _off_badge(setting, (_MARGIN + 16, SIZE[1] - _MARGIN - pad[1] - setting.height), pad=40)
    high = (low[0], _MARGIN + pad[1])
    frees = {
        low: Region(0, 0, 1, max(0.3, (low[1] - 60) / SIZE[1])),
        high: Region(0, min(0.7, (high[1] + setting.height + 60) / SIZE[1]), 1, 1),
    }
    windows = {at: scene.window(SIZE, free) for at, free in frees.items()}
    at = max(windows, key=lambda one: (_left(scene, windows[one], setting, one, pad), one == low))
    image = scene.shown(windows[at], SIZE)
    strips = _padded(setting.boxes(at), *pad)
    for strip in strips:
        image.paste(style.colours.background, strip)
    left, top = strips[0][:2]
    image.paste(style.colours.accent, (left - 14, top, left, strips[-1][3]))
    whole = (0, 0, *SIZE)
    ink = style.colours.ink
    return Composition("label", image, setting, at, ink, whole, windows[at], pad=pad)


def _left(
    scene: Scene, window: Region, setting: Setting, at: tuple[int, int], pad: tuple[int, int]
) -> float:
    """Return how much of what draws the eye in `scene` is seen beside strips at `at`, 0-1."""
    seen = interest.share(scene.seen, window)
    for left, top, right, bottom in _padded(setting.boxes(at), *pad):
        strip = Region(left / SIZE[0], top / SIZE[1], right / SIZE[0], bottom / SIZE[1])
        seen -= interest.share(scene.seen, strip.placed(window))
        seen -= sum(strip.placed(window).meets(head) for head in scene.people)
    return seen


def _plain(sheet: Sheet) -> Composition | None:
    """Set the title on the style's card, where there is no scene."""
    if sheet.scene is not None:
        return None
    align = sheet.style.cards.align
    setting = sheet.set(SIZE[0] - 2 * _MARGIN - 40, 440, align)
    left = (SIZE[0] - setting.measure) // 2 if align == "centre" else _MARGIN + 8
    at = _off_badge(setting, (left, (SIZE[1] - setting.height) // 2 - 6))
    image = _card(sheet, setting, at)
    return Composition("card", image, setting, at, sheet.style.colours.ink)


LAYOUTS: dict[str, Callable[[Sheet], Composition | None]] = {
    "lower": _lower,
    "side": _side,
    "split": _split,
    "label": _label,
    "upper": _upper,
    "mirrored": _mirrored,
    "centre": _centre,
    "card": _plain,
}
"""Name → composition; the first wins a tie."""


def _off_badge(setting: Setting, at: tuple[int, int], pad: int = 0) -> tuple[int, int]:
    """Return `at`, raised where a line would come into the lower right corner."""
    for left, _, right, bottom in setting.boxes(at)[::-1]:
        if right + pad > BADGE[0] and bottom + pad // 2 > BADGE[1] and left < BADGE[2]:
            return at[0], max(_MARGIN, at[1] - (bottom + pad // 2 - BADGE[1]))
    return at


def _card(sheet: Sheet, setting: Setting, at: tuple[int, int]) -> Image.Image:
    """Return the style's ground, quiet where the words stand, with its rule."""
    style = sheet.style
    boxes = setting.boxes(at)
    ground = grounds.background(
        SIZE, SIZE, style, kind="title", seed=sheet.title, quiet=_padded(boxes, 20)
    )
    pixels = np.asarray(ground, np.float32).copy()
    image = _cleared(pixels, boxes, style.colours.ink, style.colours.background)
    if boxes and setting.align == "left":
        _ruled(image, style, (at[0], at[1] - 46), style.colours.accent)
    return image


def _rule(style: Style, at: tuple[int, int]) -> Box | None:
    match style.cards.rule:
        case "bar":
            return at[0], at[1], at[0] + 128, at[1] + 13
        case "line":
            return at[0], at[1], at[0] + 220, at[1] + 7
        case _:
            return None


def _ruled(image: Image.Image, style: Style, at: tuple[int, int], colour: RGB) -> None:
    if (box := _rule(style, at)) is not None:
        image.paste(colour, box)


def _padded(boxes: list[Box], by: int, down: int | None = None) -> list[Box]:
    """Return `boxes`, larger by pixels on every side; by `down` above and below, where it is said."""
    rise = by if down is None else down
    return [
        (left - by, top - rise, right + by, bottom + rise) for left, top, right, bottom in boxes
    ]


def _dark(style: Style) -> RGB:
    """Return the darkest of the style's colours: what a scene fades to behind white type."""
    choice = (style.captions.box, style.colours.ink, style.colours.background)
    return min(choice, key=lambda colour: float(contrast.luminance(np.array(colour, float))))


def _bright(style: Style) -> RGB:
    """Return the style's colour for a rule over a darkened scene."""
    dark = contrast.luminance(np.array(_dark(style), float))
    for colour in (style.captions.mark, style.colours.accent):
        if contrast.ratio(contrast.luminance(np.array(colour, float)), dark) >= 4:
            return colour
    return _WHITE


def _darkened(
    scene: Image.Image, boxes: list[Box], shade: RGB, *, upward: bool | None
) -> Image.Image:
    """Return `scene` under a soft shade, with the lights in `boxes` turned down to `CONTRAST`.

    Only what is too bright for white type loses light, so a night keeps its colours.

    Args:
        scene: RGB, `SIZE`.
        boxes: The places of the words.
        shade: What the shade's colour is.
        upward: Whether it comes from above; None is from all sides.
    """
    limit = 1.05 / CONTRAST - 0.05
    mask = _shade_mask(boxes, upward=upward)
    tone = np.array(shade, dtype=np.float32)
    pixels = np.asarray(scene, dtype=np.float32)
    density = _SHADE if upward is not None else 0.5
    pixels = pixels + (tone - pixels) * np.asarray(density * mask, np.float32)[..., None]
    around = _spread(contrast.luminance(pixels.astype(np.uint8)))
    keep = np.minimum(1, limit / np.maximum(around, limit)) ** (mask / _GAMMA)
    pixels *= np.asarray(keep, np.float32)[..., None]
    for left, top, right, bottom in boxes:  # what the soft passes left over
        words = pixels[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8]
        excess = np.minimum(1, limit / np.maximum(contrast.luminance(words), limit))
        words *= (excess ** (1 / _GAMMA))[..., None]
    return Image.fromarray((pixels + 0.5).astype(np.uint8))


def _shade_mask(boxes: list[Box], *, upward: bool | None) -> np.ndarray:
    """Return 0-1 per pixel: about 1 behind the words, softly falling off around them."""
    wide, high = SIZE
    mask = Image.new("L", (wide // 8, high // 8))
    for left, top, right, bottom in boxes:
        first = 0 if upward else top - 48
        last = high if upward is False else bottom + 48
        corner = (max(0, left - 200) // 8, max(0, first) // 8)
        mask.paste(255, (*corner, (right + 70) // 8, last // 8))
    soft = mask.filter(ImageFilter.GaussianBlur(4.5)).resize(SIZE, Image.Resampling.BICUBIC)
    shade = np.asarray(soft, np.float32) / np.float32(255)
    if upward is None:
        return np.asarray(np.maximum(shade, 0.75))
    edge = np.clip(np.linspace(-0.9, 0.75, high, dtype=np.float32), 0, 1)[:, None]
    return np.asarray(np.maximum(shade, edge[::-1] if upward else edge))


def _spread(light: np.ndarray) -> np.ndarray:
    """Return the brightest of each pixel's surroundings, softened."""
    small = cv2.resize(
        light.astype(np.float32), (SIZE[0] // 4, SIZE[1] // 4), interpolation=cv2.INTER_AREA
    )
    spread = cv2.GaussianBlur(cv2.dilate(small, np.ones((9, 9), np.uint8)), (0, 0), 4)
    return np.asarray(cv2.resize(spread, SIZE, interpolation=cv2.INTER_LINEAR), np.float32)


def _cleared(pixels: np.ndarray, boxes: list[Box], ink: RGB, tone: RGB) -> Image.Image:
    """Return `pixels` (changed), drawn towards `tone` around the words as far as `ink` needs."""
    dark = float(contrast.luminance(np.array(ink, float)))
    for left, top, right, bottom in _padded(boxes, 8):
        area = pixels[max(0, top) : bottom, max(0, left) : right]
        for _ in range(8):
            short = (
                contrast.ratio(contrast.luminance(area.clip(0, 255).astype(np.uint8)), dark)
                < CONTRAST
            )
            if not short.any():
                break
            area += (np.array(tone, np.float32) - area) * (0.35 * short[..., None])
    return Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))
