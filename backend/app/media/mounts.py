"""Pictures that are shown whole: their size, their place, and the ground they stand on."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from app.media import contrast
from app.media.captions import places
from app.media.framing import MAX_ENLARGEMENT, Plan
from app.media.styles import RGB, Style

_ABOVE = 0.46
"""Where a picture stands in what it leaves free, from the top: the eye's middle is higher."""
_SEEN = 1.6
"""Least contrast of a transparent picture with the ground that shows through."""
_MARGIN = 0.045
"""Of the frame's shorter side, around a page to read."""
_MELT = 0.05
"""Of the canvas' shorter side: the width in which an edge melts into what is around it."""
_COARSE = 16
"""Pixels of the canvas to one of the ground while it is made: it is out of focus anyway."""
_OUT_OF_FOCUS = 0.09
"""Sigma of the ground's blur, of the canvas' shorter side: colours are left, and no shape."""
_KEPT, _COLOUR = 0.72, 1.1
"""Light that the ground of a bright picture keeps, and its colours' strength: livelier than grey,
quieter than the picture."""
_DITHER_SEED = 5

Size = tuple[int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def mounted(
    picture: Image.Image, plan: Plan, canvas: Size, frame: Size, style: Style
) -> Image.Image:
    """Return a canvas with all of `picture` (RGB, or RGBA) within the frame at its middle.

    Args:
        picture: Upright, in sRGB.
        plan: How it is to be shown.
        canvas: Width and height of what is returned.
        frame: The same of what the viewer sees at rest.
        style: Gives the colours of a plain ground.
    """
    room = _room(frame, style) if plan.clear else (0, 0, *frame)
    subject = _fitted(picture, (room[2] - room[0], room[3] - room[1]))
    at = _placed(subject.size, canvas, frame, room)
    if picture.mode == "RGBA":
        ground = _plain(canvas, *behind(picture, style))
        ground.paste(subject, at, subject)
        return ground
    if plan.ground is not None:
        return _continued(subject, plan.ground, canvas, at)
    if plan.way == "solid":
        ground = _plain(canvas, style.colours.background, style.colours.horizon)
    else:
        ground = _surround(subject, canvas, at)
    return _raised(subject, ground, at)


def _room(frame: Size, style: Style) -> Box:
    """Return the part of the frame that edges and captions leave to what is to be read."""
    margin = round(_MARGIN * min(frame))
    lower = round(frame[1] * (1 - places.zone(frame, style)))
    return margin, margin, frame[0] - margin, lower - margin // 2


def _fitted(picture: Image.Image, room: Size) -> Image.Image:
    """Return `picture` whole, as large as `room` holds it, within `MAX_ENLARGEMENT`."""
    scale = min(room[0] / picture.width, room[1] / picture.height, MAX_ENLARGEMENT)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def melted(subject: Image.Image, plan: Plan, canvas: Size) -> Image.Image:
    """Return a canvas that `subject` (RGB) spans one way, its other edges melting into the ground.

    Args:
        subject: What of the picture is seen, in the size of `plan.box` on the canvas.
        plan: How it is to be shown.
        canvas: Width and height of what is returned.
    """
    at = (round(plan.box.left * canvas[0]), round(plan.box.top * canvas[1]))
    ground = _surround(subject, canvas, at)
    ground.paste(subject, at, _melting(subject.size, canvas))
    return ground


def _melting(size: Size, canvas: Size) -> Image.Image:
    """Return the mask of a subject whose edges fade where the canvas goes on."""
    soft = round(_MELT * min(canvas))
    sides = []
    for extent, whole in zip(size, canvas, strict=True):
        apart = np.minimum(np.arange(extent), np.arange(extent)[::-1]) + 0.5
        ramp = np.clip(apart / soft, 0, 1) if extent < whole - 1 else np.ones(extent)
        sides.append(ramp * ramp * (3 - 2 * ramp))
    return Image.fromarray(np.rint(255 * np.outer(sides[1], sides[0])).astype(np.uint8))


def _surround(subject: Image.Image, canvas: Size, at: tuple[int, int]) -> Image.Image:
    """Return a ground that goes on where `subject` ends: mirrored, out of focus, a little quieter.

    A sky goes on as sky and a meadow as meadow, so no edge draws the eye.
    """
    small = max(1, canvas[0] // _COARSE), max(1, canvas[1] // _COARSE)
    scale = small[0] / canvas[0], small[1] / canvas[1]
    size = max(1, round(subject.width * scale[0])), max(1, round(subject.height * scale[1]))
    left = min(round(at[0] * scale[0]), small[0] - size[0])
    top = min(round(at[1] * scale[1]), small[1] - size[1])
    inner = np.asarray(subject.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    beyond = ((top, small[1] - size[1] - top), (left, small[0] - size[0] - left), (0, 0))
    mirrored = Image.fromarray(np.pad(inner, beyond, mode="symmetric"))
    soft = mirrored.filter(ImageFilter.GaussianBlur(min(small) * _OUT_OF_FOCUS))
    large = np.asarray(soft.resize(canvas, Image.Resampling.BICUBIC), dtype=np.float32)
    grey = large.mean(axis=2, keepdims=True)
    # A bright picture would outshine its subject; a night has little light to lose.
    keep = _KEPT + (1 - _KEPT) * max(0.0, 1 - float(grey.mean()) / 110)
    quiet = (_COLOUR * large + (1 - _COLOUR) * grey) * keep
    noise = np.random.default_rng(_DITHER_SEED).random((canvas[1], canvas[0], 1), dtype=np.float32)
    return Image.fromarray(np.clip(quiet + noise, 0, 255).astype(np.uint8))


def _plain(size: tuple[int, int], above: RGB, below: RGB) -> Image.Image:
    """Return a ground of one colour that becomes another towards its lower edge."""
    fall = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None] ** 1.4
    first, last = np.array(above, np.float32), np.array(below, np.float32)
    noise = np.random.default_rng(_DITHER_SEED).random((size[1], size[0], 1), dtype=np.float32)
    return Image.fromarray((first + (last - first) * fall + noise).clip(0, 255).astype(np.uint8))


def behind(picture: Image.Image, style: Style) -> tuple[RGB, RGB]:
    """Return the colours behind a transparent picture: its own must stand out from them."""
    colours = style.colours
    seen = np.asarray(picture.resize((64, 64), Image.Resampling.BOX), np.float64).reshape(-1, 4)
    light = contrast.luminance(seen[:, :3])[seen[:, 3] > 128]
    lit = contrast.luminance(np.array([colours.background, colours.ink], np.float64))
    if not light.size:
        return colours.background, colours.horizon
    ratios = contrast.ratio(light[:, None], lit)
    usual, other = np.median(ratios, axis=0)
    if usual < _SEEN and other > usual:
        return colours.ink, colours.ink
    return colours.background, colours.horizon


def _raised(subject: Image.Image, ground: Image.Image, at: tuple[int, int]) -> Image.Image:
    """Return `ground` with `subject` on it, standing out by a soft shadow."""
    left, top = at
    blur = min(ground.size) // 40
    quarter = (max(1, ground.width // 4), max(1, ground.height // 4))
    shade = Image.new("L", quarter)
    ImageDraw.Draw(shade).rectangle(
        (left // 4, top // 4, (left + subject.width) // 4, (top + subject.height + blur) // 4),
        fill=150,
    )
    shade = shade.filter(ImageFilter.GaussianBlur(blur / 4)).resize(ground.size)
    ground.paste((0, 0, 0), mask=shade)
    ground.paste(subject, at)
    return ground


def _continued(subject: Image.Image, border: RGB, canvas: Size, at: tuple[int, int]) -> Image.Image:
    """Return `subject` on the colour of its own border, so that no edge is seen."""
    soft = min(subject.size) // 60
    mask = Image.new("L", subject.size, 255)
    if soft:
        mask = ImageOps.expand(
            mask.crop((soft, soft, subject.width - soft, subject.height - soft)), soft, fill=0
        ).filter(ImageFilter.GaussianBlur(soft / 3))
    ground = Image.new("RGB", canvas, border)
    ground.paste(subject, at, mask)
    return ground


def _placed(subject: Size, canvas: Size, frame: Size, room: Box) -> tuple[int, int]:
    """Return where a whole picture stands on a canvas: in `room` of the frame, rather high."""
    free = room[3] - room[1] - subject[1]
    top = (canvas[1] - frame[1]) // 2 + room[1] + round(free * _ABOVE)
    return (canvas[0] - subject[0]) // 2, top
