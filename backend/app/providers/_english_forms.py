"""English as written → as it is said: numbers, dates, money, units, abbreviations, addresses.

A text is cut into written words, and each is given its spoken form with its neighbours in view.
What needs no view of its place is left to hibari's normaliser, which rewrites a text as a whole
and so can't tell where a word of it stood.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from app.providers._english_names import name
from app.providers._english_units import AMOUNT as _AMOUNT
from app.providers._english_units import measure

LATIN = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿﬀ-ﬆ\u0300-\u036f"
LONGEST_WORD = 24
"""Letters hibari's network for unknown words can take; a longer run is read piece by piece."""

_LETTERS = rf"[{LATIN}]"
_MONTHS = {
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June",
    "Jul": "July", "Aug": "August", "Sep": "September", "Sept": "September", "Oct": "October",
    "Nov": "November", "Dec": "December",
}  # fmt: skip
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
    "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
_ALWAYS = (
    "Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Capt|Lt|Sgt|Jr|Sr|Ave|Blvd|Rd|Hwy|Apt|Bldg|Ltd|Inc|Corp|Co|Bros"
    "|Dept|Univ|approx|vs|cf|Feb|Apr|Jul|Aug|Sept?|Oct|Nov|Dec|Tues?|Thurs?|Fri"
)
"""Before a full stop these are abbreviations; the others are words, too, and need to be followed by
a name, a number or a date: `no.` and `the Sun.` end a sentence."""
_BEFORE_NAME = "Gen|Gov|Sen|Rep|Col|Rev|Hon"
_BEFORE_NUMBER = "[Nn]os?|[Ff]ig|[Vv]ol|[Cc]h|[Ss]ec|pp?|est|ca?|Jan|Mar|Jun"
_BEFORE_DATE = "Mon|Wed|Sat|Sun"
_SHORT_UNITS = "lbs?|oz|min|hrs?|secs?|ft|yds?|mi|gal|tsp|tbsp"
_SHORT_UNIT = re.compile(rf"(?:{_SHORT_UNITS})\.")
_DAY = re.compile(r"[0-3]?\d(?:st|nd|rd|th)?")
_DATE = rf"(?:{'|'.join(_MONTHS)}|May|[0-3]?\d\b)"
_MONEY = r"(?:NT|US|HK|TW|[ACS])?[$£€¥₹₩]"
_PHONE = r"""
    \(\d{2,4}\)\ ?\d{3,4}[-\ ]\d{3,4}(?![\d-])
    |\+\d{1,3}(?:[-\ ]\(?\d{1,4}\)?){1,3}[-\ ]\d{3,4}(?![\d-])
"""
_TELEPHONE = re.compile(_PHONE, re.VERBOSE)
_LINK = r"""
    (?:https?://|www\.)[^\s<>"'\u3000-\u303f\u4e00-\u9fff]+[\w/]
    |[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+
    |[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.(?:com|org|net|io|tw|dev|gov|edu|uk|jp|ai|app|tv|eu|info)\b(?:/[\w./-]*\w)?
"""
_COUNTRY = re.compile(r"\.(uk|tw|jp|io|ai|tv|eu)(?=$|/)")
_ADDRESS = re.compile(_LINK, re.VERBOSE)
_FRACTIONS = {
    c: unicodedata.normalize("NFKC", c).replace("\u2044", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅑⅒"
}
_PARTS = "".join(_FRACTIONS)
_CODES = "USD|TWD|NTD|EUR|GBP|JPY|CHF|AUD|CAD|HKD|SGD|KRW|CNY|INR"
_WORD = re.compile(
    rf"""
    (?P<link>{_LINK})
    |(?P<phone>(?<![\w)]){_PHONE})
    |(?P<money>{_MONEY}{_AMOUNT}(?:(?:[kK]|[mMbBtT]n?)\b)?|(?<![\w.,]){_AMOUNT}[€£$](?![\w])|\b(?:{_CODES})\ ?{_AMOUNT}(?!\w))
    |(?P<dotted>(?<![{LATIN}\d])(?:
        (?:[A-Za-z]\.){{2,6}}|(?:{_ALWAYS})\.|(?:{_BEFORE_NAME})\.(?=\ [A-Z])
        |(?:{_BEFORE_NUMBER})\.(?=\ ?\d)|(?:{_BEFORE_DATE})\.(?=,?\ {_DATE}|[-–][A-Z])
        |(?<=\d\ )(?:in|{_SHORT_UNITS})\.(?=\ [a-z])|w/(?=\ )))
    |(?P<feet>(?<![\w.])\d\ ?(?:['’′]\ ?(?:1[01]|\d)(?!\w)(?:["”″]|'')?|ft\.?\ (?:1[01]|\d)\ in\b\.?))
    |(?P<compared>[<>≤≥](?=\ ?{_MONEY}?[-−]?\d))
    |(?P<number>(?:(?<![\w.,)])[-−+±~≈\#])?(?:(?<![\w.,)])\.)?\d{{1,15}}(?:(?:[.,:/×–-]|x(?=\d))\d{{1,15}}){{0,6}}
        (?:%|\+(?!\w)|°(?:[CFNSEW](?!\w))?|\^\d{{1,3}}|[⁰¹⁴-⁹]{{1,3}}|(?:st|nd|rd|th|s)\b|×(?!\d)|(?:{_LETTERS}|[µμ]){{1,5}}(?:/[a-z]{{1,2}}[²³]?(?!\w)|[²³]|\b))?)
    |(?P<word>(?:(?<!\S)\.(?=NET\b))?{_LETTERS}[{LATIN}\d]{{0,{LONGEST_WORD - 1}}}
        (?:['’.&/_-](?=[{LATIN}\d])[{LATIN}\d]{{1,{LONGEST_WORD}}}){{0,6}}(?:\+\+|\#|[²³])?)
    |(?P<sign>°[CF]?|[µμ]m\b|Ω|[&%+=@\#×÷±£€§©²³¢′″∞π√{_PARTS}]|≈(?=\ ?\d)|(?<=\d\ )\*(?=\ \d))
    """,
    re.VERBOSE,
)


_SAID: dict[str, str] = {
    "c#": "C sharp",
    "f#": "F sharp",
    "c++": "C plus plus",
    "24/7": "twenty-four seven",
    "9/11": "nine eleven",
    "7-11": "seven eleven",
    "7-eleven": "seven eleven",
    "w/o": "without",
    "and/or": "and or",
    "a.k.a.": "also known as",
    "e.g.": "for example",
    "i.e.": "that is",
    ".net": "dot net",
    "co2": "C O two",
    "°": "degrees",
    "°c": "degrees Celsius",
    "°f": "degrees Fahrenheit",
    "h2o": "H two O",
    "wwi": "World War one",
    "wwii": "World War two",
    "ww1": "World War one",
    "ww2": "World War two",
    "w/": "with",
    "s/he": "she or he",
    "he/she": "he or she",
    "him/her": "him or her",
    "his/her": "his or her",
    "json": "Jason",
    "asap": "A.S.A.P.",
    "p.": "page",
    "no.": "number",
    "nos.": "numbers",
    "ch.": "chapter",
    "sec.": "section",
    "c.": "circa",
    "ca.": "circa",
    "<": "less than",
    ">": "more than",
    "≤": "at most",
    "≥": "at least",
    "≈": "about",
    "∞": "infinity",
    "π": "pie",
    "√": "the square root of",
    "nacl": "N.A.C.L.",
    "ctrl": "control",
    "*": "times",
}
"""Written, lower case → read aloud, where the converter gets it wrong."""


_SPELLED = {"LED": "L E D", "LEDs": "L E Ds", "IT": "I T", "WHO": "W H O"}
"""Acronyms as written that are words, too, or that the dictionary spells otherwise."""

_SCALES = frozenset(("hundred", "thousand", "million", "billion", "trillion"))
_CURRENCIES = {
    "$": ("dollar", "dollars"),
    "US$": ("U S dollar", "U S dollars"),
    "NT$": ("N T dollar", "N T dollars"),
    "TW$": ("N T dollar", "N T dollars"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars"),
    "A$": ("Australian dollar", "Australian dollars"),
    "C$": ("Canadian dollar", "Canadian dollars"),
    "S$": ("Singapore dollar", "Singapore dollars"),
    "£": ("pound", "pounds"),
    "€": ("euro", "euros"),
    "¥": ("yen", "yen"),
    "₹": ("rupee", "rupees"),
    "₩": ("won", "won"),
    "USD": ("U S dollar", "U S dollars"),
    "TWD": ("N T dollar", "N T dollars"),
    "NTD": ("N T dollar", "N T dollars"),
    "EUR": ("euro", "euros"),
    "GBP": ("pound", "pounds"),
    "JPY": ("yen", "yen"),
    "CHF": ("Swiss franc", "Swiss francs"),
    "AUD": ("Australian dollar", "Australian dollars"),
    "CAD": ("Canadian dollar", "Canadian dollars"),
    "HKD": ("Hong Kong dollar", "Hong Kong dollars"),
    "SGD": ("Singapore dollar", "Singapore dollars"),
    "KRW": ("won", "won"),
    "CNY": ("yuan", "yuan"),
    "INR": ("rupee", "rupees"),
}
_NO_CURRENCY = ("dollar", "dollars")
_CENTS = {"£": ("penny", "pence")}
_PER = {"hour": "an"} | dict.fromkeys(
    ("minute", "second", "day", "night", "week", "month", "year", "person", "head", "mile", "unit"),
    "a",
)
"""What stands after a slash behind an amount of money → its article: $20 a month."""
_SUFFIXES = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
_AMOUNT_OF_MONEY = re.compile(rf"({_MONEY}|(?:{_CODES})(?= ?\d)) ?({_AMOUNT})([kKmMbBtT]?)n?")
_MONEY_AFTER = re.compile(rf"({_AMOUNT})([€£$])")
_END_OF_RANGE = re.compile(
    rf"(?:{_MONEY})?{_AMOUNT}[kKmMbB]?%?|°[CF]?|\d{{1,2}}(?::\d\d)?[ap]\.?m\.?|[ap]\.?m\.?",
    re.IGNORECASE,
)
_BEGINS_RANGE = re.compile(
    rf"{_MONEY}{_AMOUNT}[kKmMbB]?|{_AMOUNT}%|°[CF]?|\d{{1,2}}(?::\d\d)?[ap]\.?m\.?|[ap]\.?m\.?",
    re.IGNORECASE,
)
_SHORT = {"bn": "billion", "mn": "million", "tn": "trillion"}
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HALF_DAY = re.compile(r"[ap]\.?m\.?", re.IGNORECASE)
_RACES = frozenset(("run", "runs", "race", "races", "runner", "runners"))
_POWERS = {"2": "squared", "3": "cubed"}
_SHAPES = frozenset((("16", "9"), ("9", "16"), ("4", "3"), ("3", "4"), ("4", "5"), ("21", "9")))


_LONG_NAMES = {**_MONTHS, **_DAYS}
_DAY_NAMES = frozenset(_DAYS.values())
_NAMED = _DAY_NAMES | frozenset(_MONTHS.values()) | {"May", "June", "July", "March", "April"}
_NAMED_MONTHS = frozenset(_MONTHS.values()) | {"May"}
_ACROSS = re.compile('" (?:wide|long|tall|high|deep|thick|across|by|x)\\b')
_INCHES = re.compile(
    '" (?!(?:is|was|are|were|at|of|in|to|on|for|and|or|but|so|as|when|he|she|they|we|said|says)\\b)[a-z]'
)
"""What follows a number with a double quotation mark that means inches, if none is open."""
_SPAN = re.compile(rf"[-–](?:{'|'.join((*_MONTHS, *_DAYS))})?\b|[-–]$")
_NOUN = re.compile(r"(?!(?:or|and|to|in|on|per|for|of|from|at|a|an|each|more|less)$)[a-z][a-z-]+")
_NOT_STREETS = frozenset(("The", "A", "Ask", "Dear", "Then", "And", "But", "So", "My", "Our"))

_LIGATURE = re.compile("[ﬀ-ﬆ]")


def normalised(text: str) -> str:
    """Return the converter's spoken form of `text`, without the full stop of an abbreviation."""
    from hibari.g2p.normalize import normalize

    said = str(normalize(text))
    last = said.rsplit(" ", 1)[-1]
    said = re.sub(r"(?<=bytes|.bits)/s\b", " per second", said)
    return said[:-1] if text.endswith(".") and last.endswith(".") and last.count(".") == 1 else said


def cut(plain: str) -> list[re.Match[str]]:
    """Return the written words of a folded text."""
    return list(_WORD.finditer(plain))


def forms(plain: str, found: Sequence[re.Match[str]]) -> list[str]:
    """Return the spoken form of each written word; its neighbours count where no rest is between."""
    written = [_LIGATURE.sub(_letters, unicodedata.normalize("NFC", m[0])) for m in found]
    written = [f"-{word[1:]}" if word[0] == "−" else word for word in written]
    written = [word[:-1] if _SHORT_UNIT.fullmatch(word) else word for word in written]
    near = [
        plain[a.end() : b.start()].isspace() or (a.end() == b.start() and b[0] in _FRACTIONS)
        for a, b in pairwise(found)
    ]
    for i, (word, match) in enumerate(zip(written, found, strict=True)):
        after = plain[match.end() : match.end() + 12]
        span = _SPAN.match(after) or (i and _SPAN.match(plain[found[i - 1].end() : match.start()]))
        if span and (long := _LONG_NAMES.get(word.rstrip("."))):
            written[i] = long
        elif (month := _MONTHS.get(word.rstrip("."))) and (
            re.match(r",? \d", after) or (i and near[i - 1] and _DAY.fullmatch(written[i - 1]))
        ):
            written[i] = month
        elif (day := _DAYS.get(word.rstrip("."))) and re.match(rf",? {_DATE}", after):
            written[i] = day
    out: list[str] = []
    for i, word in enumerate(written):
        before = written[i - 1] if i and near[i - 1] else ""
        after = written[i + 1] if i < len(near) and near[i] else ""
        said = _marked(plain, found[i]) or _say(word, before, after) or word
        gap = plain[found[i - 1].end() : found[i].start()] if i else ""
        if i and (link := _between(written[i - 1], gap, word, plain[found[i].end() :][:3])):
            if link == "to" and (lower := _bare(written[i - 1], word)):
                out[-1] = lower
                written[i] = _sign(written[i - 1]) + word.removeprefix(_sign(word))
                said = _say(written[i], "", after)
            said = f"{link} {said}"
        out.append(said)
    return [_as_adjective(out, i, written, near) for i in range(len(out))]


def _marked(plain: str, match: re.Match[str]) -> str | None:
    """Return how a number or x is said that the signs beside it decide: '05, 12" pizza, 3 x 4 =."""
    word, before, rest = match[0], plain[: match.start()], plain[match.end() :]
    if re.fullmatch(r"0\d", word) and before.endswith(("'", "’")):
        return f"oh {'oh' if word == '00' else word[1]}"
    if re.fullmatch(_AMOUNT, word) and before.count('"') % 2 == 0:
        if _ACROSS.match(rest):
            return f"{word} inch" + ("" if word == "1" else "es")
        if _INCHES.match(rest):
            return f"{word} inch"
    if word in ("x", "×") and re.match(r" ?[\d.,]+ ?=", rest):
        return "times"
    if re.match(" ?=", rest) and (product := re.fullmatch(r"(\d+)[x×](\d+)", word)):
        return f"{product[1]} times {product[2]}"
    return None


def _between(before: str, gap: str, word: str, rest: str) -> str:
    """Return what is said for a dash or slash between two words: `to`, `minus`, `a` or nothing."""
    if gap in ("-", "–"):
        spans = _BEGINS_RANGE.fullmatch(before) and _END_OF_RANGE.fullmatch(word)
        named = gap == "–" and before in _NAMED and word in _NAMED
        return "to" if spans or named or (before in _DAY_NAMES and word in _DAY_NAMES) else ""
    if gap not in (" - ", " – ", " − "):
        return _PER.get(word, "") if gap == "/" and _AMOUNT_OF_MONEY.fullmatch(before) else ""
    if _BEGINS_RANGE.fullmatch(before) and _BEGINS_RANGE.fullmatch(word):
        return "to"
    if not (before.isdigit() and word.isdigit()):
        return ""
    if rest.lstrip().startswith("="):
        return "minus"
    return "to" if int(before) < int(word) else ""


def _sign(word: str) -> str:
    money = _AMOUNT_OF_MONEY.fullmatch(word)
    return money[1] if money else ""


def _bare(before: str, word: str) -> str:
    """Return the lower end of a range of money without its currency, which the upper end names."""
    low = _AMOUNT_OF_MONEY.fullmatch(before)
    high = _AMOUNT_OF_MONEY.fullmatch(word) or re.fullmatch(rf"()({_AMOUNT})([kKmMbB]?)", word)
    if low is None or high is None or high[1] not in ("", low[1]):
        return ""
    if "." in low[2] and not low[3]:
        return ""  # $2.50-$3 has cents
    scale = low[3].lower()
    return f"{low[2]} {_SUFFIXES[scale]}" if scale else low[2]


def _as_adjective(out: list[str], i: int, written: list[str], near: list[bool]) -> str:
    """Return `out[i]`, in the singular where it is the measure of a noun: a five-dollar bill."""
    said = out[i]
    first = i - 1 if written[i].lower() in _SCALES else i
    article = first > 0 and near[first - 1] and written[first - 1].lower() in ("a", "an")
    noun = i < len(near) and near[i] and _NOUN.fullmatch(written[i + 1])
    if not (article and noun and _AMOUNT_OF_MONEY.fullmatch(written[first])):
        return said
    if written[i + 1].lower() in _SCALES:
        return said
    return re.sub(r"(?<=dollar|.pound|..euro)s$", "", said)


def _letters(ligature: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", ligature[0])


def _say(word: str, before: str, after: str) -> str:
    """Return the spoken form of a word between its neighbours ("" where there is none near)."""
    for rule in (
        _known,
        _link,
        name,
        _money,
        _telephone_or_date,
        _range,
        _clock_or_ratio,
        _size_or_version,
        measure,
        _figures,
        _powers,
        _fraction,
    ):
        if (said := rule(word, before, after)) is not None:
            return said
    return _beside(word, before, after)


def _known(word: str, before: str, after: str) -> str | None:
    low = _SHORT.get(word, word.lower())
    if low in _SCALES and (money := _AMOUNT_OF_MONEY.fullmatch(before)):
        return f"{low} {_CURRENCIES.get(money[1], _NO_CURRENCY)[1]}"
    if word in _SHORT and re.fullmatch(_AMOUNT, before):
        return low
    if word in ("I", "II") and before == "War":
        return "one" if word == "I" else "two"
    if word in _SPELLED and not (before + after).isupper():
        return _SPELLED[word]
    return _half_of_day_or_street(word, before, after) or _SAID.get(low)


def _half_of_day_or_street(word: str, before: str, after: str) -> str | None:
    named = before[:1].isupper() and before not in _NOT_STREETS
    if word == "Dr." and named and not after[:1].isupper():
        return "Drive"
    if _HALF_DAY.fullmatch(word) and re.fullmatch(r"[\d:]+", before):
        return f"{word[0].upper()}.M."
    return None


def _size_or_version(word: str, _before: str, _after: str) -> str | None:
    if size := re.fullmatch(r"(\d+)[x×](\d+)", word):
        return f"{size[1]} by {size[2]}"
    version = re.fullmatch(r"([vV]?)(\d+(?:\.\d+)+)", word)
    if version and word.count(".") == 3 and not version[1]:
        return word.replace(".", " dot ")  # an address in a network
    if version and (version[1] or word.count(".") > 1):
        return f"{version[1].upper()} {version[2].replace('.', ' point ')}".strip()
    return None


def _range(word: str, before: str, _after: str) -> str | None:
    """Return `9:30-18:00` and `10-15%` with the `to` between; `9am` as a time of the day."""
    if before in _NAMED_MONTHS and (days := re.fullmatch(r"([1-3]?\d)[-–]([1-3]?\d)", word)):
        return f"{_ordinal(days[1])} to {_ordinal(days[2])}"
    if clocks := re.fullmatch(r"(\d{1,2}:\d\d)[-–](\d{1,2}:\d\d)", word):
        return f"{normalised(clocks[1])} to {normalised(clocks[2])}"
    if shares := re.fullmatch(rf"({_AMOUNT})[-–]({_AMOUNT})%", word):
        return f"{shares[1]} to {shares[2]}%"
    if hour := re.fullmatch(r"(\d{1,2})([ap])m", word):
        return f"{hour[1]} {hour[2].upper()}.M."
    return None


def _telephone_or_date(word: str, _before: str, _after: str) -> str | None:
    """Return the digits of `(415) 555-2671` one by one, `2026/11/22` as a date, `.5` as point five."""
    if _TELEPHONE.fullmatch(word):
        return ", ".join(" ".join(part) for part in re.findall(r"\d+", word))
    if re.fullmatch(r"\.\d{1,15}", word):
        return " ".join(["point", *word[1:]])
    if date := re.fullmatch(r"((?:19|20)\d\d)/(\d{1,2})/(\d{1,2})", word):
        return normalised(f"{date[1]}-{int(date[2]):02}-{int(date[3]):02}")
    return None


def _figures(word: str, _before: str, _after: str) -> str | None:
    """Return digits one by one, `1,2,3` and `5-10-15` as a list, `1.0` to its end, `1.2bn` as billions."""
    if scaled := re.fullmatch(rf"({_AMOUNT})(bn|mn|tn)", word):
        return f"{scaled[1]} {_SHORT[scaled[2]]}"
    if re.fullmatch(r"\d{1,2}(?:,\d{1,2})+|[1-9]\d?(?:-[1-9]\d?){2,4}", word):
        return re.sub("[,-]", ", ", word)
    if re.fullmatch(r"\+?\d{1,4}(?:-\d{2,4}){2,4}", word) and not _ISO_DATE.fullmatch(word):
        return ", ".join(map(_called, word.lstrip("+").split("-")))
    if re.fullmatch(r"\d{1,6}\.0", word):
        return f"{word[:-2]} point 0"
    if re.fullmatch(r"0\d{1,14}", word):
        return " ".join(word)
    return None


def _powers(word: str, _before: str, after: str) -> str | None:
    """Return `~50` as about fifty, `10⁶` as ten to the sixth, `5'10"` in feet, `10k` as ten thousand."""
    if word[0] in "~≈" and word[1:]:
        return f"about {normalised(word[1:])}"
    if power := re.fullmatch(r"(\d+)(?:\^(\d{1,3})|([⁰¹⁴-⁹]+))", word):
        height = power[2] or unicodedata.normalize("NFKC", power[3])
        return f"{power[1]} " + (_POWERS.get(height) or f"to the {normalised(_ordinal(height))}")
    if feet := re.fullmatch(r"(\d)\s?(?:['’′]|ft\.?)\s?(\d{1,2})\D*", word):
        return f"{feet[1]} foot {feet[2]}"
    if re.fullmatch(rf"{_AMOUNT}k", word):
        return f"{word[:-1]} {'K' if after.lower() in _RACES else 'thousand'}"
    return None


def _called(part: str) -> str:
    """Return a part of a telephone number: digit by digit, but 800 as eight hundred."""
    return f"{part[0]} hundred" if re.fullmatch(r"[1-9]00", part) else " ".join(part)


def _fraction(word: str, before: str, after: str) -> str | None:
    """Return `2 1/2` as two and a half, `50/50` as fifty fifty, `1/100` as one one hundredth."""
    pair = re.fullmatch(r"(\d{1,3})/(\d{1,5})", _FRACTIONS.get(word, word))
    if pair is None:
        return None
    over, under = int(pair[1]), int(pair[2])
    if over == under or (over > under and over + under == 100):
        return f"{over} {under}"
    if before.isdigit() and over < under <= 10:
        return "and a half" if under == 2 else f"and {normalised(pair[0])}"
    if word == "½" and (half := _half(before, after)):
        return half
    if 0 < over < under and (under > 31 or (after == "of" and under > 10)):
        return f"{over} {_ordinal(pair[2])}" + ("" if over == 1 else "s")
    return normalised(pair[0]) if word in _FRACTIONS else None


def _half(before: str, after: str) -> str:
    """Return how ½ is said beside words: half a cup, half of it, a half mile."""
    if before.lower() in ("a", "an", "the", "one") or after in ("of", "the", "a"):
        return "half"
    return "half a" if after.isalpha() else ""


def _ordinal(figures: str) -> str:
    from hibari.g2p import numbers

    return str(numbers.ordinal(int(figures)))


def _beside(word: str, before: str, after: str) -> str:
    """Return the converter's own spoken form of `word`, as its neighbours make it."""
    alone = normalised(word)
    if after:
        pair = normalised(f"{word} {after}")
        if pair.endswith(f" {after}") and pair[: -len(after) - 1] != alone:
            return pair[: -len(after) - 1]
    if before:
        pair = normalised(f"{before} {word}")
        for head in (before, normalised(before)):
            if pair.startswith(f"{head} ") and pair[len(head) + 1 :] != alone:
                return pair[len(head) + 1 :]
    return alone


def _clock_or_ratio(word: str, _before: str, after: str) -> str | None:
    """Return the reading of `16:9`, and of a full hour before a.m. or p.m."""
    pair = re.fullmatch(r"(\d{1,3}):(\d{1,3})", word)
    if pair is None:
        return None
    left, right = int(pair[1]), pair[2]
    if (pair[1], right) in _SHAPES:
        return f"{left} by {int(right)}"
    if len(right) != 2 or left > 24 or int(right) > 59:
        return f"{left} to {int(right)}"
    return str(left) if right == "00" and _HALF_DAY.fullmatch(after) else None


def _money(word: str, _before: str, after: str) -> str | None:
    if behind := _MONEY_AFTER.fullmatch(word):
        word = behind[2] + behind[1]
    money = _AMOUNT_OF_MONEY.fullmatch(word)
    if money is None:
        return None
    sign, amount, suffix = money[1], money[2], (money[3] or "").lower()
    one, many = _CURRENCIES.get(sign, _NO_CURRENCY)
    if after.lower() in _SCALES or after in _SHORT:
        return amount
    if suffix:
        return f"{amount} {_SUFFIXES[suffix]} {many}"
    whole, _, cents = amount.partition(".")
    if len(cents) == 2 and sign[-1] in "$£€":
        few = _CENTS.get(sign, ("cent", "cents"))
        parts = [f"{whole} {one if whole == '1' else many}"] if int(whole.replace(",", "")) else []
        if int(cents):
            parts.append(f"{int(cents)} {few[0] if int(cents) == 1 else few[1]}")
        return " and ".join(parts) or f"0 {many}"
    return f"{amount} {one if amount == '1' else many}"


def _link(word: str, _before: str, _after: str) -> str | None:
    """Return an address as people say it: no scheme, `dot`, `slash`, `at`."""
    if not _ADDRESS.fullmatch(word):
        return None
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", word).rstrip("/")
    bare = _COUNTRY.sub(lambda end: "." + " ".join(end[1].upper()), bare)
    for sign, said in ((".", " dot "), ("/", " slash "), ("@", " at "), ("-", " dash ")):
        bare = bare.replace(sign, said)
    return " ".join(re.sub(r"[^\w ]+|_", " ", bare).split())
