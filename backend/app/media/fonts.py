"""The typefaces of every caption, card and thumbnail: Noto Sans CJK, from two wheels.

Regular comes from the all-region collection, which has a face for each region; bold from the
Japanese font, whose Taiwanese forms a shaping language switches on: pass `tag(language)` to every
Pillow call that measures or draws, or 直 骨 令 and the full-width comma get Japanese shapes.
Punctuation takes the region of the Chinese text it stands in; a run of punctuation alone has none,
so draw it together with its word.
"""

from __future__ import annotations

import struct
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ImageFont, features

from app.errors import MediaError
from app.models import Language

Weight = Literal["regular", "bold"]
Family = Literal["sans"]

_FILES: dict[Weight, tuple[str, str]] = {
    "regular": ("noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"),
    "bold": ("noto_cjk_sans_jp_bold", "NotoSansCJKjp-Bold.otf"),
}
_FACES: dict[tuple[Language, Weight], int] = {
    # Latin quotation marks and dashes are proportional in the Japanese face, full width in the
    # Chinese ones, where "it’s" falls apart.
    ("en", "regular"): 0,
    ("zh-TW", "regular"): 3,
    ("ja", "regular"): 0,
    ("en", "bold"): 0,
    ("zh-TW", "bold"): 0,
    ("ja", "bold"): 0,
}
_TAGS: dict[Language, str] = {"en": "en", "zh-TW": "zh-Hant", "ja": "ja"}
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
_SELECTORS = range(0xFE00, 0xFE10)
_MORE_SELECTORS = range(0xE0100, 0xE01F0)


def face(language: Language, weight: Weight, size: int) -> ImageFont.FreeTypeFont:
    """Return the face for text of `language`, `size` pixels to the em; kept once opened.

    Raises:
        MediaError: `font_unusable`, where the file is absent or broken, or Pillow can't shape.
    """
    return _open(path(weight), _FACES[language, weight], size)


def tag(language: Language) -> str:
    """Return what Pillow's `language=` needs so that shapes are those of `language`."""
    return _TAGS[language]


def path(weight: Weight) -> Path:
    """Return the font file of `weight`.

    Raises:
        MediaError: `font_unusable`, where its wheel is not installed.
    """
    package, name = _FILES[weight]
    try:
        return Path(str(resources.files(package).joinpath(name)))
    except ModuleNotFoundError:
        raise _unusable(name, "its package is not installed") from None


def missing(text: str, language: Language) -> str:
    """Return the characters of `text` that would show as empty boxes, each once, in order.

    Spaces, control characters, joiners and variation selectors draw nothing and never count;
    an emoji does. Both weights and every region's face cover the same code points.
    """
    del language
    starts, ends = _coverage(path("regular"))
    found: dict[str, None] = {}
    for character in unicodedata.normalize("NFC", text):
        point = ord(character)
        if unicodedata.category(character) in _INVISIBLE:
            continue
        if point in _SELECTORS or point in _MORE_SELECTORS:
            continue
        group = int(np.searchsorted(starts, point, side="right")) - 1
        if group < 0 or point > ends[group]:
            found[character] = None
    return "".join(found)


@lru_cache(maxsize=256)
def _open(file: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    if not features.check("raqm"):
        raise _unusable(file.name, "this build of Pillow has no complex text layout (raqm)")
    try:
        return ImageFont.truetype(str(file), size, index=index, layout_engine=ImageFont.Layout.RAQM)
    except OSError as error:
        raise _unusable(file.name, error.strerror or str(error)) from None


@cache
def _coverage(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last code point of every range the font's first face can draw."""
    try:
        data = file.read_bytes()
        groups = _groups(data, _table(data, b"cmap"))
    except OSError as error:
        raise _unusable(file.name, error.strerror or str(error)) from None
    except (struct.error, ValueError) as error:
        raise _unusable(file.name, str(error)) from None
    return groups[:, 0], groups[:, 1]


def _table(data: bytes, name: bytes) -> int:
    """Return where table `name` of the first face starts (OpenType 1.9, "Table directory")."""
    start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
    (count,) = struct.unpack_from(">H", data, start + 4)
    for record in range(count):
        found, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * record)
        if found == name:
            return int(offset)
    raise ValueError(f"it has no {name.decode()} table")


def _groups(data: bytes, cmap: int) -> np.ndarray:
    """Return the (first, last, glyph) rows of the format 12 subtable (OpenType 1.9, "cmap")."""
    (count,) = struct.unpack_from(">H", data, cmap + 2)
    for record in range(count):
        (offset,) = struct.unpack_from(">I", data, cmap + 8 + 8 * record)
        if struct.unpack_from(">H", data, cmap + offset)[0] == 12:
            (rows,) = struct.unpack_from(">I", data, cmap + offset + 12)
            flat = np.frombuffer(data, dtype=">u4", count=3 * rows, offset=cmap + offset + 16)
            return flat.reshape(rows, 3).astype(np.int64)
    raise ValueError("it has no full Unicode mapping")


def _unusable(name: str, why: str) -> MediaError:
    return MediaError(
        "font_unusable",
        f"The font {name} can't be used: {why}.",
        "Install the requirements again; the fonts come with them.",
    )
