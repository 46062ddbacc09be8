"""Any picture a user may give, turned into the still the renderer moves over.

The still is the frame times `OVERSCAN`. A picture of nearly the frame's aspect fills it; any other
is kept whole in the middle, over a blurred, darkened version of itself.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

from app.errors import InputError, NotFoundError
from app.media.styles import Style

VERSION = "1"
"""Raised when the same inputs give another picture."""

OVERSCAN = 1.2
"""Canvas over frame: the room that motion has."""

MAX_PIXELS = 100_000_000
"""Most pixels that are decoded at once: 400 MB in memory."""
MAX_JPEG_PIXELS = 600_000_000
"""A baseline JPEG is decoded at an eighth of its size, row by row, so it may be larger."""
MAX_ENLARGEMENT = 2.0
"""Beyond this a picture shows its pixels: it is framed instead of filling the canvas."""
FILLS_FROM = 0.7
"""Least ratio of the two aspects at which a picture is cropped to fill: 4:3 in 16:9 is 0.75."""
CROP_CENTRE = (0.5, 0.45)
"""Where a crop is centred; heads are rather above the middle than below."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
_SUPPORTED = "Use a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF."
_ORIENTATION = 0x0112
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_DITHER_SEED = 5

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


def prepare(path: Path, target: Path, *, size: tuple[int, int], style: Style) -> None:
    """Write the still of the picture at `path` for a frame of `size`: exactly `canvas(size)`, RGB.

    `target` becomes a PNG if its name ends so, else a JPEG.

    Raises:
        InputError: as `check`.
    """
    wide, high = canvas(size)
    picture = _decode(path, max(wide, high))
    if picture.mode == "RGBA":
        still = Image.new("RGB", (wide, high), style.colours.background)
        subject = _fitted(picture, size)
        still.paste(subject, _centred(subject, still), subject)
    elif _fills(picture, (wide, high)):
        still = covered(picture, (wide, high))
    else:
        still = _mounted(_fitted(picture, size), _backdrop(picture, (wide, high)))
    save(still, target)


def opened(path: Path, side: int, background: tuple[int, int, int]) -> Image.Image:
    """Return the picture upright, in sRGB, at about `side` pixels, transparency over `background`.

    Raises:
        InputError: as `check`.
    """
    picture = _decode(path, side)
    if picture.mode == "RGB":
        return picture
    flat = Image.new("RGB", picture.size, background)
    flat.paste(picture, mask=picture)
    return flat


def covered(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return `picture` scaled and cropped to fill `size`, centred on `CROP_CENTRE`."""
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS, centering=CROP_CENTRE)


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
            reduced = _reduced(_eight_bit(image), side)
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
            head = file.read(1024)
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


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return `image` with 8 bits a channel: L, RGB, RGBA or CMYK."""
    if image.mode in _WIDE_MODES:
        levels: np.ndarray = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = float(levels.max(initial=0))
        if image.mode == "F" and top <= 1:
            levels = levels * 255
        elif top > 255 or image.mode.startswith("I;16"):
            levels = levels / 257
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if image.mode == "RGBA":  # not copied: it may be 400 MB
        return image
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Return `image` divided by a whole number, its shorter side still at least `side`."""
    factor = min(image.size) // side
    if factor < 2:
        return image
    if image.mode == "RGBA":  # averaged as seen, or hidden colours bleed into the edges
        return image.convert("RGBa").reduce(factor).convert("RGBA")
    return image.reduce(factor)


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


def _fills(picture: Image.Image, size: tuple[int, int]) -> bool:
    across, down = size[0] / picture.width, size[1] / picture.height
    return (
        max(across, down) <= MAX_ENLARGEMENT and min(across, down) / max(across, down) >= FILLS_FROM
    )


def _fitted(picture: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """Return `picture` whole, as large as the frame at rest shows it, within `MAX_ENLARGEMENT`."""
    scale = min(frame[0] / picture.width, frame[1] / picture.height, MAX_ENLARGEMENT)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _backdrop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return `size` pixels of the picture's own colours, out of focus and darkened."""
    small = covered(picture, (max(2, size[0] // 16), max(2, size[1] // 16)))
    soft = small.filter(ImageFilter.GaussianBlur(min(small.size) / 12))
    large = np.asarray(soft.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    grey = large.mean(axis=2, keepdims=True)
    # A bright picture would outshine its subject; a night has little light to lose.
    keep = 0.5 + 0.3 * max(0.0, 1 - float(grey.mean()) / 110)
    dark = (0.8 * large + 0.2 * grey) * keep
    noise = np.random.default_rng(_DITHER_SEED).random((size[1], size[0], 1), dtype=np.float32)
    return Image.fromarray(np.clip(dark + noise, 0, 255).astype(np.uint8))


def _mounted(subject: Image.Image, ground: Image.Image) -> Image.Image:
    """Return `ground` with `subject` in its middle, standing out by a soft shadow."""
    left, top = _centred(subject, ground)
    blur = min(ground.size) // 40
    quarter = (max(1, ground.width // 4), max(1, ground.height // 4))
    shade = Image.new("L", quarter)
    ImageDraw.Draw(shade).rectangle(
        (left // 4, top // 4, (left + subject.width) // 4, (top + subject.height + blur) // 4),
        fill=150,
    )
    shade = shade.filter(ImageFilter.GaussianBlur(blur / 4)).resize(ground.size)
    ground.paste((0, 0, 0), mask=shade)
    ground.paste(subject, (left, top))
    return ground


def _centred(subject: Image.Image, ground: Image.Image) -> tuple[int, int]:
    return (ground.width - subject.width) // 2, (ground.height - subject.height) // 2


def _unreadable(path: Path, error: Exception) -> InputError:
    why = "" if isinstance(error, UnidentifiedImageError) else f" ({type(error).__name__})"
    return InputError(
        "picture_unreadable",
        f"{path.name!r} is no picture that can be read, or it is damaged{why}.",
        f"{_SUPPORTED} If it looks right elsewhere, open it there and save it again.",
    )
