"""What a style says, value for value. `paper.yaml` shows it filled in."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from app.media.fonts import Family
from app.models import CaptionStyle

RGB = tuple[int, int, int]
"""Red, green, blue, each 0-255, sRGB."""


def _rgb(value: object) -> object:
    """Turn `"#f4ede1"` into `(244, 237, 225)`; anything else is refused by name."""
    if isinstance(value, tuple):
        return value  # of a style that has been read
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-f]{6}", value):
        raise ValueError('a colour is written "#rrggbb", in small letters and quotes')
    return tuple(int(value[start : start + 2], 16) for start in (1, 3, 5))


Ground = Literal["hills", "night", "grid", "ink", "shapes"]
TransitionKind = Literal["fade", "slide", "wipe", "bleed", "zoom", "cut"]
"""`slide` pushes the scene before aside, `wipe` draws a soft edge across it, `bleed` spreads like
ink in wet paper, `zoom` goes into it."""
Mood = Literal["calm", "deep", "drive", "solemn", "bright"]
"""What the music feels like; see `media/music.py`."""

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
    """Type sizes as shares of the frame's shorter side, so that every shape reads alike.

    Within their limits every card has room for its words in every shape, and none is too small to
    be read.
    """

    title: Annotated[float, Field(ge=0.05, le=0.35)]
    heading: Annotated[float, Field(ge=0.04, le=0.25)]
    text: Annotated[float, Field(ge=0.025, le=0.12)]
    caption: Annotated[float, Field(ge=0.03, le=0.1)]
    margin: Annotated[float, Field(ge=0, le=0.15)]
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
    zone: Annotated[float, Field(ge=0, le=0.4)]
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

    ground: Ground
    """What is drawn behind the words; see `media/grounds/`."""
    texture: Share
    """Strength of the grain; 0 is none."""
    align: Literal["left", "centre"]
    rule: Literal["bar", "line", "none"]
    """What stands beside or above a heading."""


@dataclass(frozen=True, config=_STRICT)
class Transition:
    """How one scene follows another."""

    kind: TransitionKind
    seconds: Annotated[float, Field(ge=0, le=2)]
    """How long it takes; a `cut` takes none."""


@dataclass(frozen=True, config=_STRICT)
class Music:
    """The bed that is written for a video."""

    mood: Mood
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
