"""Numbers as they are said in Taiwan: years, dates, times, money, percent, units, fractions."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "萬", "億", "兆", "京")

UNITS: dict[str, str] = {
    "km/h": "公里每小時", "m/s": "公尺每秒", "km²": "平方公里", "m²": "平方公尺",
    "km": "公里", "cm": "公分", "mm": "公釐", "nm": "奈米", "m": "公尺", "kg": "公斤",
    "mg": "毫克", "g": "公克", "ml": "毫升", "mL": "毫升", "cc": "西西", "L": "公升", "ha": "公頃",
    "hr": "小時", "min": "分鐘", "sec": "秒", "ms": "毫秒", "px": "像素",
    "㎞": "公里", "㎝": "公分", "㎜": "公釐", "㎏": "公斤", "㎡": "平方公尺", "㎢": "平方公里",
    "㏄": "西西", "kHz": "千赫", "MHz": "百萬赫茲", "GHz": "吉赫", "Hz": "赫茲", "kW": "千瓦", "W": "瓦",
    "kWh": "千瓦小時", "MW": "百萬瓦", "dB": "分貝", "kcal": "大卡", "cal": "卡", "km/s": "公里每秒",
    "m³": "立方公尺", "cm²": "平方公分", "cm³": "立方公分", "μm": "微米", "µm": "微米", "hPa": "百帕",
    "kPa": "千帕", "oz": "盎司", "lb": "磅", "ft": "英尺", "mi": "英里", "mph": "英里每小時",
}  # fmt: skip
"""Unit after a number → how it is said."""

_MONEY = {
    "NT$": ("新台幣", "元"), "TW$": ("新台幣", "元"), "$": ("", "元"), "US$": ("", "美元"),
    "HK$": ("", "港幣"), "€": ("", "歐元"), "£": ("", "英鎊"), "¥": ("", "日圓"), "₩": ("", "韓元"),
}  # fmt: skip
_UNIT = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
_N = r"[0-9]{1,15}(?:,[0-9]{3})*(?:\.[0-9]{1,15})?"
_END = r"(?![A-Za-z0-9])"
_SIGN = "(?<![0-9A-Za-z%％年月日號点點時分秒元度樓週周])[-−+]"
_FRACTIONS = {c: unicodedata.normalize("NFKC", c).replace("\u2044", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_CITIES = (
    "台北|臺北|新北|桃園|台中|臺中|台南|臺南|高雄|基隆|新竹|苗栗|彰化|南投|雲林|嘉義|屏東|宜蘭|花蓮|台東|臺東|板橋|左營|南港"
    "|烏日|淡水|墾丁|東京|大阪|京都|首爾|香港|上海|北京|紐約|倫敦|巴黎"
)
"""Where a journey may begin or end: names of two characters, between which a dash is 到."""
_LATIN_ROMAN = {"I": 1, "V": 5, "X": 10}
_GREAT = {"K": 10**3, "M": 10**6, "B": 10**9}
_ROMAN = "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫ"
_POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹"

NUMBER = rf"""
    (?P<to>(?:(?<=[0-9%％年月日號點時分秒元度樓])|(?<=[0-9][FK]))[-–~～](?=\ ?[0-9$])
        |(?<=[一二三四五六七八九十日月年])[-–~～](?=(?:週|周|星期|禮拜)?[一二三四五六七八九十日])
        |(?<=[0-9]\ )[–~～](?=\ [0-9])|(?<={_CITIES})[-–~～](?={_CITIES})|(?<=(?:{_CITIES})\ )[-–~～](?=\ (?:{_CITIES})))
    |(?P<minus>(?<=[0-9]\ )[-−–](?=\ [0-9.]+\ ?=))
    |(?P<compared>[<>≤≥](?=\ ?[-−$]?[0-9])|±(?=[0-9]))
    |(?P<about>(?<![0-9A-Za-z㐀-鿿~～])[~～≈](?=\ ?[0-9]))
    |(?P<per>(?<=[元圓塊里度尺斤升次份])/(?=小時|[年月週周天日時秒坪人次位個箱包盒份瓶]|公[斤里升尺]|分鐘|平方))
    |(?P<vulgar>[0-9]{{0,4}}[{"".join(_FRACTIONS)}])
    |(?P<roman>[{_ROMAN}])
    |(?P<numeral>(?<=第)[IVX]{{1,5}}(?=[章部集季屆期回節卷型])|(?<![A-Za-z])[IVX]{{1,5}}(?=世(?!代))|(?<![A-Za-z])[IVX]{{2,5}}(?=型))
    |(?P<formation>(?<![0-9-])[0-9](?:-[0-9]){{2,3}}(?![0-9-]))
    |(?P<version>(?<![0-9.])[0-9]{{1,3}}(?:\.[0-9]{{1,4}}){{2,3}}(?![0-9.]))
    |(?P<times>{_N}[xX](?![A-Za-z0-9]))
    |(?P<power>(?<![0-9.])[0-9]{{1,9}}(?:\^[0-9]{{1,3}}|[{_POWERS}]{{1,3}}))
    |(?P<date>(?<![0-9])[0-9]{{4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}{_END})
    |(?P<phone>(?<![0-9])(?:0[0-9]{{1,3}}[-\ ]|\(0[0-9]{{1,3}}\)\ ?)[0-9]{{3,4}}[-\ ]?[0-9]{{3,4}}{_END}
        |\+[0-9]{{1,3}}(?:-[0-9]{{1,4}}){{2,4}}{_END})
    |(?P<time>(?<![0-9:])[0-9]{{1,2}}:[0-5][0-9](?::[0-5][0-9])?{_END}(?!:))
    |(?P<ratio>[0-9]{{1,4}}:[0-9]{{1,4}}{_END})
    |(?P<money>(?:NT|TW|US|HK)?[$€£¥₩]\ ?{_N}(?:[-–~～](?:(?:NT|TW|US|HK)?[$€£¥₩])?{_N})?(?:[萬億兆]|[KMB](?![A-Za-z]))?(?:[元圓塊]|美元|歐元|英鎊|日圓|港幣)?)
    |(?P<degrees>(?:{_SIGN})?{_N}(?:[-–~～]{_N})?\ ?(?:°C|℃|°F|℉|°))
    |(?P<percent>(?:{_SIGN})?{_N}(?:[-–~～]{_N})?\ ?[%‰])
    |(?P<fraction>(?<![0-9/])[0-9]{{1,3}}/[0-9]{{1,4}}{_END}(?!/))
    |(?P<range>{_N}[-–~～]{_N}(?:{_UNIT})?{_END})
    |(?P<size>[0-9]{{1,5}}[x×][0-9]{{1,5}}{_END})
    |(?P<measure>(?:{_SIGN})?{_N}(?:{_UNIT}){_END})
    |(?P<plain>(?:{_SIGN})?{_N}{_END})
    |(?P<unit>(?<=[0-9]\ )(?:{_UNIT}){_END})
"""
"""Verbose pattern of everything with digits that is said in Chinese."""

_LATIN_UNIT = re.compile(rf"(?:{_UNIT}){_END}")
_TWO_OF = frozenset(
    "個位名隻條次天週周年種張支枝本部台臺輛件份步秒分點倍人杯瓶碗塊元片頁篇句場段首集間家棟座層組套對雙坪成大男女"
    "把根顆粒朵棵頭匹項道口面幅格站趟回遍聲下歲度代派派所門班群排行列串束包盒箱袋桶公小千萬億兆百"
)
"""What 2 counts as 兩 rather than 二."""
_ORDINAL = frozenset("第初民週周期拜")
_HOTLINES = frozenset(
    ("110", "112", "113", "118", "119", "165", "911", "995", "1922", "1925", "1950", "1999")
)
_HOTLINE = re.compile("報警|報案|.{0,4}專線|.{0,4}熱線|電話")
_SPELLED = re.compile("(?:分機|密碼|郵遞區號|驗證碼|統一編號|代碼|車號)[是為:： ]{0,2}$")
_DAY_OF_HISTORY = re.compile("事件|大?地震|事變|學運|砲戰|和平|紀念|恐攻|連假")
_SPEED = re.compile(r"時速[約達大概]{0,2}\ ?[0-9.,]+ $")
_SEASON = re.compile("年|球季|賽季|學年|季")
_DECADE = re.compile(r"年(?:前|後|來|以|內|間|歷史|之久|的歷史)")
_SPAN_OR_EVENT = re.compile(
    "[-–~到至]|奧運|亞運|世界|世足|世大運|經典賽|總統|大選|跨年|新年|年度|最新|全新|[春夏秋冬][季天]"
    "|台灣|臺灣|台北|臺北|高雄|台中|臺中|台南|臺南|日本|東京|大阪|巴黎|倫敦|里約|北京|洛杉磯"
)
"""What follows a year that is written without its 年: 2026世界盃, 2026-2027年."""
_ONE_OF_TWO = re.compile(r"[、,]\ ?3(\D)")
"""2、3個 is 兩、三個."""
_NUMBERED = re.compile(".?年級|[年級]班|.?分之|[路街道][段巷弄號]")
"""The character before a number and what follows it, where it is the name of one among others."""
_DEGREES = re.compile(r"(?:[-–~～][0-9.]+)?度")
_LINE = re.compile("公車|客運|路(?!口)|客機|號公車")
_LONG = 12


def cardinal(number: int) -> str:
    """Return a whole number from 0 in words, 兩 for the twos of the higher places."""
    if number == 0:
        return "零"
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    if len(groups) > len(_GROUPS):
        return "".join(_DIGITS[int(d)] for d in str(number))
    said, gap = "", False
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if not group:
            gap = bool(said)
            continue
        if said and (gap or group < 1000):
            said += "零"
        words = "兩" if group == 2 and place else _four(group)
        if not said and words.startswith("一十"):
            words = words[1:]
        said += words + _GROUPS[place]
        gap = False
    return said


def _four(number: int) -> str:
    said, gap = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if not digit:
            gap = bool(said)
            continue
        if gap:
            said += "零"
            gap = False
        said += ("兩" if digit == 2 and place >= 2 else _DIGITS[digit]) + _PLACES[place]
    return said


def digits(text: str) -> str:
    """Return the digits of `text` one by one."""
    return "".join(_DIGITS[int(c)] for c in text if c.isdigit())


def in_figures(text: str) -> str:
    """Return the number before a Latin unit: 1080p digit by digit, 256GB as a number."""
    return digits(text) if len(text) == 4 and text.isdigit() else _number(text)


def _number(text: str) -> str:
    """Return a decimal number with sign and thousands commas in words."""
    sign = {"-": "負", "−": "負", "+": "正"}.get(text[:1], "")
    whole, _, part = text.lstrip("-−+").replace(",", "").partition(".")
    if len(whole) > _LONG or (len(whole) > 1 and whole.startswith("0")):
        said = digits(whole)
    else:
        said = cardinal(int(whole))
    return sign + said + (f"點{digits(part)}" if part else "")


def _count(text: str) -> str:
    """Return a number that counts what follows: 兩, not 二."""
    return "兩" if text == "2" else _number(text)


def say(match: re.Match[str]) -> str:
    """Return how a match of `NUMBER` is said, as Traditional characters."""
    text, rest = match[0], match.string[match.end() :].lstrip(" ")
    if text.isdigit() and _SPELLED.search(match.string[: match.start()][-12:]):
        return digits(text)
    if text == "km/h" and _SPEED.search(match.string[: match.start()][-24:]):
        return "公里"
    before = match.string[: match.start()].rstrip(" ")[-1:]
    kind = next(k for k in _SAY if match[k] is not None)
    return _SAY[kind](text, before, rest)


def _date(text: str, _before: str, _rest: str) -> str:
    year, month, day = re.split(r"[-/.]", text)
    return f"{digits(year)}年{cardinal(int(month))}月{cardinal(int(day))}日"


def _time(text: str, _before: str, rest: str) -> str:
    hour, minute, *second = (int(part) for part in text.split(":"))
    if (hour, minute) == (9, 16) or hour > 24 or (rest[:1] in ("的", "比") and not second):
        return _ratio(text, "", "")
    said = f"{'兩' if hour == 2 else cardinal(hour)}點"
    if minute or second:
        said += ("零" if minute < 10 else "") + (cardinal(minute) if minute else "") + "分"
    return said + (f"{cardinal(second[0])}秒" if second else "")


def _ratio(text: str, _before: str, _rest: str) -> str:
    return "比".join(cardinal(int(part)) for part in text.split(":"))


def _money(text: str, _before: str, rest: str) -> str:
    parts = re.fullmatch(
        rf"([A-Z]*[$€£¥₩])\ ?({_N})(?:[-–~～]\D*({_N}))?([萬億兆]?)([KMB]?)(\D*)", text
    )
    if parts is None:
        return digits(text)
    lead, name = _MONEY.get(parts[1], ("", "元"))
    amount = "到".join(_amount(number, parts[5]) for number in (parts[2], parts[3]) if number)
    if rest[:1] in ("元", "圓", "塊") or rest[:2] in ("美元", "歐元", "英鎊", "日圓", "港幣"):
        name = ""
    return f"{lead}{amount}{parts[4]}{parts[6] or name}"


def _amount(number: str, great: str) -> str:
    """Return an amount of money, 1.5 and M as 一百五十萬."""
    if great:
        whole = Decimal(number.replace(",", "")) * _GREAT[great]
        number = f"{whole.normalize():f}"
    return _count(number)


def _degrees(text: str, _before: str, rest: str) -> str:
    found = re.match(rf"([-−+]?{_N})(?:[-–~～]({_N}))?", text)
    low, high = (found[1], found[2]) if found else ("", None)
    amount = _number(low) + (f"到{_number(high)}" if high else "")
    scale = text[-1]
    if scale in "C℃F℉":
        amount = amount.replace("負", "零下")
    lead = {"C": "攝氏", "℃": "攝氏", "F": "華氏", "℉": "華氏"}.get(scale, "")
    return lead + amount + ("" if rest.startswith("度") else "度")


def _percent(text: str, _before: str, _rest: str) -> str:
    lead = "千分之" if text.endswith("‰") else "百分之"
    low, *high = re.split(r"(?<=\d)[-–~～]", text[:-1].rstrip())
    sign, low = (low[0], low[1:]) if low[0] in "-−+" else ("", low)
    share = "百" if low == "100" and not high else _number(low)
    said = {"-": "負", "−": "負", "+": "正"}.get(sign, "") + lead + share
    return said + "".join(f"到{_number(part)}" for part in high)


def _fraction(text: str, before: str, _rest: str) -> str:
    over, under = (int(part) for part in text.split("/"))
    month_and_day = 1 <= over <= 12 and 1 <= under <= 31
    if month_and_day and (over >= under or under > 10 or before in ("在", "於", "到", "從", "至")):
        return f"{cardinal(over)}月{cardinal(under)}日"
    if over > under:  # blood pressure, a score
        return cardinal(over) + cardinal(under)
    return f"{'百' if under == 100 else cardinal(under)}分之{cardinal(over)}"


def _vulgar(text: str, _before: str, _rest: str) -> str:
    whole = f"{cardinal(int(text[:-1]))}又" if text[:-1] else ""
    return whole + _fraction(_FRACTIONS[text[-1]], "", "")


def _power(text: str, _before: str, _rest: str) -> str:
    base = re.sub(rf"\^.*|[{_POWERS}]+", "", text)
    height = unicodedata.normalize("NFKC", text[len(base) :].lstrip("^"))
    return f"{cardinal(int(base))}的{cardinal(int(height))}次方"


def _range(text: str, before: str, rest: str) -> str:
    parts = re.fullmatch(rf"({_N})[-–~～]({_N})(\D*)", text)
    if parts is None:
        return digits(text)
    unit = UNITS.get(parts[3], "")
    if re.fullmatch(r"(?:19|20)\d\d[-–]\d\d", text) and _SEASON.match(rest):
        return f"{digits(parts[1])}到{digits(parts[2])}"
    if rest.startswith("=") and "-" in text:
        return f"{_number(parts[1])}減{_number(parts[2])}"
    return _plain(parts[1], before, unit or rest) + "到" + _plain(parts[2], "", unit or rest) + unit


def _numeral(text: str, _before: str, _rest: str) -> str:
    values = [_LATIN_ROMAN[c] for c in text]
    after = [*values[1:], 0]
    return cardinal(sum(-v if v < a else v for v, a in zip(values, after, strict=True)))


def _times(text: str, _before: str, rest: str) -> str:
    return _count(text[:-1]) + ("" if rest.startswith("倍") else "倍")


def _size(text: str, _before: str, _rest: str) -> str:
    return "乘".join(cardinal(int(part)) for part in re.split("[x×]", text))


def _measure(text: str, before: str, _rest: str) -> str:
    parts = re.fullmatch(rf"([-−+]?{_N})(.*)", text)
    if parts and parts[2] == "km/h" and before == "速":  # 時速六十公里
        return _number(parts[1]) + "公里"
    return _count(parts[1]) + UNITS[parts[2]] if parts else digits(text)


def _plain(text: str, before: str, rest: str) -> str:
    decade = _DECADE.match(rest) and not (text[:2] in ("19", "20") and text[2:] != "00")
    year = text.isdigit() and rest.startswith("年") and not decade
    if (year and len(text) == 4 and text != "1000") or before == "#":
        return digits(text)
    if _one_by_one(text, before, rest):
        return digits(text)
    if text[0] in "-−" and _DEGREES.match(rest):
        return f"零下{_number(text[1:])}"
    follows = _ONE_OF_TWO.match(rest)
    if text == "2" and follows and follows[1][0] in _TWO_OF:
        return "兩"
    if (
        before not in _ORDINAL
        and not _NUMBERED.match(before + rest)
        and (rest[:1] in _TWO_OF or _LATIN_UNIT.match(rest))
    ):
        return _count(text)
    return _number(text)


def _one_by_one(text: str, before: str, rest: str) -> bool:
    """Tell whether a number is a name: a telephone, Taipei's tower, those born in the eighties.

    A year without its 年 (2026世界盃) and a discount (85折) are told in figures, too.
    """
    if not text.isdigit():
        return False
    if len(text) == 4 and text[:2] in ("19", "20") and _SPAN_OR_EVENT.match(rest):
        return True
    if len(text) == 3:
        return _three(text, before, rest)
    if text in _HOTLINES:
        return before in tuple("撥打") or bool(_HOTLINE.match(rest))
    if len(text) != 2:
        return False
    followers = {"0": ("年代", "後"), "5": ("折", "後")}.get(text[1], ("折",))
    return rest.startswith(followers)


def _three(text: str, before: str, rest: str) -> bool:
    """Tell whether three figures are a tower, a line of buses, a year of the Republic or a hotline."""
    if text[1:] != "00" and _DAY_OF_HISTORY.match(rest):
        return True
    if text == "101":
        return before == "北" or rest.startswith("大樓")
    if text[1:] != "00" and (_LINE.match(rest) or before == "音"):
        return True
    if text[1:] != "00" and rest.startswith("年"):
        return before == "國" or bool(re.match(r"年\ ?1?[0-9]\ ?月", rest))
    return text in _HOTLINES and (before in tuple("撥打") or bool(_HOTLINE.match(rest)))


def _unit(text: str, _before: str, _rest: str) -> str:
    return UNITS[text]


_COMPARED = {"<": "小於", ">": "大於", "≤": "小於等於", "≥": "大於等於", "±": "正負"}
_SAY = {
    "to": lambda _text, _before, _rest: "到",
    "minus": lambda _text, _before, _rest: "減",
    "compared": lambda text, _before, _rest: _COMPARED[text],
    "about": lambda _text, _before, _rest: "約",
    "per": lambda _text, _before, _rest: "每",
    "vulgar": _vulgar,
    "roman": lambda text, _before, _rest: cardinal(_ROMAN.index(text) + 1),
    "numeral": _numeral,
    "formation": lambda text, _before, _rest: digits(text),
    "version": lambda text, _before, _rest: "點".join(map(_number, text.split("."))),
    "times": _times,
    "power": _power,
    "date": _date,
    "phone": lambda text, _before, _rest: digits(text),
    "time": _time,
    "ratio": _ratio,
    "money": _money,
    "degrees": _degrees,
    "percent": _percent,
    "fraction": _fraction,
    "range": _range,
    "size": _size,
    "measure": _measure,
    "plain": _plain,
    "unit": _unit,
}
