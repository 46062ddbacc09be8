"""The looks a video can have: one YAML file each in this folder, checked strictly when loaded."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from app import disk
from app.errors import InputError
from app.media.fonts import Family
from app.models import CaptionStyle

FOLDER = Path(__file__).parent
DEFAULT = "paper"

RGB = tuple[int, int, int]
"""Red, green, blue, each 0-255, sRGB."""


def _rgb(value: object) -> object:
    """Turn `"#f4ede1"` into `(244, 237, 225)`; anything else is refused by name."""
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-f]{6}", value):
        raise ValueError('a colour is written "#rrggbb", in small letters and quotes')
    return tuple(int(value[start : start + 2], 16) for start in (1, 3, 5))


Colour = Annotated[RGB, BeforeValidator(_rgb)]
Share = Annotated[float, Field(ge=0, le=1)]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Colours:
    """Colours of cards, thumbnails and the ground behind pictures."""

    background: Colour
    horizon: Colour
    """What the background becomes towards the lower edge."""
    ornament: Colour
    """The nearest of the shapes a card is decorated with; the others lie between it and `horizon`."""
    ink: Colour
    """Headings and text on `background`."""
    muted: Colour
    """Secondary text on `background`."""
    accent: Colour
    """Rules, shapes and single words on `background`."""


@dataclass(frozen=True, config=_STRICT)
class Scale:
    """Type sizes as shares of the frame's shorter side, so that every shape reads alike."""

    title: Share
    heading: Share
    text: Share
    caption: Share
    margin: Share
    """Kept free of type at each edge of the frame."""


@dataclass(frozen=True, config=_STRICT)
class Captions:
    """Look and place of burnt-in captions."""

    text: Colour
    mark: Colour
    """The word being said."""
    box: Colour
    opacity: Share
    """Of the box; 1 hides the picture below it."""
    zone: Share
    """Share of the frame's height, from the lower edge, that cards leave to captions."""
    style: CaptionStyle
    """`karaoke` marks the word being said, `phrase` shows a few words at a time, large; `boxed`
    stands on a box, `clean` on a shadow only."""


@dataclass(frozen=True, config=_STRICT)
class Fonts:
    """Typefaces by family (`fonts.FAMILIES`)."""

    heading: Family
    text: Family
    caption: Family


@dataclass(frozen=True, config=_STRICT)
class Cards:
    """How cards are set and what they stand on."""

    ground: Literal["hills", "night"]
    """What is drawn behind the words; see `media/grounds.py`."""
    texture: Share
    """Strength of the grain; 0 is none."""
    align: Literal["left", "centre"]
    rule: Literal["bar", "line", "none"]
    """What stands beside or above a heading."""


@dataclass(frozen=True, config=_STRICT)
class Transition:
    """How one scene follows another."""

    kind: Literal["fade"]
    seconds: Annotated[float, Field(ge=0, le=2)]


@dataclass(frozen=True, config=_STRICT)
class Music:
    """The bed that is written for a video."""

    mood: Literal["calm"]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """Shifts the seed, so that each look has its own tune."""


@dataclass(frozen=True, config=_STRICT)
class Style:
    """One look. See `paper.yaml` for the values and what they do."""

    name: str
    description: str
    colours: Colours
    fonts: Fonts
    scale: Scale
    cards: Cards
    captions: Captions
    look: Annotated[str, Field(min_length=1, max_length=400)]
    """What all pictures that are drawn for a video have in common, in words."""
    motion: Share
    """How much of the overscan a picture may travel; 0 stands still."""
    transition: Transition
    music: Music


def names() -> tuple[str, ...]:
    """Return the names of all styles, the default first."""
    found = {file.stem for file in FOLDER.glob("*.yaml")}
    return (DEFAULT, *sorted(found - {DEFAULT}))


@cache
def load(name: str) -> Style:
    """Return the style called `name`.

    Raises:
        InputError: `style_unknown`, with the names there are; `style_invalid`, naming each value
            in the file that is wrong, missing or unknown.
    """
    if name not in names():
        raise InputError(
            "style_unknown",
            f"There is no style called {name!r}.",
            f"Choose one of: {', '.join(names())}.",
        )
    return read(FOLDER / f"{name}.yaml")


def read(file: Path) -> Style:
    """Return the style written in `file`, named after it.

    Raises:
        InputError: `style_invalid`.
    """
    try:
        values: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise _invalid(file, "it is not a mapping")
        if "name" in values:
            raise _invalid(file, "name is no setting of a style, its file's name is")
        return TypeAdapter(Style).validate_python({"name": file.stem, **values})
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(file, f"it can't be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise _invalid(file, f"it is not YAML{where}") from None
    except ValidationError as error:
        raise _invalid(file, "; ".join(_sentence(dict(e)) for e in error.errors())) from None


def _sentence(fault: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "unexpected_keyword_argument":
        return f"{key} is no setting of a style"
    if fault["type"] in ("missing", "missing_argument"):
        return f"{key} is missing"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def _invalid(file: Path, why: str) -> InputError:
    return InputError(
        "style_invalid",
        f"The style {file.name} can't be used: {why}.",
        "Compare it with paper.yaml, which explains every value.",
    )


def digest(style: Style) -> str:
    """Return the SHA-256 of all of a style's values: part of the inputs of what it shapes."""
    return disk.digest(TypeAdapter(Style).dump_python(style, mode="json"))
