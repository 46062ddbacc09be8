"""Japanese → phonemes for Kokoro, each symbol with its word in the text as written.

The way: figures and Latin words get a form that Open JTalk's dictionary knows
(`_japanese_figures`, `_katakana`), Open JTalk finds the words and their readings, and the kana
become the alphabet Kokoro's Japanese voices learned. Those know no marks of pitch: which accent a
word has, they learned with the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from app.errors import MediaError
from app.providers import _english, _japanese_figures, _pronounce
from app.providers._japanese_figures import UNITS_SAID, Rewritten
from app.providers._voice import SILENCE, Reading

# fmt: off
_ROWS = {
    "アイウエオ": ("", "", "ɯ"), "カキクケコ": ("k", "kʲ", "kɯ"), "ガギグゲゴ": ("ɡ", "ɡʲ", "ɡɯ"),
    "サシスセソ": ("s", "ɕ", "sɨ"), "ザジズゼゾ": ("ʣ", "ʥ", "zɨ"), "タチツテト": ("t", "ʨ", "ʦɨ"),
    "ダヂヅデド": ("d", "ʥ", "zɨ"), "ナニヌネノ": ("n", "ɲ", "nɯ"), "ハヒフヘホ": ("h", "ç", "ɸɯ"),
    "バビブベボ": ("b", "bʲ", "bɯ"), "パピプペポ": ("p", "pʲ", "pɯ"), "マミムメモ": ("m", "mʲ", "mɯ"),
    "ラリルレロ": ("ɾ", "ɾʲ", "ɾɯ"),
}
"""Kana of a row → its onset before a, e and o, before i and the glides, and its third mora."""
_OTHERS = {
    "ヤ": "ja", "ユ": "jɯ", "ヨ": "jo", "ワ": "βa", "ヰ": "i", "ヱ": "e", "ヲ": "o", "ヴ": "vɯ",
    "ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o", "ャ": "ja", "ュ": "jɯ", "ョ": "jo", "ヮ": "βa",
    "ヵ": "ka", "ヶ": "ke", "イェ": "je", "ウィ": "βi", "ウェ": "βe", "ウォ": "βo",
    "クァ": "kᵝa", "クィ": "kᵝi", "クェ": "kᵝe", "クォ": "kᵝo", "グァ": "ɡᵝa", "クヮ": "kᵝa", "グヮ": "ɡᵝa",
    "ツァ": "ʦa", "ツィ": "ʦʲi", "ツェ": "ʦe", "ツォ": "ʦo", "ティ": "tʲi", "テュ": "tʲɨ", "ディ": "dʲi",
    "デュ": "dʲɨ", "トゥ": "tɯ", "ドゥ": "dɯ", "スィ": "si", "ズィ": "zi", "ファ": "ɸa", "フィ": "ɸʲi",
    "フェ": "ɸe", "フォ": "ɸo", "フュ": "ɸʲɨ", "ヴァ": "va", "ヴィ": "vʲi", "ヴェ": "ve", "ヴォ": "vo",
    "ヴュ": "bʲɨ", "ー": "ː", "ッ": "ʔ",
}
# fmt: on
_NASALS = (("mpb", "m"), ("kɡ", "ŋ"), ("ɲʨʥ", "ɲ"), ("ntdɾz", "n"))
"""First symbol of the next mora → how ン sounds before it; ɴ before all others."""
_BRACKETS = {
    **dict.fromkeys("【〔［", "("), **dict.fromkeys("】〕］", ")"), **dict.fromkeys("・／/「」『』", " "),
}  # fmt: skip
_LONG = {"オコゴソゾトドノホボポモヨロョヲ": "ウ", "エケゲセゼテデネヘベペメレェ": "イ"}
"""Kana → the vowel that only makes them longer, in nearly every word but verbs."""
_JOINING = frozenset(("て", "で", "ば", "ちゃ", "じゃ", "たり", "だり"))
_RESTS = frozenset(("pau", "sil", "sp", "unk"))
_HALF_IN_KANA = re.compile("[一-鿿][はがにでともの]")
_LONGEST = 400
"""Code points at once. Open JTalk takes 8 KB, some 2,700, and one may be written as six."""
_STOPS = ("。！？!?\n", "、，,；; 　")
_INFLECTED = ("動詞", "形容詞", "助動詞")


@dataclass(frozen=True)
class Word:
    """A word of a text and how it is said.

    Attributes:
        span: Where it stands in the text.
        kana: In katakana, with ー for long vowels.
        phones: In Open JTalk's phonemes.
    """

    span: tuple[int, int]
    kana: str
    phones: tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """The words of a stretch in order, without overlap, and what Open JTalk's voices read of it.

    Attributes:
        words: The words.
        labels: A label in HTS' full-context format for each phoneme and each rest.
    """

    words: tuple[Word, ...]
    labels: tuple[str, ...]


def read(text: str, pronunciations: Mapping[str, str] | None = None) -> Reading:
    """Return how Japanese text is read.

    A word is what stands in the dictionary, with its endings; a figure with its counter is one.

    Args:
        text: Any text; scripts other than Japanese and Latin, and emoji, are silent.
        pronunciations: Word as written → how it is said: kana, or other words. In hiragana `おう`
            and `えい` are long vowels; katakana is taken as it stands.
    """
    changed = spoken(text, pronunciations or {})
    return _closed_up(changed.written(_read(changed.text)))


def _closed_up(reading: Reading) -> Reading:
    """Return a reading without the spaces inside words: what stands for one may be read as two."""
    owners = [SILENCE, *reading.owners, SILENCE]
    inside = [a == b != SILENCE for a, b in zip(owners, owners[2:], strict=False)]
    kept = [i for i, symbol in enumerate(reading.symbols) if symbol != " " or not inside[i]]
    return replace(
        reading,
        symbols=[reading.symbols[i] for i in kept],
        owners=[reading.owners[i] for i in kept],
    )


def spoken(text: str, pronunciations: Mapping[str, str]) -> _pronounce.Spoken:
    """Return `text` with the words of a project's list as they are said."""
    table = {word: _kana(said) for word, said in pronunciations.items()}
    return _pronounce.spoken(text, table, "ja")


def _read(text: str) -> Reading:
    reading = Reading()
    at = 0
    for word in words(text):
        rests = _rests(text[at : word.span[0]])
        for symbol in rests if at else rests.lstrip(".,!?;:…—) "):
            if symbol == " ":
                reading.space()
            else:
                reading.pause(symbol)
        reading.word(word.span, symbols(word.kana))
        at = word.span[1]
    for symbol in _rests(text[at:]).rstrip() if at else "":
        reading.pause(symbol)
    return reading


def words(text: str) -> tuple[Word, ...]:
    """Return the words of a text with their readings, in order and without overlap."""
    return tuple(
        word for at, stretch in _stretches(text) for word in _moved(_words(*_analysed(stretch)), at)
    )


def parse(text: str) -> tuple[Parsed, ...]:
    """Return the words of a text and the labels that Open JTalk's voices read, stretch by stretch.

    The labels that are no rests are those of the words' phonemes, one for one.
    """
    parts = []
    for at, stretch in _stretches(text):
        changed, nodes = _analysed(stretch)
        if found := _words(changed, nodes):
            labels = _open_jtalk().extract_fullcontext(changed.text)
            parts.append(Parsed(_moved(found, at), tuple(labels)))
    return tuple(parts)


def _stretches(text: str) -> Iterator[tuple[int, str]]:
    """Yield stretches that Open JTalk can take, each with where it begins: whole sentences."""
    at = 0
    while len(text) - at > _LONGEST:
        ends = (
            max((text.rfind(c, at + _LONGEST // 4, at + _LONGEST) for c in marks), default=-1)
            for marks in _STOPS
        )
        end = next((e + 1 for e in ends if e >= 0), at + _LONGEST)
        yield at, text[at:end]
        at = end
    if at < len(text):
        yield at, text[at:]


def _moved(words: Iterable[Word], by: int) -> tuple[Word, ...]:
    return tuple(replace(w, span=(w.span[0] + by, w.span[1] + by)) for w in words)


def _analysed(text: str) -> tuple[Rewritten, list[dict[str, Any]]]:
    """Return a text as Open JTalk gets it, and its words.

    The dictionary has nouns half in kana, which nobody writes and many sentences seem to have:
    光は is 光 and a particle, no 光波. Those are parted.
    """
    changed = _japanese_figures.rewritten(text)
    if not changed.text:
        return changed, []
    nodes = _open_jtalk().g2p_mapping(changed.text)
    parted = [
        n["char_span"][1] - 1
        for n in nodes
        if n["pos"] == "名詞" and _HALF_IN_KANA.fullmatch(n["surface"])
    ]
    if parted:
        changed = changed.parted(parted)
        nodes = _open_jtalk().g2p_mapping(changed.text)
    return changed, list(nodes)


def _words(changed: Rewritten, analysed: Iterable[dict[str, Any]]) -> tuple[Word, ...]:
    found: list[Word] = []
    for nodes in _grouped(analysed):
        spans = [changed.origins[i] for n in nodes for i in range(*n["char_span"])]
        kana = "".join(_said(n) for n in nodes)
        phones = tuple(p for n in nodes for p in n["phonemes"] if p not in _RESTS)
        if not spans or not phones:
            continue
        start, end = min(a for a, _ in spans), max(b for _, b in spans)
        if found and start < found[-1].span[1]:  # what was rewritten as one is one
            last = found.pop()
            start, end = last.span[0], max(end, last.span[1])
            kana, phones = last.kana + kana, last.phones + phones
        found.append(Word((start, end), kana, phones))
    return tuple(found)


def _open_jtalk() -> Any:
    try:
        import pyopenjtalk
    except ImportError as error:
        raise MediaError(
            "voice_missing",
            f"The Japanese dictionary can't be read: {error}.",
            "Install the requirements again: remove the folder .venv and start ./reelchain.",
        ) from error
    return pyopenjtalk


def _rests(gap: str) -> str:
    """Return the rests of what stands between two words; a space at least."""
    return _english.rests("".join(_BRACKETS.get(c, c) for c in gap)) or " "


def _said(node: Mapping[str, Any]) -> str:
    """Return a node's kana; nothing for signs, which have no mora."""
    return "" if not node["mora_count"] else str(node["pron"]).replace("’", "")


def _grouped(nodes: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Join figures with their counters and verbs with their endings."""
    groups: list[list[dict[str, Any]]] = []
    for node in nodes:
        before = groups[-1][-1] if groups else None
        silent = not node["mora_count"]
        if before is not None and not silent and before["mora_count"] and _belongs(before, node):
            groups[-1].append(node)
        elif silent and node["char_span"] == (0, 0):
            continue
        else:
            groups.append([node])
    return groups


def _belongs(before: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Tell whether a node is a part of the word that the node before ends."""
    if node["surface"] == "さ" and before["pos"] == "形容詞":  # 高さ
        return True
    after_number = before["pos_group1"] == "数" or before["surface"] == "．"
    after_prefix = before["pos"] == "接頭詞"
    if node["char_span"] == (0, 0):  # a place of a number that is not written: 20 is two, ten
        return True
    if node["pos"] == "名詞":
        is_part = node["pos_group1"] in ("数", "接尾") or node["surface"] in UNITS_SAID
        suffix = node["pos_group1"] == "接尾" and before["pos"] == "名詞"
        return after_prefix or suffix or (after_number and is_part)
    if node["pos"] in ("動詞", "形容詞") and after_prefix:
        return True
    ending = (
        node["pos"] == "助動詞"
        or (node["pos"] == "動詞" and node["pos_group1"] == "接尾")
        or (node["pos_group1"] == "接続助詞" and node["surface"] in _JOINING)
    )
    return ending and before["pos"] in _INFLECTED


def symbols(kana: str) -> str:
    """Return Kokoro's symbols of katakana; nothing for what is none."""
    table = _table()
    morae: list[str] = []
    i = 0
    while i < len(kana):
        width = 2 if kana[i : i + 2] in table else 1
        mora = kana[i : i + width]
        morae.append(mora if mora == "ン" else table.get(mora, ""))
        i += width
    sounds = [m for m in morae if m]
    for i, sound in enumerate(sounds):
        if sound == "ン":
            after = sounds[i + 1 : i + 2]
            sounds[i] = next((n for first, n in _NASALS if after and after[0][0] in first), "ɴ")
    return "".join(sounds).rstrip("ʔ")


@cache
def _table() -> dict[str, str]:
    """Return each mora in katakana with its symbols."""
    table: dict[str, str] = {}
    for row, (hard, soft, third) in _ROWS.items():
        plain = (hard + "a", soft + "i", third, hard + "e", hard + "o")
        table |= zip(row, plain, strict=True)
        if soft:
            table |= {row[1] + small: soft + v for small, v in zip("ャュョェ", "aɨoe", strict=True)}
    return table | _OTHERS


def _kana(said: str) -> str:
    """Return hiragana as the katakana that sounds like it; anything else as it is."""
    if not said or not all("ぁ" <= c <= "ゖ" or c in "ー・ 　" for c in said):
        return said
    out = ""
    for c in said:
        kana = chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c
        long = out and any(out[-1] in row and kana == vowel for row, vowel in _LONG.items())
        out += "ー" if long else kana
    return out
