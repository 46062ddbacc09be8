"""`title`: opens a video; its name large under a short rule."""

from __future__ import annotations

from app import language as written
from app.media.cards.sheet import Page, Sheet, Stack
from app.media.cards.words import Told, Words, display, larger, plain

_LONGEST = 90
"""Columns of a sentence that is a title, too, where a video has no other."""


def read(told: Told) -> Words | None:
    """Take the first scene of a video, or its only one where `choose` finds nothing better."""
    if told.wanted == "title":
        return Words("title", heading=plain(told.heading or told.title))
    if told.place not in ("first", "only"):
        return None
    title, line = plain(told.title), display(next(iter(told.sentences), ""))
    if title.endswith("…") and written.width(line) <= _LONGEST and line.startswith(title[:-1]):
        title = line  # it was taken from there, and cut
    return Words("title", heading=title or line)


def lay(words: Words, page: Page) -> Sheet | None:
    """Set the heading large."""
    scale, colours = page.style.scale, page.style.colours
    largest = scale.title * larger(words.heading)
    gap, rule = page.px(0.05), page.rule
    room = page.height - gap - (rule.height + gap if rule else 0)
    title = page.heading(
        words.heading,
        height=round(room * 0.8),
        largest=largest,
        least=0.4 * scale.title / largest,
        lines=4,
    )
    stack = Stack()
    if title.lines:
        stack.add(rule, colours.accent)
    stack.add(title, colours.ink, above=gap)
    return page.sheet(stack, down=0.5 if page.centred else 0.56)
