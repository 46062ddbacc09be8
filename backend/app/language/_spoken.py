"""How much is said for what is written: `$5` is eleven letters, `2026年` five characters.

Who says it exactly is a provider, which this layer does not know; so figures, units, abbreviations,
addresses and acronyms are counted here by their kind. Only lengths are needed, never the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


LETTER_NAME = 3.3
"""Letters of running English that take as long as the name of one letter: `S Q L`."""
_DIGIT_NAME = 4.0
"""The same of a digit told alone."""
_ONES = (4, 3, 3, 5, 4, 4, 3, 5, 5, 4, 3, 6, 6, 8, 8, 7, 7, 9, 8, 8)
_TENS = (0, 0, 6, 6, 5, 5, 5, 7, 6, 6)
_SCALES = ((10**12, 8), (10**9, 7), (10**6, 7), (1000, 8), (100, 7))
"""A number and the letters of its name: trillion, billion, million, thousand, hundred."""

_UNIT_LETTERS = {
    "%": 7, "°": 7, "°C": 14, "°F": 17, "km/h": 17, "mph": 12, "m/s": 15, "km": 10, "cm": 11,
    "mm": 11, "m": 6, "nm": 10, "mi": 5, "ft": 4, "in": 6, "kg": 9, "g": 5, "mg": 10, "lb": 6,
    "lbs": 6, "oz": 6, "kWh": 13, "kW": 9, "MW": 9, "GW": 9, "W": 5, "V": 5, "Hz": 5, "kHz": 9,
    "MHz": 9, "GHz": 9, "KB": 9, "MB": 9, "GB": 9, "TB": 9, "Mbps": 17, "Gbps": 17, "fps": 15,
    "ml": 11, "L": 6, "l": 6, "h": 5, "hr": 5, "hrs": 5, "min": 7, "sec": 7, "ms": 12, "km²": 16,
    "m²": 12, "dB": 8, "x": 5, "×": 5, "k": 8, "K": 8, "M": 7, "B": 7, "bn": 7, "am": 8, "pm": 8,
    "a.m.": 8, "p.m.": 8, "AM": 8, "PM": 8, "USD": 15, "EUR": 5, "s": 2, "st": 1, "nd": 2, "rd": 2,
    "th": 2, "+": 4, "mAh": 16, "mpg": 14, "kPa": 11, "μm": 11, "µm": 11, "€": 5, "¢": 5,
}  # fmt: skip
"""Letters that are said for what stands behind a number."""
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNIT_LETTERS, key=len, reverse=True))
_MONEY_LETTERS = {"$": 7, "€": 5, "£": 6, "¥": 3, "₹": 6, "₩": 3}
_AMOUNT = r"\d{1,15}(?:,\d{3})*(?:\.\d{1,15})?"
_ABBREVIATIONS = {
    "mr": 6, "mrs": 6, "dr": 6, "prof": 9, "st": 5, "mt": 5, "ft": 4, "gen": 7, "gov": 8, "sen": 7,
    "rep": 14, "jr": 6, "sr": 6, "ave": 6, "blvd": 9, "rd": 4, "hwy": 7, "apt": 9, "inc": 12,
    "ltd": 7, "corp": 11, "co": 7, "dept": 10, "univ": 10, "approx": 13, "vs": 6, "no": 6, "fig": 6,
    "vol": 6, "ch": 7, "p": 4, "pp": 5, "etc": 8, "e.g": 10, "i.e": 6, "jan": 7, "feb": 8,
    "mar": 5, "jun": 4, "jul": 4, "apr": 5, "aug": 6, "sept": 9, "sep": 9, "oct": 7, "nov": 8, "dec": 8, "mon": 6,
    "tue": 7, "tues": 7, "wed": 9, "thu": 8, "thurs": 8, "fri": 6, "sat": 8, "sun": 6, "est": 11,
    "col": 7, "capt": 7, "lt": 10, "sgt": 8, "bros": 8, "bldg": 8, "a.k.a": 11, "w/o": 7, "w/": 4,
    "hon": 9, "rev": 8,
}  # fmt: skip
"""Abbreviation without its full stop → letters said."""

_SHORT = "|".join(re.escape(word) for word in sorted(_ABBREVIATIONS, key=len, reverse=True))
_TOKEN = re.compile(
    rf"""
    (?P<link>(?:https?://|www\.)[^\s<>"'\u3000-\u9fff]+[\w/]|[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+
        |\b[A-Za-z0-9-]{{1,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{0,4}}\.(?:com|org|net|io|tw|dev|gov|edu|uk|jp)\b(?:/[\w./-]*\w)?)
    |(?P<month>\b(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)
        (?=[-–][A-Z]|\.?,?\ (?:\d|[A-Z][a-z]+\.?\ \d)))
    |(?P<fraction>(?<![\w/])\d/\d{{1,2}}(?![\w/]))
    |(?P<roman>(?<=[a-z]\ )(?=[IVX]{{2}})X{{0,3}}(?:IX|IV|V?I{{0,3}})\b|\bWWI{{1,2}}\b)
    |(?P<date>\b\d{{1,4}}[/-]\d{{1,2}}[/-]\d{{1,4}}\b)
    |(?P<phone>(?<!\w)\+?(?:\(\d{{2,4}}\)\ ?|\d{{1,4}}[-\ ])?\d{{3,4}}-\d{{3,4}}(?:-\d{{3,4}})?\b)
    |(?P<clock>\b\d{{1,2}}:\d\d\b)
    |(?P<sign>[A-Z]{{0,2}}[$€£¥₹₩])?(?P<number>{_AMOUNT})(?:[ \-]?(?P<unit>(?:{_UNIT})(?![\w])))?
    |\b(?P<short>(?ai:{_SHORT}))(?:\.(?!\w)|(?<=/))
    |(?P<caps>\b(?:[A-Z]\.){{2,6}}|\b[A-Z]{{2,6}}s?\b)
    |(?P<mark>[&+=@\#×÷±§©½¼¾⅓⅔²³]|[<>≤≥](?=\ ?\d))
    """,
    re.VERBOSE,
)
_SHOUTED_WORDS = 3
"""In a text all in capitals with more words than these, capitals are no acronyms."""
_LETTER = re.compile(r"[^\W\d_]")
_SOUNDED = re.compile("[AEIOU][B-DF-HJ-NP-TV-Z]|[B-DF-HJ-NP-TV-Z][AEIOU]")
_SPELLED_VOWELS = _words("USA ASAP UFO DIY IDE API ATM CEO AIDA UNO FAQ IOS UAE EU USAF UEFA")
_MARK_LETTERS = {"#": 6, "²": 7, "³": 5, "½": 8, "<": 8, ">": 8, "≤": 6, "≥": 7, "=": 6, "&": 3}


def english_letters(text: str, *, alone: bool = True) -> float:
    """Return how many letters of running English `text` is as long to say as.

    Args:
        text: English, or the Latin words of a text in another language.
        alone: Whether it is English as a whole, in which a text all in capitals has no acronyms.
    """
    total, at = 0.0, 0
    shouted = alone and text.isupper() and len(text.split()) > _SHOUTED_WORDS
    for match in _TOKEN.finditer(text):
        total += len(_LETTER.findall(text, at, match.start()))
        at = match.end()
        if match["number"]:
            total += _figures(match)
        else:
            kind = match.lastgroup or ""
            total += _LENGTHS[kind](match[0]) if not (kind == "caps" and shouted) else len(match[0])
    return total + len(_LETTER.findall(text, at))


def _figures(match: re.Match[str]) -> float:
    before = match.string[max(0, match.start() - 1) : match.start()]
    number, unit, sign = match["number"], match["unit"] or "", match["sign"] or ""
    said = number_letters(number, money=bool(sign)) + _UNIT_LETTERS.get(unit, 0)
    if sign:
        said += _MONEY_LETTERS.get(sign[-1], 7) + LETTER_NAME * (len(sign) - 1)
    if before in ("-", "−", "–") and match.start() > 1:
        ranged = match.string[match.start() - 2].isdigit()
        said += 2 if ranged else 5
    elif before in ("-", "−"):
        said += 5
    return said + (7 if before == "/" else 0)


def number_letters(figures: str, *, money: bool = False) -> float:
    """Return the letters of a number's name: `1,500` is fifteen hundred, 1905 a year."""
    whole, _, part = figures.partition(".")
    plain = whole.replace(",", "")
    if (len(plain) > 1 and plain.startswith("0")) or len(plain) > _LONGEST_COUNT:
        return _DIGIT_NAME * len(plain)
    value = int(plain)
    if len(whole) == 4 and value % 1000 >= 10 and value >= 1010 and not (part or money):
        high, low = divmod(value, 100)
        said = _below(high) + (7 if not low else 2 if low < 10 else 0) + (_below(low) if low else 0)
    else:
        said = _below(value)
    if not part:
        return said
    return said + (
        8 + _below(int(part)) if money and len(part) == 2 else 5 + _DIGIT_NAME * len(part)
    )


def _below(value: int) -> int:
    """Return the letters of a whole number."""
    for scale, letters in _SCALES:
        if value >= scale:
            high, low = divmod(value, scale)
            return _below(high) + letters + (_below(low) if low else 0)
    return (
        _ONES[value]
        if value < 20
        else _TENS[value // 10] + (_ONES[value % 10] if value % 10 else 0)
    )


def _caps(word: str) -> float:
    bare = word.replace(".", "").removesuffix("s")
    read = len(bare) >= 4 and _SOUNDED.search(bare) and bare not in _SPELLED_VOWELS
    return len(bare) if read and "." not in word else LETTER_NAME * len(bare)


def _link(word: str) -> float:
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", word)
    signs = sum(len(said) for c in bare if (said := _SIGNS.get(c)))
    return signs + sum(c.isalpha() for c in bare) + _DIGIT_NAME * sum(c.isdigit() for c in bare)


_SIGNS = {".": " dot ", "/": "slash", "@": "at", "-": "dash"}


def _date(word: str) -> float:
    parts = [int(part) for part in re.split("[/-]", word)]
    year = max(parts)
    if year < 100:
        year += 2000
    return 7 + 11 + number_letters(str(year))


def _digits(word: str) -> float:
    return (_DIGIT_NAME + 0.2) * sum(c.isdigit() for c in word) + 3 * word.count("-")


def _clock(word: str) -> float:
    hour, minute = (int(part) for part in word.split(":"))
    return _below(hour) + (6 if not minute else _below(minute) + (2 if minute < 10 else 0))


_LENGTHS: dict[str, Callable[[str], float]] = {
    "link": _link,
    "date": _date,
    "phone": _digits,
    "clock": _clock,
    "caps": _caps,
    "month": lambda word: float(_ABBREVIATIONS.get(word.lower(), 4)),
    "fraction": lambda word: 9.0 if word[0] == "1" else 10.0,
    "roman": lambda word: 11.0 if word.startswith("WW") else 7.0,
    "short": lambda word: float(_ABBREVIATIONS[word.lower().rstrip(".")]),
    "mark": lambda mark: float(_MARK_LETTERS.get(mark, 5)),
}


# --- Chinese --------------------------------------------------------------------------------

_CHINESE_UNITS = {
    "%": 3, "％": 3, "‰": 3, "°C": 3, "℃": 3, "°F": 3, "°": 1, "km/h": 5, "m/s": 4, "km": 2, "cm": 2,
    "mm": 2, "nm": 2, "m": 2, "kg": 2, "g": 2, "mg": 2, "ml": 2, "mL": 2, "L": 2, "m²": 4, "km²": 4,
    "㎡": 4, "kWh": 4, "W": 1, "kW": 2, "Hz": 2, "kHz": 2, "MHz": 4, "GHz": 2, "min": 2, "hr": 2,
}  # fmt: skip
"""Characters that are said for what stands behind a number."""
_CHINESE_UNIT = "|".join(re.escape(u) for u in sorted(_CHINESE_UNITS, key=len, reverse=True))
_CHINESE_TOKEN = re.compile(
    rf"""
    (?P<link>(?:https?://|www\.)[^\s<>"'\u3000-\u9fff]+[\w/]|[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+)
    |(?P<date>(?<!\d)\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}})
    |(?P<digits>(?<!\d)\+?\(?0\d{{1,3}}\)?[-\ ]?\d{{3,4}}[-\ ]?\d{{3,4}}(?!\d)|(?<!\d)\d{{4}}(?=\ ?年))
    |(?P<clock>(?<!\d)\d{{1,2}}:\d\d)
    |(?P<fraction>(?<!\d)\d{{1,3}}/\d{{1,4}})
    |(?P<sign>[A-Z]{{0,2}}[$€£¥₩]\ ?)?(?P<number>{_AMOUNT})(?:\ ?(?P<unit>(?:{_CHINESE_UNIT})(?![A-Za-z\d])))?
    |(?P<between>(?<=[\d%元日月])[-–~～](?=\d)|[+=×÷<>≥≤](?=\ ?\d))
    """,
    re.VERBOSE,
)
_LONGEST_COUNT = 12


def chinese_characters(text: str) -> tuple[float, str]:
    """Return the characters said for the figures and signs of a Chinese text, and what is left."""
    said, rest, at = 0.0, [], 0
    for match in _CHINESE_TOKEN.finditer(text):
        if match["link"]:
            continue
        rest += [text[at : match.start()], " "]
        at = match.end()
        said += (
            _chinese_figures(match)
            if match["number"]
            else _CHINESE[match.lastgroup or ""](match[0])
        )
    return said, "".join([*rest, text[at:]])


def _chinese_figures(match: re.Match[str]) -> float:
    said = count_characters(match["number"]) + _CHINESE_UNITS.get(match["unit"] or "", 0)
    if sign := match["sign"]:
        after = match.string[match.end() : match.end() + 1]
        said += (3 if len(sign.strip()) > 2 else 0) + (after not in tuple("元圓塊萬億"))
    return said


def count_characters(figures: str) -> int:
    """Return how many characters a number is in Chinese: 1,299 is 一千兩百九十九, seven."""
    whole, _, part = figures.replace(",", "").partition(".")
    tail = 1 + len(part) if part else 0
    if len(whole) > _LONGEST_COUNT or (len(whole) > 1 and whole[0] == "0"):
        return len(whole) + tail
    said, gap = 0, False
    for place, digit in zip(range(len(whole) - 1, -1, -1), whole, strict=True):
        if digit == "0":
            gap = True
        else:
            said += (gap and said > 0) + 1 + (place % 4 > 0)
            gap = False
        group = whole[max(0, len(whole) - place - 4) : len(whole) - place]
        if place % 4 == 0:
            said += place > 0 and group.strip("0") != ""
            gap = not group.strip("0")
    ten = len(whole) % 4 == 2 and whole[0] == "1"
    return max(1, said - ten) + tail


def _pair(word: str) -> float:
    return sum(count_characters(part) for part in re.split(r"\D", word))


_CHINESE: dict[str, Callable[[str], float]] = {
    "date": lambda word: 7.0 + _pair(word[5:]),
    "digits": lambda word: float(sum(c.isdigit() for c in word)),
    "clock": lambda word: (
        1 + _pair(word[:-3]) + (0 if word.endswith("00") else 1 + _pair(word[-2:]))
    ),
    "fraction": lambda word: 2 + _pair(word),
    "between": lambda sign: 1.0 if sign in "-–~～+×" else 2.0,
}
