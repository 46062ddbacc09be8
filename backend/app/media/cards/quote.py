"""`quote`: what somebody said, in their own words, with a large quotation mark for an ornament."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from app import language as written
from app.media import lettering
from app.media.cards.sheet import Bar, Page, Placed, Sheet, Stack, complete
from app.media.cards.words import Told, Words, capitalised, display, plain
from app.media.lettering import Run, Setting
from app.models import Language

_SHORTEST: dict[Language, int] = {"en": 20, "zh-TW": 14, "ja": 14}
"""Columns; what is shorter is a name or a word with a special sense."""
_LONGEST: dict[Language, int] = {"en": 150, "zh-TW": 96, "ja": 104}
_SHARE = 0.4
"""Of the narration that a quotation with its speaker takes at least."""
_ALONE = 0.85
"""The same without a speaker."""
_NEAR = 160
"""Characters beside a quotation that are searched for its speaker."""

_GAP = 0.055
"""Between mark, quotation and speaker, as a share of the frame's shorter side."""
_MARK = 0.2
"""Size of a Chinese mark, half of which is ink."""
_NAME = 0.72
"""Of the quotation's size that its speaker's name has at most."""

_QUOTED = re.compile('“([^“”]+)”|"([^"]+)"|「([^「」]+(?:「[^」]*」[^「」]*)*)」|『([^『』]+)』')

_SAID_EN = r"(?:once )?(?:said|says|wrote|writes|asked|told [^,.:]{1,30}|put it|noted|replied)"
_NAME_EN = r"((?:[Tt]he |[Aa]n? )?(?:[A-Z][\w.’'-]*|old|young|[a-z]+)(?: (?:[A-Z][\w.’'-]*|of|de|van|von|the|[a-z]+)){0,4}?)"
_PERSON_EN = r"((?:the )?[A-Z][\w.’'-]*(?: (?:[A-Z][\w.’'-]*|of|de|van|von)){0,6}?)"
_WHERE_EN = (
    r"(?= (?:at|in|on|to|during|after|before|when|as|while|last|this|yesterday|from|about)\b)"
)
_SAID_ZH = (
    "(?:曾經?|常|總|所|就|也|這樣|這麼|如此)*(?:說過|說道|說|寫道|寫下|寫過|表示|指出|認為|提醒)"
)
_SAID_JA = "(?:言|い|語|述べ|書|記|話|つぶや|呟)"
_BEFORE: dict[Language, re.Pattern[str]] = {
    # Whose words follow; the name is the first group.
    "en": re.compile(
        rf"(?:^|[.!?,;:]\s|\bAs |\bas |In the words of )\s*{_NAME_EN},? {_SAID_EN}[,:]?\s*$"
        r"|[Ii]n the words of ([^,.:]{2,40})[,:]\s*$"
    ),
    "zh-TW": re.compile(
        f"(?:^|[，。！？；\\s])(?:正如|就像|如同|如|像)?([^，。！？；：、\\s]{{1,12}}?)"
        f"(?:在[^，。！？；：]{{1,24}}?)?{_SAID_ZH}[：:，,]?\\s*$"
    ),
    "ja": re.compile(
        f"(?:^|[、。！？\\s])([^、。！？\\s]{{1,14}}?)(?:は|が|も)、?(?:こう{_SAID_JA}[^。]{{0,6}}[。、：:]?)?\\s*$"
    ),
}
_AFTER: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        rf"^\s*,?\s*{_SAID_EN} {_PERSON_EN}{_WHERE_EN}"
        rf"|^\s*,?\s*(?:{_SAID_EN} {_NAME_EN}|[—–-]+\s*([^,.]{{2,40}})|{_NAME_EN} {_SAID_EN})(?=[,.;!?]|\s*$)"
    ),
    "zh-TW": re.compile(
        f"^[，。\\s]*(?:[—─－-]+\\s*([^，。！？；]{{1,14}})|([^，。！？；：、\\s]{{1,12}}?){_SAID_ZH})(?=[。，！]|\\s*$)"
    ),
    "ja": re.compile(
        f"^[。\\s]*(?:と、?([^、。！？]{{1,14}}?)[はが]{_SAID_JA}|[—―─-]+\\s*([^、。]{{1,16}})|（([^）]{{1,16}})）)"
    ),
}
_NOBODY: dict[Language, re.Pattern[str]] = {
    # Said of somebody whom only the scene before names.
    "en": re.compile(r"(?:he|she|they|it|i|we|you|someone|somebody|people)", re.IGNORECASE),
    "zh-TW": re.compile("他們?|她們?|它們?|我們?|你們?|有人|人們|大家|人家|對方"),
    "ja": re.compile("彼ら?|彼女ら?|私たち?|私|僕|誰か|みんな|人々"),
}
_LEADING = re.compile("^(?:[Aa]s |[Ii]n the words of )")
_SAYS_JA = re.compile(f"^と、?(?:{_SAID_JA}|いう)")


class _Quotation(NamedTuple):
    text: str
    before: str
    after: str


def read(told: Told) -> Words | None:
    """Take a scene that is a quotation, or little more than one."""
    found = _only(told)
    if found is None:
        return None
    speaker = _speaker(found, told.language)
    share = written.width(found.text) / max(1, written.width(plain(told.narration)))
    if told.wanted != "quote" and share < (_ALONE if speaker is None else _SHARE):
        return None
    text = capitalised(found.text.strip().rstrip(",，、"), told.language)
    if told.language != "en" or text.count(". ") == 0:
        text = display(text)
    return Words("quote", heading=plain(told.heading), text=text, speaker=speaker or "")


def _only(told: Told) -> _Quotation | None:
    """Return the one quotation of a scene; several are a conversation."""
    text, language = plain(told.narration), told.language
    found = [
        _Quotation(inner, text[: match.start()], text[match.end() :])
        for match in _QUOTED.finditer(text)
        if written.width(inner := next(filter(None, match.groups()))) >= _SHORTEST[language]
    ]
    if told.wanted == "quote":
        return _asked_for(found, told)
    if len(found) != 1 or written.width(found[0].text) > _LONGEST[language]:
        return None
    return found[0]


def _asked_for(found: list[_Quotation], told: Told) -> _Quotation:
    """Return what a writer's own quote card shows, whatever the scene is like."""
    fitting = [one for one in found if written.width(one.text) <= _LONGEST[told.language]]
    if fitting:
        return fitting[0]
    line = plain(told.narration)
    if not found and written.width(line) <= _LONGEST[told.language]:
        return _Quotation(line, "", "")
    shorter = written.shortened(
        found[0].text if found else told.sentences[0], _LONGEST[told.language], told.language
    )
    return _Quotation(shorter, "", "")


def _speaker(found: _Quotation, language: Language) -> str | None:
    """Return who says it, "" where a pronoun does, None where nobody is said to."""
    for pattern, text in ((_BEFORE, found.before[-_NEAR:]), (_AFTER, found.after[:_NEAR])):
        match = pattern[language].search(text)
        name = next(filter(None, match.groups()), "") if match else ""
        if name:
            name = capitalised(_LEADING.sub("", display(name)), language)
            return "" if _NOBODY[language].fullmatch(name) else name
    if language == "ja" and _SAYS_JA.search(found.after):
        return ""
    return None


def lay(words: Words, page: Page) -> Sheet | None:
    """Set the quotation under a large mark, its speaker below a short line.

    Chinese and Japanese marks come in a pair, at the upper left of the words and at their lower
    right; a Latin one stands alone.
    """
    gap = page.px(_GAP)
    opening, closing = _marks(page)
    name = _name(words, page, page.px(page.style.scale.text * 1.15))
    high = opening.height + gap + _foot(page, closing, name)
    text = _text(words, page, page.height - high)
    if not complete(text, words.text):
        return None
    if name.size > _NAME * text.size:
        name = _name(words, page, round(_NAME * text.size))
        high = opening.height + gap + _foot(page, closing, name)
    first = page.first(high + text.height)
    low = first + opening.height + gap + text.height
    left, right = _sides(page, text, closing, name)
    start = left if closing or not page.centred else page.left + (page.width - opening.width) // 2
    colours = page.style.colours
    parts = [
        Placed(opening, (start, first), colours.accent),
        Placed(text, (page.left, low - text.height), colours.ink),
        *_credit(page, name).at(page.left, low + gap, page),
    ]
    if closing:
        parts.append(Placed(closing, (right - closing.width, low + gap // 2), colours.accent))
    return Sheet(tuple(parts))


def _name(words: Words, page: Page, size: int) -> Setting:
    name = lettering.fit(
        words.speaker,
        page.language,
        weight="regular",
        width=page.width - page.px(_MARK),
        height=page.px(0.2),
        largest=size,
        smallest=min(size, page.px(0.036)),
        lines=2,
        family=page.style.fonts.text,
        align=page.style.cards.align,
    )
    return replace(name, measure=page.width)


def _credit(page: Page, name: Setting) -> Stack:
    colours, stack = page.style.colours, Stack()
    if name.lines:
        stack.add(Bar(page.px(0.06), max(2, page.px(0.004))), colours.accent)
        stack.add(name, colours.muted, above=page.px(_GAP / 2))
    return stack


def _foot(page: Page, closing: Run | None, name: Setting) -> int:
    """Return the pixels below the quotation that its speaker and the closing mark take."""
    credit = _credit(page, name).height
    below = closing.height + page.px(_GAP / 2) if closing else 0
    return max(below, credit + page.px(_GAP) if credit else 0)


def _sides(page: Page, text: Setting, closing: Run | None, name: Setting) -> tuple[int, int]:
    """Return left and right of what stands between the marks; the speaker has room there, too."""
    wide = text.width
    if closing and name.lines:
        beside = closing.width + page.px(_GAP)
        wide = max(wide, name.width + (2 * beside if page.centred else beside))
    wide = min(wide, page.width)
    left = page.left + ((page.width - wide) // 2 if page.centred else 0)
    return left, left + wide


def _text(words: Words, page: Page, height: int) -> Setting:
    scale = page.style.scale
    return lettering.fit(
        words.text,
        page.language,
        weight="regular" if page.style.fonts.heading == "serif" else "bold",
        width=page.width if page.centred else min(page.width, page.px(1.5)),
        height=height,
        largest=page.px(scale.heading * (1.15 if page.language == "en" or page.tall else 1.05)),
        smallest=page.px(0.04),
        lines=8 if page.tall else 6,
        family=page.style.fonts.heading,
        align=page.style.cards.align,
        smaller=1.6 if page.tall else 1.2,
    )


def _marks(page: Page) -> tuple[Run, Run | None]:
    """Return the mark that opens the quotation, and the one that closes it."""
    family = page.style.fonts.heading
    if page.language == "en":
        return Run("“", page.language, "bold", page.px(0.4), family), None
    size = page.px(_MARK)
    return Run("「", page.language, "bold", size, family), Run(
        "」", page.language, "bold", size, family
    )
