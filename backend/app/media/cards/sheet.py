"""What stands on a card: type and rules with their places, set on one page for all designs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image, ImageDraw

from app.media import captions, lettering
from app.media.grounds import Box
from app.media.lettering import Run, Setting
from app.media.styles import RGB, Style
from app.models import Language

_TALL = 1.25
"""Type of an upright frame against that of others: it is narrow, but has many lines."""
_CLEAR: dict[captions.Shape, float] = {"wide": 0.035, "square": 0.05, "tall": 0.06}
"""Between what a card shows and the captions, as a share of the frame's shorter side."""


@dataclass(frozen=True)
class Bar:
    """A filled rectangle."""

    width: int
    height: int


@dataclass(frozen=True)
class Placed:
    """Something with its place, in pixels of the frame.

    Attributes:
        step: The point of a list that it belongs to, from 1 on; 0 is there from the start.
        until: The last point beside which it is there: its page is turned with the next one.
    """

    what: Setting | Run | Bar
    at: tuple[int, int]
    colour: RGB
    step: int = 0
    until: int | None = None

    @property
    def boxes(self) -> list[Box]:
        """The places of every line, or of the bar."""
        if isinstance(self.what, Bar):
            x, y = self.at
            return [(x, y, x + self.what.width, y + self.what.height)]
        return self.what.boxes(self.at)


@dataclass(frozen=True)
class Sheet:
    """All that stands on a card, ready to be drawn."""

    parts: tuple[Placed, ...]

    @property
    def boxes(self) -> list[Box]:
        """The places of all type and rules."""
        return [box for part in self.parts for box in part.boxes]

    def onto(self, image: Image.Image, offset: tuple[int, int], *, shown: int) -> None:
        """Draw what is there once `shown` points are; the frame starts at `offset`."""
        pen = ImageDraw.Draw(image)
        for part in self.parts:
            if part.step > shown or (part.until is not None and part.until < shown):
                continue
            x, y = offset[0] + part.at[0], offset[1] + part.at[1]
            if isinstance(part.what, Bar):
                right, lower = x + part.what.width - 1, y + part.what.height - 1
                pen.rectangle((x, y, right, lower), fill=part.colour)
            else:
                part.what.draw(pen, (x, y), part.colour)


@dataclass
class Stack:
    """Things below each other; what is empty takes no room."""

    items: list[tuple[Setting | Bar, RGB, int]] = field(default_factory=list)

    def add(self, what: Setting | Bar | None, colour: RGB, *, above: int = 0) -> None:
        """Add something, `above` pixels below the last one."""
        if what is not None and what.height:
            self.items.append((what, colour, above if self.items else 0))

    @property
    def height(self) -> int:
        return sum(above + what.height for what, _, above in self.items)

    def at(self, left: int, top: int, page: Page) -> list[Placed]:
        """Return everything with its place; bars are aligned as the page's type is."""
        placed = []
        for what, colour, above in self.items:
            top += above
            aside = (page.width - what.width) // 2 if isinstance(what, Bar) and page.centred else 0
            placed.append(Placed(what, (left + aside, top), colour))
            top += what.height
        return placed


@dataclass(frozen=True)
class Page:
    """A frame as cards are set on it: the room that type may take, and the style's hand.

    Attributes:
        size: Of the frame in pixels.
    """

    size: tuple[int, int]
    style: Style
    language: Language

    @cached_property
    def unit(self) -> int:
        """The shorter side, which all sizes are shares of."""
        return min(self.size)

    @cached_property
    def tall(self) -> bool:
        return captions.shape(self.size) == "tall"

    @cached_property
    def box(self) -> Box:
        """The part of the frame that words may take: inside the margins, above the captions."""
        margin, (width, height) = round(self.style.scale.margin * self.unit), self.size
        free = captions.safe(self.size)
        left, right = max(margin, free.left), min(width - margin, free.right)
        if self.centred:
            left = max(left, width - right)
            right = width - left
        lower = round(height * (1 - captions.zone(self.size, self.style)))
        return (
            left,
            max(margin, free.top),
            right,
            lower - self.px(_CLEAR[captions.shape(self.size)]),
        )

    @property
    def left(self) -> int:
        return self.box[0]

    @property
    def top(self) -> int:
        return self.box[1]

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def centred(self) -> bool:
        return self.style.cards.align == "centre"

    @cached_property
    def rule(self) -> Bar | None:
        """What stands above a heading in this style."""
        kind = self.style.cards.rule
        if kind == "none":
            return None
        if kind == "line":
            return Bar(self.px(0.22), max(2, self.px(0.0035)))
        return Bar(self.px(0.12), self.px(0.012))

    def px(self, share: float) -> int:
        """Return a share of the frame's shorter side in pixels."""
        return round(share * self.unit)

    def heading(
        self,
        text: str,
        *,
        height: int,
        largest: float,
        least: float = 0.5,
        lines: int = 3,
        width: int | None = None,
        smaller: float | None = None,
    ) -> Setting:
        """Set display type; sizes are a share of the unit, and a share of that one."""
        return lettering.fit(
            text,
            self.language,
            weight="bold",
            width=width or self.width,
            height=height,
            largest=self.px(largest * (_TALL if self.tall else 1)),
            smallest=self.px(largest * least),
            lines=lines + self.tall,
            family=self.style.fonts.heading,
            align=self.style.cards.align,
            smaller=smaller or (1.6 if self.tall else 1.2),
        )

    def text(
        self,
        text: str,
        *,
        height: int,
        largest: float,
        least: float = 0.8,
        lines: int = 3,
        width: int | None = None,
    ) -> Setting:
        """Set running type; sizes as for `heading`."""
        return lettering.fit(
            text,
            self.language,
            weight="regular",
            width=width or self.width,
            height=height,
            largest=self.px(largest * (_TALL if self.tall else 1)),
            smallest=self.px(largest * least),
            lines=lines + self.tall,
            family=self.style.fonts.text,
            align=self.style.cards.align,
        )

    def first(self, height: int, down: float = 0.5) -> int:
        """Return the top of what is `height` pixels high, `down` of the free room below the top."""
        return self.top + round((self.height - height) * down)

    def sheet(self, stack: Stack, *, down: float = 0.5, more: Iterable[Placed] = ()) -> Sheet:
        """Return the stack on the page, with `more` that has its place already."""
        return Sheet((*stack.at(self.left, self.first(stack.height, down), self), *more))


def complete(setting: Setting, text: str) -> bool:
    """Return True where the setting holds all of its text."""
    ends = setting.lines[-1][-1:] if setting.lines else ""
    return bool(setting.lines) and (ends != "…" or text.rstrip().endswith("…"))
