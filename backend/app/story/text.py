"""Plain text: paragraphs cut into scenes by sense and reading time."""

from __future__ import annotations

import re

from app import language as lang
from app.story import parts
from app.story.fields import front_matter
from app.story.parts import Draft, Source, Story

_BULLET = re.compile(r"^\s*[-*•·–]\s+")
_TITLE_COLUMNS = 80


def read(source: Source) -> Story:
    """Return the story in a plain text file.

    A short first line followed by an empty one is the title; settings may stand above it between
    `---` lines.
    """
    fields, body = front_matter(source)
    paragraphs = _paragraphs(body)
    title = ""
    if len(paragraphs) > 1 and _is_title(paragraphs[0][1]):
        line, lines = paragraphs.pop(0)
        title = source.words(lines[0].strip(), line)
    drafts = []
    if paragraphs:
        for line, lines in paragraphs:
            source.check("\n".join(lines), line)
        narration = [source.words(_joined(lines), line) for line, lines in paragraphs]
        drafts.append(Draft(paragraphs[0][0], narration=narration))
    elif fields.get("topic"):
        return parts.story(source, fields, None)
    script = parts.script(source, drafts, fields, title, by_time=True)
    return parts.story(source, fields, script)


def _paragraphs(body: str) -> list[tuple[int, list[str]]]:
    """Return the paragraphs with the number of their first line."""
    paragraphs: list[tuple[int, list[str]]] = []
    open_ = False
    for number, line in enumerate(body.split("\n"), 1):
        if not line.strip():
            open_ = False
        elif open_:
            paragraphs[-1][1].append(line)
        else:
            paragraphs.append((number, [line]))
            open_ = True
    return paragraphs


def _is_title(lines: list[str]) -> bool:
    line = lines[0].strip()
    return len(lines) == 1 and lang.width(line) <= _TITLE_COLUMNS and line[-1] not in ".。,，;；:："


def _joined(lines: list[str]) -> str:
    """Return a paragraph: wrapped lines as one, lines of a verse or list as they are."""
    widths = [lang.width(line.strip()) for line in lines]
    longest = max(widths)
    listed = any(_BULLET.match(line) for line in lines)
    if longest >= 50 and not listed and all(width >= 0.6 * longest for width in widths[:-1]):
        return parts.unwrapped(lines)
    return ("\n\n" if listed else "\n").join(_BULLET.sub("", line).strip() for line in lines)
