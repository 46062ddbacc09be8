"""Which design a card has: the first that its scene's words fit, a statement where none does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from app.media.cards import end, number, points, quote, statement, title
from app.media.cards.sheet import Page, Sheet
from app.media.cards.words import Told, Words
from app.media.grounds import Kind
from app.models import CardKind


class Design(NamedTuple):
    """A design of a card.

    Attributes:
        read: Takes from a scene what the design shows, None where it has nothing for it.
        lay: Sets that on a page, None where it is too much.
        ground: How the ground behind it is lit.
    """

    read: Callable[[Told], Words | None]
    lay: Callable[[Words, Page], Sheet | None]
    ground: Kind = "statement"


DESIGNS: dict[CardKind, Design] = {
    "title": Design(title.read, title.lay, "title"),
    "end": Design(end.read, end.lay, "title"),
    "list": Design(points.read, points.lay),
    "quote": Design(quote.read, quote.lay),
    "number": Design(number.read, number.lay),
    "statement": Design(statement.read, statement.lay),
}
"""In the order in which they are tried."""


_STANDING_IN: tuple[CardKind, ...] = ("title", "statement")


def candidates(told: Told) -> Iterator[Words]:
    """Yield what a scene's card can show, the best first; the last is a statement and always fits.

    A design that the writer asks for comes first, and no other than a statement is tried after it.
    The only scene of a video is its title card where it is neither list nor quotation nor number.
    """
    kinds: tuple[CardKind, ...] = (told.wanted, "statement") if told.wanted else tuple(DESIGNS)
    if told.place == "only":
        kinds = tuple(sorted(kinds, key=_STANDING_IN.__contains__))
    for kind in kinds:
        words = DESIGNS[kind].read(told)
        if words is not None:
            yield words


def choose(told: Told) -> Words:
    """Return what a scene's card shows where there is room for it."""
    return next(candidates(told))


def settled(told: Told, page: Page) -> Words:
    """Return what a scene's card shows on a page: the first design that has room for it."""
    for words in candidates(told):
        if DESIGNS[words.design].lay(words, page) is not None:
            return words
    return Words("statement")
