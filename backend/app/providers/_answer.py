"""A model's answer read as data: its JSON found, its parts checked and bounded, markup taken out.

Nothing of it becomes a path, a filter or a word of a shell: scenes get ids of ours, pictures are
named by nobody but us, search words are letters and digits.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from app import language as lang
from app.providers import ScriptRequest
from app.providers._prompt import size

MOST_CHARACTERS = 2_000_000
"""A longer answer is not read at all."""
_MOST_SCENES = 500
_MOST_TAGS = 60
_MOST_NARRATION = 5000
"""Characters of a scene."""
_LIMITS = {"title": 300, "heading": 300, "description": 6000, "tag": 200, "picture": 4000}
_TITLE, _HEADING, _TAG, _PICTURE, _KEYWORD = 100, 120, 60, 1000, 60
"""Characters that are kept of each."""
_TAGS_IN_ALL = 500
_BEGINNINGS = 20
"""How many braces are tried as the beginning of the answer, where prose stands before it."""


class Unusable(Exception):  # noqa: N818 - told to the model, not to a user
    """Says what is wrong with an answer, in words of ours that its writer can mend it by."""


@dataclass(frozen=True)
class WrittenScene:
    """A scene as a model wrote it, clean."""

    heading: str
    narration: str
    picture: str = ""
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A script as a model wrote it, clean."""

    title: str
    description: str
    tags: tuple[str, ...]
    scenes: tuple[WrittenScene, ...]
    used: tuple[int, ...]
    """Numbers of the sources it says it used, from 1."""

    def seconds(self, request: ScriptRequest) -> float:
        """Return about how long it takes to say, at the wanted speed."""
        read = (lang.reading_seconds(s.narration, request.language) for s in self.scenes)
        return sum(read) / request.speed

    def with_scenes(self, scenes: tuple[WrittenScene, ...]) -> Written:
        return replace(self, scenes=scenes)


def read(text: str, request: ScriptRequest) -> Written:
    """Return the script in a model's answer.

    Raises:
        Unusable: What is wrong with it.
    """
    if len(text) > MOST_CHARACTERS:
        raise Unusable(f"it has more than {MOST_CHARACTERS:,} characters")
    document = _document(text)
    title = _words(_text(document, "title", "the title", _LIMITS["title"]), "the title")
    scenes = _scenes(document, request)
    written = Written(
        title=lang.shortened(_unbracketed(title), _TITLE, request.language),
        description=_description(document, request),
        tags=_tags(document),
        scenes=scenes,
        used=_used(document, request),
    )
    if not lang.speakable(written.title):
        raise Unusable("the title has no words")
    _check_language(written, request.language)
    return written


# -- finding the document ---------------------------------------------------------------------


def _document(text: str) -> dict[str, Any]:
    """Return the first JSON object in an answer that may have a fence or prose around it."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole, parse_float=_fraction
    )
    at, problem = text.find("{"), "it holds no JSON object"
    for _ in range(_BEGINNINGS):
        if at < 0:
            break
        try:
            found, _end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            cut = error.pos >= len(text.rstrip(" \t\r\n`")) - 1
            problem = f"it is not JSON ({error.msg} at character {error.pos})"
            if cut:
                problem = "its JSON has no end: it was cut off"
                break
        except RecursionError:
            raise Unusable("it is nested too deeply") from None
        else:
            if isinstance(found, dict) and "scenes" in found:
                return found
            problem = "the object has no scenes"
        at = text.find("{", at + 1)
    raise Unusable(problem)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unusable("a name is given twice in one object")
    return found


def _no_number(_: str) -> NoReturn:
    raise Unusable("it holds NaN or Infinity, which JSON does not have")


def _whole(digits: str) -> int:
    if len(digits) > 18:
        raise Unusable("it holds a number that is far too large")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > 40:
        raise Unusable("it holds a number that is far too long")
    return float(digits)


# -- its parts -----------------------------------------------------------------------------


def _text(entry: dict[str, Any], name: str, what: str, limit: int) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise Unusable(f"{what} must be a text" if name in entry else f"{what} is missing")
    if len(value) > limit:
        raise Unusable(f"{what} has {len(value):,} characters, {limit:,} are the most")
    return value


def _optional(entry: dict[str, Any], name: str, what: str, limit: int) -> str:
    return "" if entry.get(name) is None else _text(entry, name, what, limit)


def _texts(entry: dict[str, Any], name: str, what: str, most: int) -> list[str]:
    value = entry.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unusable(f"{what} must be a list of texts")
    if len(value) > most:
        raise Unusable(f"{what} are {len(value):,}, {most} are the most")
    if any(len(one) > _LIMITS["tag"] for one in value):
        raise Unusable(f"one of {what} has more than {_LIMITS['tag']} characters")
    return value


def _scenes(document: dict[str, Any], request: ScriptRequest) -> tuple[WrittenScene, ...]:
    entries = document["scenes"]
    if not isinstance(entries, list):
        raise Unusable("scenes must be a list")
    most = min(_MOST_SCENES, 4 * size(request).scenes + 8)
    if not 1 <= len(entries) <= most:
        raise Unusable(f"it has {len(entries):,} scenes; from 1 to {most} are wanted")
    texts = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise Unusable(f"scene {number} must be an object")
        texts.append(_text(entry, "narration", f"the narration of scene {number}", _MOST_NARRATION))
    total, bound = sum(map(len, texts)), 5000 + int(80 * request.seconds * request.speed)
    if total > bound:
        raise Unusable(f"the narration has {total:,} characters in all, far more than is wanted")
    return tuple(
        _scene(number, entry, text, pictures=request.pictures)
        for number, (entry, text) in enumerate(zip(entries, texts, strict=True), 1)
    )


def _scene(number: int, entry: dict[str, Any], text: str, *, pictures: bool) -> WrittenScene:
    narration = _spoken(text, f"the narration of scene {number}")
    if not lang.speakable(narration):
        raise Unusable(f"the narration of scene {number} has no words to speak")
    what = f"the heading of scene {number}"
    heading = _words(_optional(entry, "heading", what, _LIMITS["heading"]), what)
    scene = WrittenScene(lang.shortened(heading, _HEADING, "en"), narration)
    if not pictures:
        return scene
    what = f"the picture of scene {number}"
    seen = _prose(_optional(entry, "picture", what, _LIMITS["picture"]), what)
    searched = (
        " ".join(_NOT_SEARCHED.sub(" ", _legible(one, f"the keywords of scene {number}")).split())
        for one in _texts(entry, "keywords", f"the keywords of scene {number}", 40)
    )
    kept = dict.fromkeys(one[:_KEYWORD].strip() for one in searched if lang.speakable(one))
    picture = _unbracketed(" ".join(seen.split()))[:_PICTURE].strip()
    return replace(scene, picture=picture, keywords=tuple(kept)[:10])


def _description(document: dict[str, Any], request: ScriptRequest) -> str:
    what = "the description"
    text = _prose(_optional(document, "description", what, _LIMITS["description"]), what)
    given = [request.topic, request.notes or "", *(source.text for source in request.sources)]

    def ours(match: re.Match[str]) -> str:
        address = match[0].rstrip(".,;:!?)\u3002\uff0c\uff09")
        return match[0] if any(address in known for known in given) else ""

    return _unbracketed(_ADDRESS.sub(ours, text)).strip()


def _tags(document: dict[str, Any]) -> tuple[str, ...]:
    clean = (
        " ".join(_NOT_TAGGED.sub(" ", _legible(one, "the tags")).split())[:_TAG].strip()
        for one in _texts(document, "tags", "the tags", _MOST_TAGS)
    )
    return within(tuple(dict.fromkeys(tag for tag in clean if lang.speakable(tag))))


def within(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many of the tags as services take: 500 characters with commas and quotes."""
    kept: list[str] = []
    taken = 0
    for tag in tags:
        taken += len(tag) + 1 + 2 * (" " in tag)
        if taken - 1 <= _TAGS_IN_ALL:
            kept.append(tag)
    return tuple(kept)


def _used(document: dict[str, Any], request: ScriptRequest) -> tuple[int, ...]:
    value = document.get("sources_used")
    if value is None or not request.sources:
        return ()
    whole = isinstance(value, list) and all(type(one) is int for one in value)
    if not whole or len(value) > 1000:
        raise Unusable("sources_used must be a list of whole numbers")
    if any(not 1 <= one <= len(request.sources) for one in value):
        raise Unusable(f"sources_used names a source that is not one of {len(request.sources)}")
    return tuple(sorted(set(value)))


# -- words ----------------------------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SEPARATOR = re.compile("[\x0b\x0c\x85\u2028\u2029\u00a0]")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_BREAK_TAG = re.compile(r"<(?:br|/p|/div|/li)\b[^<>]{0,200}>", re.IGNORECASE)
_TAG_OF_MARKUP = re.compile(r"</?[a-zA-Z!][^<>]{0,500}>")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=] ?){3,}[ \t]*$", re.MULTILINE)
_PICTURE_LINK = re.compile(r"!\[[^\[\]\n]{0,300}\]\([^()\n]{0,1000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\([^()\n]{0,1000}\)")
_START = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+\u2022][ \t]+|\d{1,3}[.)][ \t]+(?=\D))", re.MULTILINE
)
_STRONG = re.compile(r"(\*\*|__|~~)(?=\S)([^\n]{1,500}?)(?<=\S)\1")
_STRESSED = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,500}?)(?<=\S)\*(?![\w*])")
_UNDERLINED = re.compile(r"(?<![\w_])_(?=[^\s_])([^_\n]{1,500}?)(?<=\S)_(?![\w_])")
_DIRECTION = re.compile(r"[ \t]*(?:\[[^\[\]\n]{1,120}\]|\u3010[^\u3010\u3011\n]{1,120}\u3011)")
_SPEAKER = re.compile(
    r"^[ \t]*(?:narrator|voice[- ]?over|vo|host|speaker"
    r"|\u65c1\u767d|\u4e3b\u6301\u4eba|\u89e3\u8aaa|\u30ca\u30ec\u30fc\u30b7\u30e7\u30f3"
    r"|\u30ca\u30ec\u30fc\u30bf\u30fc|\u8a9e\u308a\u624b)"
    r"[ \t]*(?:\([^()\n]{0,60}\))?[ \t]*[:\uff1a][ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(
    r"(?:\bhttps?://|\bftp://|\bfile:/+|\bwww\.)[^\s<>\"'\uff09\uff0c\u3002]{1,2000}", re.IGNORECASE
)
_NOT_SEARCHED = re.compile(r"[^\w' -]|_")
_NOT_TAGGED = re.compile(r"[<>,\"#\n\r\t]")
_BRACKETS = str.maketrans("", "", "<>")


def _legible(text: str, what: str) -> str:
    """Return a text in NFC without what can't be seen.

    Raises:
        Unusable: It holds control characters, or letters that no voice and no font has.
    """
    if _SURROGATE.search(text) or _CONTROL.search(text):
        raise Unusable(f"{what} has control characters or broken ones")
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _INVISIBLE.sub("", _SEPARATOR.sub(" ", text))
    clean = lang.strip_emoji(text)[0]
    strange = lang.unsupported(clean)
    if strange:
        codes = ", ".join(f"U+{ord(one):04X}" for one in strange[:5])
        raise Unusable(f"{what} has letters that neither voice nor fonts have ({codes})")
    return clean


def _prose(text: str, what: str) -> str:
    """Return a text without HTML and Markdown."""
    text = html.unescape(_legible(text, what))
    text = _legible(_TAG_OF_MARKUP.sub("", _BREAK_TAG.sub("\n", text)), what)
    text = _PICTURE_LINK.sub("", _RULE.sub("", _FENCE.sub("", text)))
    text = _START.sub("", _LINK.sub(r"\1", text)).replace("`", "")
    text = _STRONG.sub(r"\2", _STRONG.sub(r"\2", text))
    text = _UNDERLINED.sub(r"\1", _STRESSED.sub(r"\1", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _spoken(text: str, what: str) -> str:
    """Return what is to be said: no markup, no directions, no addresses, no brackets of code."""
    text = _SPEAKER.sub("", _DIRECTION.sub("", _prose(text, what)))
    lines = (" ".join(line.split()) for line in _ADDRESS.sub("", text).split("\n"))
    return _unbracketed(re.sub(r"\n{2,}", "\n\n", "\n".join(lines))).strip()


def _words(text: str, what: str) -> str:
    """Return one line of what is shown."""
    return " ".join(_spoken(text, what).split())


def _unbracketed(text: str) -> str:
    return text.translate(_BRACKETS)


_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_NAMES: dict[lang.Language, str] = {"en": "English", "zh-TW": "Chinese", "ja": "Japanese"}


def _check_language(written: Written, language: lang.Language) -> None:
    """Make sure that viewers hear what they asked for.

    Raises:
        Unusable: It is in another language (Japanese has kana), or in Simplified characters.
    """
    said = "\n".join(scene.narration for scene in written.scenes)
    if lang.detect(said) != language or (language == "ja" and not _KANA.search(said)):
        raise Unusable(f"the narration is not in {_NAMES[language]}")
    if language == "zh-TW":
        shown = f"{written.title}{written.description}{said}"
        strange = "".join(dict.fromkeys(c for c in shown if _simplified(c)))
        if len(strange) > 2:
            raise Unusable(
                f"it is not in Traditional Chinese as in Taiwan: {strange[:8]} are not characters "
                "of it"
            )


def _simplified(character: str) -> bool:
    """Tell whether a common Chinese character is none of Taiwan's (Big5 has those, 13,000)."""
    if not "\u4e00" <= character <= "\u9fff":
        return False
    try:
        character.encode("cp950")
    except UnicodeEncodeError:
        return True
    return False
