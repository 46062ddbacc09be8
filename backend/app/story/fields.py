"""Settings in a story file: a small, strict YAML with line numbers.

Only plain values, lists and mappings exist here: no anchors, no tags, no duplicate keys, so
neither a bomb nor an object can be built. Scalars stay text until a field asks for a number, so
`shape: 16:9` and `title: 2026-01-01` mean what they say.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from app import language as lang
from app.errors import InputError
from app.models import ProjectSpec
from app.story.parts import Source, inner_file

SETTINGS = tuple(name for name in ProjectSpec.model_fields if name != "source")
"""Settings a story file may hold."""
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_MAX_DEPTH = 8
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast


@dataclass
class Node:
    """A YAML value and the line it stands on. Exactly one of the three is not None."""

    line: int
    text: str | None = None
    items: list[Node] | None = None
    entries: dict[str, Node] | None = None
    empty: bool = False
    """A null: nothing, `~` or `null`."""
    key_line: int = field(default=0)


def parse(source: Source, text: str, first_line: int = 1) -> Node:
    """Return the one YAML document in `text`, whose first line is `first_line` of the file.

    Raises:
        InputError: `yaml_invalid`, with the line.
    """
    events = _events(source, text, first_line)
    root = Node(first_line, text="", empty=True)
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                _refuse(source, event, first_line, "a second document starts here")
        elif isinstance(event, yaml.NodeEvent):
            root = _node(source, events, event, first_line, 1)
    return root


def _events(source: Source, text: str, first_line: int) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        source.refuse("yaml_invalid", line, f"{error.problem or 'not YAML'}.", _FORM)
    except yaml.YAMLError as error:
        source.refuse("yaml_invalid", first_line, f"not YAML: {error}.", _FORM)


_FORM = "Write one `name: value` a line; put quotes round a value that holds `: ` or starts with a symbol."


_SAID_FORM = "Write `pronunciations:`, and below it, indented, one `word: how it is said` a line."


def _row(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


def _refuse(source: Source, event: yaml.Event, first_line: int, what: str) -> None:
    source.refuse(
        "yaml_invalid",
        first_line + _row(event),
        f"{what}.",
        "Use plain names, values and lists only.",
    )


def _node(
    source: Source, events: Iterator[yaml.Event], event: yaml.Event, first_line: int, depth: int
) -> Node:
    line = first_line + _row(event)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        _refuse(source, event, first_line, "anchors and aliases are not read")
    if tag := getattr(event, "tag", None):
        _refuse(source, event, first_line, f"the tag {tag} is not read")
    if depth > _MAX_DEPTH:
        _refuse(source, event, first_line, "this is nested too deeply")
    if isinstance(event, yaml.ScalarEvent):
        plain = not event.style
        line += event.style in ("|", ">")  # a block's words start below its mark
        return Node(line, text=event.value, empty=plain and event.value in ("", "~", "null"))
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Node] = []
        while not isinstance(inner := next(events), yaml.SequenceEndEvent):
            items.append(_node(source, events, inner, first_line, depth + 1))
        return Node(line, items=items)
    return Node(line, entries=_entries(source, events, first_line, depth))


def _entries(
    source: Source, events: Iterator[yaml.Event], first_line: int, depth: int
) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    while not isinstance(inner := next(events), yaml.MappingEndEvent):
        key = _node(source, events, inner, first_line, depth + 1)
        if key.text is None:
            _refuse(source, inner, first_line, "a name is expected before the colon")
            continue
        if key.text in entries:
            _refuse(source, inner, first_line, f"{key.text!r} is given twice")
        value = _node(source, events, next(events), first_line, depth + 1)
        value.key_line = key.line
        entries[key.text] = value
    return entries


def plain(node: Node) -> Any:
    """Return a node as lists, mappings and texts; None for nothing."""
    if node.empty:
        return None
    if node.entries is not None:
        return {name: plain(value) for name, value in node.entries.items()}
    return node.text if node.items is None else [plain(item) for item in node.items]


def kind(node: Node) -> str:
    """Return what a node is, in words."""
    if node.empty:
        return "nothing"
    if node.entries is not None:
        return "a mapping"
    return "a list" if node.items is not None else "a text"


def mapping(source: Source, node: Node, what: str, form: str) -> dict[str, Node]:
    """Return the entries of a mapping.

    Raises:
        InputError: `yaml_shape`, naming the line and what is expected.
    """
    if node.entries is None:
        source.refuse("yaml_shape", node.line, f"{what} must be a mapping, not {kind(node)}.", form)
    return node.entries


def text_of(source: Source, node: Node, name: str) -> str:
    """Return a scalar's text; `""` for nothing.

    Raises:
        InputError: `yaml_shape`, naming the line.
    """
    if node.text is None:
        form = f"Write `{name}: some text`."
        source.refuse("yaml_shape", node.line, f"{name} must be a text, not {kind(node)}.", form)
    return "" if node.empty else node.text


def settings(
    source: Source, entries: dict[str, Node], more: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return the settings among `entries`, checked; names in `more` are the caller's and left out.

    Raises:
        InputError: `story_setting_unknown` or `story_setting_invalid`, `language_unknown`,
            `music_outside` or `music_missing`, `source_outside` or `source_missing`, with the line.
    """
    fields: dict[str, object] = {}
    for name, node in entries.items():
        if name in more:
            continue
        if name not in SETTINGS:
            _unknown(source, name, node.key_line, SETTINGS + more)
        if not node.empty:
            fields[name] = _value(source, name, node)
            _check(source, name, fields[name], node.line)
    return fields


def _unknown(source: Source, name: str, line: int, known: tuple[str, ...]) -> None:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}?" if near else f"Choose from: {', '.join(known)}."
    source.refuse("story_setting_unknown", line, f"there is no setting {name[:60]!r}.", hint)


def _value(source: Source, name: str, node: Node) -> object:
    if name == "sources":
        return _sources(source, node)
    if name == "pronunciations":
        return _pronunciations(source, node)
    if name == "tags" and node.items is not None:
        return tuple(text_of(source, item, "tags") for item in node.items)
    text = text_of(source, node, name).strip()
    value: object
    match name:
        case "tags":
            value = tuple(tag.strip() for tag in text.split(",") if tag.strip())
        case "length" | "speed" | "pause":
            value = _number(text)
        case "captions" | "made_for_kids" | "synthetic_media" | "notify" | "strict":
            value = _FLAGS.get(text.lower(), text)
        case "language":
            value = _language(source, text, node.line)
        case "music":
            value = _music(source, text, node.line)
        case _:
            value = text
    return value


def _pronunciations(source: Source, node: Node) -> dict[str, str]:
    """Return words as written and how they are said, each checked on its own line."""
    said = {}
    for word, reading in mapping(source, node, "pronunciations", _SAID_FORM).items():
        said[word.strip()] = text_of(source, reading, word).strip()
        _check(source, "pronunciations", {word: said[word.strip()]}, reading.key_line)
    return said


def _sources(source: Source, node: Node) -> tuple[str, ...]:
    """Return the files that a writer works from: a list, or names with commas between them."""
    if node.items is not None:
        given = [(text_of(source, item, "sources"), item.line) for item in node.items]
    else:
        given = [(name, node.line) for name in text_of(source, node, "sources").split(",")]
    named = ((name.strip(), line) for name, line in given)
    return tuple(inner_file(source, name, line, "source") for name, line in named if name)


def _music(source: Source, text: str, line: int) -> str:
    if text in ("auto", "none"):
        return text
    if text.lower() in _FLAGS:
        return "auto" if _FLAGS[text.lower()] else "none"
    return inner_file(source, text, line, "music")


def _number(text: str) -> object:
    """Return seconds for `90` and `1:30`; other text as it is, for the check to refuse."""
    minutes, colon, seconds = text.rpartition(":")
    try:
        return float(seconds) + (60 * int(minutes) if colon else 0)
    except ValueError:
        return text


def _language(source: Source, text: str, line: int) -> lang.Language:
    try:
        return lang.normalise(text)
    except InputError as error:
        message = f"{source.name}, line {line}: {error.message[0].lower()}{error.message[1:]}"
        raise InputError(error.code, message, error.hint) from None


def _check(source: Source, name: str, value: object, line: int) -> None:
    try:
        ProjectSpec.model_validate({name: value})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        shown = str(value)[:60]
        if isinstance(value, dict):
            shown = ": ".join(*value.items())[:60]
        source.refuse(
            "story_setting_invalid",
            line,
            f"{name} can't be {shown!r}: {reason[0].lower()}{reason[1:]}.",
            "Correct the value; docs/operations.md lists the settings.",
        )


def front_matter(source: Source) -> tuple[dict[str, object], str]:
    """Return the settings between `---` lines at the top, and the text with those lines blank.

    Settings from outside (`source.over`) win.

    Raises:
        InputError: `front_matter_open` where the second `---` is missing, and those of
            `parse` and `settings`.
    """
    lines = source.text.split("\n")
    if lines[0].rstrip() != "---":
        return dict(source.over), source.text
    ends = (at for at, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "..."))
    end = next(ends, None)
    if end is None:
        if len(lines) < 2 or not lines[1].split(":")[0].strip().isidentifier():
            return dict(source.over), source.text  # a rule across the page
        source.refuse(
            "front_matter_open",
            1,
            "the settings that start here have no end.",
            "Close them with a line of three hyphens: ---",
        )
    root = parse(source, "\n".join(lines[1:end]), first_line=2)
    entries = {} if root.empty else mapping(source, root, "the settings", _FORM)
    fields = {**settings(source, entries), **source.over}
    return fields, "\n" * (end + 1) + "\n".join(lines[end + 1 :])
