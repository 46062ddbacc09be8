"""`statement`: one thought, large. Every scene can be one, so all other designs fall back to it."""

from __future__ import annotations

from app import language as written
from app.media.cards.sheet import Bar, Page, Placed, Sheet, Stack, complete
from app.media.cards.words import LONG, Told, Words, display, larger, plain
from app.media.lettering import Setting


def read(told: Told) -> Words | None:
    """Take the heading, or the first sentence that can be read at a glance."""
    if told.heading:
        return Words("statement", heading=plain(told.heading))
    fitting = (one for one in told.sentences if written.width(one) <= LONG[told.language])
    line = next(fitting, told.sentences[0] if told.sentences else "")
    return Words("statement", text=display(line))


def lay(words: Words, page: Page) -> Sheet | None:
    """Set heading over text beside an upright rule; a text without heading is set larger."""
    scale, colours = page.style.scale, page.style.colours
    beside = page.style.cards.rule == "bar" and not page.centred
    indent = page.px(0.055) if beside else 0
    gap, rule = page.px(0.045), None if beside else page.rule
    wide = page.width - indent
    room = page.height - (rule.height + gap if rule else 0)
    head = _heading(words, page, wide, round(room * (0.6 if words.text else 1)))
    alone = scale.heading * larger(words.text)
    body = page.text(
        words.text,
        width=wide if page.centred else min(wide, page.px(1.5)),
        height=room - head.height - (gap if head.lines else 0),
        largest=scale.text if head.lines else alone,
        least=0.8 if head.lines else 0.8 * scale.text / alone,
        lines=5,
    )
    stack = Stack()
    if head.lines or body.lines:
        stack.add(rule, colours.accent)
    stack.add(head, colours.ink, above=gap)
    stack.add(body, colours.muted if head.lines else colours.ink, above=gap)
    first = page.first(stack.height)
    parts = stack.at(page.left + indent, first, page)
    if beside and parts:
        parts.insert(
            0, Placed(Bar(page.px(0.012), stack.height), (page.left, first), colours.accent)
        )
    return Sheet(tuple(parts))


def _heading(words: Words, page: Page, wide: int, height: int) -> Setting:
    """Set the heading on three lines, or on as many as it takes."""
    width = wide if page.centred else min(wide, page.px(1.5))
    usual = 1.15 * page.style.scale.heading
    largest = usual * larger(words.heading)
    least = usual / largest
    head = page.heading(
        words.heading, width=width, height=height, largest=largest, least=0.45 * least
    )
    if complete(head, words.heading):
        return head
    return page.heading(
        words.heading, width=width, height=height, largest=largest, least=0.35 * least, lines=6
    )
