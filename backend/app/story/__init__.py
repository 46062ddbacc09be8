"""Stories: Markdown, plain text or YAML in, a checked script out.

What is wrong is said by line. Text from a story never becomes a path, except a relative picture
or music path that was checked to lie in or below the story's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.errors import InputError
from app.story import markdown, material, text, yaml_file
from app.story.fields import parse, plain
from app.story.parts import Source, Story, is_below, load
from app.story.script_json import script_from_json

__all__ = [
    "SUFFIXES",
    "Story",
    "is_below",
    "material",
    "read",
    "read_plain",
    "script_from_json",
]

SUFFIXES = (".md", ".markdown", ".txt", ".yaml", ".yml")
"""Names of story files end like this."""


def read(path: Path) -> Story:
    """Read a story file: settings, script, the files it refers to, what was left out.

    Raises:
        NotFoundError: `story_not_found`.
        InputError: What is wrong, with its line; codes in docs/errors.md.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            "story_format",
            f"{path.name} is not a story file we can read.",
            f"Give it as Markdown, plain text or YAML, with a name ending in {', '.join(SUFFIXES)}.",
        )
    source = load(path)
    return yaml_file.read(source, _read) if suffix in (".yaml", ".yml") else _read(source)


def read_plain(path: Path) -> Any:
    """Return a YAML file that is no story as lists, mappings and texts, as strictly read as one.

    Raises:
        NotFoundError: `story_not_found`.
        InputError: `yaml_invalid`, `story_empty`, `story_too_large` or `not_text`, with the line.
    """
    source = load(path)
    return plain(parse(source, source.text))


def _read(source: Source) -> Story:
    """Read Markdown or plain text."""
    if source.name.lower().endswith((".md", ".markdown")):
        return markdown.read(source)
    return text.read(source)
