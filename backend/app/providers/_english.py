"""English text → phonemes for Kokoro and hibari, each symbol with its word in the text as written.

hibari's grapheme-to-phoneme converter rewrites numbers, units, dates and abbreviations and so
loses where a word stood. Here the text is first cut into written words, each is given its spoken
form (with its neighbours in view), and the converter's tokens are mapped back by their place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from app.providers._voice import PAUSES, SILENCE, Reading

_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ\u0300-\u036f"
LONGEST_WORD = 24
"""Letters hibari's network for unknown words can take; a longer run is read piece by piece."""

_LETTERS = rf"[{_LATIN}]"
_ABBREVIATIONS = (
    "Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Gen|Gov|Sen|Rep|Capt|Lt|Col|Sgt|Rev|Hon|Jr|Sr|Ave|Blvd|Rd|Hwy|Apt"
    "|Bldg|Ltd|Inc|Corp|Co|Bros|Dept|Univ|approx|est|vs|vol|Vol|fig|Fig|pp|nos?|Nos?|cf"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun"
)
_MONEY = r"(?:NT|US|HK|TW|[ACS])?[$£€¥₹₩]"
_AMOUNT = r"\d{1,15}(?:,\d{3})*(?:\.\d{1,15})?"
_LINK = r"""
    (?:https?://|www\.)[^\s<>"'\u3000-\u303f\u4e00-\u9fff]+[\w/]
    |[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+
    |[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.(?:com|org|net|io|tw|dev|gov|edu)\b(?:/[\w./-]*\w)?
"""
_ADDRESS = re.compile(_LINK, re.VERBOSE)
_WORD = re.compile(
    rf"""
    (?P<link>{_LINK})
    |(?P<money>{_MONEY}{_AMOUNT}(?:[kKmMbB]\b)?)
    |(?P<dotted>(?<![{_LATIN}\d])(?:(?:[A-Za-z]\.){{2,6}}|(?:{_ABBREVIATIONS})\.))
    |(?P<number>(?:(?<![\w.,)])[-−+±~\#])?\d{{1,15}}(?:(?:[.,:/×–-]|x(?=\d))\d{{1,15}})*
        (?:%|°[CF]?|(?:st|nd|rd|th|s)\b|{_LETTERS}{{1,5}}(?:/[a-z]{{1,2}})?\b)?)
    |(?P<word>{_LETTERS}[{_LATIN}\d]{{0,{LONGEST_WORD - 1}}}
        (?:['’.&/_-](?=[{_LATIN}\d])[{_LATIN}\d]{{1,{LONGEST_WORD}}}){{0,6}}(?:\+\+|\#)?)
    |(?P<sign>°[CF]?|[&%+=@\#×÷±£€§©²³½¼¾¢])
    """,
    re.VERBOSE,
)

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

_SAID: dict[str, str] = {
    "c#": "C sharp",
    "f#": "F sharp",
    "c++": "C plus plus",
    "24/7": "twenty-four seven",
    "9/11": "nine eleven",
    "w/o": "without",
    "and/or": "and or",
    "a.k.a.": "A K A",
    "°": "degrees",
    "°c": "degrees Celsius",
    "°f": "degrees Fahrenheit",
}
"""Written, lower case → read aloud, where the converter gets it wrong."""

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
}
"""Names the converter's dictionary lacks and its network misreads."""

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
}
_NO_CURRENCY = ("dollar", "dollars")
_CENTS = {"£": ("penny", "pence")}
_SUFFIXES = {"k": "thousand", "m": "million", "b": "billion"}
_AMOUNT_OF_MONEY = re.compile(rf"({_MONEY})({_AMOUNT})([kKmMbB]?)")
_HALF_DAY = re.compile(r"[ap]\.?m\.?", re.IGNORECASE)
_SHAPES = frozenset((("16", "9"), ("9", "16"), ("4", "3"), ("3", "4"), ("4", "5"), ("21", "9")))
_PIECES = re.compile(r"[^;:,.!?—…\"()“”]+|[;:,.!?—…\"()“”]")


@cache
def _converter() -> Any:
    from hibari.g2p import G2P

    return G2P()


def _normalised(text: str) -> str:
    """Return the converter's spoken form of `text`, without the full stop of an abbreviation."""
    from hibari.g2p.normalize import normalize

    said = str(normalize(text))
    last = said.rsplit(" ", 1)[-1]
    return said[:-1] if text.endswith(".") and last.endswith(".") and last.count(".") == 1 else said


def folded(text: str) -> str:
    """Return `text` with full-width signs made plain and digits Western, code point for code point."""
    return "".join(_fold(c) for c in text)


def _fold(c: str) -> str:
    if c.isascii():
        return c
    if (digit := unicodedata.decimal(c, None)) is not None:
        return str(digit)
    if unicodedata.decomposition(c).startswith(("<wide>", "<narrow>")) and c not in PAUSE_OF:
        return unicodedata.normalize("NFKC", c)
    return c


def rests(gap: str) -> str:
    """Return the rests of what stands between two words, with a space if there is any room."""
    out = []
    for before, c, after in zip(" " + gap, gap, gap[1:] + " ", strict=False):
        if c == "-" and before.isspace() and after.isspace():
            out.append("—")
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
    found = list(_WORD.finditer(plain))
    line: list[str] = []
    owners: list[int] = []
    at = 0
    for i, (match, said) in enumerate(zip(found, _said(plain, found), strict=True)):
        gap = rests(plain[at : match.start()]) if i else ""
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


def _alone(converter: Any, word: str) -> str:
    """Return how a word is read that the converter passes over among its neighbours (+ -90)."""
    if not any(c.isalnum() for c in word):
        return ""
    tokens = converter.phonemize_tokens(converter.tokenize(word))
    return " ".join(token.phonemes for token in tokens if token.phonemes)


def _said(plain: str, found: Sequence[re.Match[str]]) -> list[str]:
    """Return the spoken form of each written word; its neighbours count where no rest is between."""
    written = [unicodedata.normalize("NFC", m[0]) for m in found]
    near = [plain[a.end() : b.start()].isspace() for a, b in pairwise(found)]
    out = []
    for i, word in enumerate(written):
        before = written[i - 1] if i and near[i - 1] else ""
        after = written[i + 1] if i < len(near) and near[i] else ""
        out.append(_say(word, before, after) or word)
    return out


def _say(word: str, before: str, after: str) -> str:
    """Return the spoken form of a word between its neighbours ("" where there is none near)."""
    for rule in (_known, _link, _money, _clock_or_ratio, _size_or_version):
        if (said := rule(word, before, after)) is not None:
            return said
    return _beside(word, before, after)


def _known(word: str, before: str, _after: str) -> str | None:
    low = word.lower()
    if low in _SCALES and (money := _AMOUNT_OF_MONEY.fullmatch(before)):
        return f"{word} {_CURRENCIES.get(money[1], _NO_CURRENCY)[1]}"
    if _HALF_DAY.fullmatch(word) and re.fullmatch(r"[\d:]+", before):
        return f"{low[0].upper()}.M."
    return _SAID.get(low)


def _size_or_version(word: str, _before: str, _after: str) -> str | None:
    if size := re.fullmatch(r"(\d+)[x×](\d+)", word):
        return f"{size[1]} by {size[2]}"
    version = re.fullmatch(r"([vV]?)(\d+(?:\.\d+)+)", word)
    if version and (version[1] or word.count(".") > 1):
        return f"{version[1].upper()} {version[2].replace('.', ' point ')}".strip()
    return None


def _beside(word: str, before: str, after: str) -> str:
    """Return the converter's own spoken form of `word`, as its neighbours make it."""
    alone = _normalised(word)
    if after:
        pair = _normalised(f"{word} {after}")
        if pair.endswith(f" {after}") and pair[: -len(after) - 1] != alone:
            return pair[: -len(after) - 1]
    if before:
        pair = _normalised(f"{before} {word}")
        for head in (before, _normalised(before)):
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
    money = _AMOUNT_OF_MONEY.fullmatch(word)
    if money is None:
        return None
    sign, amount, suffix = money[1], money[2], (money[3] or "").lower()
    one, many = _CURRENCIES.get(sign, _NO_CURRENCY)
    if after.lower() in _SCALES:
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
    for sign, said in ((".", " dot "), ("/", " slash "), ("@", " at "), ("-", " dash ")):
        bare = bare.replace(sign, said)
    return " ".join(re.sub(r"[^\w ]+|_", " ", bare).split())
