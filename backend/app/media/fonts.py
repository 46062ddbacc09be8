"""The typefaces of every caption, card and thumbnail: Noto Sans CJK, from two wheels.

Regular comes from the all-region collection, which has a face for each region; bold from the
Japanese font, whose Taiwanese forms a shaping language switches on: pass `tag(language)` to every
Pillow call that measures or draws, or 直 骨 令 and the full-width comma get Japanese shapes.
Punctuation takes the region of the Chinese text it stands in; a run of punctuation alone has none,
so draw it together with its word.

The serif is Noto Serif, Japanese for English, too, whose quotation marks are narrow in it. It has
one weight: bold is drawn with an outline, `stroke`. What it lacks is set in sans, see `suited`.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ImageFont, features

from app import language as lang
from app.errors import MediaError
from app.media import emoji
from app.models import Language

Weight = Literal["regular", "bold"]
Family = Literal["sans", "serif"]

_FILES: dict[Weight, tuple[str, str]] = {
    "regular": ("noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"),
    "bold": ("noto_cjk_sans_jp_bold", "NotoSansCJKjp-Bold.otf"),
}
_SERIF: dict[Language, tuple[str, str]] = {
    "en": ("pylopdf_fonts_jp", "NotoSerifJP-Regular.otf"),
    "zh-TW": ("pylopdf_fonts_zh_tw", "NotoSerifTC-Regular.otf"),
    "ja": ("pylopdf_fonts_jp", "NotoSerifJP-Regular.otf"),
}
FAMILIES: tuple[Family, ...] = ("sans", "serif")
_EMBOLDENED = 0.0135
"""Outline of a bold serif in ems; above 0.016 the strokes of 麼 run together."""
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


def face(
    language: Language, weight: Weight, size: int, family: Family = "sans"
) -> ImageFont.FreeTypeFont:
    """Return the face for text of `language`, `size` pixels to the em; kept once opened.

    A bold serif is drawn with an outline of `stroke(weight, size, family)`.

    Raises:
        MediaError: `font_unusable`, where the file is absent or broken, or Pillow can't shape.
    """
    if family == "serif":
        return _open(_serif(language), 0, size)
    return _open(path(weight), _FACES[language, weight], size)


def stroke(weight: Weight, size: int, family: Family) -> float:
    """Return the pixels of outline (`stroke_width=`) that make a face as bold as its weight says."""
    return _EMBOLDENED * size if (family, weight) == ("serif", "bold") else 0.0


def suited(text: str, language: Language, family: Family) -> Family:
    """Return `family`, or sans for a text with characters that only sans can draw."""
    if family == "sans":
        return family
    lacking = set(missing(text, language, family))
    return "sans" if lacking - set(missing(text, language)) else family


def tag(language: Language) -> str:
    """Return what Pillow's `language=` needs so that shapes are those of `language`."""
    return _TAGS[language]


def path(weight: Weight) -> Path:
    """Return the file of the sans of `weight`.

    Raises:
        MediaError: `font_unusable`, where its wheel is not installed.
    """
    return _found(*_FILES[weight])


def _serif(language: Language) -> Path:
    return _found(*_SERIF[language])


@cache
def _found(package: str, name: str) -> Path:
    try:
        return Path(str(resources.files(package).joinpath(name)))
    except ModuleNotFoundError:
        raise _unusable(name, "its package is not installed") from None


def missing(text: str, language: Language, family: Family = "sans") -> str:
    """Return the characters of `text` that would show as empty boxes, each once, in order.

    Spaces, control characters, joiners and variation selectors draw nothing and never count. Both
    weights and every region's face cover the same code points; emoji have a font of their own, and
    small figures above or below the line are made of the usual ones.
    A mark that joins no letter to a character of its own (r̄) counts: the fonts do not place it.
    """
    text = unicodedata.normalize("NFC", text)
    own = _coverage(_serif(language) if family == "serif" else path("regular"))
    found: dict[str, None] = {}
    at = 0
    for start, end in (*lang.emoji_spans(text), (len(text), len(text))):
        found.update(dict.fromkeys(_uncovered(text[at:start], own, marks=True)))
        if end > start:
            found.update(
                dict.fromkeys(_uncovered(text[start:end], _coverage(_emoji()), marks=False))
            )
        at = end
    return "".join(found)


def _uncovered(text: str, coverage: tuple[np.ndarray, np.ndarray], *, marks: bool) -> Iterator[str]:
    """Yield characters that are not among the ranges, and marks on their own if `marks` says so."""
    starts, ends = coverage
    refused = {c for c in text if marks and unicodedata.category(c) in ("Mn", "Me")}
    for character in dict.fromkeys(text):
        point = ord(character)
        if unicodedata.category(character) in _INVISIBLE:
            continue
        if point in _SELECTORS or point in _MORE_SELECTORS or character in emoji.SMALL:
            continue
        group = int(np.searchsorted(starts, point, side="right")) - 1
        if group < 0 or point > ends[group] or character in refused:
            yield character


def _emoji() -> Path:
    try:
        return emoji.path()
    except ModuleNotFoundError:
        raise _unusable(emoji.FILE, "its package is not installed") from None


@lru_cache(maxsize=256)
def _open(file: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    if not features.check("raqm"):
        raise _unusable(file.name, "this build of Pillow has no complex text layout (raqm)")
    try:
        found = emoji.Face(str(file), size, index=index, layout_engine=ImageFont.Layout.RAQM)
    except OSError as error:
        raise _unusable(file.name, error.strerror or str(error)) from None
    found.bold = "Bold" in file.name
    return found


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
