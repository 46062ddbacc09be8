"""Places where a line may break: between words in Latin script, phrases in Chinese and Japanese."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from app.language import chinese_words
from app.language._clusters import columns_of, splits, width
from app.language._reading import BOPOMOFO, HAN, KANA
from app.models import Language

OPENING = "“‘«「『（〈《【〔［｛([{"
"""Marks that belong to what follows them."""
LEANING = frozenset(
    [
        "a",
        "about",
        "am",
        "among",
        "an",
        "and",
        "any",
        "are",
        "around",
        "as",
        "at",
        "be",
        "because",
        "been",
        "between",
        "but",
        "by",
        "can",
        "could",
        "during",
        "each",
        "every",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "i",
        "if",
        "in",
        "into",
        "is",
        "its",
        "may",
        "might",
        "must",
        "my",
        "never",
        "no",
        "not",
        "of",
        "on",
        "only",
        "or",
        "our",
        "she",
        "should",
        "since",
        "so",
        "than",
        "that",
        "the",
        "their",
        "these",
        "they",
        "this",
        "those",
        "to",
        "toward",
        "until",
        "very",
        "was",
        "we",
        "were",
        "when",
        "which",
        "while",
        "who",
        "whose",
        "will",
        "with",
        "without",
        "would",
        "your",
    ]
)
"""English words that lean on the next one: a line that ends with one reads badly."""
_NO_START = frozenset(
    "、，。．！？；：…‥—～〜·・」』）〉》】〕］｝”’»!?,.;:)]}%％‰°℃｡､｣･"
    "ー々〻ゝゞヽヾｰぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿｧｨｩｪｫｬｭｮｯ"
)
"""No line starts with these (kinsoku, JIS X 4051; Taiwan's rule is the same for its marks)."""
_NO_END = frozenset(OPENING + "｢$＄£¥￥#＃@")
_TO_THE_LEFT: dict[Language, frozenset[str]] = {
    "en": frozenset("的了著過呢嗎吧啊嘛呀喔地得們上下裡中內外後前時著"),
    "zh-TW": frozenset("的了著過呢嗎吧啊嘛呀喔地得們上下裡中內外後前時著"),
    "ja": frozenset("はがをにのへともやかねよわぞさで"),
}
_TO_THE_RIGHT: dict[Language, frozenset[str]] = {
    "en": frozenset(),
    "zh-TW": frozenset(
        "在把被向從對和與跟及或給用這那每各不很最更太也都就還才再又會能要可是有到為以於而但並將請讓使"
        "我你您他她它半離約僅近達只先卻來"
    ),
    "ja": frozenset("お御ご約各第全毎"),
}
"""Single characters that lean on a neighbour; a line that starts or ends with one reads badly."""
_FIGURES = "零〇一二兩三四五六七八九十百千萬億"
_WHOLE: dict[Language, re.Pattern[str]] = {
    "en": re.compile(r"(?!)"),
    "zh-TW": re.compile(
        f"(?P<again>[{HAN}]{{2,3}})(?P=again)|(?:[今昨前明後每當]天|[今昨明當]日)(?:[早晚]上|[上中下]午|凌晨)|"
        "為什麼|什麼|怎麼|那麼|這麼|多麼|怎樣|然後|以後|之後|最後|因為|因此|所以|但是|可是|只是|還是|或是"
        "|不是|就是|如果|雖然|不過|而且|並且|以及|以前|之前|再見|可以|已經|我們|你們|他們|自己|沒有"
        "|這個|那個|這些|那些|一個|一些|一樣|一起|不同|不會|不能|不要|令人|從來|數不過|一同|一定|一直"
        f"|[約第]?[{_FIGURES}]+[多餘來]?[{_FIGURES}]*[個隻朵顆年月日天次位人本張元塊分秒歲週種條座公里]?"
        "|(?:攝氏|華氏|海拔|大約|超過|第|約)?[0-9][0-9.,]*[多餘]?[百千萬億兆]*"
        "(?:公里|公尺|公分|公斤|公克|公升|公頃|毫克|毫升|分鐘|小時|年代|世紀|[年月日天個隻度元歲秒分座樓])?"
        "|[ァ-ヺー]{2,14}"
    ),
    "ja": re.compile(
        r"[0-9０-９][0-9０-９.,．，]*[万億兆千百]?[年月日時分秒人個本枚台歳度円回階件点階位番冊匹頭羽隻軒杯番km㎞％%]"
        "|に(?:ついて|よって|よると|おいて|とって|関して|対して|比べて|したがって)|という|として"
        f"|もう一度|[約第]?[{_FIGURES}万]+[年月日時分秒人個本枚台歳度円回階件点位番冊匹頭羽隻軒杯つ目]*"
        f"|[ァ-ヺー][ァ-ヺー＝]{{1,13}}|[0-9A-Za-z.]+(?=[{HAN}])|(?P<again>[ぁ-ゖ{HAN}]{{2,4}})(?P=again)"
        "|かたつむり|でんでんむし|はずれ"
    ),
}
"""What the models cut and a reader does not: everyday words, numbers with what they count, words in
katakana."""
_PHRASE_COLUMNS = 24
"""A longer unbroken piece may be broken anywhere a rule does not forbid."""
_BUDOUX: dict[Language, str] = {
    "en": "load_default_traditional_chinese_parser",
    "zh-TW": "load_default_traditional_chinese_parser",
    "ja": "load_default_japanese_parser",
}
"""Loader in the package `budoux` of the model that reads Han characters in each language."""
_CJK_RUN = re.compile(f"[{HAN}{KANA}{BOPOMOFO}\u3000-\u303f\uff00-\uffef]")
_GLUED = re.compile(
    r"(?P<measure>(?<=[\d⁰¹²³⁴-⁹])\ ?(?:°[CF]?|℃|℉|[%％‰]|(?:km/h|km/s|m/s|mN/m|N/m|mol/L|g/cm³|km|cm|mm|nm|μm|µm|mAh|kJ|hPa|kPa|kg|mg|ml|mL|kWh|kW|MW|GW|GHz|MHz|kHz"
    r"|Hz|GB|MB|TB|KB|m²|km²|mph|fps|lb|lbs|oz|ft|mi|m|g|L|W|V|million|billion|trillion|percent"
    r"|[ap]\.?m\.?|AM|PM|o'clock)(?![A-Za-z])"
    r"|[百千萬億兆万]*(?:公里|公尺|公分|公斤|公克|公升|毫升|毫克|分鐘|小時|世紀|キロ|メートル|パーセント|美元"
    r"|[元円度年月日秒分天歲歳個倍人次])|[百千萬億兆万]+))"
    r"|(?P<title>\b(?:(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Gen|Sen)\.\ (?=[A-Z])|(?:No|Fig|vol|p|pp)\.\ (?=[0-9])))"
    r"|(?P<date>\b(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)\ (?=\d))"
    r"|(?P<money>(?:NT|US|HK)?[$€£¥]\ ?(?=\d))"
    r"|(?P<particle>(?<=[A-Za-z0-9%℃])\ (?:[的了嗎呢吧時]|以[上下內外]|左右))"
    rf"|(?P<count>(?<![\w.,:：–~～-])\d[\d.,]*\ (?=[{HAN}]))"
    r"|(?P<leaning>(?<=[在有以由從到第近達於約為])\ (?=[A-Za-z0-9]))"
    r"|(?P<sign>(?<=[\d⁰¹²³⁴-⁹])(?:\ [×±:：~–]\ |[：∶])(?=\d))"
    r"|(?P<initial>\b[A-Z]\.\ (?=[A-Z]))"
    r"|(?P<name>[「『《〈][^「」『』《》〈〉，。！？：；\s]{1,8}[」』》〉])"
    r"|(?P<aside>(?<=\w)[（(][^（()）]{1,7}[)）])"
)
"""What stays on the line of what stands before it: a unit, the name after a title, the day of a
month, a short bracket or name, both sides of a score. A break inside the match is none, nor one
before a measure, a bracket, or what leans."""
_LEANING_LEFT = ("measure", "aside", "particle")
_JOINT = re.compile(r"(?<![:/])[/\-_?&=#]+(?=\w)")
"""Where a word that is too long for a line, such as a web address, is broken first."""
_CHUNK = re.compile(r"\S+")
_MARKS = "、，。．！？；：…」』）》”"
_STRAIGHT = re.compile("[\"']")  # opens or closes: no telling which
_LATIN_WORD = re.compile(f"(?<=[{HAN}{KANA}])[A-Za-z]{{5,}}")
"""In a text of ours a line may break before it, whatever the models say."""
_LONE_KANJI = re.compile(f"[{HAN}]{{2}}$")
_AFTER_MARK = re.compile(f"[{_MARKS}]+")


@cache
def _parser(loader: str) -> Any:
    import budoux

    return getattr(budoux, loader)()


def phrases(text: str, language: Language) -> list[tuple[int, int]]:
    """Return the pieces between which a line may break; together they are the whole text.

    Words in Latin script, phrases in Chinese and Japanese. White space belongs to the piece before it. No
    piece starts with closing punctuation or ends with an opening bracket, and none splits a
    grapheme cluster. Only a piece wider than 24 columns is cut inside a word.
    """
    if not text:
        return []
    starts = [0]
    glued = set(_joined(text))
    for match in _CHUNK.finditer(text):
        for at in (match.start(), *_inside(match.group(), match.start(), language)):
            if at > starts[-1] and at not in glued and _may_break(text, at):
                starts.append(at)
    edges = [*starts, len(text)]
    pieces: list[tuple[int, int]] = []
    for start, end in pairwise(edges):
        pieces.extend(_short(text, start, end))
    return pieces


def _joined(text: str) -> Iterator[int]:
    """Yield the places that no line may break at, since what stands on both sides is one thing."""
    for match in _GLUED.finditer(text):
        leans = match.lastgroup in _LEANING_LEFT
        last = match.end() - (match.lastgroup == "name")
        yield from range(match.start() + (not leans), last + (not leans))


def _within_words(chunk: str, places: set[int]) -> set[int]:
    """Return the places to break in Chinese, those inside a word moved to its edges."""
    kept = set(places)
    for start, end in chinese_words.words(chunk):
        if cuts := places.intersection(range(start + 1, end)):
            kept -= cuts
            kept |= {start, end}
    return kept


def _inside(chunk: str, offset: int, language: Language) -> list[int]:
    """Return the places to break inside a piece without white space."""
    if not _CJK_RUN.search(chunk):
        joints = _JOINT.finditer(chunk) if len(chunk) > _PHRASE_COLUMNS else ()
        return [offset + m.end() for m in joints]
    lengths = map(len, _parser(_BUDOUX[language]).parse(chunk))
    places = set(accumulate(lengths))
    if language != "ja":
        places = _within_words(chunk, places)
    places -= {at for m in _WHOLE[language].finditer(chunk) for at in range(m.start() + 1, m.end())}
    places |= {m.end() for m in _AFTER_MARK.finditer(chunk)}
    places |= {m.start() for m in _LATIN_WORD.finditer(chunk)}
    places -= {at for at in places if at < len(chunk) and chunk[at] in _NO_START}
    places -= {near for m in _STRAIGHT.finditer(chunk) for near in m.span()}
    edges = sorted({0, len(chunk)} | {at for at in places if _wide_side(chunk, at)})
    kept = [0]
    for at, end in pairwise(edges[1:]):
        before, after = chunk[kept[-1] : at], chunk[at:end]
        bare = after.rstrip(_MARKS)
        leans = before in _TO_THE_RIGHT[language] or bare in _TO_THE_LEFT[language]
        leans = leans or (len(bare) == 1 < len(after) and before[-1] not in _MARKS)  # 下次見！
        leans = leans or (language == "ja" and bool(_LONE_KANJI.match(before + after[0])))
        most = 12 if bare in _TO_THE_LEFT[language] and bare != "と" else 7  # 「…」と言う
        if not (leans and columns_of(chunk[at - 1]) == 2 and len(before) + len(after) <= most):
            kept.append(at)
    return [offset + at for at in kept[1:]]


def _wide_side(text: str, at: int) -> bool:
    """Return True where a CJK character stands on at least one side of `at`."""
    return 0 < at < len(text) and (columns_of(text[at - 1]) == 2 or columns_of(text[at]) == 2)


def _may_break(text: str, at: int) -> bool:
    last = at - 1
    while last > 0 and text[last].isspace():
        last -= 1
    return text[at] not in _NO_START and text[last] not in _NO_END and not splits(text, at)


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the piece, cut evenly where it is too wide for a line."""
    if 2 * (end - start) <= _PHRASE_COLUMNS:
        yield start, end
        return
    edges = list(accumulate((columns_of(c) for c in text[start:end].rstrip()), initial=0))
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
        edges = accumulate(columns_of(character) for character in text)
        kept = text[: sum(1 for edge in edges if edge < columns)]
    return f"{kept}…"
