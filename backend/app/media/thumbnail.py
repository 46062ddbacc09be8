"""The picture that stands for the video: its title in very large type over a scene, or on a card."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from app.media import cards, lettering, pictures
from app.media.styles import RGB, Style
from app.models import Language

VERSION = "1"
"""Raised when the same inputs give another picture."""

SIZE = (1280, 720)
MAX_BYTES = 2_000_000
"""What YouTube takes is 2 MB (2,097,152 bytes)."""
CONTRAST = 5.2
"""Of the title against every pixel around it; 4.5 is asked, the rest is for JPEG's ringing."""

_MARGIN = 64
_LARGEST, _SMALLEST = 156, 58
_LINES, _HEIGHT = 3, 440
_BAR, _GAP = 14, 34
_SHADE = 0.3
"""Least density of the shade behind the words."""
_GAMMA = 2.1
"""Below the slope of log luminance over log value for all light sRGB values (2.14-2.28)."""
_WHITE = (255, 255, 255)


def draw(
    target: Path, *, title: str, language: Language, picture: Path | None, style: Style
) -> None:
    """Write a JPEG of 1280 × 720 pixels, under 2 MB, to `target`.

    The title stands lower left, on at most three lines, clear of the lower right corner, where
    players put the duration. The scene below it is darkened just as far as legibility needs.

    Raises:
        InputError: as `pictures.check`.
        MediaError: `font_unusable`.
    """
    setting = lettering.fit(
        title,
        language,
        weight="bold",
        width=SIZE[0] - 2 * _MARGIN,
        height=_HEIGHT,
        largest=_LARGEST,
        smallest=_SMALLEST,
        lines=_LINES,
    )
    top = SIZE[1] - _MARGIN - setting.height
    if picture is None:
        top = (SIZE[1] + _BAR + _GAP - setting.height) // 2 - SIZE[1] // 40
    boxes = setting.boxes((_MARGIN, top))
    bar = (_MARGIN, top - _GAP - _BAR, _MARGIN + 132, top - _GAP)
    if picture is None:
        image = cards.background(SIZE, SIZE, style, kind="title", seed=title, quiet=[bar, *boxes])
        ink, accent = style.colours.ink, style.colours.accent
    else:
        scene = _graded(
            pictures.covered(pictures.opened(picture, max(SIZE), style.colours.background), SIZE)
        )
        image = _darkened(scene, boxes, style.captions.box)
        ink, accent = _WHITE, style.captions.mark
    pen = ImageDraw.Draw(image)
    if setting.lines:
        pen.rectangle((bar[0], bar[1], bar[2] - 1, bar[3] - 1), fill=accent)
    setting.draw(pen, (_MARGIN, top), ink)
    target.write_bytes(_jpeg(image))


def _graded(scene: Image.Image) -> Image.Image:
    """Return `scene` a little stronger, to hold its own at the size of a stamp."""
    return ImageEnhance.Contrast(ImageEnhance.Color(scene).enhance(1.15)).enhance(1.06)


def _darkened(scene: Image.Image, boxes: list[cards.Box], shade: RGB) -> Image.Image:
    """Return `scene` under a soft shade, with the lights in `boxes` turned down to `CONTRAST`.

    Only what is too bright for white type loses light, so a night keeps its colours.
    """
    limit = 1.05 / CONTRAST - 0.05
    mask = _shade_mask(boxes)
    tone = np.array(shade, dtype=float)
    pixels = np.asarray(scene, dtype=float)
    pixels = pixels + (tone - pixels) * (_SHADE * mask)[..., None]
    around = _spread(luminance(pixels))
    pixels *= (np.minimum(1, limit / np.maximum(around, limit)) ** (mask / _GAMMA))[..., None]
    for left, top, right, bottom in boxes:  # what the soft passes left over
        words = pixels[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8]
        excess = np.minimum(1, limit / np.maximum(luminance(words), limit))
        words *= (excess ** (1 / _GAMMA))[..., None]
    return Image.fromarray((pixels + 0.5).astype(np.uint8))


def _shade_mask(boxes: list[cards.Box]) -> np.ndarray:
    """Return 0-1 per pixel: about 1 behind the words, softly falling off around them."""
    wide, high = SIZE
    mask = Image.new("L", (wide // 8, high // 8))
    pen = ImageDraw.Draw(mask)
    for left, top, right, _ in boxes:
        area = (left - 200, top - 48, right + 70, high)
        pen.rectangle(tuple(side // 8 for side in area), fill=255)
    soft = mask.filter(ImageFilter.GaussianBlur(4.5)).resize(SIZE, Image.Resampling.BICUBIC)
    lower = np.clip(np.linspace(-0.9, 0.75, high), 0, 1)[:, None]
    shade: np.ndarray = np.maximum(np.asarray(soft, dtype=float) / 255, lower)
    return shade


def _spread(light: np.ndarray) -> np.ndarray:
    """Return the brightest of each pixel's surroundings, softened."""
    small = Image.fromarray(np.clip(light * 255, 0, 255).astype(np.uint8)).reduce(4)
    spread = small.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(4))
    return np.asarray(spread.resize(SIZE, Image.Resampling.BICUBIC), dtype=float) / 255


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the relative luminance of sRGB pixels (…, 3), 0-255, as WCAG 2.2 defines it."""
    share = pixels / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    weighted: np.ndarray = linear @ np.array([0.2126, 0.7152, 0.0722])
    return weighted


def _jpeg(image: Image.Image) -> bytes:
    """Return the finest JPEG that is small enough."""
    for quality in (92, 85, 75, 60, 40, 20):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=0)
        if file.tell() < MAX_BYTES:
            break
    return file.getvalue()
