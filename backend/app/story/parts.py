"""What every story format shares: the file as text, checked words and paths, scenes cut by time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NoReturn, get_args

from app import language as lang
from app.errors import InputError, NotFoundError, ReelchainError
from app.models import CardKind, Scene, Script, Visual

MAX_BYTES = 2_000_000
"""Largest story file: about two days of speech are enough."""
MAX_SCENES = 2000
"""As many as a `Script` may have."""
SCENE_SECONDS = (6.0, 10.0, 14.0)
"""Least, wanted and most time on screen of a scene we cut ourselves."""
MAX_NARRATION = 18_000
"""Characters of a scene; a longer section becomes several scenes (a `Scene` takes 20,000)."""


@dataclass(frozen=True)
class Story:
    """A story file as read.

    Attributes:
        fields: Settings of `ProjectSpec` given in the file; with a script always `language`.
        script: The video in words, or None where the file has only a topic.
        pictures: Pictures it refers to, relative to the file's folder, POSIX style, each once.
        files: Other files it needs (a story named by YAML, music), relative in the same way.
        warnings: What was left out, one sentence each.
    """

    fields: dict[str, object]
    script: Script | None
    pictures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass
class Source:
    """A file being read: its name for messages, its text, the warnings so far.

    `prefix` is its folder as seen from the file that refers to it; `over` are settings that win
    over its own.
    """

    name: str
    folder: Path
    text: str
    prefix: str = ""
    over: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, code: str, line: int, message: str, hint: str) -> NoReturn:
        """Raise an `InputError` that names the file and the line (from 1)."""
        raise InputError(code, f"{self.name}, line {line}: {message}", hint)

    def warn(self, line: int, message: str) -> None:
        self.warnings.append(f"{self.name}, line {line}: {message}")

    def words(self, text: str, line: int) -> str:
        """Return `text` as it can be said and shown: without invisible characters.

        Emoji stay: they are shown, and no voice says them.

        Raises:
            InputError: `script_unsupported`, naming the characters and their line.
        """
        clean = lang.visible(text).strip()
        self.check(clean, line)
        return clean

    def check(self, text: str, line: int) -> None:
        """Refuse letters no voice or font has, with the line they stand on.

        Raises:
            InputError: `script_unsupported`.
        """
        text = lang.visible(text)
        strange = lang.unsupported(text)
        if strange:
            before = min(text.find(character) for character in strange)
            self.refuse(
                "script_unsupported",
                line + text.count("\n", 0, before),
                f"no voice here can read these {_script_of(strange[0])} characters: "
                f"{strange[:12]}.",
                "Write the story in English, Traditional Chinese or Japanese.",
            )


_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SEPARATOR = re.compile(r"[\x0b\x0c\x85\u2028\u2029]")


def tidy(text: str) -> str:
    """Return `text` in NFC with LF line ends and no control characters; lines keep their numbers."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub("", _SEPARATOR.sub(" ", text)))


def load(path: Path) -> Source:
    """Read a story file.

    Raises:
        NotFoundError: `story_not_found`.
        InputError: `story_too_large`, `story_empty`, or `not_text` with line and byte.
    """
    name = path.name
    data = bounded(
        path,
        MAX_BYTES,
        missing=NotFoundError(
            "story_not_found", f"There is no story file {name}.", "Check its name and folder."
        ),
        larger=InputError(
            "story_too_large",
            f"{name} is larger than {MAX_BYTES // 1_000_000} MB.",
            "Cut it into several stories, one video each.",
        ),
    )
    text = tidy(decoded(data, name))
    if not text.strip():
        raise InputError(
            "story_empty", f"{name} is empty.", "Write at least one sentence to be spoken."
        )
    return Source(name=name, folder=path.parent, text=text)


def bounded(path: Path, most: int, *, missing: ReelchainError, larger: ReelchainError) -> bytes:
    """Return a file's bytes, never reading more of them than it may have.

    Raises:
        ReelchainError: `missing` where there is no such file, `larger` where it has more than `most`.
    """
    if not path.is_file():
        raise missing
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise larger
    return data


def decoded(data: bytes, name: str) -> str:
    """Return a file's text.

    Raises:
        InputError: `not_text`, with line and byte.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
        wrong = text.find("\x00")
    except UnicodeDecodeError as error:
        text, wrong = data[: error.start].decode(encoding, "replace"), error.start
    if wrong < 0:
        return text
    line = data.count(b"\n", 0, wrong) + 1
    raise InputError(
        "not_text",
        f"{name}, line {line}: byte {wrong + 1} is not UTF-8 text.",
        "Save the file as UTF-8 text and try again.",
    )


def _script_of(character: str) -> str:
    return unicodedata.name(character, "unassigned").split(" ", 1)[0].capitalize()


def inner_path(source: Source, given: str, line: int, *, code: str) -> str:
    """Return a path from a story, checked: relative, at or below the story's folder, POSIX style.

    Raises:
        InputError: `code`, with the line.
    """
    path = PurePosixPath(given)
    wrong = (
        not path.name
        or path.is_absolute()
        or ".." in path.parts
        or given[:1] == "~"
        or any(character in given for character in '\\:\x00\n*?"<>|')
        or any(len(part.encode()) > 255 for part in path.parts)
        or not is_below(source.folder, path)
    )
    if wrong:
        shown = given if len(given) <= 80 else given[:79] + "…"
        source.refuse(
            code,
            line,
            f"{shown!r} is not a file in or below the story's folder.",
            "Put the file beside the story and write its relative path, such as pictures/sea.jpg.",
        )
    return str(path)


def is_below(folder: Path, name: str | PurePosixPath) -> bool:
    """Tell whether a path is in or below `folder` once every link on its way is followed."""
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # a NUL; a name too long; a link to itself
        return False


def inner_file(source: Source, given: str, line: int, kind: str) -> str:
    """Return the checked path of a file that exists, as seen from the file that was opened first.

    Raises:
        InputError: `{kind}_outside` or `{kind}_missing`, with the line.
    """
    path = inner_path(source, given, line, code=f"{kind}_outside")
    if not (source.folder / path).is_file():
        source.refuse(
            f"{kind}_missing",
            line,
            f"there is no {kind} {path!r}.",
            "Put it beside the story, or correct the path.",
        )
    return str(PurePosixPath(source.prefix, path))


@dataclass
class Draft:
    """A scene in the making. `line` is where it starts in the file."""

    line: int
    heading: str = ""
    narration: list[str] = field(default_factory=list)
    picture: str = ""
    alt: str = ""
    picture_line: int = 0
    card: CardKind | None = None
    items: int = 0
    """Of lists, as the writer marked them."""
    further: bool = False
    """Started by a further picture of a section, not by the writer's heading."""

    @property
    def text(self) -> str:
        return "\n\n".join(self.narration)


def card(source: Source, given: str, line: int) -> CardKind:
    """Return the design of a scene's card.

    Raises:
        InputError: `card_unknown`, with the line and the designs there are.
    """
    kinds: tuple[CardKind, ...] = get_args(CardKind)
    found = [kind for kind in kinds if kind == given.strip().lower()]
    if not found:
        source.refuse(
            "card_unknown",
            line,
            f"there is no card {given.strip()[:40]!r}.",
            f"Choose one of: {', '.join(kinds)}.",
        )
    return found[0]


def spoken(source: Source, drafts: Iterable[Draft]) -> list[Draft]:
    """Return the drafts that say something; a heading alone is left out with a warning.

    Raises:
        InputError: `scene_without_narration` where a picture has no words.
    """
    kept = []
    for draft in drafts:
        if lang.speakable(draft.text):
            kept.append(draft)
        elif draft.further:
            source.warn(
                draft.picture_line, f"no words follow the picture {draft.picture!r}; left out."
            )
        elif draft.picture:
            source.refuse(
                "scene_without_narration",
                draft.picture_line,
                f"the scene with the picture {draft.picture!r} has nothing to say.",
                "Write a sentence for it, or remove the picture.",
            )
        elif draft.heading:
            source.warn(draft.line, f"the heading {draft.heading!r} has no words below; left out.")
    return kept


def divided(draft: Draft, language: lang.Language, *, by_time: bool) -> list[Draft]:
    """Return a draft as scenes: cut by reading time, or only where it is too long for one."""
    if not by_time and len(draft.text) <= MAX_NARRATION:
        return [draft]
    wanted = SCENE_SECONDS if by_time else (60.0, 90.0, 120.0)
    parts = pack(draft.narration, language, wanted)
    scenes = [Draft(draft.line, "", [part], draft.picture, draft.alt) for part in parts]
    scenes[0].heading, scenes[0].card = draft.heading, draft.card
    return scenes


def pack(
    paragraphs: Iterable[str], language: lang.Language, wanted: tuple[float, float, float]
) -> list[str]:
    """Return paragraphs as texts of `wanted` (least, aim, most) seconds of speech each.

    A long paragraph is cut between sentences as evenly as they let it; short ones are joined.
    """
    least, _, most = wanted
    blocks = [block for text in paragraphs for block in _blocks(text, language, wanted)]
    total = sum(seconds for _, seconds in blocks)
    stretch = max(1.0, total / (0.8 * MAX_SCENES * least))
    packed: list[tuple[str, float]] = []
    for text, seconds in blocks:
        small = packed and (packed[-1][1] < least * stretch or seconds < least / 2)
        if small and packed[-1][1] + seconds <= most * stretch:
            packed[-1] = (f"{packed[-1][0]}\n\n{text}", packed[-1][1] + seconds)
        else:
            packed.append((text, seconds))
    if len(packed) > 1 and packed[-1][1] < least and packed[-2][1] + packed[-1][1] <= 1.2 * most:
        last = packed.pop()
        packed[-1] = (f"{packed[-1][0]}\n\n{last[0]}", packed[-1][1] + last[1])
    return [text for text, _ in packed]


def _blocks(
    text: str, language: lang.Language, wanted: tuple[float, float, float]
) -> list[tuple[str, float]]:
    """Return a paragraph, with its seconds, in even pieces of whole sentences."""
    _, aim, most = wanted
    spans = lang.sentences(text, language)
    times = [lang.reading_seconds(text[start:end], language) for start, end in spans]
    total = sum(times)
    share = total / max(1, round(total / aim)) if total > most else total
    blocks: list[tuple[str, float]] = []
    first, filled = 0, 0.0
    for index, seconds in enumerate(times):
        if filled and filled + seconds / 2 > share:
            blocks.append((text[spans[first][0] : spans[index - 1][1]], filled))
            first, filled = index, 0.0
        filled += seconds
    if spans:
        blocks.append((text[spans[first][0] : spans[-1][1]], filled))
    return blocks


def unwrapped(lines: Iterable[str]) -> str:
    """Return lines as one, with a space between them unless both sides are Chinese or Japanese."""
    text = ""
    for line in lines:
        clean = line.strip()
        glued = text and clean and lang.width(text[-1]) == 2 and lang.width(clean[0]) == 2
        text += clean if not text or glued else f" {clean}"
    return text


def story(source: Source, fields: dict[str, object], script: Script | None) -> Story:
    """Return what was read, with the files it refers to."""
    pictures = [scene.visual.path for scene in script.scenes] if script else []
    music, files = fields.get("music"), []
    if isinstance(music, str) and music not in ("auto", "none"):
        files.append(music)
    if script:
        fields = {**fields, "language": script.language}
        files += fields.get("sources", ())  # type: ignore[arg-type] # checked by fields.py
    return Story(
        fields,
        script,
        pictures=tuple(dict.fromkeys(path for path in pictures if path)),
        warnings=tuple(source.warnings),
        files=tuple(files),
    )


def script(
    source: Source, drafts: list[Draft], fields: dict[str, object], title: str, *, by_time: bool
) -> Script:
    """Return the script of the drafts; what the file's settings say about it wins.

    Raises:
        InputError: `story_empty`, `story_too_many_scenes`, or `scene_without_narration`.
    """
    kept = spoken(source, drafts)
    _check_cards(source, kept)
    if not kept:
        raise InputError(
            "story_empty",
            f"{source.name} has no words to be spoken.",
            "Write at least one sentence; headings, code, tables and pictures are not spoken.",
        )
    language = _language(fields, kept)
    scenes = [part for draft in kept for part in divided(draft, language, by_time=by_time)]
    if len(scenes) > MAX_SCENES:
        raise InputError(
            "story_too_many_scenes",
            f"{source.name} makes {len(scenes)} scenes; {MAX_SCENES} is the most.",
            "Cut it into several stories, one video each.",
        )
    given = source.words(str(fields.get("title") or ""), 1)
    return Script(
        title=lang.shortened(given or title or _first_words(kept, language), 160, language),
        description=str(fields.get("description") or ""),
        tags=tuple(fields.get("tags") or ()),  # type: ignore[arg-type] # checked by fields.py
        language=language,
        scenes=tuple(_scene(number, part, language) for number, part in enumerate(scenes, 1)),
    )


def _check_cards(source: Source, drafts: Iterable[Draft]) -> None:
    for draft in drafts:
        if draft.card and draft.picture:
            source.refuse(
                "card_unknown",
                draft.line,
                f"the scene shows the picture {draft.picture!r}, so it has no card.",
                "Leave out `card`, or the picture.",
            )


def _language(fields: dict[str, object], drafts: list[Draft]) -> lang.Language:
    given = fields.get("language")
    if isinstance(given, str):
        return lang.normalise(given)
    return lang.detect("\n".join(f"{draft.heading}\n{draft.text}" for draft in drafts))


def _first_words(drafts: list[Draft], language: lang.Language) -> str:
    heading = next((draft.heading for draft in drafts if draft.heading), "")
    if heading:
        return heading
    start, end = lang.sentences(drafts[0].text, language)[0]
    return lang.shortened(drafts[0].text[start:end].strip("\"'“”「」『』。. "), 60, language)


def _scene(number: int, draft: Draft, language: lang.Language) -> Scene:
    listed = bool(draft.heading) and draft.items > 2 and draft.card is None
    visual = Visual(card=draft.card, suggested="list" if listed else None)
    if draft.picture:
        visual = Visual(kind="picture", path=draft.picture, alt=draft.alt)
    return Scene(
        id=f"s{number:03d}",
        heading=lang.shortened(draft.heading, 200, language),
        narration=draft.text,
        visual=visual,
    )
