"""Any picture a user may give, turned into the still the renderer moves over.

The still is the frame times `OVERSCAN`, longer one way where the view travels. `framing.plan` decides
whether a picture fills it, spans it one way, or is kept whole in the middle: over its own colours out
of focus, over the colour that its own border has, or over the style's ground.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from app.errors import InputError, NotFoundError
from app.media import framing as plans
from app.media import mounts
from app.media.captions import places
from app.media.faces import Region
from app.media.framing import Plan
from app.media.styles import Style
from app.models import Framing

VERSION = "4"
"""Raised when the same inputs give another picture."""

OVERSCAN = 1.2
"""Canvas over frame: the room that motion has."""

MAX_PIXELS = 100_000_000
"""Most pixels that are decoded at once: 400 MB in memory."""
MAX_JPEG_PIXELS = 600_000_000
"""A baseline JPEG is decoded at an eighth of its size, row by row, so it may be larger."""
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
_SUPPORTED = "Use a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF."
_FOREIGN = (
    (4, b"ftyphei", "a HEIC picture, as telephones take them"),
    (4, b"ftypmif1", "a HEIF picture, as telephones take them"),
    (4, b"ftypmsf1", "a HEIF picture, as telephones take them"),
    (4, b"ftyp", "a film"),
    (0, b"\x1aE\xdf\xa3", "a film"),
    (0, b"%PDF-", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (0, b"\x1f\x8b", "a compressed file, such as SVGZ"),
    (0, b"PK\x03\x04", "an archive"),
    (0, b"<!DOCTYPE html", "a web page"),
    (0, b"<html", "a web page"),
)
"""Offset, bytes and name of what is often given for a picture and can't be read."""
_ORIENTATION = 0x0112
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_BAND = 4_000_000
"""Pixels that are converted at once."""

# The limits above are applied to the header, by format; Pillow's own would refuse a large JPEG.
Image.MAX_IMAGE_PIXELS = None


def canvas(size: tuple[int, int]) -> tuple[int, int]:
    """Return the still's width and height in pixels, both even, for a frame of `size`."""
    width, height = (2 * round(side * OVERSCAN / 2) for side in size)
    return width, height


def check(path: Path) -> None:
    """Make sure that `path` is a picture that can be decoded to its end.

    Raises:
        InputError: `picture_missing`, `picture_not_a_file`, `picture_empty`, `picture_vector`,
            `picture_unreadable` or `picture_too_large`.
    """
    _decode(path, 64)


def as_jpeg(path: Path, *, least: int) -> None:
    """Make sure that `path` is a picture, and make it a JPEG where it is another kind.

    Args:
        path: The file; it is replaced.
        least: Pixels that its shorter side must have.

    Raises:
        InputError: as `check`, or `picture_too_small`.
    """
    check(path)
    with Image.open(path, formats=_FORMATS) as image:
        kind, size = image.format, image.size
    if min(size) < least:
        raise InputError(
            "picture_too_small",
            f"The picture {path.name!r} is {size[0]} × {size[1]} pixels, too small to be shown.",
            "Use one of at least 1024 pixels.",
        )
    if kind != "JPEG":
        opened(path, max(size), (255, 255, 255)).save(path, "JPEG", quality=95, subsampling=0)


def prepare(
    path: Path,
    target: Path,
    *,
    size: tuple[int, int],
    style: Style,
    framing: Framing = "auto",
) -> Plan:
    """Write the still of the picture at `path` for a frame of `size`: `canvas(size)`, RGB.

    A view that travels has a still as much wider or higher as `Plan.spread` says. `target` becomes
    a PNG if its name ends so, else a JPEG.

    Returns:
        How the picture was framed.

    Raises:
        InputError: as `check`.
    """
    whole = canvas(size)
    picture = _decode(path, max(whole))
    plan = plans.plan(
        picture, whole, framing=framing, zone=places.zone(size, style), motion=style.motion
    )
    if plan.way == "crop":
        still = cropped(picture, plan.window, _spread(whole, plan))
    elif plan.way == "part":
        still = mounts.melted(cropped(picture, plan.window, _boxed(whole, plan)), plan, whole)
    else:
        still = mounts.mounted(picture, plan, whole, size, style)
    save(still, target)
    return plan


def _spread(size: tuple[int, int], plan: Plan) -> tuple[int, int]:
    """Return the size of a travelling view's canvas, both sides even."""
    width, height = (
        2 * round(side * more / 2) for side, more in zip(size, plan.spread, strict=True)
    )
    return width, height


def _boxed(size: tuple[int, int], plan: Plan) -> tuple[int, int]:
    return max(1, round(plan.box.width * size[0])), max(1, round(plan.box.height * size[1]))


def opened(path: Path, side: int, background: tuple[int, int, int]) -> Image.Image:
    """Return the picture upright, in sRGB, at about `side` pixels, transparency over `background`.

    Raises:
        InputError: as `check`.
    """
    return flat(decoded(path, side), background)


def decoded(path: Path, side: int) -> Image.Image:
    """Return the picture as `opened` does, but RGBA where something shows through.

    Raises:
        InputError: as `check`.
    """
    return _decode(path, side)


def flat(picture: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Return `picture` (RGB or RGBA) as RGB, over `background`."""
    if picture.mode == "RGB":
        return picture
    ground = Image.new("RGB", picture.size, background)
    ground.paste(picture, mask=picture)
    return ground


def cropped(picture: Image.Image, window: Region, size: tuple[int, int]) -> Image.Image:
    """Return what `window` shows of `picture`, as `size` pixels."""
    box = (
        window.left * picture.width,
        window.top * picture.height,
        window.right * picture.width,
        window.bottom * picture.height,
    )
    return picture.resize(size, Image.Resampling.LANCZOS, box=box)


def save(image: Image.Image, target: Path) -> None:
    """Write `image` as PNG if the name of `target` ends so, else as a fine JPEG."""
    if target.suffix.lower() == ".png":
        image.save(target, "PNG", compress_level=1)
    else:
        image.save(target, "JPEG", quality=93, subsampling=0)


def _decode(path: Path, side: int) -> Image.Image:
    """Return the picture upright in sRGB, `RGBA` where something shows through, else `RGB`.

    Its shorter side may be anything from `side` pixels to the picture's own.
    """
    _check_file(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(path, image, side)
            image.load()
            orientation = _orientation(image)
            reduced = _reduced(image, side)
            upright = _upright(_srgb(reduced, image.info.get("icc_profile")), orientation)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder raises whatever a broken file provokes
        raise _unreadable(path, error) from None
    if upright.mode == "RGBA" and _lowest(upright.getchannel("A")) >= 250:
        return upright.convert("RGB")
    return upright


def _lowest(channel: Image.Image) -> int:
    return int(np.asarray(channel).min())


def _check_file(path: Path) -> None:
    shown = repr(path.name)
    if not path.exists():
        raise NotFoundError(
            "picture_missing",
            f"The picture {shown} does not exist.",
            "Correct its path in the story; it is relative to the story's folder.",
        )
    if not path.is_file():
        raise InputError(
            "picture_not_a_file", f"The picture {shown} is not a file.", "Name a picture file."
        )
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise _unreadable(path, error) from None
    if not head:
        raise InputError(
            "picture_empty", f"The picture {shown} has no content.", "Save or download it again."
        )
    if b"<svg" in head.lower():
        raise InputError(
            "picture_vector",
            f"The picture {shown} is a vector drawing (SVG).",
            "Export it as a PNG at least 1920 pixels wide.",
        )


def _check_size(path: Path, image: Image.Image, side: int) -> None:
    """Refuse what would not fit into memory, by the header alone; let a JPEG decode smaller."""
    wide, high = image.size
    limit = MAX_PIXELS
    if image.format in ("JPEG", "MPO") and not image.info.get("progressive"):
        limit = MAX_JPEG_PIXELS
        image.draft("", (side, side))
    if wide * high > limit or image.width * image.height > MAX_PIXELS:
        raise InputError(
            "picture_too_large",
            f"The picture {path.name!r} is {wide} × {high} pixels, too large to work with.",
            "Make it smaller; 4000 pixels on its longer side are plenty.",
        )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken metadata is no reason to refuse the picture
        return 1


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Return `image` in 8 bits, divided by a whole number, its shorter side at least `side`.

    Rows are taken in bands: a second copy of a huge picture, with wider numbers, would not fit.
    """
    factor = min(image.size) // side
    top = _top(image)
    if factor < 2:
        return _eight_bit(image, top)
    rows = factor * max(1, _BAND // (image.width * factor))
    bands = [
        _divided(_eight_bit(_band(image, start, rows), top), factor)
        for start in range(0, image.height, rows)
    ]
    made = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    at = 0
    for band in bands:
        made.paste(band, (0, at))
        at += band.height
    return made


def _band(image: Image.Image, start: int, rows: int) -> Image.Image:
    band = image.crop((0, start, image.width, min(image.height, start + rows)))
    band.info = image.info  # the transparency of a palette stands there
    return band


def _divided(image: Image.Image, factor: int) -> Image.Image:
    if image.mode == "RGBA":  # averaged as seen, or hidden colours bleed into the edges
        return image.convert("RGBa").reduce(factor).convert("RGBA")
    return image.reduce(factor)


def _top(image: Image.Image) -> float:
    """Return the largest level of a picture with more than 8 bits a channel, else 0."""
    if image.mode == "F":
        return float(np.nan_to_num(np.asarray(image.getextrema())).max())
    if image.mode in _WIDE_MODES:
        return float("inf") if image.mode.startswith("I;16") else float(image.getextrema()[1])  # type: ignore[arg-type] # one band gives a pair
    return 0.0


def _eight_bit(image: Image.Image, top: float) -> Image.Image:
    """Return `image` with 8 bits a channel: L, RGB, RGBA or CMYK; `top` as `_top` returns it."""
    if image.mode in _WIDE_MODES:
        levels: np.ndarray = np.nan_to_num(np.asarray(image, dtype=np.float32))
        if image.mode == "F" and top <= 1:
            levels = levels * 255
        elif top > 255:
            levels = levels / 257
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if image.mode == "RGBA":  # not copied: it may be 400 MB
        return image
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `image` as RGB or RGBA in sRGB; a broken profile is passed over."""
    plain = image if image.mode == "RGBA" else image.convert("RGB")
    if not profile:
        return plain
    source: Any = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = ImageCms.profileToProfile(
            source, given, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return plain
    if colours is None:
        return plain
    if image.mode == "RGBA":
        colours.putalpha(image.getchannel("A"))
    return colours


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return `image` turned as EXIF orientation 1-8 says (CIPA DC-008, "Orientation")."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _unreadable(path: Path, error: Exception) -> InputError:
    if (kind := _foreign(path)) is not None:
        return InputError(
            "picture_unreadable",
            f"{path.name!r} is {kind}; that can't be shown.",
            f"Export it as a JPEG or PNG. {_SUPPORTED}",
        )
    why = "" if isinstance(error, UnidentifiedImageError) else f" ({type(error).__name__})"
    return InputError(
        "picture_unreadable",
        f"{path.name!r} is no picture that can be read, or it is damaged{why}.",
        f"{_SUPPORTED} If it looks right elsewhere, open it there and save it again.",
    )


def _foreign(path: Path) -> str | None:
    """Return what a file is that is no picture of ours, as far as its first bytes tell."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip()
    except OSError:
        return None
    if head[4:11] == b"ftypavi":
        return None  # an AVIF, only damaged
    return next((name for at, mark, name in _FOREIGN if head[at : at + len(mark)] == mark), None)
