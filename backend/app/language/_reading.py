"""Which language a text is in, and how long it takes to read it aloud."""

from __future__ import annotations

import re
from typing import get_args

from app.errors import InputError
from app.language._spoken import chinese_characters, english_letters
from app.models import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
"""Languages a video can be in, the default first."""

LETTERS_PER_SECOND = 14.5
"""English letters a second. Measured on the default Kokoro voice: 14.0 to 15.1 a sentence, where
words a second range from 3.0 to 4.7: letters tell more than words."""
CHARACTERS_PER_SECOND = 4.85
"""Chinese characters a second. Measured on the default Kokoro voice: 4.6 to 5.1 a sentence."""
MORAE_PER_SECOND = 7.1
"""Japanese morae a second: a kana is one, a small one beside another none. Measured on the default
Kokoro voice: 6.2 to 7.3 a sentence of more than a second."""
KANJI_MORAE = 1.9
"""Morae of a kanji, on the average of running text."""
JAPANESE_DIGIT_SECONDS = 0.3
"""Seconds of a digit in Japanese: two morae and, as a rule, one of its place."""
LEGIBLE_SPEED: dict[Language, float] = {"en": 1.35, "zh-TW": 1.85, "ja": 1.75}
"""Speed of the voice above which captions of usual sentences pass 17 characters a second, or 9 in
Chinese and Japanese. Measured on twenty sentences for English, where 1.3 gives 16.4 at the worst and
1.4 gives 17.6; the share of what the voices say in a second for the others."""
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
    "jp": "ja",
    "japanese": "ja",
    "日本語": "ja",
    "日文": "ja",
}

HAN = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
KANA = "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
BOPOMOFO = "\u3100-\u312f\u31a0-\u31bf"
_HAN_LETTER = re.compile(f"[{HAN}]")
_KANA_LETTER = re.compile(f"[{KANA}]")
_MORA = re.compile(f"(?![ぁぃぅぇぉゃゅょゎァィゥェォャュョヮ])[{KANA}]")
_CJK_LETTER = re.compile(f"[{HAN}{KANA}{BOPOMOFO}]")
_OTHER_LETTER = re.compile(f"[^\\W\\d_{HAN}{KANA}{BOPOMOFO}]")
_PAUSE = re.compile("[。！？；…]+|[.!?]+(?=[\"'”’)]*(?:\\s|$))")
_DIGIT = re.compile(r"\d")
_OTHER = re.compile(f"[^\\W_{HAN}{KANA}{BOPOMOFO}]|[&+=@#×÷½¼¾]")
_KANA_SHARE = 0.15
"""Of the letters of Japanese text, at the least; a の on a Chinese sign is less."""
_HIRAGANA = re.compile("[ぁ-ゖ](?<!の)")
_CHINESE_WORDS = re.compile("[我們你妳她這嗎呢吧很沒喔也都]")
_LOOKED_AT = 4000
"""Characters that tell Chinese and Japanese apart, where neither has kana."""


def normalise(tag: str) -> Language:
    """Return our tag for a language tag or name: `en-US` → `en`, `zh_Hant` → `zh-TW`, `jp` → `ja`.

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
    """Return the language that takes the larger part of the time to read `text` aloud.

    Kana tells Japanese from Chinese; where there is none, kanji that Taiwan does not write do.
    """
    if not _CJK_LETTER.search(text):
        return "en"
    asian: Language = "ja" if _japanese(text) else "zh-TW"
    latin = len(_OTHER_LETTER.findall(text)) / LETTERS_PER_SECOND
    return asian if _asian_seconds(text, asian) > latin else "en"


def _japanese(text: str) -> bool:
    kana, all_letters = len(_KANA_LETTER.findall(text)), len(_CJK_LETTER.findall(text))
    if kana and not _HIRAGANA.search(text) and _CHINESE_WORDS.search(text):
        return False  # names in katakana, and the の of shop signs
    if kana:
        return kana >= _KANA_SHARE * all_letters
    han = "".join(set(_HAN_LETTER.findall(text[:_LOOKED_AT])))
    return _encodes(han, "cp932") and not _encodes(han, "cp950")


def _encodes(text: str, codec: str) -> bool:
    """Tell whether a national character set (Japan's cp932, Taiwan's cp950) has the characters."""
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def speakable(text: str) -> bool:
    """Return True where there is a letter or digit to say."""
    return any(map(str.isalnum, text))


def reading_seconds(text: str, language: Language) -> float:
    """Return how long the default voice needs for `text`, in seconds (within 10 % over a scene).

    The pause after each sentence is counted, too; text without an end counts as one sentence.
    """
    if not speakable(text):
        return 0.0
    pauses = max(1, len(_PAUSE.findall(text))) * PAUSE_SECONDS
    figures, latin = 0.0, text
    if language == "zh-TW":
        said, latin = chinese_characters(text)
        figures = said / CHARACTERS_PER_SECOND
    elif language == "ja":
        figures = len(_DIGIT.findall(text)) * JAPANESE_DIGIT_SECONDS
        latin = _DIGIT.sub("", text)
    letters = 0.0
    if _OTHER.search(latin):
        letters = english_letters(_CJK_LETTER.sub(" ", latin), alone=language == "en")
    return figures + letters / LETTERS_PER_SECOND + _asian_seconds(text, language) + pauses


def _asian_seconds(text: str, language: Language) -> float:
    if language == "ja":
        kanji = len(_HAN_LETTER.findall(text))
        return (len(_MORA.findall(text)) + KANJI_MORAE * kanji) / MORAE_PER_SECOND
    return len(_CJK_LETTER.findall(text)) / CHARACTERS_PER_SECOND
