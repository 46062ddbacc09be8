"""English text → phonemes for Kokoro and hibari, each symbol with its word in the text as written.

hibari's grapheme-to-phoneme converter rewrites numbers, units, dates and abbreviations and so
loses where a word stood. Here the text is first cut into written words, each is given its spoken
form with its neighbours in view (`_english_forms`), and the converter's tokens are mapped back by their place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from app.providers import _english_forms
from app.providers._voice import PAUSES, SILENCE, Reading

LONGEST_WORD = _english_forms.LONGEST_WORD

PAUSE_OF = {
    **{c: c for c in ".,!?;:…"},
    **dict.fromkeys("—–―─⸺", "—"),
    **dict.fromkeys("(（", "("),
    **dict.fromkeys(")）", ")"),
    **dict.fromkeys("，、､､", ","),
    **dict.fromkeys("。．｡", "."),
    "！": "!",
    "？": "?",
    "；": ";",
    "：": ":",
    "⋯": "…",
    "‥": "…",
    "\n": ".",
}
"""Written mark → the symbol the voice reads."""

_PHONEMES: dict[str, str] = {
    "redis": "ɹˈɛdᵻs",
    "valkey": "vˈælkˌi",
    "youtube": "jˈutˌub",
    "youtuber": "jˈutˌubəɹ",
    "taipei": "tˌIpˈA",
    "kaohsiung": "ɡˌWʃjˈʊŋ",
    "taichung": "tˌIʤˈʊŋ",
    "tainan": "tˌInˈɑn",
    "hsinchu": "ʃˌɪnʤˈu",
    "linux": "lˈɪnəks",
    "kubernetes": "kˌubəɹnˈɛTiz",
    "nginx": "ˈɛnʤən ˈɛks",
    "readme": "ɹˈidmˌi",
    "tis": "tˈɪz",
    "chanel": "ʃənˈɛl",
}
"""Names the converter's dictionary lacks and its network misreads."""

_PIECES = re.compile(r"[^;:,.!?—…\"()“”]+|[;:,.!?—…\"()“”]")


@cache
def _converter() -> Any:
    from hibari.g2p import G2P

    return G2P()


def folded(text: str) -> str:
    """Return `text` with full-width signs made plain and digits Western, code point for code point."""
    return "".join(_fold(c) for c in text)


def _fold(c: str) -> str:
    if c.isascii():
        return c
    if (digit := unicodedata.decimal(c, None)) is not None:
        return str(digit)
    if "₀" <= c <= "₉":
        return chr(ord(c) - ord("₀") + ord("0"))
    if unicodedata.decomposition(c).startswith(("<wide>", "<narrow>")) and c not in PAUSE_OF:
        return unicodedata.normalize("NFKC", c)
    return c


def rests(gap: str) -> str:
    """Return the rests of what stands between two words, with a space if there is any room."""
    out = []
    for before, c, after in zip("x" + gap, gap, gap[1:] + "x", strict=False):
        if c == "-" and before.isspace() and after.isspace():
            out.append("—")
        elif c == "–" and not (before.isspace() or after.isspace()):
            out.append(" ")  # 10–20, Paris–Dakar
        elif c in "(（":
            out.append(" (")
        elif c in PAUSE_OF and c != "\n":
            out.append(PAUSE_OF[c])
        elif c.isspace():
            out.append(" ")
    if "\n" in gap and not PAUSES & set(out):
        out.insert(0, ".")
    line = re.sub(" +", " ", "".join(out))
    return line if line.endswith(("(", " ")) else line + " "


def read(text: str) -> Reading:
    """Return how English text is read.

    Args:
        text: Any text; other scripts, signs and emoji in it are passed over in silence.
    """
    plain = folded(text)
    found = _english_forms.cut(plain)
    line: list[str] = []
    owners: list[int] = []
    at = 0
    for i, (match, said) in enumerate(zip(found, _english_forms.forms(plain, found), strict=True)):
        gap = rests(plain[at : match.start()]) if i else ""
        if gap == " — " and said.startswith(("to ", "minus ")):
            gap = " "  # 3 – 5 doors: the dash is said
        line += [gap, said]
        owners += [SILENCE] * len(gap) + [i] * len(said)
        at = match.end()
    tail = rests(plain[at:]).rstrip() if found else ""
    reading = Reading()
    for phonemes, owner in _spoken("".join([*line, tail]), owners + [SILENCE] * len(tail)):
        if owner != SILENCE:
            reading.word(found[owner].span(), phonemes)
        elif phonemes == " ":
            reading.space()
        else:
            reading.pause(phonemes)
    return reading


def said(text: str) -> str:
    """Return English text as it is read aloud, in letters: `$5` is 5 dollars, then five dollars."""
    plain = folded(text)
    found = _english_forms.cut(plain)
    return " ".join(_english_forms.normalised(word) for word in _english_forms.forms(plain, found))


def _spoken(line: str, owners: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield phonemes and rests in order, each with the owner of the letters they stand for."""
    if not line:
        return
    converter = _converter()
    tokens = converter.tokenize(line)
    for token in tokens:
        token.phonemes = _PHONEMES.get(token.text.lower(), token.phonemes)
    at = 0
    for token in converter.phonemize_tokens(tokens):
        place = line.find(token.text, at)
        if place >= 0:
            at = place
        owner = next((o for o in owners[at : at + len(token.text)] if o != SILENCE), SILENCE)
        at += len(token.text) if place >= 0 else 0
        for piece in _PIECES.findall(token.phonemes or _alone(converter, token.text)):
            yield piece, SILENCE if piece in PAUSES else owner
        if token.whitespace:
            yield " ", SILENCE


def known(word: str) -> bool:
    """Tell whether the converter's dictionary has a word, given in lower case."""
    lexicon = _converter().lexicon
    return any(
        w in table for w in (word, word.capitalize()) for table in (lexicon.golds, lexicon.silvers)
    )


def _alone(converter: Any, word: str) -> str:
    """Return how a word is read that the converter passes over among its neighbours (+ -90)."""
    if not any(c.isalnum() for c in word):
        return ""
    tokens = converter.phonemize_tokens(converter.tokenize(word))
    return " ".join(token.phonemes for token in tokens if token.phonemes)
