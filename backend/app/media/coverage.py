"""Whether all that a video shows can be drawn: asked before anything is spoken or rendered."""

from __future__ import annotations

from collections.abc import Iterable

from app.errors import InputError
from app.media import fonts
from app.models import Language, Script

_NAMED = 6


def check(script: Script) -> None:
    """Refuse a script with characters that would show as empty boxes.

    Raises:
        InputError: `script_undrawable`, naming the characters and where they are.
    """
    places = [("the title", script.title)]
    for scene in script.scenes:
        places.append((f"the heading of scene {scene.id}", scene.heading))
        places.append((f"the narration of scene {scene.id}", scene.narration))
    check_texts(places, script.language)


def check_texts(places: Iterable[tuple[str, str]], language: Language) -> None:
    """Refuse texts with characters that would show as empty boxes.

    Args:
        places: Name of each text, as its writer knows it, and the text.
        language: Of all of them.

    Raises:
        InputError: `script_undrawable`, naming the characters and the first text that has one.
    """
    found: dict[str, None] = {}
    first = ""
    for place, text in places:
        if text.isascii():
            continue
        missing = fonts.missing(text, language)
        if missing and not first:
            first = place
        found.update(dict.fromkeys(missing))
    if found:
        named = ", ".join(f"{one} (U+{ord(one):04X})" for one in list(found)[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise InputError(
            "script_undrawable",
            f"No font here can draw {named}{more}, first in {first}.",
            "Write it with other characters, or leave them out.",
        )
