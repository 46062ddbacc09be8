"""A `script.json` as its owner left it, checked line by line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app import language as lang
from app.errors import InputError
from app.models import Script
from app.story.parts import MAX_BYTES, Source, decoded, inner_path, tidy

NAME = "script.json"
_SPACE = re.compile(r"[ \t\n\r]*")
_HINT = "Correct that line, or delete script.json to have it written anew."


def script_from_json(content: str | bytes) -> Script:
    """Return the script in the content of a (hand-edited) `script.json`.

    Invisible characters are left out of what is said and shown, as in a story.

    Raises:
        InputError: `script_invalid`, `script_unsupported`, `not_text` or `picture_outside`, with
            the line.
    """
    if len(content) > 4 * MAX_BYTES:
        raise InputError("script_invalid", f"{NAME}, line 1: it is too large.", _HINT)
    text = decoded(content, NAME) if isinstance(content, bytes) else content
    source = Source(name=NAME, folder=Path(), text=tidy(text.removeprefix("\ufeff")))
    try:
        script = Script.model_validate(_loaded(source))
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        name = ".".join(str(part) for part in place) or "the file"
        reason = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        source.refuse("script_invalid", _line_of(source.text, place), f"{name}: {reason}.", _HINT)
    return _checked(source, script)


def _loaded(source: Source) -> Any:
    try:
        return json.loads(source.text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        source.refuse("script_invalid", error.lineno, f"not JSON: {reason}.", _HINT)
    except (RecursionError, ValueError) as error:
        source.refuse("script_invalid", 1, f"not JSON we can read: {type(error).__name__}.", _HINT)


def _checked(source: Source, script: Script) -> Script:
    """Return the script with clean words; refuse what can be neither said, shown nor opened."""
    line = _line_of(source.text, ("title",))
    title = source.words(script.title, line)
    if not title:
        source.refuse("script_invalid", line, "the title has no words.", _HINT)
    scenes = []
    seen: set[str] = set()
    lines = _scene_lines(source.text)
    for index, scene in enumerate(script.scenes):
        line = lines[index]
        if scene.id in seen:
            source.refuse("script_invalid", line, f"the id {scene.id!r} is there twice.", _HINT)
        seen.add(scene.id)
        if scene.visual.kind == "picture":
            inner_path(source, scene.visual.path or "", line, code="picture_outside")
        narration = source.words(scene.narration, line)
        if not lang.speakable(narration):
            source.refuse("script_invalid", line, "the scene has nothing to say.", _HINT)
        heading = source.words(scene.heading, line)
        scenes.append(scene.model_copy(update={"narration": narration, "heading": heading}))
    return script.model_copy(update={"title": title, "scenes": tuple(scenes)})


def _line_of(text: str, place: tuple[int | str, ...]) -> int:
    """Return the line of the value at `place`, or of the innermost part of it that exists."""
    at = _solid(text, 0)
    for part in place:
        found = _find(text, at, part)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _scene_lines(text: str) -> list[int]:
    """Return the line of each scene, in one pass."""
    at = _find(text, _solid(text, 0), "scenes")
    if at is None:
        raise InputError("script_invalid", f"{NAME} has no scenes.", _HINT)
    lines, line, counted = [], 1, 0
    for start in _members(text, at):
        line += text.count("\n", counted, start)
        counted = start
        lines.append(line)
    return lines


def _find(text: str, at: int, part: int | str) -> int | None:
    """Return where the member `part` of the object or list at `at` starts."""
    if isinstance(part, str) != (text[at] == "{") or text[at] not in "{[":
        return None
    found = None
    for index, (start, name) in enumerate(_members(text, at).items()):
        if part in (index, name) and isinstance(part, int) == (name is None):
            found = start  # the last of equal names counts
    return found


def _members(text: str, at: int) -> dict[int, str | None]:
    """Return where each member of the valid object or list at `at` starts, with its name."""
    decoder = json.JSONDecoder()
    named = text[at] == "{"
    members: dict[int, str | None] = {}
    at = _solid(text, at + 1)
    while text[at] not in "}]":
        name = None
        if named:
            name, at = decoder.raw_decode(text, at)
            at = _solid(text, _solid(text, at) + 1)
        members[at] = name
        _, at = decoder.raw_decode(text, at)
        at = _solid(text, at)
        if text[at] == ",":
            at = _solid(text, at + 1)
    return members


def _solid(text: str, at: int) -> int:
    """Return the first place from `at` on that is not white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at
