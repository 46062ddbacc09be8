"""`quote`: what somebody said, in their own words, with a large quotation mark for an ornament."""

from __future__ import annotations

import re
from typing import NamedTuple

from app import language as written
from app.media import lettering
from app.media.cards.sheet import Bar, Page, Placed, Sheet, Stack, complete
from app.media.cards.words import Told, Words, capitalised, display, plain
from app.media.lettering import Run
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

_QUOTED = re.compile('“([^“”]+)”|"([^"]+)"|「([^「」]+(?:「[^」]*」[^「」]*)*)」|『([^『』]+)』')

_SAID_EN = r"(?:once )?(?:said|says|wrote|writes|asked|told [^,.:]{1,30}|put it|noted|replied)"
_NAME_EN = r"((?:[Tt]he |[Aa]n? )?(?:[A-Z][\w.’'-]*|old|young|[a-z]+)(?: (?:[A-Z][\w.’'-]*|of|de|van|von|the|[a-z]+)){0,4}?)"
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
        f"(?:^|[，。！？；\\s])(?:正如|就像|如同|如|像)?([^，。！？；：、\\s]{{1,12}}?){_SAID_ZH}[：:，,]?\\s*$"
    ),
    "ja": re.compile(
        f"(?:^|[、。！？\\s])([^、。！？\\s]{{1,14}}?)(?:は|が|も)、?(?:こう{_SAID_JA}[^。]{{0,6}}[。、：:]?)?\\s*$"
    ),
}
_AFTER: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        rf"^\s*,?\s*(?:{_SAID_EN} {_NAME_EN}|[—–-]+\s*([^,.]{{2,40}})|{_NAME_EN} {_SAID_EN})(?=[,.;!?]|\s*$)"
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
    if not found and told.wanted == "quote":
        return _Quotation(told.sentences[0], "", "")
    if len(found) != 1 or written.width(found[0].text) > _LONGEST[language]:
        return None
    return found[0]


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
    """Set the quotation under a large mark, its speaker below a short line."""
    scale, colours = page.style.scale, page.style.colours
    mark, below, gap = _mark(page), page.px(0.06), page.px(0.06)
    line = Bar(page.px(0.06), max(2, page.px(0.004)))
    name = page.text(words.speaker, height=page.px(0.16), largest=scale.text, lines=2)
    tail = gap + line.height + gap // 2 + name.height if name.lines else 0
    text = lettering.fit(
        words.text,
        page.language,
        weight="regular" if page.style.fonts.heading == "serif" else "bold",
        width=page.width if page.centred else min(page.width, page.px(1.45)),
        height=page.height - mark.height - below - tail,
        largest=page.px(scale.heading * (1.15 if page.language == "en" or page.tall else 0.95)),
        smallest=page.px(scale.text * 1.05),
        lines=6 if page.tall else 5,
        family=page.style.fonts.heading,
        align=page.style.cards.align,
    )
    if not complete(text, words.text):
        return None
    stack = Stack()
    stack.add(text, colours.ink)
    if name.lines:
        stack.add(line, colours.accent, above=gap)
        stack.add(name, colours.muted, above=gap // 2)
    first = page.first(mark.height + below + stack.height)
    aside = (page.width - mark.width) // 2 if page.centred else 0
    ornament = Placed(mark, (page.left + aside, first), colours.accent)
    return Sheet((ornament, *stack.at(page.left, first + mark.height + below, page)))


def _mark(page: Page) -> Run:
    glyph, size = ("“", 0.36) if page.language == "en" else ("「", 0.2)
    return Run(glyph, page.language, "bold", page.px(size), page.style.fonts.heading)
