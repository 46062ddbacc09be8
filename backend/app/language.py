"""What the program knows about written language: tags, sentences, line breaks, reading time.

Spans are half-open ranges of code points. Every function takes linear time in its text, and
importing this module loads no data: the BudouX model is read on first use.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from typing import Any, Literal, get_args

from app.errors import InputError

Language = Literal["en", "zh-TW", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""Languages a video can be in, the default first."""

SENTENCE_COLUMNS: dict[Language, int] = {"en": 220, "zh-TW": 120, "ja": 120}
"""Longest sentence in display columns: about 12 s of speech, and two lines of caption at a time
stay readable. It also keeps a sentence below the 510 phonemes a Kokoro voice takes at once."""

LETTERS_PER_SECOND = 14.5
"""English letters a second. Measured on the default Kokoro voice: 14.0 to 15.1 a sentence, where
words a second range from 3.0 to 4.7: letters tell more than words."""
CHARACTERS_PER_SECOND = 4.85
"""Chinese characters a second. Measured on the default Kokoro voice: 4.6 to 5.1 a sentence."""
DIGIT_SECONDS: dict[Language, float] = {"en": 0.4, "zh-TW": 0.25, "ja": 0.4}
"""Seconds of a digit: "twenty twenty-six", "three thousand five hundred"."""
PAUSE_SECONDS = 0.3
"""Silence after a sentence, as the timeline leaves it."""

_ALIASES: dict[str, Language] = {
    "en": "en",
    "english": "en",
    "zh": "zh-TW",
    "zh-tw": "zh-TW",
    "zh-hant": "zh-TW",
    "zh-hant-tw": "zh-TW",
    "chinese": "zh-TW",
    "中文": "zh-TW",
    "繁體中文": "zh-TW",
    "正體中文": "zh-TW",
    "ja": "ja",
    "ja-jp": "ja",
    "japanese": "ja",
    "日本語": "ja",
}

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_BOPOMOFO = "\u3100-\u312f\u31a0-\u31bf"
_CJK_LETTER = re.compile(f"[{_HAN}{_KANA}{_BOPOMOFO}]")
_CJK_RUN = re.compile(f"[{_HAN}{_KANA}{_BOPOMOFO}\u3000-\u303f\uff00-\uffef]")
_OTHER_LETTER = re.compile(f"[^\\W\\d_{_HAN}{_KANA}{_BOPOMOFO}]")
_PAUSE = re.compile("[。！？；…]+|[.!?]+(?=[\"'”’)]*(?:\\s|$))")
_DIGIT = re.compile(r"\d")


def normalise(tag: str) -> Language:
    """Return our tag for a language tag or name: `en-US` → `en`, `zh_Hant` → `zh-TW`.

    Raises:
        InputError: `language_unknown`, with the languages there are.
    """
    clean = tag.strip().lower().replace("_", "-")
    language = _ALIASES.get(clean) or ("en" if re.fullmatch(r"en-[a-z0-9-]+", clean) else None)
    if language is None:
        raise InputError(
            "language_unknown",
            f"There is no language {tag.strip()[:40]!r}.",
            f"Choose one of: {', '.join(LANGUAGES)}.",
        )
    return language


def detect(text: str) -> Language:
    """Return the language that takes the larger part of the time to read `text` aloud."""
    han = len(_CJK_LETTER.findall(text)) / CHARACTERS_PER_SECOND
    latin = len(_OTHER_LETTER.findall(text)) / LETTERS_PER_SECOND
    return "zh-TW" if han > latin else "en"


def speakable(text: str) -> bool:
    """Return True where there is a letter or digit to say."""
    return any(map(str.isalnum, text))


def reading_seconds(text: str, language: Language) -> float:
    """Return how long the default voice needs for `text`, in seconds (within 10 % over a scene).

    The pause after each sentence is counted, too; text without an end counts as one sentence.
    """
    if not speakable(text):
        return 0.0
    return (
        len(_OTHER_LETTER.findall(text)) / LETTERS_PER_SECOND
        + len(_CJK_LETTER.findall(text)) / CHARACTERS_PER_SECOND
        + len(_DIGIT.findall(text)) * DIGIT_SECONDS[language]
        + max(1, len(_PAUSE.findall(text))) * PAUSE_SECONDS
    )


# --- width and grapheme clusters ------------------------------------------------------------


@lru_cache(maxsize=8192)
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """Return display columns: 2 for a CJK or full-width character, 0 for a combining mark."""
    return sum(map(_columns, text))


@lru_cache(maxsize=8192)
def _extends(character: str) -> bool:
    """Return True for a character that belongs to the one before it (Unicode's Extend)."""
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in "\u200c\u200d\uff9e\uff9f"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or "\u1160" <= character <= "\u11ff"
        or "\ud7b0" <= character <= "\ud7fb"
    )


def _regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _splits(text: str, at: int) -> bool:
    """Return True where a cut before `at` would go through a grapheme cluster."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if after < "\u0300" and before != "\u200d":
        return before == "\r" and after == "\n"
    if unicodedata.category(before) in ("Cc", "Zl", "Zp"):
        return False
    if _extends(after) or before == "\u200d":
        return True
    if "\u1100" <= before <= "\u115f" and (
        "\u1100" <= after <= "\u115f" or "\uac00" <= after <= "\ud7a3"
    ):
        return True
    return _regional(before) and _regional(after)  # never between flags either: no need to count


# --- sentences ------------------------------------------------------------------------------

_CLOSING = "\"'”’»」』）〉》】〕］｝)]}＂＇"
_OPENING = "“‘«「『（〈《【〔［｛([{"
_FULL_STOP = re.compile("[。！？；｡]")
_END = re.compile('[.!?…。！？；｡]+|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+|"')
_SOLID = re.compile(r"\S")
_LAST_WORD = re.compile(r"[\w.]*$")
_NEXT_WORD = re.compile(r"[A-Za-z']*")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])*")


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_NEVER_LAST = _words(
    "mr mrs ms mx dr prof st sen rep gov gen col capt cmdr lt sgt rev hon pres messrs "
    "e.g i.e eg ie cf vs viz approx ca mt ft"
)
_BEFORE_NUMBER = _words("no nos fig figs vol p pp ch sec eq art para ed v")
_MAYBE_LAST = _words(
    "etc inc ltd co corp jr sr bros al dept est ave blvd rd ph.d jan feb mar apr jun jul aug "
    "sep sept oct nov dec mon tue tues wed thu thurs fri sat sun"
)
_STARTERS = _words(
    "the a an it he she we they i you this that these those there here in on at but and or so "
    "if when while as after before for from by with to however then now its his her their our "
    "my your what who why how where not no yes one some many most all both each every"
)
_CLINGING = "的地得之與和及呢嗎吧，、：；。」』）"


def sentences(text: str, language: Language) -> list[tuple[int, int]]:
    """Return the spans of the sentences, in order, without the white space between them.

    Every letter and digit lies in exactly one span; a piece of nothing but punctuation that
    stands alone is left out. A line break ends a sentence. A sentence longer than
    `SENTENCE_COLUMNS` is cut at punctuation, else between words or phrases, else hard, but never
    inside a grapheme cluster.
    """
    limit = SENTENCE_COLUMNS[language]
    spans: list[tuple[int, int]] = []
    for start, end in _rough(text):
        for span in _cut(text, start, end, limit, language):
            start_, end_ = _trimmed(text, *span)
            if speakable(text[start_:end_]):
                spans.append((start_, end_))
    return spans


def _rough(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans between sentence ends; together they cover the text."""
    start, done, open_quote = 0, 0, False
    for match in _END.finditer(text):
        first, last = match.span()
        if first < done:
            continue
        mark = match.group()
        if mark == '"':
            open_quote = not open_quote
            continue
        if mark.isspace():
            open_quote = False
            yield start, last
            start = done = last
            continue
        after = last
        while after < len(text) and text[after] in _CLOSING:
            if text[after] == '"':
                if not open_quote:
                    break
                open_quote = False
            after += 1
        done = after
        if _ends_sentence(text, start, (first, last), after):
            yield start, after
            start = after
    if start < len(text):
        yield start, len(text)


def _ends_sentence(text: str, start: int, mark: tuple[int, int], after: int) -> bool:
    """Return True where the punctuation `mark`, closed at `after`, ends the sentence."""
    found = _SOLID.search(text, after)
    if found is None or _splits(text, after):
        return found is None
    follower, closed, spaced = found.group(), after > mark[1], found.start() > after
    wide = _columns(follower) == 2
    run = text[mark[0] : mark[1]]
    if _FULL_STOP.search(run):
        return not (closed and follower in _CLINGING)
    if not spaced and not wide:
        ends = False  # 3.5, example.com, U.S.A
    elif "!" in run or "?" in run:
        ends = not (closed and follower.islower())
    elif len(run) > 1 or run == "…":
        # "I … don't know" is a pause, not an end.
        ends = mark[0] - start >= 6 if wide else not follower.islower()
    else:
        ends = follower != "." and not _abbreviated(text, start, mark[0], found.start())
    return ends


def _abbreviated(text: str, start: int, dot: int, following: int) -> bool:
    """Return True where the full stop at `dot` belongs to the word before it."""
    low = max(start, dot - 16)
    found = _LAST_WORD.search(text, low, dot)
    word = found.group().strip(".") if found else ""
    if word.isdigit() and len(word) <= 3 and not text[start : dot - len(word)].strip():
        return True  # "1. First": the number of a list
    lower, follower = word.lower(), text[following]
    if lower in _NEVER_LAST:
        return True
    if lower in _BEFORE_NUMBER and (follower.isdigit() or lower != "no"):
        return follower.isdigit() or follower.islower()
    if lower in _MAYBE_LAST or _INITIALS.fullmatch(word):
        next_word = _NEXT_WORD.match(text, following, following + 12)
        follows = next_word.group().lower() if next_word else ""
        if lower in ("etc", "a.m", "p.m", "ph.d"):
            return not follower.isupper() and _columns(follower) == 1
        return follower.islower() or (bool(follows) and follows not in _STARTERS)
    return False


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace() and not _splits(text, start + 1):
        start += 1
    return start, end


_CLAUSE = re.compile(
    f"[,;:—–]+[{re.escape(_CLOSING)}]*(?=\\s)|[，、；：—]+[{re.escape(_CLOSING)}]*"
)
_GAP = re.compile(r"(?<=\S)\s+")


def _cut(
    text: str, start: int, end: int, limit: int, language: Language
) -> Iterator[tuple[int, int]]:
    """Yield `start`–`end` in pieces of at most `limit` columns, as even as the text lets them."""
    if 2 * (end - start) <= limit:
        yield start, end
        return
    edges = [0, *accumulate(_columns(character) for character in text[start:end])]
    at = 0
    while edges[-1] - edges[at] > limit:
        rest = edges[-1] - edges[at]
        aim = edges[at] + rest / -(-rest // limit)
        low = max(at + 1, bisect_left(edges, edges[at] + 0.4 * (aim - edges[at])))
        high = bisect_left(edges, edges[at] + limit + 1) - 1
        near = _best(text, (start + low, start + high), start + bisect_left(edges, aim), language)
        if near is None:
            break
        yield start + at, near
        at = near - start
    yield start + at, end


def _best(text: str, window: tuple[int, int], aim: int, language: Language) -> int | None:
    """Return the best place to cut in `window` (both ends allowed), near `aim`."""
    low, high = window
    places = [m.end() for m in _CLAUSE.finditer(text, low - 1, high)]
    places = [at for at in places if low <= at <= high and not _splits(text, at)]
    if not places:
        places = [m.end() for m in _GAP.finditer(text, low - 1, high)]
        places = [at for at in places if low <= at <= high and not _splits(text, at)]
    if not places:
        places = [low + at for _, at in phrases(text[low:high], language)[:-1]]
        places = [at for at in places if not _splits(text, at)]
    if places:
        return min(places, key=lambda at: abs(at - aim))
    at = max(low, min(aim, high))
    while at > low and _splits(text, at):
        at -= 1
    while at < len(text) and _splits(text, at):
        at += 1
    return at if at < len(text) else None


# --- places where a line may break ----------------------------------------------------------

_NO_START = frozenset(
    "、，。．！？；：…‥—～·・」』）〉》】〕］｝”’»!?,.;:)]}%％‰°℃ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
_NO_END = frozenset(_OPENING + "$＄£¥￥#＃@")
_TO_THE_LEFT = frozenset("的了著過呢嗎吧啊嘛呀喔地得們上下裡中內外後前時著")
_TO_THE_RIGHT = frozenset(
    "在把被向從對和與跟及或給用這那每各不很最更太也都就還才再又會能要可是有到為以於而但並將請讓使"
    "我你您他她它"
)
"""Single characters that lean on a neighbour; a line that starts or ends with one reads badly."""
_WHOLE = re.compile(
    "為什麼|什麼|怎麼|那麼|這麼|多麼|怎樣|然後|以後|之後|最後|因為|因此|所以|但是|可是|只是|還是|或是"
    "|不是|就是|如果|雖然|不過|而且|並且|以及|以前|之前|再見|可以|已經|我們|你們|他們|自己|沒有"
    "|這個|那個|這些|那些|一個|一些|一樣|一起|不同|不會|不能|不要"
)
"""Everyday words the model tends to cut."""
_PHRASE_COLUMNS = 24
"""A longer unbroken piece may be broken anywhere a rule does not forbid."""
_BUDOUX: dict[Language, str] = {
    "en": "load_default_traditional_chinese_parser",
    "zh-TW": "load_default_traditional_chinese_parser",
    "ja": "load_default_japanese_parser",
}
"""Loader in the package `budoux` of the model that reads Han characters in each language."""
_CHUNK = re.compile(r"\S+")
_MARKS = "、，。．！？；：…」』）》”"
_STRAIGHT = re.compile("[\"']")  # opens or closes: no telling which
_AFTER_MARK = re.compile(f"[{_MARKS}]+")


@cache
def _parser(loader: str) -> Any:
    import budoux

    return getattr(budoux, loader)()


def phrases(text: str, language: Language) -> list[tuple[int, int]]:
    """Return the pieces between which a line may break; together they are the whole text.

    Words in Latin script, phrases in Chinese. White space belongs to the piece before it. No
    piece starts with closing punctuation or ends with an opening bracket, and none splits a
    grapheme cluster. Only a piece wider than 24 columns is cut inside a word.
    """
    if not text:
        return []
    starts = [0]
    for match in _CHUNK.finditer(text):
        for at in (match.start(), *_inside(match.group(), match.start(), language)):
            if at > starts[-1] and _may_break(text, at):
                starts.append(at)
    edges = [*starts, len(text)]
    pieces: list[tuple[int, int]] = []
    for start, end in pairwise(edges):
        pieces.extend(_short(text, start, end))
    return pieces


def _inside(chunk: str, offset: int, language: Language) -> list[int]:
    """Return the places to break inside a piece without white space."""
    if not _CJK_RUN.search(chunk):
        return []
    lengths = map(len, _parser(_BUDOUX[language]).parse(chunk))
    places = set(accumulate(lengths))
    places -= {at for m in _WHOLE.finditer(chunk) for at in range(m.start() + 1, m.end())}
    places |= {m.end() for m in _AFTER_MARK.finditer(chunk)}
    places -= {near for m in _STRAIGHT.finditer(chunk) for near in m.span()}
    edges = sorted({0, len(chunk)} | {at for at in places if _wide_side(chunk, at)})
    kept = [0]
    for at, end in pairwise(edges[1:]):
        before, after = chunk[kept[-1] : at], chunk[at:end]
        leans = before in _TO_THE_RIGHT or after.rstrip(_MARKS) in _TO_THE_LEFT
        if not (leans and _columns(chunk[at - 1]) == 2 and len(before) + len(after) <= 7):
            kept.append(at)
    return [offset + at for at in kept[1:]]


def _wide_side(text: str, at: int) -> bool:
    """Return True where a CJK character stands on at least one side of `at`."""
    return 0 < at < len(text) and (_columns(text[at - 1]) == 2 or _columns(text[at]) == 2)


def _may_break(text: str, at: int) -> bool:
    last = at - 1
    while last > 0 and text[last].isspace():
        last -= 1
    return text[at] not in _NO_START and text[last] not in _NO_END and not _splits(text, at)


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the piece, cut evenly where it is too wide for a line."""
    if 2 * (end - start) <= _PHRASE_COLUMNS:
        yield start, end
        return
    edges = list(accumulate((_columns(c) for c in text[start:end].rstrip()), initial=0))
    count = -(-edges[-1] // _PHRASE_COLUMNS)
    at = start
    for part in range(1, count):
        place = start + bisect_left(edges, edges[-1] * part / count)
        low = max(at, place - _PHRASE_COLUMNS)
        while low < place and (text[place].isspace() or not _may_break(text, place)):
            place -= 1
        if low < place < end:
            yield at, place
            at = place
    yield at, end


def shortened(text: str, columns: int, language: Language) -> str:
    """Return `text` on one line, cut to `columns` at a phrase, with an ellipsis for what went."""
    text = " ".join(text.split())
    if width(text) <= columns:
        return text
    kept = ""
    for _, end in phrases(text[: 4 * columns], language):
        longer = text[:end].rstrip(" ,;:，、；：。.")
        if width(longer) > columns - 1:
            break
        kept = longer
    if not kept:
        edges = accumulate(_columns(character) for character in text)
        kept = text[: sum(1 for edge in edges if edge < columns)]
    return f"{kept}…"


# --- what can be neither said nor drawn -----------------------------------------------------

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
_SERVED = _words(_SCRIPTS)


@lru_cache(maxsize=8192)
def _served(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cn", "Co", "Cs"):
        return False
    if category[0] not in "LM" and category != "Nd":
        return True
    name = unicodedata.name(character, "")
    return name.split(" ", 1)[0] in _SERVED and "HANGUL" not in name


def unsupported(text: str, language: Language) -> str:
    """Return the characters that neither voice nor fonts serve, each once, in order.

    Latin, Han, kana, bopomofo, Greek (as in π), digits and symbols of all kinds are fine in both
    languages; letters of other scripts (Arabic, Hebrew, Thai, Devanagari, Hangul, Cyrillic …) and
    private or unassigned characters are not.
    """
    del language  # both share their fonts today
    return "".join(dict.fromkeys(c for c in text if c > "\u024f" and not _served(c)))
