"""A style's file, read strictly: what is wrong in it is named, value for value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from app.errors import InputError
from app.media.styles.schema import RGB, Style

BASE = "base"
"""The key by which a style takes all values it does not name from one of ours."""


def read(file: Path, bases: dict[str, Path]) -> Style:
    """Return the style written in `file`, named after it.

    Args:
        file: YAML.
        bases: Styles that it may be based on, by name.

    Raises:
        InputError: `style_invalid`, naming each value that is wrong, missing, unknown or illegible.
    """
    values = _values(file)
    if "name" in values:
        raise _invalid(file, "name is no setting of a style, its file's name is")
    if BASE in values:
        base = values.pop(BASE)
        if not isinstance(base, str) or base not in bases:
            raise _invalid(file, f"{BASE} is none of {', '.join(sorted(bases))}")
        values = _over({**_values(bases[base]), "description": f"Like {base}"}, values)
    try:
        style: Style = TypeAdapter(Style).validate_python({"name": file.stem, **values})
    except ValidationError as error:
        raise _invalid(file, "; ".join(_sentence(dict(e)) for e in error.errors())) from None
    if faint := illegible(style):
        raise _invalid(file, "; ".join(faint))
    return style


def illegible(style: Style) -> list[str]:
    """Return a sentence for each pair of colours that meet as text and ground and can't be read."""
    from app.media import contrast  # costs OpenCV

    colours, captions = style.colours, style.captions
    cards = ("colours.background", colours.background), ("colours.horizon", colours.horizon)
    pairs = [
        (f"colours.{name}", getattr(colours, name), *ground)
        for name in ("ink", "muted")
        for ground in cards
    ]
    pairs.append(("colours.accent", colours.accent, *cards[0]))
    pairs += [
        (f"captions.{name}", getattr(captions, name), f"captions.box over {under}", box)
        for name in ("text", "mark")
        for under, box in (
            ("black", _over_colour(captions.box, captions.opacity, 0)),
            ("white", _over_colour(captions.box, captions.opacity, 255)),
        )
    ]
    found = []
    for name, colour, ground_name, ground in pairs:
        lights = (float(contrast.luminance(_array(one))) for one in (colour, ground))
        ratio = float(contrast.ratio(*lights))
        if ratio < contrast.LEAST:
            found.append(
                f"{name} on {ground_name} has a contrast of {ratio:.1f}, {contrast.LEAST} is legible"
            )
    return found


def _array(colour: RGB) -> Any:
    import numpy as np

    return np.array(colour, float)


def _over_colour(colour: RGB, opacity: float, under: int) -> RGB:
    red, green, blue = (round(opacity * part + (1 - opacity) * under) for part in colour)
    return red, green, blue


def _values(file: Path) -> dict[Any, Any]:
    try:
        values: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(file, f"it can't be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise _invalid(file, f"it is not YAML{where}") from None
    except ValueError as error:  # what looks like a date or a number and is none: 2026-13-45
        raise _invalid(file, f"it has a value that can't be ({str(error).split(';')[0]})") from None
    if not isinstance(values, dict):
        raise _invalid(file, "it is not a mapping")
    return {str(key): value for key, value in values.items()}


def _over(below: dict[Any, Any], values: dict[Any, Any]) -> dict[Any, Any]:
    """Return `below` with `values` in place of its own, mapping by mapping."""
    made = dict(below)
    for key, value in values.items():
        deeper = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = _over(made[key], value) if deeper else value
    return made


def _sentence(fault: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "unexpected_keyword_argument":
        return f"{key} is no setting of a style"
    if fault["type"] in ("missing", "missing_argument"):
        return f"{key} is missing"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def _invalid(file: Path, why: str) -> InputError:
    return InputError(
        "style_invalid",
        f"The style {file.name} can't be used: {why}.",
        "Compare it with paper.yaml, which explains every value.",
    )
