"""The looks a video can have: a YAML file each, ours in this folder, the user's in another.

A style is named after its file. The user's may say `base: paper` and change only some values.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from app import disk, settings
from app.errors import InputError
from app.media.styles import reading
from app.media.styles.schema import (
    RGB,
    Captions,
    Cards,
    Colours,
    Fonts,
    Ground,
    Mood,
    Music,
    Scale,
    Style,
    Transition,
    TransitionKind,
)
from app.models import CaptionStyle

__all__ = [
    "DEFAULT",
    "FOLDER",
    "RGB",
    "Captions",
    "Cards",
    "Colours",
    "Fonts",
    "Ground",
    "Mood",
    "Music",
    "Scale",
    "Style",
    "Transition",
    "TransitionKind",
    "captioned",
    "digest",
    "load",
    "misnamed",
    "names",
    "of_user",
    "read",
]

FOLDER = Path(__file__).parent
DEFAULT = "paper"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_ELSEWHERE = ("name", "description", "look", "motion", "transition", "music")
"""Values that are inputs of their own wherever they shape something."""


@cache
def _ours() -> dict[str, Path]:
    """Return the files of the styles that come with the program, the default first."""
    found = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
    return {DEFAULT: found.pop(DEFAULT), **found}


def of_user() -> dict[str, Path]:
    """Return the files of the user's own styles by name, wrong ones and all."""
    found = sorted(settings.get().styles_folder.glob("*.yaml"))
    return {file.stem: file for file in found if _NAME.fullmatch(file.stem)}


def misnamed() -> tuple[Path, ...]:
    """Return the user's files that look like styles and can't be called by their names."""
    folder, known = settings.get().styles_folder, set(of_user().values())
    found = (*folder.glob("*.yaml"), *folder.glob("*.yml"))
    return tuple(sorted(file for file in found if file not in known))


def names() -> tuple[str, ...]:
    """Return the names of all styles: the default, our others, the user's."""
    return tuple(dict.fromkeys((*_ours(), *of_user())))


def load(name: str) -> Style:
    """Return the style called `name`; the user's is read anew after a change of its file.

    Raises:
        InputError: `style_unknown`, with the names there are; `style_taken` where a file of the
            user's has the name of one of ours; `style_invalid`, naming each value in the file that
            is wrong, missing, unknown or illegible.
    """
    mine = of_user()
    if name in _ours():
        if name in mine:
            raise InputError(
                "style_taken",
                f"The style {mine[name].name} has the name of one that comes with Reelchain.",
                "Give the file another name.",
            )
        return _loaded(name)
    if name not in mine:
        raise InputError(
            "style_unknown",
            f"There is no style called {name!r}.",
            f"Choose one of: {', '.join(names())}.",
        )
    return read(mine[name])


@cache
def _loaded(name: str) -> Style:
    return read(_ours()[name])


def read(file: Path) -> Style:
    """Return the style written in `file`, named after it.

    Raises:
        InputError: `style_invalid`.
    """
    return reading.read(file, _ours())


def captioned(style: Style, kind: CaptionStyle | None) -> Style:
    """Return `style` with captions of another kind; None is its own."""
    if kind is None or kind == style.captions.style:
        return style
    return replace(style, captions=replace(style.captions, style=kind))


def digest(style: Style) -> str:
    """Return the SHA-256 of the values that shape what is drawn: part of the inputs of all of it.

    Motion, transition, music and `look` are not among them: they are told by what they do.
    """
    values = TypeAdapter(Style).dump_python(style, mode="json")
    return disk.digest({key: value for key, value in values.items() if key not in _ELSEWHERE})
