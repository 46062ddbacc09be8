"""English words as a Mandarin voice says them: with the sounds its training had.

The Chinese voices of Kokoro know a vowel by its tone, and slur the American vowels, which have
none: Whisper heard the letters AI as 你還, and YouTube as Yudu. Given the nearest sounds of
Mandarin, stressed vowels in the high tone, as Taiwan's speakers do, it hears both.
"""

from __future__ import annotations

import re

_VOWELS = {
    "A": "ei", "I": "ai", "W": "au", "O": "ou", "Y": "ɔi", "ɜɹ": "ɚ", "əɹ": "ɚ", "ɑ": "a", "æ": "ɛ",
    "ʌ": "a", "ɪ": "i", "ʊ": "u", "ᵊ": "ə", "ᵻ": "i", "ɜ": "ə", "a": "a", "e": "e", "i": "i",
    "o": "o", "u": "u", "ɔ": "ɔ", "ə": "ə", "ɛ": "ɛ", "ɚ": "ɚ", "ɐ": "a",
}  # fmt: skip
"""Vowel of English, in Kokoro's alphabet → the nearest of Mandarin."""
_CONSONANTS = {
    "b": "p", "d": "t", "ɡ": "k", "ʧ": "ʨʰ", "ʤ": "ʨ", "ʃ": "ɕ", "ɹ": "ɻ", "h": "x", "θ": "s",
    "ð": "ʦ", "z": "ʦ", "v": "w", "T": "t", "ʒ": "ɻ",
}  # fmt: skip
_SYMBOL = re.compile(r"[ˈˌ]|ɜɹ|əɹ|.", re.DOTALL)
_HIGH = "→"


def mandarin(phonemes: str) -> str:
    """Return the phonemes of an English word in sounds of Mandarin, stressed vowels high."""
    found = _SYMBOL.findall(phonemes)
    out: list[str] = []
    stressed = False
    for i, symbol in enumerate(found):
        if symbol in "ˈˌ":
            stressed = True
        elif symbol in _VOWELS:
            last = symbol == "ə" and i + 1 == len(found)
            out.append(("a" if last else _VOWELS[symbol]) + (_HIGH if stressed else ""))
            stressed = False
        elif symbol in "ptk":
            breathed = _before_vowel(found[i + 1 :]) and out[-1:] != ["s"]
            out.append(symbol + "ʰ" if breathed else symbol)
        else:
            out.append(_CONSONANTS.get(symbol, symbol))
    return "".join(out)


def _before_vowel(rest: list[str]) -> bool:
    after = next((symbol for symbol in rest if symbol not in "ˈˌ"), "")
    return bool(after) and (after in _VOWELS or after in "jwɹl")
