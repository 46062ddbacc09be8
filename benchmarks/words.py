"""What a recogniser hears in our voices' sentences, against what they were given to say.

Each sentence is spoken by the voice, and Whisper base (the extra `asr`) writes down what it hears:
language given, beam of 5, temperature 0, nothing carried over from before, 0.3 s of silence at both
ends, no prompt. The figure is the edits (wrong, missing, added) of all sentences over the units of
all sentences: characters in Mandarin and Japanese, words in English. Both sides are written alike
before they are compared:

- Numbers, dates, units, prices and signs become the words they are said with, by the rules of our
  readers: `25元` is 二十五元, `$35 million` is thirty five million dollars. So what is tested is
  whether they are *heard* as they were meant; tests/ test how they are meant.
- Punctuation and spaces go, case too. English: hyphens part words, letters of one acronym are one
  word, `OK` is okay.
- Mandarin: one script (OpenCC, Traditional to Simplified), so that 裡 and 里 are no error.
- Japanese: digits become kanji.

A recogniser also chooses how to write what it heard, for which a voice is not to blame. So Mandarin
and Japanese have figures of the sounds, too, for information: pinyin without and with tones, and
kana by the reader pyopenjtalk. はし for 橋 is wrong in characters and right in kana. Japanese has a
column `normalised`, too: the characters once more, after words that do not inflect got the spelling
that the dictionary of Sudachi holds for the usual one (ホタル is 蛍, 昔昔 is 昔々, きょう is 今日), and
Latin words the kana they are said with. Another word stays another word: 髪 for 紙 is wrong, and so
is はし for 橋, of which kana don't tell which word it is. The limit is held against characters.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import unicodedata
import wave
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _job import print_rows
from _sentences import SENTENCES

from app import providers
from app.models import Language
from app.providers import (
    SpeechRequest,
    _chinese_numbers,
    _english,
    _katakana,
    _mandarin,
    _recogniser,
    _sound,
)
from app.providers._voice import RATE, Samples

VOICES: tuple[tuple[str, Language], ...] = (
    ("kokoro", "zh-TW"),
    ("kokoro", "ja"),
    ("openjtalk", "ja"),
    ("kokoro", "en"),
    ("hibari", "en"),
)
LIMITS: dict[Language, float] = {"zh-TW": 0.05, "ja": 0.05, "en": 0.05}
_CODES: dict[Language, str] = {"zh-TW": "zh", "ja": "ja", "en": "en"}
_RATE = 16_000
_SILENCE = 0.3

Units = list[str]


class Heard(NamedTuple):
    """What was said (as written) and what the recogniser wrote."""

    said: str
    heard: str


def main(argv: Sequence[str]) -> int:
    """Print the share of wrong words of every voice, and each sentence that was heard otherwise."""
    parser = argparse.ArgumentParser(prog="reelchain bench words", description=__doc__)
    parser.add_argument("--language", choices=list(SENTENCES), help="one language")
    parser.add_argument("--voice", help="one voice")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    if not _recogniser.installed():
        print("extras/asr.txt is not installed: nothing can be recognised", file=sys.stderr)
        return 2
    rows = [
        _row(provider, voice, language)
        for provider, voice, language in _offered()
        if given.language in (None, language) and given.voice in (None, voice)
    ]
    if not rows:
        print("no voice of this machine speaks that", file=sys.stderr)
        return 2
    print_rows("words", rows, as_json=given.json)
    return int(any(row["kept"] == "NO" for row in rows))


def _offered() -> list[tuple[str, str, Language]]:
    """Return provider, voice and language of every voice of this machine."""
    found = []
    for provider, language in VOICES:
        if provider in providers.TABLE["speech"]:
            voices = providers.speech(provider).voices()
            found += [(provider, v.name, language) for v in voices if v.language == language]
    return found


def _row(provider: str, voice: str, language: Language) -> dict[str, object]:
    pairs = []
    for text in SENTENCES[language]:
        sound = spoken(provider, voice, language, text)
        pairs.append(Heard(text, recognised(sound, language)))
    wrong = share(pairs, language, units)
    for pair in pairs:
        if units(pair.said, language) != units(pair.heard, language):
            print(f"  {voice}: {pair.said}\n  {' ' * len(voice)}→ {pair.heard}", file=sys.stderr)
    one = share(pairs, language, NORMALISED[language]) if language in NORMALISED else None
    sounds = {name: share(pairs, language, by) for name, by in SOUNDS[language].items()}
    return {
        "voice": f"{provider} {voice}",
        "language": language,
        "sentences": len(pairs),
        "units": sum(len(units(p.said, language)) for p in pairs),
        "wrong": f"{wrong:.1%}",
        "normalised": "" if one is None else f"{one:.1%}",
        "by sound": ", ".join(f"{name} {value:.1%}" for name, value in sounds.items()),
        "limit": f"{LIMITS[language]:.0%}",
        "kept": "yes" if wrong <= LIMITS[language] else "NO",
    }


def spoken(provider: str, voice: str, language: Language, text: str) -> Samples:
    """Return a sentence in a voice, 24 kHz."""
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as folder:
        target = Path(folder) / "a.wav"
        request = SpeechRequest(text=text, language=language, voice=voice)
        providers.speech(provider).speak(request, target)
        with wave.open(str(target)) as file:
            rate, raw = (
                file.getframerate(),
                np.frombuffer(file.readframes(file.getnframes()), "<i2"),
            )
    sound = raw.astype(np.float32) / 32768
    return sound if rate == RATE else _sound.resampled(sound, rate, RATE)


def recognised(sound: Samples, language: Language) -> str:
    """Return what Whisper base hears."""
    padded = np.pad(sound, round(_SILENCE * RATE))
    segments, _ = _recogniser.opened().transcribe(
        _sound.resampled(padded, RATE, _RATE),
        language=_CODES[language],
        beam_size=5,
        temperature=0.0,
        condition_on_previous_text=False,
    )
    return "".join(segment.text for segment in segments).strip()


def share(
    pairs: Sequence[Heard], language: Language, by: Callable[[str, Language], Units]
) -> float:
    """Return the edits over the units of all sentences."""
    wrong = sum(edits(by(p.said, language), by(p.heard, language)) for p in pairs)
    return wrong / sum(len(by(p.said, language)) for p in pairs)


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest changes, losses and additions that make one of the other (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def units(text: str, language: Language) -> Units:
    """Return the words (English) or characters of a text, written the one way described above."""
    if language == "en":
        return _english_words(text)
    if language == "zh-TW":
        return list(_mandarin.simplified(_in_chinese_words(text)).casefold())
    return list(_in_kanji_digits(text).casefold())


def _letters(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] in "LNM")


def _english_words(text: str) -> Units:
    text = re.sub(r"(\d{1,2})\.(\d{2})(?= ?[ap]\.?m\b)", r"\1:\2", text)  # how it writes a time
    words = _english.said(text).casefold().replace("’", "'").replace("%", " percent ")
    words = re.sub(r"(?<=\d),(?=\d{3})", "", words)
    words = re.sub(r"\d+(?:\.\d+)?(?:st|nd|rd|th)?", lambda m: f" {_number(m[0])} ", words)
    words = re.sub(r"(?<=\b[a-z])[. ](?=[b-z]\b)", "", words)  # letters of an acronym
    words = re.sub(r"[^\w']+", " ", words)
    return ["okay" if word == "ok" else word for word in words.split()]


def _number(text: str) -> str:
    from hibari.g2p import numbers

    if not text[-1].isdigit():
        said = numbers.ordinal(int(text[:-2]))
    elif "." in text:
        said = numbers.decimal(text)
    elif len(text) == 4 and text[:2] in ("18", "19", "20"):
        said = numbers.year(int(text))
    else:
        said = numbers.cardinal(int(text))
    return re.sub(r"[-,]| and ", " ", str(said))


def _in_chinese_words(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"(\d{1,2})\.(\d{2})分", r"\1:\2", text)  # the recogniser's way to write a time
    return _letters(_mandarin.said(text))


def _in_kanji_digits(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).replace("%", "パーセント")
    text = re.sub(r"(?<=\d)\.(?=\d)", "点", text)
    text = re.sub(r"\d+", lambda m: _chinese_numbers.cardinal(int(m[0])).replace("兩", "二"), text)
    return _letters(text)


def _pinyin(text: str, _language: Language) -> Units:
    return [syllable.rstrip("12345") for syllable in _pinyin_with_tones(text, _language)]


def _pinyin_with_tones(text: str, language: Language) -> Units:
    from pypinyin import Style, lazy_pinyin

    plain = "".join(units(text, language))
    return list(lazy_pinyin(plain, style=Style.TONE3, neutral_tone_with_five=True))


def _kana(text: str, _language: Language) -> Units:
    return list(_letters(_kana_of(_in_kana(unicodedata.normalize("NFKC", text)))))


def _in_kana(text: str) -> str:
    """Return a text with its Latin words in the kana that our voices say them with."""
    return re.sub("[A-Za-z]+", lambda m: _katakana.said(m[0]) or m[0], text)


def _normalised(text: str, language: Language) -> Units:
    plain = "".join(units(_in_kana(text), language))
    words = _sudachi().tokenize(plain)
    return list("".join(w.surface() if _inflects(w) else w.normalized_form() for w in words))


def _inflects(word: Any) -> bool:
    """Tell whether a word has endings, which its normalised form would take from it."""
    return word.part_of_speech()[4] != "*"


@cache
def _sudachi() -> Any:
    from sudachipy import Dictionary

    return Dictionary(dict="core").tokenizer()


@cache
def _kana_of(text: str) -> str:
    try:
        import pyopenjtalk
    except ImportError:
        return text
    reading: Any = pyopenjtalk.g2p(text, kana=True)
    return str(reading)


SOUNDS: dict[Language, dict[str, Callable[[str, Language], Units]]] = {
    "zh-TW": {"pinyin": _pinyin, "with tones": _pinyin_with_tones},
    "ja": {"kana": _kana},
    "en": {},
}
"""Ways to compare by sound, not by writing."""
NORMALISED: dict[Language, Callable[[str, Language], Units]] = {"ja": _normalised}
"""Ways to compare by one spelling of each word."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
