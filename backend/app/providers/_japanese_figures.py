"""What Open JTalk misreads in Japanese text, written as it reads it right: figures, units, signs.

It reads plain numbers and their counters well (3本 サンボン, 20日 ハツカ). Here clock times, dates
with slashes, money, ranges, units it lacks and Latin words get a form it knows, and every code
point of that form remembers where it stands as written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from app.providers import _english, _japanese_readings, _katakana

_NUMBER = r"\d{1,15}(?:,\d{3})*(?:\.\d{1,15})?"
_SCALE = "(?:千|万|億|兆)*"
_UNITS = {
    "KB": "キロバイト", "kB": "キロバイト", "MB": "メガバイト", "GB": "ギガバイト",
    "TB": "テラバイト", "PB": "ペタバイト", "Mbps": "メガビーピーエス", "Gbps": "ギガビーピーエス",
    "L": "リットル", "l": "リットル", "mL": "ミリリットル", "dB": "デシベル", "W": "ワット",
    "kW": "キロワット", "kWh": "キロワットアワー", "V": "ボルト", "mAh": "ミリアンペアアワー",
    "m²": "平方メートル", "m2": "平方メートル", "㎡": "平方メートル", "km²": "平方キロメートル",
    "km2": "平方キロメートル", "㎢": "平方キロメートル", "m³": "立方メートル", "m3": "立方メートル",
    "cm²": "平方センチメートル", "m/s": "メートル毎秒", "km/h": "キロメートル毎時", "ms": "ミリ秒",
    "kcal": "キロカロリー", "GHz": "ギガヘルツ", "MHz": "メガヘルツ", "px": "ピクセル",
    "t": "トン", "㎞": "キロメートル", "㎝": "センチメートル", "㎜": "ミリメートル",
    "㎏": "キログラム", "㏄": "シーシー", "km": "キロメートル", "kg": "キログラム", "m": "メートル",
    "cm": "センチメートル", "mm": "ミリメートル", "g": "グラム", "mg": "ミリグラム", "h": "時間",
    "ml": "ミリリットル", "Hz": "ヘルツ", "kHz": "キロヘルツ", "fps": "エフピーエス", "s": "秒",
    "min": "分", "hz": "ヘルツ",
}  # fmt: skip
"""Unit after a number → said, where the dictionary lacks it."""
UNITS_SAID = frozenset(_UNITS.values())
_MONEY = {
    "$": "ドル", "US$": "ドル", "NT$": "台湾ドル", "HK$": "香港ドル", "€": "ユーロ",
    "£": "ポンド", "¥": "円", "￥": "円", "₩": "ウォン", "元": "元",
}  # fmt: skip
_GREAT = {"K": 10**3, "M": 10**6, "B": 10**9}
_CITIES = (
    "東京|大阪|京都|神戸|横浜|千葉|札幌|仙台|新潟|金沢|広島|博多|福岡|那覇|上野|品川|新宿|渋谷|池袋|成田|羽田|台北|台中|台南"
    "|高雄|桃園|花蓮|上海|北京|香港"
)
"""Where a journey may begin or end: names of two characters, between which a dash is from … to."""
_SIGNS = {
    "×": "かける", "÷": "わる", "±": "プラスマイナス", "=": "イコール", "+": "プラス", "&": "アンド",
    "@": "アット", "≒": "ニアリーイコール", "→": "、", "½": "2分の1", "¼": "4分の1", "¾": "4分の3",
    "②": "2", "①": "1", "③": "3", "④": "4", "⑤": "5", "⑥": "6", "⑦": "7", "⑧": "8", "⑨": "9", "⑩": "10",
    "㌔": "キロ", "㌢": "センチ", "㍉": "ミリ", "㍍": "メートル", "㌘": "グラム", "㌧": "トン",
    "㍑": "リットル", "㌫": "パーセント", "㍼": "昭和", "㍻": "平成", "㋿": "令和", "㈱": "株式会社", "〒": "郵便番号",
}  # fmt: skip

_L = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ"
_TOKEN = re.compile(
    rf"""
    (?P<halfwidth>[ｦ-ﾟ]+)
    |(?P<link>https?://(?=\S)|www\.(?=\w))
    |(?P<date>(?<![\d/.-])(?P<year>\d{{4}})(?P<dash>[/.-])(?P<month>\d{{1,2}})(?P=dash)(?P<day>\d{{1,2}})(?![\d/-]))
    |(?P<postal>〒\ ?(?P<area>\d{{3}})-(?P<place>\d{{4}})(?![\d-]))
    |(?P<version>(?<![\d.])\d{{1,3}}(?:\.\d{{1,4}}){{2,3}}(?![\d.]))
    |(?P<score>(?<![\d-])(?P<ours>\d{{1,3}})-(?P<theirs>\d{{1,3}})(?=で[^、。]{{0,4}}(?:勝|敗|負|破|下し|制し|引き分|リード)|の(?:勝利|敗|引き分|接戦|逆転)))
    |(?P<hotline>(?<![\d.,])911(?=番|[にへ](?:電話|通報|連絡)))
    |(?P<block>(?<![\d-])\d{{1,4}}(?:-\d{{1,4}}){{2,3}}(?![\d-]))
    |(?P<clock>(?<![\d:.])(?P<hour>[0-2]?\d):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:]))
    |(?P<ratio>(?<![\d:.])(?P<left>\d{{1,4}}):(?P<right>\d{{1,4}})(?![\d:]))
    |(?P<fraction>(?<![\d/.])(?P<upper>\d{{1,2}})[/⁄](?P<lower>\d{{1,2}})(?![\d/]))
    |(?P<money>(?P<currency>(?:US|NT|HK)?\$|[€£¥￥₩])\ ?(?P<amount>{_NUMBER}{_SCALE})(?:[-–~〜～](?P=currency)?(?P<upto>{_NUMBER}{_SCALE}))?(?:(?P<great>[KMB])(?![{_L}]))?(?P<after>円|ドル|元|ユーロ)?)
    |(?P<fahrenheit>(?P<degrees>[-−]?{_NUMBER})\ ?°F)
    |(?P<times>(?<=\d)[x×](?![{_L}\d×])\ ?倍?)
    |(?P<against>(?<=\d)対(?=\d))
    |(?P<journey>(?<={_CITIES})\ ?[~〜～–]\ ?(?={_CITIES}))
    |(?P<roman>(?<=第)[IVX]{{1,5}}(?=[章部巻回期節型])|(?<![{_L}])[IVX]{{1,5}}(?=世(?!代))|(?<![{_L}])[IVX]{{2,5}}(?=型))
    |(?P<sequel>(?<=[ァ-ヺーa-z])\ ?(?:I{{2,3}}|IV|VI{{1,3}}|IX)(?![{_L}\d]))
    |(?P<celsius>(?<=\d)\ ?°C?)
    |(?P<minus>(?<![\w)）\]-])[-−－](?=[\d.]*\d))
    |(?P<range>(?<=[\d%時分秒年月日円人歳度回])\ ?[~～〜–]\ ?(?=[\d$¥￥])|(?<=\d)-(?=\d{{1,4}}(?![\d-])))
    |(?P<unit>(?<=\d)\ ?(?:{"|".join(sorted(_UNITS, key=len, reverse=True))})(?![{_L}\d]))
    |(?P<ordinal>(?<!\d)(?P<rank>\d{{1,3}})(?:st|nd|rd|th)(?![{_L}\d]))
    |(?P<numero>\bN[oO]\.\ ?(?=\d))
    |(?P<latin>(?<!\d)[{_L}][{_L}\u0300-\u036f]*(?:['’._&/-](?=[{_L}])[{_L}\u0300-\u036f]+)*(?:\+\+|\#(?![{_L}\d]))?)
    |(?P<sign>[{"".join(_SIGNS)}])
    |(?P<thousand>(?<![\d.,])1,?000(?=[万億兆]))
    |(?P<zero>(?<![\d.,])0(?=[時度]))
    |(?P<misread>{_japanese_readings.WORDS})
    """,
    re.VERBOSE,
)
_FIGURES = ("ゼロ", "イチ", "ニー", "サン", "ヨン", "ゴー", "ロク", "ナナ", "ハチ", "キュー")
_ROMAN = {"I": 1, "V": 5, "X": 10}
_SEQUELS = {
    "II": "ツー", "III": "スリー", "IV": "フォー", "VI": "シックス", "VII": "セブン", "VIII": "エイト", "IX": "ナイン",
}  # fmt: skip
"""Roman numeral behind a name → said in English, as sequels are."""
_SHAPES = frozenset(("16:9", "9:16", "4:3", "3:4", "4:5", "21:9", "1:1"))
_PHONE = re.compile(r"(?<![\d〒-])\d{1,5}-\d{1,4}(?:-\d{1,4})?-\d{3,4}(?![\d-])")
_AS_SPEED = re.compile(r"(?:時速|毎時)(?:約|およそ)?[\d.,]+ ?$")


@dataclass(frozen=True)
class Rewritten:
    """A text as Open JTalk is given it.

    Attributes:
        text: That text.
        origins: For each of its code points, the span as written.
    """

    text: str
    origins: tuple[tuple[int, int], ...]

    def parted(self, places: Iterable[int]) -> Rewritten:
        """Return it with a space, which nobody says, before each of these places of `text`."""
        text, origins = self.text, list(self.origins)
        for at in sorted(places, reverse=True):
            text = f"{text[:at]} {text[at:]}"
            origins.insert(at, origins[at])
        return Rewritten(text, tuple(origins))


def rewritten(text: str) -> Rewritten:
    """Return `text` in a form that Open JTalk reads right."""
    folded = _english.folded(text)
    # half-width kana and their voicing marks are only right together
    folded = "".join(" " if "\ud800" <= c <= "\udfff" else c for c in folded)
    plain = "".join(c if "ｦ" <= c <= "ﾟ" else f for c, f in zip(text, folded, strict=True))
    phones = [found.span() for found in _PHONE.finditer(plain)]
    out: list[str] = []
    origins: list[tuple[int, int]] = []
    at = 0

    def keep(end: int) -> None:
        out.append(plain[at:end])
        origins.extend((i, i + 1) for i in range(at, end))

    for match in _TOKEN.finditer(plain):
        if match["halfwidth"] is None and any(a <= match.start() < b for a, b in phones):
            continue
        said = _FORMS[str(match.lastgroup)](match)
        if said is None:
            continue
        keep(match.start())
        out.append(said)
        origins += [match.span()] * len(said)
        at = match.end()
    keep(len(plain))
    return Rewritten("".join(out), tuple(origins))


def _date(match: re.Match[str]) -> str | None:
    month, day = int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{match['year']}年{month}月{day}日"


def _postal(match: re.Match[str]) -> str:
    """Return a postal code, figure by figure, in kana: Open JTalk takes it for a range."""
    area, place = ("".join(_FIGURES[int(c)] for c in match[part]) for part in ("area", "place"))
    return f"郵便番号{area}の{place}"


def _clock(match: re.Match[str]) -> str | None:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 24 or match[0] in _SHAPES:
        return f"{match['hour']}タイ{match['minute']}"
    said = f"{hour or 'レー'}時" + (f"{minute}分" if minute or match["second"] else "")
    return said + (f"{int(match['second'])}秒" if match["second"] else "")


def _money(match: re.Match[str]) -> str:
    amount, upto, scale = match["amount"], match["upto"], _GREAT.get(match["great"] or "", 0)
    if scale:
        amount, upto = (_times(number, scale) if number else None for number in (amount, upto))
    low = f"{amount}から{upto}" if upto else str(amount)
    return low + (match["after"] or _MONEY[match["currency"]])


def _times(number: str, scale: int) -> str:
    product = Decimal(number.replace(",", "")) * scale if number[-1].isdigit() else None
    return number if product is None else f"{product.normalize():f}"


def _numeral(match: re.Match[str]) -> str:
    values = [_ROMAN[c] for c in match[0]]
    after = [*values[1:], 0]
    return str(sum(-v if v < a else v for v, a in zip(values, after, strict=True)))


def _fraction(match: re.Match[str]) -> str | None:
    upper, lower = int(match["upper"]), int(match["lower"])
    if 0 < upper < lower <= 10:
        return f"{lower}分の{upper}"
    if 1 <= upper <= 12 and 1 <= lower <= 31:
        return f"{upper}月{lower}日"
    return None


def _fahrenheit(match: re.Match[str]) -> str:
    return f"華氏{re.sub('[-−]', 'マイナス', match['degrees'])}度"


def _unit(match: re.Match[str]) -> str:
    unit = match[0].strip()
    if unit == "km/h" and _AS_SPEED.search(match.string[: match.start()]):
        return "キロ"
    return _UNITS[unit]


_FORMS: dict[str, Callable[[re.Match[str]], str | None]] = {
    "halfwidth": lambda match: unicodedata.normalize("NFKC", match[0]),
    "link": lambda _: "",
    "date": _date,
    "postal": _postal,
    "block": lambda match: match[0].replace("-", "の"),
    "clock": _clock,
    "ratio": lambda match: f"{match['left']}タイ{match['right']}",
    "against": lambda _: "タイ",
    "score": lambda match: f"{match['ours']}タイ{match['theirs']}",
    "version": lambda match: match[0].replace(".", "テン"),
    "hotline": lambda _: "キューイチイチ",
    "times": lambda _: "倍",
    "journey": lambda _: "から",
    "roman": _numeral,
    "sequel": lambda match: _SEQUELS[match[0].strip()],
    "fraction": _fraction,
    "money": _money,
    "fahrenheit": _fahrenheit,
    "celsius": lambda _: "度",
    "minus": lambda _: "マイナス",
    "range": lambda _: "から",
    "unit": _unit,
    "ordinal": lambda match: _katakana.spelt(match[0]),
    "numero": lambda _: "ナンバー",
    "latin": lambda match: _katakana.said(match[0]),
    "sign": lambda match: _SIGNS[match[0]],
    "thousand": lambda _: "一千",
    "zero": lambda _: "レー",
    "misread": _japanese_readings.said,
}
"""Kind of token → what stands in its place; None where it is left as it is."""
