"""Figures that are a name, not an amount: telephones, rooms, flights, versions, Roman numerals."""

from __future__ import annotations

import re


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_CALLED = _words("call calls called calling dial dials dialed dialled dialing phone ring rang text")
_HOTLINE = re.compile(r"[1-9]11|99[0-9]|11[0-9]|000|101|105|988")
_SPELLED_AFTER = frozenset(("code", "pin", "isbn", "zip", "extension", "ext", "password"))
_PLACES = _words(
    "room flight gate suite apartment interstate highway route boeing airbus unit bus channel xbox "
    "studio terminal locker cabin model"
)
"""After these a number of three figures is said as a hotel's clerk does: seven forty-seven."""
_JET = re.compile("7[0-8]7")
_DROID = re.compile(r"([A-Z]{1,2})-?(\d{1,3})([A-Z]{2,3})")
_FILE = re.compile(
    r"([A-Za-z0-9_-]+)\.(py|md|txt|pdf|csv|html|css|ts|sh|yml|yaml|toml|docx|xlsx|zip|exe|mp[34]|wav|png|jpg|gif|svg)"
)
_ENDINGS = {
    "yaml": "yamel", "toml": "tom L", "docx": "doc X", "xlsx": "X L S X", "zip": "zip", "wav": "wave",
    "jpg": "J peg", "gif": "gif",
}  # fmt: skip
"""Ending of a file's name → how it is said, where not letter by letter."""
_MODEL = re.compile(r"([A-Z]{1,2})-?([1-9]\d{2})")
_LINES = re.compile(r"(144|240|360|480|540|720|1080|1440|2160)([pi])")

_VERSIONED = _words(
    "version versions release python java ruby rust ios ipados macos watchos android ubuntu debian "
    "fedora kernel linux node django react angular postgres postgresql mysql redis celery"
)

_ROMAN = re.compile(r"(?=[IVXL]{2})(XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_LETTER = re.compile("[VX]")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}
_NEVER_ROMAN = frozenset(("XL", "XX", "XXL", "XXX", "LL", "LX", "LI"))
_RULERS = _words(
    "Alexander Alfonso Amenhotep Benedict Boniface Carlos Casimir Catherine Charles Christian Clement "
    "Cleopatra Constantine Darius Edward Elizabeth Felipe Ferdinand Francis Franz Frederick George "
    "Gregory Gustav Haakon Harald Henry Innocent Isabella Ivan James Joan John Joseph Juan Julius "
    "Justinian Karl Leo Leopold Louis Margaret Margrethe Mary Mehmed Murad Napoleon Nicholas Olaf "
    "Otto Paul Pedro Peter Philip Pius Ptolemy Rama Ramesses Ramses Richard Robert Selim Seti Sigismund "
    "Stephen Theodosius Thutmose Umberto Urban Vittorio Wilhelm William Xerxes"
)
_SERIES = frozenset(("Auto", "Fantasy", "Mark", "Part", "Type", "Chapter", "Act", "Volume"))
"""After these one letter, V or X, is a numeral, too."""
_SCENES = _SERIES | {"Scene", "Book", "Appendix", "Section", "Phase"}
"""After these a numeral may have small letters."""
_COUNTED = frozenset(("century", "centuries", "dynasty", "olympiad", "olympics"))


def name(word: str, before: str, after: str) -> str | None:
    """Return how `word` is said where it is a name in figures between its neighbours, else None."""
    if word.isdigit():
        return _figures(word, before.lower().rstrip("."), after.lower())
    if said := _of_parts(word, before.lower()):
        return said
    if decimal := re.fullmatch(r"([A-Z]{1,4})(\d{1,3}\.\d{1,2})", word):
        return f"{decimal[1]} {decimal[2]}"
    if model := _MODEL.fullmatch(word):
        return f"{model[1]}-{_clerk(model[2])}"
    version = re.fullmatch(r"(\d+)\.([1-9]\d)", word)
    if version and before.lower() in _VERSIONED:
        return f"{version[1]} point {version[2]}"
    return _numeral(word, before, after)


def _of_parts(word: str, before: str) -> str | None:
    """Return `720p` and a Boeing `737-800` as a clerk says them, `C-3PO` with its letters, a file's name."""
    if lines := _LINES.fullmatch(word):
        return f"{_clerk(lines[1]) if len(lines[1]) == 3 else lines[1]} {lines[2].upper()}"
    if droid := _DROID.fullmatch(word):
        return " ".join((*droid[1], droid[2], *droid[3]))
    if file := _FILE.fullmatch(word):
        stem = re.sub("[_-]+", " ", file[1]).strip()
        return f"{stem} dot {_ENDINGS.get(file[2]) or ' '.join(file[2].upper())}"
    if re.fullmatch(r"\d{1,7}(?:-\d{1,7}){3,5}", word) and before == "isbn":
        return ", ".join(" ".join(part) for part in word.split("-"))
    jet = re.fullmatch(r"([1-9]\d\d)-(\d{1,3})", word)
    return f"{_clerk(jet[1])} {jet[2]}" if jet and before in _PLACES else None


def _figures(word: str, before: str, after: str) -> str | None:
    emergency = before in _CALLED or after in ("call", "calls", "operator", "dispatcher", "hotline")
    if emergency and _HOTLINE.fullmatch(word):
        return " ".join(word)
    if before in _SPELLED_AFTER:
        return " ".join(word)
    if before in _PLACES and len(word) == 3 and word[0] != "0":
        return _clerk(word)
    if _JET.fullmatch(word) and before in ("a", "the") and not after.endswith("s"):
        return _clerk(word)
    return None


def _clerk(figures: str) -> str:
    """Return three figures as one and two: 747 is seven forty-seven, 405 four oh five."""
    first, rest = figures[0], figures[1:]
    if rest == "00":
        return f"{first} hundred"
    return f"{first} oh {rest[1]}" if rest[0] == "0" else f"{first} {rest}"


def _numeral(word: str, before: str, after: str) -> str | None:
    """Return a Roman numeral after a name or before `century` as the number it is."""
    from hibari.g2p import numbers

    if before in _SCENES and word.islower():
        word = word.upper()
    single = before in _SERIES and _ROMAN_LETTER.fullmatch(word)
    if not single and (word in _NEVER_ROMAN or not _ROMAN.fullmatch(word)):
        return None
    number = sum(
        -_VALUES[one] if _VALUES[one] < _VALUES.get(follows, 0) else _VALUES[one]
        for one, follows in zip(word, [*word[1:], ""], strict=True)
    )
    if after.lower() in _COUNTED:
        return str(numbers.ordinal(number))
    if before in _RULERS:
        return f"the {numbers.ordinal(number)}"
    return str(number) if before[:1].isupper() else None
