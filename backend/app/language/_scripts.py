"""What can't be said or drawn: emoji in what is spoken, letters of scripts we have no voice for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_EMOJI_BMP = (
    "\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u25fd\u25fe\u2600-\u2604\u260e\u2611\u2614"
    "\u2615\u2618\u261d\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2648-\u2653\u265f"
    "\u2663\u2665\u2666\u2668\u267b\u267e\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26a7"
    "\u26aa\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9"
    "\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705\u2708-\u270d\u270f\u2712\u2714\u2716\u271d"
    "\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797"
    "\u27a1\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
)
_PICTOGRAPH = f"(?:[\U0001f000-\U0001faff{_EMOJI_BMP}]|[^\\w\\s]\ufe0f)"
_TAIL = "[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
_EMOJI = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTOGRAPH}{_TAIL}(?:\u200d{_PICTOGRAPH}{_TAIL})*"
)
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
_EMOJI_RUN = re.compile(f"([ \t\u3000]*)((?:{_EMOJI.pattern}[ \t]*)+)")


def emoji_spans(text: str) -> list[tuple[int, int]]:
    """Return where the emoji of a text are, keycaps among them, in order."""
    if text.isascii():
        return []
    return sorted(m.span() for kind in (_KEYCAP, _EMOJI) for m in kind.finditer(text))


_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe0e\ufe0f\ufeff\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    """Return a text without what can't be seen; emoji keep what joins and colours them."""
    pieces, at = [], 0
    for start, end in emoji_spans(text):
        pieces += [_INVISIBLE.sub("", text[at:start]), text[start:end]]
        at = end
    return "".join((*pieces, _INVISIBLE.sub("", text[at:])))


def strip_emoji(text: str) -> tuple[str, str]:
    """Return the text without emoji, and the emoji taken out (each once, spaces between).

    A keycap keeps its digit. The white space an emoji leaves behind is closed up.
    """
    removed: dict[str, None] = {}

    def keycap(match: re.Match[str]) -> str:
        removed[match.group()] = None
        return match[1]

    def run(match: re.Match[str]) -> str:
        for emoji in _EMOJI.finditer(match[2]):
            removed[emoji.group()] = None
        end = match.end()
        follower = match.string[end : end + 1]
        at_edge = match.start() == 0 or match.string[match.start() - 1] == "\n"
        if at_edge or not follower or follower in "\n.,!?;:)]}，。！？；：、」』）":
            return ""
        spaced = match[1] or match[2][-1:] in " \t"
        return " " if spaced else ""

    clean = _EMOJI_RUN.sub(run, _KEYCAP.sub(keycap, text))
    return clean.replace("\ufe0f", ""), " ".join(removed)


_SCRIPTS = (
    "LATIN CJK IDEOGRAPHIC HIRAGANA KATAKANA BOPOMOFO GREEK FULLWIDTH HALFWIDTH COMBINING DIGIT "
    "MODIFIER MICRO MASCULINE FEMININE MATHEMATICAL DOUBLE-STRUCK SCRIPT BLACK-LETTER PLANCK "
    "KELVIN ANGSTROM OHM KATAKANA-HIRAGANA HANGZHOU SUPERSCRIPT SUBSCRIPT VARIATION INFORMATION "
    "INFINITY ROMAN EULER TURNED ROTATED ALEF-SYMBOL HALFWIDTH-KATAKANA"
)
_SERVED = frozenset(_SCRIPTS.split())


@lru_cache(maxsize=8192)
def _served(character: str) -> bool:
    if "\U0001f000" <= character <= "\U0001faff" or "\U00020000" <= character <= "\U0003fffd":
        return True  # emoji and Han, also those that this Python's tables do not know yet
    category = unicodedata.category(character)
    if category in ("Cn", "Co", "Cs"):
        return False
    if category[0] not in "LM" and category != "Nd":
        return True
    name = unicodedata.name(character, "")
    return name.split(" ", 1)[0] in _SERVED and "HANGUL" not in name


def unsupported(text: str) -> str:
    """Return the characters that no voice reads, each once, in order.

    Latin, Han, kana, bopomofo, Greek (as in π), digits, symbols and emoji of all kinds are fine in
    every language (a sign that isn't read is passed over); letters of other scripts (Arabic,
    Hebrew, Thai, Devanagari, Hangul, Cyrillic …) and private or unassigned characters are not.
    """
    return "".join(dict.fromkeys(c for c in text if c > "\u024f" and not _served(c)))
