"""Latin words in Japanese text → katakana, as a Japanese speaker says them.

Open JTalk's dictionary knows thousands of them and spells all others letter by letter, which is
right for acronyms alone. Names it lacks stand in a table of ours; other words go by way of the
English converter's phonemes.
"""

from __future__ import annotations

import re
from functools import cache

from app.providers import _english

# fmt: off
_NAMES = {
    "python": "パイソン", "github": "ギットハブ", "git": "ギット", "docker": "ドッカー",
    "javascript": "ジャバスクリプト", "typescript": "タイプスクリプト", "tiktok": "ティックトック",
    "openai": "オープンエーアイ", "chatgpt": "チャットジーピーティー", "gpt": "ジーピーティー",
    "whisper": "ウィスパー", "ffmpeg": "エフエフエムペグ", "kubernetes": "クバネティス",
    "react": "リアクト", "redis": "レディス", "celery": "セロリー", "reelchain": "リールチェーン",
    "hello": "ハロー", "video": "ビデオ", "audio": "オーディオ", "radio": "ラジオ",
    "studio": "スタジオ", "news": "ニュース", "camera": "カメラ", "coffee": "コーヒー",
    "data": "データ", "database": "データベース", "web": "ウェブ", "wiki": "ウィキ",
    "wikipedia": "ウィキペディア", "shorts": "ショート", "reels": "リール", "vlog": "ブイログ",
    "podcast": "ポッドキャスト", "nginx": "エンジンエックス", "mysql": "マイエスキューエル",
    "postgresql": "ポストグレスキューエル", "sqlite": "エスキューライト", "sql": "エスキューエル",
    "kokoro": "ココロ", "gemini": "ジェミニ", "claude": "クロード", "zoom": "ズーム",
    "slack": "スラック", "notion": "ノーション", "figma": "フィグマ", "canva": "キャンバ",
    "spotify": "スポティファイ", "tesla": "テスラ", "nvidia": "エヌビディア", "intel": "インテル",
    "ubuntu": "ウブントゥ", "debian": "デビアン", "chrome": "クローム", "safari": "サファリ",
    "firefox": "ファイアフォックス", "tokyo": "トーキョー", "osaka": "オーサカ", "kyoto": "キョート",
    "japan": "ジャパン", "taiwan": "タイワン", "taipei": "タイペイ", "jpeg": "ジェイペグ",
    "jpg": "ジェイペグ", "png": "ピング", "gif": "ジフ", "iot": "アイオーティー", "ai": "エーアイ",
    "ios": "アイオーエス", "macos": "マックオーエス", "wi-fi": "ワイファイ", "wifi": "ワイファイ",
    "c++": "シープラスプラス", "c#": "シーシャープ", "f#": "エフシャープ", "node": "ノード",
    "vs": "バーサス", "and": "アンド", "or": "オア", "the": "ザ", "of": "オブ", "to": "トゥ",
    "for": "フォー", "with": "ウィズ", "in": "イン", "on": "オン", "yes": "イエス",
    "sakura": "サクラ", "kimono": "キモノ", "sushi": "スシ", "karate": "カラテ", "manga": "マンガ", "anime": "アニメ",
    "ramen": "ラーメン", "tsunami": "ツナミ", "kawaii": "カワイイ", "suzuki": "スズキ", "sake": "サケ", "judo": "ジュードー",
    "origami": "オリガミ", "mario": "マリオ", "banana": "バナナ", "tomato": "トマト", "potato": "ポテト", "nike": "ナイキ",
    "shinkansen": "シンカンセン", "onigiri": "オニギリ", "matcha": "マッチャ", "sony": "ソニー",
    "ver": "バージョン", "b'z": "ビーズ", "it": "イット", "is": "イズ", "us": "アス", "my": "マイ", "your": "ユア", "you": "ユー",
}
# fmt: on
"""Written, lower case → said, where the dictionary lacks or misreads it."""

_JOINTS = {".": "ドット", "&": "アンド", "-": " ", "_": " ", "/": " "}

_VOWELS = {
    "A": "エー", "I": "アイ", "O": "オー", "W": "アウ", "Y": "オイ", "Q": "オー", "ɑ": "オ",
    "æ": "ア", "ɐ": "ア", "ɒ": "オ", "ɛ": "エ", "ʌ": "ア", "ʊ": "ウ", "u": "ウー", "ɜ": "アー",
    "ə": "ア", "ɪ": "イ", "i": "イー", "ᵻ": "イ", "ɔ": "オー", "ɚ": "アー", "a": "ア", "e": "エ",
    "o": "オ", "U": "ユー",
}  # fmt: skip
"""Vowel → kana; U is that of cue."""
_ROWS = {
    "": "アイウエオ", "k": "カキクケコ", "ɡ": "ガギグゲゴ", "s": "サ シ ス セ ソ", "t": "タ ティ トゥ テ ト",
    "d": "ダ ディ ドゥ デ ド", "n": "ナニヌネノ", "h": "ハヒフヘホ", "b": "バビブベボ", "v": "バビブベボ",
    "p": "パピプペポ", "m": "マミムメモ", "ɹ": "ラリルレロ", "l": "ラリルレロ", "T": "タ ティ トゥ テ ト",
    "ɾ": "ラリルレロ", "j": "ヤ イ ユ イェ ヨ", "w": "ワ ウィ ウ ウェ ウォ", "f": "ファ フィ フ フェ フォ",
    "θ": "サ シ ス セ ソ", "ð": "ザジズゼゾ", "z": "ザジズゼゾ", "ʃ": "シャ シ シュ シェ ショ",
    "ʧ": "チャ チ チュ チェ チョ", "ʤ": "ジャ ジ ジュ ジェ ジョ", "ʒ": "ジャ ジ ジュ ジェ ジョ",
}  # fmt: skip
"""Consonant → the kana of its row before the vowels a, i, u, e, o."""
_ALONE = {
    "t": "ト", "d": "ド", "ʧ": "チ", "ʤ": "ジ", "ʒ": "ジ", "ʃ": "シュ", "n": "ン", "ŋ": "ング",
    "ɹ": "ー", "w": "ウ", "j": "イ", "h": "",
}  # fmt: skip
"""Consonant → its kana where no vowel follows; the row's third otherwise."""
_ROMAJI = {
    "": "アイウエオ", "k": "カキクケコ", "s": "サシスセソ", "t": "タチツテト", "n": "ナニヌネノ", "h": "ハヒフヘホ",
    "m": "マミムメモ", "r": "ラリルレロ", "g": "ガギグゲゴ", "z": "ザジズゼゾ", "d": "ダヂヅデド", "b": "バビブベボ",
    "p": "パピプペポ", "sh": "シャ シ シュ シェ ショ", "ch": "チャ チ チュ チェ チョ", "j": "ジャ ジ ジュ ジェ ジョ",
    "y": "ヤ . ユ . ヨ", "w": "ワ . . . .", "f": ". . フ . .", "ts": ". . ツ . .", "ky": "キャ . キュ . キョ",
    "gy": "ギャ . ギュ . ギョ", "ny": "ニャ . ニュ . ニョ", "hy": "ヒャ . ヒュ . ヒョ", "my": "ミャ . ミュ . ミョ",
    "ry": "リャ . リュ . リョ", "by": "ビャ . ビュ . ビョ", "py": "ピャ . ピュ . ピョ",
}  # fmt: skip
"""Consonants of Japanese in Latin letters → the kana before a, i, u, e, o; a point for none."""
_SYLLABLE = re.compile(
    "(?:([kstp])(?=\\1)|(t)(?=ch))?([kgnhmrbp]y|sh|ch|ts|[kstnhmrgzdbpjywf]?)([aiueo])|n"
)
_SHORT = frozenset("æɑɛɪʌʊ")
_HARD = frozenset("ptkʧʤdɡ")
_MENDED = (
    (re.compile("[ˈˌ]"), ""),
    (re.compile("ɑ(?=ɹ)"), "a"),
    (re.compile("(?<=[^aeiouæɑɔəɛɪʊʌAIOWY])ju"), "U"),  # beautiful, cue
    (re.compile("iə"), "ɪə"),
    (re.compile("[əᵊ]l$"), "l"),
)
"""What the katakana goes by rather than the phoneme."""
_PHONE = re.compile(f"[{''.join(_VOWELS)}]|[{''.join(filter(None, _ROWS))}ŋ]")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")
_TITLES = frozenset(("mr", "mrs", "ms", "dr", "st", "jr"))
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")


def said(word: str) -> str | None:
    """Return how a Latin word is said, in katakana; None where the dictionary knows better.

    Args:
        word: Letters, perhaps with an apostrophe, hyphen, `+` or `#`.
    """
    letters = word.isalpha() and word.isupper() and len(word) < 3  # IT and US are no words
    if (kana := _NAMES.get(word.lower())) and (not letters or word == "AI"):
        return kana
    if _INITIALS.fullmatch(word):  # p.m., U.S.A
        return " ".join(word.upper().split("."))
    plain = re.sub("['’]", "", word)
    parts = re.split("([-_./&])", plain)
    if len(parts) > 1:
        told = [
            " " if part == "." and _of_a_name(*parts[i - 1 : i + 2 : 2]) else _JOINTS.get(part)
            for i, part in enumerate(parts)
        ]
        return " ".join(t or said(p) or p for t, p in zip(told, parts, strict=True) if p)
    if len(plain) < 2 or plain.isupper() or not plain.isalpha() or _known(plain):
        return None
    pieces = _PART.findall(plain)
    if len(pieces) > 1 and all(len(p) > 1 for p in pieces):  # as in OpenStreetMap
        return " ".join(said(piece) or piece for piece in pieces)
    return _romaji(plain.lower()) or spelt(plain)


def _romaji(word: str) -> str | None:
    """Return a Japanese word in Latin letters (tanaka) in kana; None for any other."""
    if len(word) < 4 or _english.known(word) or not re.fullmatch(f"(?:{_SYLLABLE.pattern})+", word):
        return None
    out = ""
    for doubled, before_ch, onset, vowel in _SYLLABLE.findall(word):
        row = _ROMAJI[onset].split() if " " in _ROMAJI[onset] else list(_ROMAJI[onset])
        kana = row["aiueo".index(vowel)] if vowel else "ン"
        if kana == ".":
            return None
        out += ("ッ" if doubled or before_ch else "") + kana
    return out


def _of_a_name(before: str, after: str) -> bool:
    """Tell whether the full stop between two parts is that of a title or an initial: Dr.Smith."""
    return after[:1].isupper() and (len(before) == 1 or before.lower() in _TITLES)


def spelt(word: str) -> str | None:
    """Return an English word in katakana by its sound; None where it has no vowel to say."""
    symbols = "".join(_english.read(word).symbols)
    for sign, kana in _MENDED:
        symbols = sign.sub(kana, symbols)
    if not any(c in _VOWELS for c in symbols):
        return None
    phones = _PHONE.findall(symbols)
    out: list[str] = []
    for i, phone in enumerate(phones):
        before = phones[i - 1] if i else ""
        after = phones[i + 1] if i + 1 < len(phones) else ""
        if phone in _VOWELS:
            onset = before if before in _ROWS else ""
            out.append(_open(onset, phone, last=not after))
        elif after not in _VOWELS:
            out.append(_closed(phone, before, after))
    return re.sub("ー+", "ー", "".join(out)).lstrip("ー")


def _open(consonant: str, vowel: str, *, last: bool) -> str:
    """Return the kana of a consonant and the vowel after it."""
    kana = _VOWELS[vowel]
    if last and vowel == "ə":
        kana = "アー"
    row = _row(consonant)
    if vowel == "U":
        return row[1][0] + "ュー"
    return row["アイウエオ".index(kana[0])] + kana[1:]


def _closed(consonant: str, before: str, after: str) -> str:
    """Return the kana of a consonant that no vowel follows."""
    if consonant == "m" and after in ("p", "b"):
        return "ン"
    if consonant == "ŋ" and after in ("k", "ɡ"):
        return "ン"
    if consonant == "ɹ" and before not in _VOWELS:
        return "ル"
    kana = _ALONE[consonant] if consonant in _ALONE else _row(consonant)[2]
    doubled = "ッ" if not after and before in _SHORT and consonant in _HARD else ""
    return doubled + kana


def _row(consonant: str) -> list[str]:
    row = _ROWS[consonant]
    return row.split() if " " in row else list(row)


@cache
def _known(word: str) -> bool:
    """Tell whether the dictionary has a word, rather than its letters."""
    import pyopenjtalk

    nodes = pyopenjtalk.run_frontend(word)
    spelled = [n for n in nodes if n["pos"] == "フィラー" or n["pos_group1"] == "アルファベット"]
    return bool(nodes) and not spelled
