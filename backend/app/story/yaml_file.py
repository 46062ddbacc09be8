"""YAML: settings with a topic, another story file, or a list of scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from app.story import parts
from app.story.fields import Node, kind, mapping, parse, settings, text_of
from app.story.parts import Draft, Source, Story

_OWN = ("story", "scenes")
_STORIES = (".md", ".markdown", ".txt")
_SCENE = ("heading", "narration", "picture", "alt", "card")
_FORM = "Write settings as `name: value`, with one of `topic:`, `story: file.md` or `scenes:`."
_SCENE_FORM = (
    "Write each scene as `- narration: some words`, with `heading:`, `picture:` and `alt:`, or "
    "`card:`, if wanted."
)


def read(source: Source, read_other: Callable[[Source], Story]) -> Story:
    """Return the story in a YAML file; `read_other` reads the file that `story:` names."""
    entries = mapping(source, parse(source, source.text), "the file", _FORM)
    fields = settings(source, entries, _OWN)
    given = [name for name in (*_OWN, "topic") if name in entries and not entries[name].empty]
    if len(given) != 1:
        line = entries[given[1]].key_line if given else 1
        wrong = f"{given[0]} and {given[1]} exclude each other" if given else "nothing to tell"
        source.refuse("yaml_shape", line, f"{wrong}.", _FORM)
    if given == ["story"]:
        return _other(source, entries["story"], fields, read_other)
    if given == ["scenes"]:
        return _scenes(source, entries["scenes"], fields)
    return parts.story(source, fields, None)


def _other(
    source: Source, node: Node, fields: dict[str, object], read_other: Callable[[Source], Story]
) -> Story:
    """Return the story of another file, under this file's own settings."""
    name = parts.inner_file(source, text_of(source, node, "story"), node.line, "story")
    if not name.lower().endswith(_STORIES):
        hint = f"Name a file ending in {', '.join(_STORIES)}."
        source.refuse("yaml_shape", node.line, "story must be a Markdown or text file.", hint)
    other = parts.load(source.folder / name)
    other.prefix = str(PurePosixPath(name).parent)
    other.over = fields
    story = read_other(other)
    return replace(
        story,
        warnings=(*source.warnings, *story.warnings),
        files=(name, *story.files),
    )


def _scenes(source: Source, node: Node, fields: dict[str, object]) -> Story:
    if node.items is None:
        source.refuse(
            "yaml_shape", node.line, f"scenes must be a list, not {kind(node)}.", _SCENE_FORM
        )
    drafts = [_draft(source, item) for item in node.items]
    script = parts.script(source, drafts, fields, "", by_time=False)
    return parts.story(source, fields, script)


def _draft(source: Source, node: Node) -> Draft:
    entries = mapping(source, node, "a scene", _SCENE_FORM)
    for name, value in entries.items():
        if name not in _SCENE:
            line = value.key_line
            source.refuse("yaml_shape", line, f"a scene has no {name[:60]!r}.", _SCENE_FORM)
    text = {name: text_of(source, value, name) for name, value in entries.items()}
    lines = {name: value.line for name, value in entries.items()}
    draft = Draft(node.line, picture_line=lines.get("picture", node.line))
    for name in ("heading", "alt"):
        words = source.words(text.get(name, ""), lines.get(name, node.line))
        setattr(draft, name, " ".join(words.split()))
    narration = source.words(text.get("narration", ""), lines.get("narration", node.line))
    draft.narration = [block.strip() for block in narration.split("\n\n") if block.strip()]
    if text.get("picture"):
        draft.picture = parts.inner_file(source, text["picture"], draft.picture_line, "picture")
    if text.get("card"):
        draft.card = parts.card(source, text["card"], lines["card"])
    return draft
