"""The thumbnail: what was measured as its composition was chosen, and the file that came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.media import contrast, pictures, thumbnail
from app.media.checks.facts import Meant, Row, judged
from app.media.thumbnail import Facts, layouts
from app.models import Language

GROUP = "thumbnail"

LINES = layouts.LINES
_ANEW = "Run the project again with `--from thumbnail_generation`."
_SHORTER = "Give the video a shorter `title`; then run the project again."


def rows(meant: Meant) -> list[Row]:
    """Return the rows of a thumbnail; none where there is none.

    Raises:
        InputError: As `pictures.check`, where the file is no picture any more.
    """
    if meant.thumbnail is None:
        return []
    path, known = meant.thumbnail
    if not path.is_file():
        return [_row("file", "missing", limit="a picture", good=False, says=_ANEW)]
    pictures.check(path)
    title = _title(known, meant.language) if known and known.lines else []
    return [*_file(path, altered=meant.altered), *title]


def _row(name: str, value: float | str, unit: str = "", **kept: Any) -> Row:
    return judged(GROUP, name, value, unit, **kept)


def _file(path: Path, *, altered: bool) -> list[Row]:
    """Return what a service asks of the file."""
    from PIL import Image

    size = path.stat().st_size
    with Image.open(path) as picture:
        sides, form = picture.size, picture.format
    wide, high = thumbnail.SIZE
    return [
        _row(
            "size of its file",
            size / 1e6,
            "MB",
            limit=f"≤ {thumbnail.MAX_BYTES / 1e6:g}",
            good=size <= thumbnail.MAX_BYTES,
            says=f"YouTube refuses it. {_ANEW}",
        ),
        _row(
            "picture",
            f"{form}, {sides[0]} × {sides[1]}" + (", another one" if altered else ""),
            limit=f"JPEG, {wide} × {high}",
            good=form == "JPEG" and sides == thumbnail.SIZE and not altered,
            says=f"It is not the picture that was drawn. {_ANEW}",
        ),
    ]


def _title(known: Facts, language: Language) -> list[Row]:
    """Return what was measured of the title as it was set."""
    least = layouts.least(language)
    return [
        _row(
            "contrast of its title",
            known.contrast,
            ": 1",
            limit=f"≥ {contrast.LEAST:g}",
            good=known.contrast >= contrast.LEAST,
            says="Choose another `style`; then run the project again.",
        ),
        _row(
            "letters in a list of videos",
            known.letter,
            "px",
            limit=f"≥ {least:g} at {layouts.STAMP[0]} × {layouts.STAMP[1]}",
            good=known.letter >= least,
            says=f"They can hardly be read. {_SHORTER}",
            otherwise="warn",
        ),
        _lines(known),
        _row(
            "title over a face",
            "yes" if known.covers else "no",
            limit="no",
            good=not known.covers,
            says=_SHORTER,
            otherwise="warn",
        ),
    ]


def _lines(known: Facts) -> Row:
    return _row(
        "lines of its title",
        known.lines if known.whole else f"{known.lines}, cut short",
        limit=f"≤ {LINES}, all of it",
        good=known.whole and known.lines <= LINES,
        says=_SHORTER,
        otherwise="warn" if known.lines <= LINES else "fail",
    )
