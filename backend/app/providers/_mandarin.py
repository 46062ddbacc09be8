"""Mandarin of Taiwan → phonemes for Kokoro, each symbol with its word in the text as written.

A word is one character, or a whole number or Latin token. The way: numbers become characters
(`_chinese_numbers`), Traditional becomes Simplified one to one (pypinyin's phrases are
Simplified), readings are taken from phrases and then from our Taiwan tables, tones change in
company, and pinyin becomes the alphabet Kokoro's Chinese voices learned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from typing import Any

from app.providers import _english
from app.providers._chinese_numbers import NUMBER, digits, say
from app.providers._voice import Reading

_HAN = "㐀-䶿一-鿿〇\U00020000-\U0003ffff"
_L = "A-Za-zÀ-ÖØ-öø-ɏ"
_TOKEN = re.compile(
    rf"""
    {NUMBER}
    |(?P<latin>(?:https?://|[0-9]{{1,6}}(?=[{_L}]))?[{_L}][{_L}0-9\u0300-\u036f]*
        (?:(?:['’.&/@+_:-]|://)[{_L}0-9]+|\ +(?=[{_L}])[{_L}0-9\u0300-\u036f]+)*(?:\+\+|\#)?)
    |(?P<digits>[0-9]{{1,12}})
    |(?P<sign>[%&+=×÷]|(?<=[0-9%元度])[~～–-](?=[0-9$])|(?<=[0-9%]\ )[~～–](?=\ [0-9]))
    |(?P<han>[{_HAN}])
    """,
    re.VERBOSE,
)
_SIGNS = {"%": "百分比", "&": "和", "+": "加", "=": "等於", "×": "乘", "÷": "除以"}

_INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k",
    "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ",
    "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s", "": "",
}  # fmt: skip
"""Initial of pinyin → symbols (Standard Chinese phonology, in Kokoro's alphabet)."""

_FINALS = {
    "a": "a0", "ai": "ai0", "an": "a0n", "ang": "a0ŋ", "ao": "au0", "e": "ɤ0", "ei": "ei0",
    "en": "ə0n", "eng": "ə0ŋ", "er": "ɚ0", "i": "i0", "ia": "ja0", "ian": "jɛ0n", "iang": "ja0ŋ",
    "iao": "jau0", "ie": "je0", "in": "i0n", "ing": "i0ŋ", "io": "jɔ0", "iong": "jʊ0ŋ",
    "iou": "jou0", "o": "wo0", "ong": "ʊ0ŋ", "ou": "ou0", "u": "u0", "ua": "wa0", "uai": "wai0",
    "uan": "wa0n", "uang": "wa0ŋ", "uei": "wei0", "uen": "wə0n", "ueng": "wə0ŋ", "uo": "wo0",
    "v": "y0", "van": "ɥɛ0n", "ve": "ɥe0", "vn": "y0n", "ê": "ɛ0",
}  # fmt: skip
"""Final of pinyin → symbols; 0 is where the tone stands."""

_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}

_TAIWAN_CHARACTERS = {
    "期": "qi2", "企": "qi4", "究": "jiu4", "微": "wei2", "危": "wei2", "惜": "xi2", "昔": "xi2",
    "擊": "ji2", "突": "tu2", "擁": "yong3", "液": "yi4", "暫": "zhan4", "髮": "fa3", "攜": "xi1",
    "叔": "shu2", "播": "bo4", "識": "shi4", "築": "zhu2", "帆": "fan2", "儲": "chu2",
    "檔": "dang3", "夾": "jia2", "跌": "die2", "穴": "xue4", "誼": "yi2", "悄": "qiao3",
    "殼": "ke2", "綜": "zong4", "息": "xi2", "血": "xie3", "誰": "shei2", "曝": "pu4",
    "質": "zhi2", "隻": "zhi1", "麼": "me5", "俱": "ju4", "諷": "feng4", "偽": "wei4",
    "框": "kuang1", "淑": "shu2", "脊": "ji2", "寂": "ji2", "剝": "bo1", "角": "jiao3",
    "鬆": "song1", "發": "fa1", "乾": "gan1", "捲": "juan3", "鬥": "dou4", "髒": "zang1",
    "臟": "zang4", "儘": "jin3", "盡": "jin4", "捨": "she3", "幹": "gan4", "衝": "chong1",
    "葉": "ye4", "適": "shi4", "廠": "chang3", "們": "men5", "裡": "li3", "還": "hai2",
    "嗯": "en1",
}  # fmt: skip
"""Character as written → its reading in Taiwan (Ministry of Education, 1999), where a Mainland
phrase table says otherwise or the Simplified form is two characters in one."""

_TAIWAN_PHRASES = {
    "垃圾": "le4 se4", "人質": "ren2 zhi4", "質押": "zhi2 ya1", "乾坤": "qian2 kun1",
    "乾隆": "qian2 long2", "薄荷": "bo4 he2", "角力": "jue2 li4", "還原": "huan2 yuan2",
    "還給": "huan2 gei3", "還債": "huan2 zhai4", "還錢": "huan2 qian2", "歸還": "gui1 huan2",
    "償還": "chang2 huan2", "癌症": "ai2 zheng4", "質量": "zhi2 liang4",
    "企鵝": "qi4 e2", "尷尬": "gan1 ga4", "曝光": "pu4 guang1",
    "骰子": "tou2 zi5", "攜帶": "xi1 dai4", "說服": "shuo1 fu2", "地板": "di4 ban3",
    "頭髮": "tou2 fa3", "銀行": "yin2 hang2", "行動": "xing2 dong4", "長大": "zhang3 da4",
    "長出": "zhang3 chu1", "長成": "zhang3 cheng2", "成長": "cheng2 zhang3", "一行": "yi4 hang2",
    "音樂": "yin1 yue4", "快樂": "kuai4 le4", "重複": "chong2 fu4", "重新": "chong2 xin1",
    "只要": "zhi3 yao4", "為了": "wei4 le5", "因為": "yin1 wei4", "好奇": "hao4 qi2",
    "目的地": "mu4 di4 di4", "分辨率": "fen1 bian4 lv4", "得到": "de2 dao4", "獲得": "huo4 de2",
    "值得": "zhi2 de5", "覺得": "jue2 de5", "記得": "ji4 de5", "懂得": "dong3 de5",
    "便宜": "pian2 yi2", "方便": "fang1 bian4", "大夫": "dai4 fu5", "處理": "chu3 li3",
    "教學": "jiao4 xue2", "教室": "jiao4 shi4", "轉換": "zhuan3 huan4", "載入": "zai4 ru4",
    "下載": "xia4 zai4", "負載": "fu4 zai4", "調整": "tiao2 zheng3", "資料夾": "zi1 liao4 jia2",
}  # fmt: skip
"""Phrase as written → its reading in Taiwan, stronger than the characters' own."""


_MUST = frozenset("非總必還就也都只可又")
_GAIN = frozenset(("得到", "得知", "得獎", "得分", "得以", "得意", "得失", "得獲", "得主", "得票"))
_GROWN = frozenset("大出成得在滿高老官輩者相")
_HEADS = frozenset("局隊班組課處司會家社船店團縣鄉鎮村里所首酋")
_R_COLOURED = frozenset("這那哪點玩花事味勁塊這")
_BEFORE_LEVEL_ONE = frozenset("第之唯统单专逐初周期拜合归划纯〇点零二三四五六七八九十百千万亿")
_AFTER_LEVEL_ONE = frozenset("月号楼级班二三四五六七八九零")


@dataclass
class _Syllable:
    """One character on its way from text to sound."""

    written: str
    plain: str  # Simplified
    span: tuple[int, int]
    counted: bool  # part of a number
    pinyin: str = ""
    word: int = 0

    @property
    def tone(self) -> str:
        return self.pinyin[-1:]

    @tone.setter
    def tone(self, tone: str) -> None:
        self.pinyin = self.pinyin[:-1] + tone


_Run = list[tuple[tuple[int, int], str, bool]]


def read(text: str) -> Reading:
    """Return how Taiwan Mandarin text is read, Latin words in it by the English rules.

    Args:
        text: Any text; scripts other than Han and Latin, signs and emoji are silent.
    """
    plain = _english.folded(text)
    reading = Reading()
    run: _Run = []
    at = 0
    for match in _TOKEN.finditer(plain):
        gap = plain[at : match.start()]
        latin = match["latin"] is not None
        figures = bool(gap and run and run[-1][2] and match[0][0].isdigit())
        if run and (latin or figures or gap.strip() or "\n" in gap):
            _say_run(reading, run)
            run = []
        if not run and at:
            _rest(reading, gap)
        if latin:
            _say_latin(reading, text, match.span())
        else:
            run.append((match.span(), *_said(match)))
        at = match.end()
    _say_run(reading, run)
    _rest(reading, plain[at:].strip())
    return reading


def read_within_english(text: str) -> Reading:
    """Return how English text is read by a voice that can say the Han characters in it, too."""
    plain = _english.folded(text)
    reading = Reading()
    for part in re.finditer(rf"[{_HAN}]+|[^{_HAN}]+", plain):
        start, end = part.span()
        if re.match(rf"[{_HAN}]", part[0]):
            reading.space()
            _say_run(reading, [((i, i + 1), text[i], False) for i in range(start, end)])
            continue
        if lead := re.match(r"\W+", part[0]):
            _rest(reading, lead[0])
        _say_latin(reading, text, (start, end))
    return reading


def _said(match: re.Match[str]) -> tuple[str, bool]:
    """Return the characters to say for a token, and whether they are a number."""
    if match["han"]:
        return match[0], False
    if match["sign"]:
        return _SIGNS.get(match[0], "到"), False
    return (digits(match[0]) if match["digits"] else say(match)), True


def _rest(reading: Reading, gap: str) -> None:
    for symbol in _english.rests(gap):
        if symbol == " ":
            reading.space()
        else:
            reading.pause(symbol)


def _say_latin(reading: Reading, text: str, span: tuple[int, int]) -> None:
    part = _english.read(text[slice(*span)])
    part.spans = [(a + span[0], b + span[0]) for a, b in part.spans]
    reading.space()
    reading.extend(part)
    reading.space()


def _say_run(reading: Reading, run: _Run) -> None:
    syllables = [_Syllable(c, "", span, counted) for span, said, counted in run for c in said]
    if not syllables:
        return
    _find_words(syllables)
    _find_readings(syllables)
    _change_tones(syllables)
    for i, s in enumerate(syllables):
        if i and s.word != syllables[i - 1].word:
            reading.space()
        reading.word(s.span, symbols(s.pinyin))


def _find_words(syllables: Sequence[_Syllable]) -> None:
    """Number the words: what BudouX keeps together."""
    at = 0
    for number, part in enumerate(_splitter().parse("".join(s.written for s in syllables))):
        for s in syllables[at : at + len(part)]:
            s.word = number
        at += len(part)


def _find_readings(syllables: Sequence[_Syllable]) -> None:
    written = "".join(s.written for s in syllables)
    plain = simplified(written)
    for s, c, pinyin in zip(syllables, plain, _phrase_readings(plain), strict=True):
        s.plain, s.pinyin = c, pinyin
    alone = _single_words(plain)
    for i, s in enumerate(syllables):
        if s.written in _TAIWAN_CHARACTERS:
            s.pinyin = _TAIWAN_CHARACTERS[s.written]
        if i in alone:
            s.pinyin = _by_company(written, i) or s.pinyin
    for found in _phrases().finditer(written):
        for s, pinyin in zip(
            syllables[slice(*found.span())], _TAIWAN_PHRASES[found[0]].split(), strict=True
        ):
            s.pinyin = pinyin


def _by_company(text: str, i: int) -> str | None:
    """Return the reading of a common character that only its neighbours decide."""
    c, before, after = text[i], text[i - 1 : i], text[i + 1 : i + 2]
    if c == "得":
        if before in _MUST or after in ("要", "去", "先", "再"):
            return "dei3"
        return "de5" if before and text[i : i + 2] not in _GAIN else None
    if c == "地":
        return "de5" if i > 1 and (text[i - 2] == before or before in "然速聲") else None
    if c == "長":
        grown = after in _GROWN or before in (
            "成",
            "生",
            "增",
            "助",
            "滋",
            "會",
            "校",
            "部",
            "市",
            "院",
        )
        return "zhang3" if grown or before in _HEADS else "chang2"
    if c in "兒儿" and before in _R_COLOURED and after not in ("子", "童", "女", "科"):
        return "er5"
    return None


def _change_tones(syllables: Sequence[_Syllable]) -> None:
    """Apply the tone changes of 一, 不 and the third tone."""
    for i, s in enumerate(syllables):
        before = syllables[i - 1] if i else None
        after = syllables[i + 1] if i + 1 < len(syllables) else None
        if s.plain == "一":
            s.pinyin = "yi" + _tone_of_one(s, before, after)
        elif s.plain == "不":
            doubled = before and after and before.plain == after.plain
            s.pinyin = "bu" + ("5" if doubled else "2" if after and after.tone == "4" else "4")
    for group in _breath_groups(syllables):
        for s, after in pairwise(group):
            if s.tone == after.tone == "3":
                s.tone = "2"


def _tone_of_one(one: _Syllable, before: _Syllable | None, after: _Syllable | None) -> str:
    if after is None or after.plain in _AFTER_LEVEL_ONE:
        return "1"
    if after.plain == "日" and (one.counted or (before and before.plain == "月")):
        return "1"
    if before and before.plain == after.plain and not one.counted:
        return "5"
    if before and before.plain in _BEFORE_LEVEL_ONE:
        return "1"
    if one.counted and after.counted and after.plain not in "百千万亿兆":
        return "1"
    return "2" if after.tone in ("4", "5") else "4"


def _breath_groups(syllables: Sequence[_Syllable]) -> list[list[_Syllable]]:
    """Return the words, those of one syllable joined to the next (the last to the one before)."""
    words = [list(group) for _, group in groupby(syllables, key=lambda s: s.word)]
    groups: list[list[_Syllable]] = []
    waiting: list[_Syllable] = []
    for word in words:
        if len(word) == 1:
            waiting += word
        else:
            groups.append(waiting + word)
            waiting = []
    if len(waiting) == 1 and groups:
        groups[-1] += waiting
    elif waiting:
        groups.append(waiting)
    return groups


@cache
def symbols(pinyin: str) -> str:
    """Return the symbols of a syllable such as `zhong1`; nothing for what is none."""
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    base, tone = pinyin[:-1], pinyin[-1:]
    if tone not in _TONES:
        return ""
    initial, final = to_initials(base, strict=True), to_finals(base, strict=True, v_to_u=False)
    if initial not in _INITIALS or final not in _FINALS:
        return ""
    sound = _FINALS[final]
    if final == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        sound = "ɨ0"
    elif final == "o" and not initial:
        sound = "ɔ0"
    return _INITIALS[initial] + sound.replace("0", _TONES[tone])


def simplified(text: str) -> str:
    """Return `text` in Simplified characters, one for one."""
    converter = _converter()
    out = str(converter.convert(text))
    if len(out) == len(text):
        return out
    return "".join(c if len(s := str(converter.convert(c))) != 1 else s for c in text)


def _phrase_readings(plain: str) -> list[str]:
    """Return the pinyin of each character with its tone as a digit, by pypinyin's phrases."""
    from pypinyin import Style, lazy_pinyin

    def look_up(text: str) -> list[str]:
        return list(
            lazy_pinyin(
                text,
                style=Style.TONE3,
                neutral_tone_with_five=True,
                errors=lambda _unknown: "",
            )
        )

    found = look_up(plain)
    return found if len(found) == len(plain) else [(look_up(c) or [""])[0] for c in plain]


def _single_words(plain: str) -> set[int]:
    """Return the places of the characters that are in no phrase of pypinyin's."""
    from pypinyin.seg.mmseg import seg

    at, alone = 0, set()
    for word in seg.cut(plain):
        if len(word) == 1:
            alone.add(at)
        at += len(word)
    return alone


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("tw2s")


@cache
def _splitter() -> Any:
    from budoux import load_default_traditional_chinese_parser

    return load_default_traditional_chinese_parser()


@cache
def _phrases() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_TAIWAN_PHRASES, key=len, reverse=True)))
