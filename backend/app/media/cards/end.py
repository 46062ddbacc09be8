"""`end`: closes a video with its name and a word to the viewer."""

from __future__ import annotations

import re

from app import language as written
from app import messages
from app.media.cards.sheet import Page, Sheet, Stack
from app.media.cards.words import LONG, Told, Words, display, larger, plain
from app.models import Language

_FAREWELL: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        r"\b(?:thanks?(?: you)? (?:for|so)|thank you|subscribe|see you|until next time|next time"
        r"|goodbye|good night|goodnight|follow (?:us|me|along)|stay tuned|that'?s all)\b",
        re.IGNORECASE,
    ),
    "zh-TW": re.compile("謝謝|感謝|訂閱|按讚|下次見|下回|再見|下次再|我們下|晚安|追蹤|敬請期待"),
    "ja": re.compile(
        "ありがとう|チャンネル登録|高評価|また次回|次回|さようなら|おやすみ|またお会い|お楽しみに|フォロー"
    ),
}
_MOST = 3
"""Sentences of a farewell; a longer last scene has something to tell."""


def read(told: Told) -> Words | None:
    """Take a last scene that is short and says thanks, goodbye, or what to do next."""
    short = len(told.sentences) <= _MOST and (
        written.width(plain(told.narration)) <= _MOST * LONG[told.language]
    )
    if not (told.place == "last" and short and _farewell(told)) and told.wanted != "end":
        return None
    line = plain(told.heading) if written.speakable(told.heading) else ""
    line = line or messages.text("card_end", told.language)
    return Words("end", heading=line, text=display(told.title))


def _farewell(told: Told) -> bool:
    """Return True where a heading says goodbye, or at least half of what is said under it."""
    says = _FAREWELL[told.language]
    if says.search(told.heading):
        return True
    sizes = [(written.width(one), bool(says.search(one))) for one in told.sentences]
    said = sum(size for size, fits in sizes if fits)
    return said > 0 and 2 * said >= sum(size for size, _ in sizes)


def lay(words: Words, page: Page) -> Sheet | None:
    """Set the word to the viewer large, the video's name below a rule."""
    scale, colours = page.style.scale, page.style.colours
    gap, rule = page.px(0.05), page.rule
    usual = scale.title * 0.78
    largest = usual * larger(words.heading)
    room = page.height - 2 * gap - (rule.height if rule else 0)
    line = page.heading(
        words.heading,
        height=round(room * 0.65),
        largest=largest,
        least=0.45 * usual / largest,
        lines=3,
    )
    name = page.text(
        words.text,
        width=None if page.centred else min(page.width, page.px(1.3)),
        height=room - line.height,
        largest=scale.text * 1.45,
        least=0.6,
        lines=3,
    )
    stack = Stack()
    stack.add(line, colours.ink)
    if line.lines:
        stack.add(rule, colours.accent, above=gap)
    stack.add(name, colours.muted, above=gap if rule else round(gap * 0.9))
    return page.sheet(stack, down=0.52)
