"""`title`: opens a video; its name large under a short rule."""

from __future__ import annotations

from app.media.cards.sheet import Page, Sheet, Stack
from app.media.cards.words import Told, Words, display, plain


def read(told: Told) -> Words | None:
    """Take the first scene of a video."""
    if told.wanted == "title":
        return Words("title", heading=plain(told.heading or told.title))
    if told.place != "first":
        return None
    return Words("title", heading=plain(told.title) or display(told.sentences[0]))


def lay(words: Words, page: Page) -> Sheet | None:
    """Set the heading large."""
    scale, colours = page.style.scale, page.style.colours
    gap, rule = page.px(0.05), page.rule
    room = page.height - gap - (rule.height + gap if rule else 0)
    title = page.heading(
        words.heading, height=round(room * 0.8), largest=scale.title, least=0.4, lines=4
    )
    stack = Stack()
    if title.lines:
        stack.add(rule, colours.accent)
    stack.add(title, colours.ink, above=gap)
    return page.sheet(stack, down=0.5 if page.centred else 0.56)
