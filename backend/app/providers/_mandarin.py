"""Mandarin of Taiwan → phonemes for Kokoro, each symbol with its word in the text as written.

A word is one character, or a whole number or Latin token. The way: numbers become characters
(`_chinese_numbers`), Traditional becomes Simplified one to one (pypinyin's phrases are
Simplified), words are told apart (`language.chinese_words`), readings are taken from phrases and then from
our tables (`_taiwan`), tones change in company, and pinyin becomes the alphabet Kokoro's Chinese
voices learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise, zip_longest
from typing import NamedTuple

from app.language import chinese_words
from app.language.chinese_words import simplified
from app.providers import _accent, _english, _taiwan
from app.providers._chinese_numbers import NUMBER, digits, in_figures, say
from app.providers._voice import SILENCE, Reading

_VARIANTS = str.maketrans("𠮷﨑髙", "吉崎高")
"""Forms of names that the tables of readings lack → those they have, each one code point."""
_HAN = "㐀-䶿一-鿿〇\U00020000-\U0003ffff"
_L = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ"
_TOKEN = re.compile(
    rf"""
    (?P<name>(?<![0-9])(?:7-(?:11|ELEVEN|Eleven)(?![0-9])|24/7|No\.\ ?[0-9]{{1,6}}))
    |{NUMBER}
    |(?P<counted>[0-9]{{1,6}}(?:\.[0-9]{{1,3}})?(?=(?:[KMGT]B?|[KMG]bps|fps|mAh|[AVpCDF])(?![{_L}0-9])))
    |(?P<model>(?<![{_L}0-9])[vV](?=[0-9]{{1,3}}(?:\.[0-9]{{1,4}}){{1,3}}(?![0-9{_L}.-]))|(?<![{_L}0-9])(?!CO2)[A-Z]{{1,3}}(?=-?[0-9]{{1,3}}(?:\.[0-9]{{1,2}})?(?![0-9{_L}.-])))
    |(?P<latin>(?:https?://|[0-9]{{1,6}}(?=[{_L}]))?[{_L}][{_L}0-9\u0300-\u036f]*
        (?:(?:['’.&/@+_:-]|://)[{_L}0-9]+|\ +(?=[{_L}])[{_L}0-9\u0300-\u036f]+)*(?:\+\+|\#)?)
    |(?P<digits>[0-9]{{1,12}})
    |(?P<sign>[%&+=×÷①-⑩]|(?<=[0-9%元度])[~～–-](?=[0-9$])|(?<=[{_HAN}])[~～](?=[0-9$])|(?<=[0-9%]\ )[~～–](?=\ [0-9]))
    |(?P<han>[{_HAN}])
    """,
    re.VERBOSE,
)
_UNKNOWN = "〓"
"""Stands for a character that only its sound is known of."""
_FIGURES = re.compile(
    "零?[一二三四五六七八九]?十[一二三四五六七八九]?[万亿点]?|零?[一二两三四五六七八九][百千][万亿]?"
    "|[零一二两三四五六七八九]点(?:[零一二三四五六七八九]{1,2}(?![十百]))?|[零一二三四五六七八九]{2,4}|."
)
"""What of a number is a word: 三千 九百 五十二, 二零二六."""
_FIGURE = re.compile("[零〇一二两三四五六七八九十百千万亿点]{2,}")
_SIGNS = {"%": "百分比", "&": "和", "+": "加", "=": "等於", "×": "乘", "÷": "除以"}
_SIGNS |= zip("①②③④⑤⑥⑦⑧⑨⑩", "一二三四五六七八九十", strict=True)

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

_BEFORE_LEVEL_ONE = frozenset("第之唯统单专逐初周期拜合归划纯〇点零二三四五六七八九十百千万亿")
_AFTER_LEVEL_ONE = frozenset("月号楼级班一二三四五六七八九零")


@dataclass
class _Syllable:
    """One character on its way from text to sound."""

    written: str
    plain: str  # Simplified
    span: tuple[int, int]
    counted: bool  # part of a number
    fixed: str = ""  # pinyin that was asked for
    pinyin: str = ""
    word: int = 0

    @property
    def tone(self) -> str:
        return self.pinyin[-1:]

    @tone.setter
    def tone(self, tone: str) -> None:
        self.pinyin = self.pinyin[:-1] + tone


class _Part(NamedTuple):
    """A token on its way: the characters said for it, or the pinyin that was asked for."""

    span: tuple[int, int]
    said: str
    counted: bool = False
    pinyin: tuple[str, ...] = ()


_Run = list[_Part]


def read(text: str, readings: Mapping[tuple[int, int], str] | None = None) -> Reading:
    """Return how Taiwan Mandarin text is read, Latin words in it by the English rules.

    Args:
        text: Any text; scripts other than Han and Latin, signs and emoji are silent.
        readings: Span → pinyin with tone numbers that it is read with, in any case.
    """
    plain = _english.folded(text).translate(_VARIANTS)
    reading = Reading()
    run: _Run = []
    at = 0
    for match, part in _parts(plain, readings or {}):
        gap = plain[at : part.span[0]]
        latin = match is not None and _is_latin(match)
        figures = bool(gap and run and run[-1].counted and part.counted)
        if run and (latin or figures or gap.strip() or "\n" in gap):
            _say_run(reading, run)
            run = []
        if not run and at:
            _rest(reading, gap)
        if latin:
            _say_latin(reading, text, part.span)
        else:
            run.append(part)
        at = part.span[1]
    _say_run(reading, run)
    _rest(reading, plain[at:].strip())
    return reading


def _parts(
    plain: str, readings: Mapping[tuple[int, int], str]
) -> Iterator[tuple[re.Match[str] | None, _Part]]:
    """Yield the tokens of a text in order, those with a reading of their own first."""
    at = 0
    for (start, end), pinyin in sorted(readings.items()):
        yield from ((m, _part(m)) for m in _TOKEN.finditer(plain, at, start))
        said, at = pinyin.split(), end
        if len(said) == end - start:
            for i, syllable in enumerate(said, start):
                yield None, _Part((i, i + 1), plain[i], pinyin=(syllable,))
        else:
            yield None, _Part((start, end), _UNKNOWN * len(said), pinyin=tuple(said))
    yield from ((m, _part(m)) for m in _TOKEN.finditer(plain, at))


def said(text: str) -> str:
    """Return a text with its numbers, units and signs in characters, as they are said."""
    plain = _english.folded(text).translate(_VARIANTS)
    return _TOKEN.sub(lambda m: m[0] if _is_latin(m) else _part(m).said, plain)


def read_within_english(text: str) -> Reading:
    """Return how English text is read by a voice that can say the Han characters in it, too."""
    plain = _english.folded(text).translate(_VARIANTS)
    reading = Reading()
    for part in re.finditer(rf"[{_HAN}]+|[^{_HAN}]+", plain):
        start, end = part.span()
        if re.match(rf"[{_HAN}]", part[0]):
            reading.space()
            _say_run(reading, [_Part((i, i + 1), text[i]) for i in range(start, end)])
            continue
        if lead := re.match(r"\W+", part[0]):
            _rest(reading, lead[0])
        _say_latin(reading, text, (start, end), accent=False)
    return reading


def _is_latin(match: re.Match[str]) -> bool:
    return any(match[kind] is not None for kind in ("latin", "name", "model"))


def _part(match: re.Match[str]) -> _Part:
    """Return what is said for a token."""
    if match["han"] or _is_latin(match):
        return _Part(match.span(), match[0])
    if match["sign"]:
        return _Part(match.span(), _SIGNS.get(match[0], "到"))
    if match["counted"]:
        return _Part(match.span(), in_figures(match[0]), counted=True)
    return _Part(match.span(), digits(match[0]) if match["digits"] else say(match), counted=True)


def _rest(reading: Reading, gap: str) -> None:
    for symbol in _english.rests(gap):
        if symbol == " ":
            reading.space()
        else:
            reading.pause(symbol)


def _say_latin(reading: Reading, text: str, span: tuple[int, int], *, accent: bool = True) -> None:
    """Add Latin words, in the accent of a Mandarin voice or of an English one."""
    part = _english.read(text[slice(*span)])
    part.spans = [(a + span[0], b + span[0]) for a, b in part.spans]
    reading.space()
    reading.extend(_with_accent(part) if accent else part)
    reading.space()


def _with_accent(reading: Reading) -> Reading:
    out = Reading()
    for owner, group in groupby(zip(reading.owners, reading.symbols, strict=True), lambda p: p[0]):
        symbols = "".join(symbol for _, symbol in group)
        if owner != SILENCE:
            out.word(reading.spans[owner], _accent.mandarin(symbols))
        elif symbols == " ":
            out.space()
        else:
            out.pause(symbols)
    return out


def _say_run(reading: Reading, run: _Run) -> None:
    syllables = [
        _Syllable(c, "", part.span, part.counted, fixed)
        for part in run
        for c, fixed in zip_longest(part.said, part.pinyin, fillvalue="")
    ]
    if not syllables:
        return
    plain = simplified("".join(s.written for s in syllables))
    for s, c in zip(syllables, plain, strict=True):
        s.plain = c
    _find_words(syllables)
    _find_readings(syllables, plain)
    _change_tones(syllables)
    for i, s in enumerate(syllables):
        if i and s.word != syllables[i - 1].word:
            reading.space()
        reading.word(s.span, symbols(s.pinyin))


def _find_words(syllables: Sequence[_Syllable]) -> None:
    """Number the words: figures by their places, everything else by the list of words."""
    number = at = 0
    plain = "".join(s.plain for s in syllables)
    for word in _words_and_figures(plain):
        for s in syllables[at : at + len(word)]:
            s.word = number
        number, at = number + 1, at + len(word)


def _words_and_figures(plain: str) -> Iterator[str]:
    at = 0
    for figure in _FIGURE.finditer(plain):
        yield from chinese_words.cut(plain[at : figure.start()])
        yield from _FIGURES.findall(figure[0])
        at = figure.end()
    yield from chinese_words.cut(plain[at:])


def _find_readings(syllables: Sequence[_Syllable], plain: str) -> None:
    written = "".join(s.written for s in syllables)
    for s, pinyin in zip(syllables, _phrase_readings(plain), strict=True):
        s.pinyin = pinyin or _phrase_readings(s.written)[0]  # 藷 is known, its simplified form not
    alone = _single_words(plain)
    for i, s in enumerate(syllables):
        if s.written in _taiwan.CHARACTERS:
            s.pinyin = _taiwan.CHARACTERS[s.written]
        if i in alone:
            s.pinyin = _taiwan.by_company(written, i) or s.pinyin
    for start, said in _taiwan.phrases(written):
        for s, pinyin in zip(syllables[start : start + len(said)], said, strict=True):
            s.pinyin = pinyin
    for s in syllables:
        s.pinyin = s.fixed or s.pinyin


def _change_tones(syllables: Sequence[_Syllable]) -> None:
    """Apply the tone changes of 一, 不 and the third tone."""
    for i, s in enumerate(syllables):
        before = syllables[i - 1] if i else None
        after = syllables[i + 1] if i + 1 < len(syllables) else None
        if s.fixed:
            continue
        if s.plain == "一":
            s.pinyin = "yi" + _tone_of_one(s, before, after)
        elif s.plain == "不":
            doubled = before and after and before.plain == after.plain
            s.pinyin = "bu" + ("5" if doubled else "2" if after and after.tone == "4" else "4")
    for group in _breath_groups(syllables):
        for s, after in pairwise(group):
            if s.tone == after.tone == "3" and not s.fixed:
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
