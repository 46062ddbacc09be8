"""Where captions stand: shapes of frames, what apps cover of them, the zone cards leave free.

Shares of the frame that a player or an app may cover with its own signs, and where they are from
(read in November 2026; the apps move their buttons without a notice, and differ by the phone):

- YouTube, 16:9: 5 % at every edge, the graphics-safe area of EBU R 95 and the title-safe one of
  SMPTE ST 2046-1, which television still needs; the player's controls come and go.
- Shorts, 9:16: title, channel and buttons take the lower 25 % (480 of 1920 px)
  (youraithumbnailgenerator.com/guides/youtube-shorts-safe-zones-complete-guide), a column of
  buttons the right eighth, search and camera the upper tenth.
- TikTok, 9:16: 250 px above, 420 px below, 120-180 px at the right
  (socaptions.com/blog/tiktok-safe-zones-2026); 140 px here, as captions stand beside few of them.
- Reels, 9:16: Meta asks adverts to leave 14 % above, 6 % at the sides and 35 % below
  (houseofmarketers.com/guide-to-safe-zones-tiktok-facebook-instagram-stories-reels); other films
  have no button there, and 22 % is enough.
- Feeds, 1:1: nothing lies on the picture but the sound's switch in a corner: 5 %, 6 % below.

A frame keeps to the strictest of its shape.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from app.media.styles import Style
from app.models import Language

LINES = 2
"""Most lines of a cue: what a viewer takes in beside the picture."""

LINE_HEIGHT = 1.32
"""Baseline to baseline, in ems, as are the paddings below."""
PADDING = (0.62, 0.36)
"""Of the box, sideways and up and down."""

Shape = Literal["wide", "square", "tall"]


class Box(NamedTuple):
    """A rectangle in pixels of the frame; `right` and `bottom` lie just outside."""

    left: int
    top: int
    right: int
    bottom: int


class Margins(NamedTuple):
    """Shares of the frame's width (left, right) and height (top, bottom)."""

    left: float
    top: float
    right: float
    bottom: float


COVERED: dict[Shape, dict[str, Margins]] = {
    "wide": {"YouTube": Margins(0.05, 0.05, 0.05, 0.05)},
    "tall": {
        "Shorts": Margins(0.045, 0.10, 0.125, 0.25),
        "TikTok": Margins(0.06, 0.13, 0.13, 0.22),
        "Reels": Margins(0.06, 0.14, 0.12, 0.22),
    },
    "square": {"feed": Margins(0.05, 0.05, 0.05, 0.06)},
}
"""What is covered, by the shape of the frame and the service."""

COLUMNS: dict[Shape, dict[Language, int]] = {
    "wide": {"en": 42, "zh-TW": 32, "ja": 32},
    "square": {"en": 30, "zh-TW": 28, "ja": 28},
    "tall": {"en": 22, "zh-TW": 22, "ja": 22},
}
"""Columns of a line, two to a Chinese or Japanese character: 42 and 16 characters are what
broadcasters and streaming services allow; the other shapes hold what fits them."""
PHRASE_COLUMNS: dict[Shape, dict[Language, int]] = {
    "wide": {"en": 22, "zh-TW": 20, "ja": 20},
    "square": {"en": 17, "zh-TW": 18, "ja": 18},
    "tall": {"en": 16, "zh-TW": 16, "ja": 16},
}
"""The same for the few words at a time of `phrase`, on one line."""

_TALL_TYPE = 1.2
_PHRASE_TYPE = 1.5


def shape(size: tuple[int, int]) -> Shape:
    """Return `wide`, `square` or `tall` for a frame of `size`."""
    ratio = size[0] / size[1]
    return "wide" if ratio > 1.2 else "tall" if ratio < 0.85 else "square"


def safe(size: tuple[int, int]) -> Box:
    """Return what no service covers of a frame of `size`: the strictest of its shape."""
    width, height = size
    covered = COVERED[shape(size)].values()
    left, top, right, bottom = (max(shares) for shares in zip(*covered, strict=True))
    return Box(
        round(left * width),
        round(top * height),
        round((1 - right) * width),
        round((1 - bottom) * height),
    )


def room(size: tuple[int, int]) -> int:
    """Return the pixels of width that captions may take: even to both sides of the middle."""
    free, middle = safe(size), size[0] / 2
    return int(2 * min(middle - free.left, free.right - middle))


def type_size(style: Style, size: tuple[int, int], *, phrase: bool = False) -> int:
    """Return the size of captions' type in pixels, before a long line makes it smaller."""
    scale = style.scale.caption * (_TALL_TYPE if shape(size) == "tall" else 1)
    return max(8, round(scale * min(size) * (_PHRASE_TYPE if phrase else 1)))


def block(style: Style, size: tuple[int, int]) -> int:
    """Return the height in pixels of what captions take at most, whatever their style."""
    return round((LINES * LINE_HEIGHT + 2 * PADDING[1]) * type_size(style, size))


def zone(size: tuple[int, int], style: Style) -> float:
    """Return the share of the height, from the lower edge, that cards leave to captions.

    It is the same for all four caption styles, as a change of these does not draw cards anew.
    """
    above = safe(size).bottom - block(style, size)
    return max(style.captions.zone, 1 - above / size[1])
