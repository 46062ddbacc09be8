"""`number`: one figure that a scene is about, as large as it goes, with its unit and a label."""

from __future__ import annotations

import re
from typing import NamedTuple

from app import language as written
from app.media import lettering
from app.media.cards.sheet import Page, Placed, Sheet, Stack
from app.media.cards.words import LONG, Told, Words, brief, display, plain
from app.media.lettering import Run
from app.models import Language

_MOST = 3
"""Sentences of a scene that is about one figure."""

_SI = r"km/h|km/s|km²|km|cm|mm|nm|kg|mg|kWh|kW|MW|GW|TWh|°C|°F|℃|GB|TB|MB|m²|m³|m/s|kJ|mL|ml|GHz|MHz|kHz|Hz|g|L|m"
_EN_THINGS = (
    "per ?cent|percent|times|degrees|kilomet(?:re|er)s|met(?:re|er)s|miles|feet|tonn?es|tons|kilograms"
    "|kilos|grams|lit(?:re|er)s|acres|hectares|light[- ]years|years|months|weeks|days|hours|minutes"
    "|seconds|people|dollars|euros|pounds|percentage points|steps|islands|stars|species|languages"
    "|countries|books|words|floors|points"
)
_ZH_THINGS = (
    "平方公里|公里|公尺|公分|公釐|公斤|公克|公噸|公頃|公升|毫升|光年|小時|分鐘|個月|個人|個國家|美元|歐元"
    "|噸|倍|度|歲|元|塊|秒|天|年|次|種|座|人|位|顆|個|隻|本|杯|層|家|條|坪|級|步|集|頁|字|戶|國"
)
_JA_THINGS = (
    "平方キロメートル|キロメートル|メートル|センチメートル|センチ|ミリ|キログラム|キロ|グラム|リットル"
    "|ヘクタール|パーセント|か国|カ国|か月|カ月|ヶ月|時間|分間|秒間|日間|週間|年間|光年|ドル|ユーロ|トン|種類|世帯"
    "|倍|度|歳|才|円|分|秒|年|回|人|個|本|杯|軒|社|冊|匹|羽|頭|段|階|歩|国|字|点"
)
_UNITS: dict[Language, str] = {
    "en": rf"(?:hundred|thousand|million|billion|trillion)(?: (?:{_EN_THINGS}))?\b"
    rf"|[%‰](?!\w)|(?:{_EN_THINGS})\b|(?:{_SI})(?![\w/])",
    "zh-TW": f"(?:兆|億|千萬|百萬|萬)(?:多|餘)?(?:{_ZH_THINGS})?|[%％‰]|(?:{_ZH_THINGS})|(?:{_SI})(?![A-Za-z/])",
    "ja": f"(?:兆|億|千万|百万|万)(?:{_JA_THINGS})?|[%％‰]|(?:{_JA_THINGS})|(?:{_SI})(?![A-Za-z/])",
}
_FIGURE: dict[Language, re.Pattern[str]] = {
    language: re.compile(
        r"(?<![A-Za-z0-9_.,:/第時点點-])(?P<sign>(?:NT|US|HK)?\$|[€£¥])?\s?"
        r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d:/]|\.\d)"
        rf"(?:\s?-?(?P<unit>{units}))?"
    )
    for language, units in _UNITS.items()
}
_LESS = re.compile(
    r"(?:[−–~～〜]|\b(?:minus|negative) ?|零下|負|マイナス|\d ?(?:to|or|到|至|或|から) ?)$",
    re.IGNORECASE,
)
"""What stands before a figure below zero, or the end of a range: by itself it would be wrong."""
_MORE = re.compile(r" ?(?:[-–~～〜]|\b(?:to|or)\b|[到至或]|から) ?\d")
"""What follows the beginning of a range."""
_DATED = re.compile(
    r"(?:西元|公元|民國|西曆|西暦|紀元|明治|大正|昭和|平成|令和)前?\s?$|\b(?:AD|BC|CE)\s$"
)
"""What stands before a year of whatever length."""
_ASIDE = re.compile(r"\s?\([^()]*\)|（[^（）]*）")
_RIVAL = re.compile(
    r"(?<![A-Za-z0-9.,/-])\d+(?:[.,]\d+)*(?:\s?[×x]\s?\d+[⁰¹²³⁴-⁹⁻]+|\s?[A-Za-zµμΩ°%]+(?:[/·][A-Za-z]+)?"
    r"|(?<=\.\d)(?!\d)|(?<=\.\d\d)(?!\d)|\s?(?![年月日號号点點分秒時时第歲歳]|世紀)[一-鿿])"
)
"""A figure by its looks, whatever it counts."""
_RIVALS = 2
"""Figures beside one, from which on a scene is about none of them."""
_WIDE = str.maketrans("０１２３４５６７８９％", "0123456789%")
_YEAR = re.compile(r"[12]\d{3}")
_FEW = 3
"""Counting things that there are fewer of makes no figure: two people, one day."""
_OF_SCALE = re.compile(
    "hundred|thousand|[mbr]illion|trillion|兆|億|萬|万|[%％‰倍]|percent|per cent|times"
)


_LABEL = 0.085
"""Size of the label as a share of the frame's shorter side: a fifth of the figure's."""
_BESIDE = 2
"""Columns of a unit that would be lost on a line of its own."""
_SIGNS = "%‰℃"
"""Units that are set as large as the figure, close to it."""


class _Figure(NamedTuple):
    number: str
    unit: str
    start: int
    end: int


def read(told: Told) -> Words | None:
    """Take a short scene with one figure in it, which its heading or its sentence says what of."""
    heading = plain(told.heading).translate(_WIDE)
    sentences = [_ASIDE.sub("", one.translate(_WIDE)) for one in told.sentences]
    if len(sentences) > _MOST and told.wanted != "number":
        return None
    found = [(text, figure) for text in (heading, *sentences) for figure in _figures(text, told)]
    if not found or len({(one.number, one.unit) for _, one in found}) > 1:
        return None
    text, figure = found[-1]
    if told.wanted != "number" and _rivalled(figure, sentences):
        return None
    label = heading if heading and text is not heading else _label(text, figure, told.language)
    if not label or written.width(label) > LONG[told.language]:
        return None
    return Words("number", heading=heading, text=label, number=figure.number, unit=figure.unit)


def _rivalled(figure: _Figure, sentences: list[str]) -> bool:
    """Return True where a scene has other figures that it may as well be about."""
    bare = figure.number.lstrip("NTUSHK$€£¥")
    rivals = [
        match[0]
        for text in sentences
        for match in _RIVAL.finditer(text)
        if not re.match(rf"{re.escape(bare)}(?![\d.])", match[0])
    ]
    measured = [one for one in rivals if re.search(r"\.|[/·⁰¹²³⁴-⁹⁻]", one)]
    return bool(measured) or len(rivals) >= _RIVALS


def _figures(text: str, told: Told) -> list[_Figure]:
    found = []
    for match in _FIGURE[told.language].finditer(text):
        digits, unit = match["digits"], match["unit"] or ""
        value = float(digits.replace(",", ""))
        dated = unit == "年" and _DATED.search(text[: match.start()])
        year = dated or (_YEAR.fullmatch(digits) and unit in ("", "年"))
        told_much = unit or "," in digits or match["sign"] or value >= 10_000
        few = value < _FEW and not _OF_SCALE.search(unit) and "." not in digits
        begins = match.start("sign" if match["sign"] else "digits")
        partly = _LESS.search(text[:begins]) or _MORE.match(text, match.end("digits"))
        if year or not told_much or few or partly:
            continue
        number = (match["sign"] or "") + digits
        found.append(_Figure(number, unit, match.start(), match.end()))
    return found


def _label(text: str, figure: _Figure, language: Language) -> str:
    """Return what the figure is of: the rest of a sentence that it begins, or all of it."""
    rest = text[figure.end :].strip()
    if language == "en" and figure.start == 0 and rest:
        return display(rest)
    full = display(text)
    if written.width(full) <= LONG[language]:
        return full
    part = brief(text, language)
    return part if figure.number in part else ""


def lay(words: Words, page: Page) -> Sheet | None:
    """Set figure and unit on one baseline, the label below the rule; None where it gets small."""
    colours, gap, rule = page.style.colours, page.px(0.075), page.rule
    label = page.text(
        words.text,
        width=None if page.centred else min(page.width, page.px(1.4)),
        height=round(page.height * 0.36),
        largest=_LABEL,
        least=0.5,
        lines=3,
    )
    rest = Stack()
    rest.add(rule, colours.accent)
    rest.add(label, colours.ink, above=round(gap * 0.7))
    figure = _figure(words, page, page.height - rest.height - gap)
    if figure is None:
        return None
    wide = max(part.at[0] + part.what.width for part in figure)
    high = max(figure[0].what.rise, figure[0].what.height - gap // 2)  # the foot of $ is long
    if figure[-1].at[1] > high:
        high = figure[-1].at[1] + figure[-1].what.height
    first = page.first(high + gap + rest.height, 0.54)
    left = page.left + ((page.width - wide) // 2 if page.centred else 0)
    moved = [
        Placed(part.what, (left + part.at[0], first + part.at[1]), colours.accent)
        for part in figure
    ]
    return Sheet((*moved, *rest.at(page.left, first + high + gap, page)))


class _Part(NamedTuple):
    what: Run
    at: tuple[int, int]


def _figure(words: Words, page: Page, room: int) -> list[_Part] | None:
    """Return figure and unit as large as they go, the unit below where the frame is narrow."""
    for size in lettering.sizes(page.px(0.46 if page.tall else 0.4), page.px(0.12)):
        found = _beside(words, page, size)
        if page.tall and written.width(words.unit) > _BESIDE and not _fits(found, page, room):
            found = _below(words, page, size)
        if _fits(found, page, room):
            return found
    return None


def _fits(parts: list[_Part], page: Page, room: int) -> bool:
    wide = max(part.at[0] + part.what.width for part in parts)
    low = max(part.at[1] + (part.what.height if part.at[1] else part.what.rise) for part in parts)
    return wide <= page.width and low <= room


def _beside(words: Words, page: Page, size: int) -> list[_Part]:
    number = _run(words.number, page, size)
    if not words.unit:
        return [_Part(number, (0, 0))]
    sign = words.unit in _SIGNS
    unit = _run(words.unit, page, max(page.px(0.085), round(size * (0.85 if sign else 0.4))))
    aside = round(size * (0.04 if sign else 0.085))
    # Chinese characters reach below the line that figures stand on, and would seem to sink
    lift = unit.height - unit.rise if written.width(words.unit) > len(words.unit) else 0
    return [
        _Part(number, (0, 0)),
        _Part(unit, (number.width + aside, number.rise - lift - unit.rise)),
    ]


def _below(words: Words, page: Page, size: int) -> list[_Part]:
    number = _run(words.number, page, size)
    unit = _run(words.unit, page, max(page.px(0.09), round(size * 0.5)))
    if unit.width > page.width:
        unit = _run(words.unit, page, unit.size * page.width // unit.width)
    wide = max(number.width, unit.width) if page.centred else 0
    down = number.rise + round(unit.size * 0.5)
    return [
        _Part(number, (max(0, (wide - number.width) // 2), 0)),
        _Part(unit, (max(0, (wide - unit.width) // 2), down)),
    ]


def _run(text: str, page: Page, size: int) -> Run:
    return Run(text, page.language, "bold", size, page.style.fonts.heading)
