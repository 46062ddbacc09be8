"""The thumbnail: what was measured as its composition was chosen, and the file that came of it."""

from __future__ import annotations

from app.media import contrast, pictures, thumbnail
from app.media.checks.facts import Meant, Row, judged
from app.media.thumbnail import layouts

GROUP = "thumbnail"

LINES = layouts.LINES
_SHORTER = "Give the video a shorter `title`; then run the project again from thumbnail_generation."


def rows(meant: Meant) -> list[Row]:
    """Return the rows of a thumbnail; none where there is none.

    Raises:
        InputError: As `pictures.check`, where the file is no picture any more.
    """
    if meant.thumbnail is None:
        return []
    path, known = meant.thumbnail
    pictures.check(path)
    size = path.stat().st_size
    least = layouts.least(meant.language)
    found = [
        judged(
            GROUP,
            "size of its file",
            size / 1e6,
            "MB",
            limit=f"≤ {thumbnail.MAX_BYTES / 1e6:g}",
            good=size <= thumbnail.MAX_BYTES,
            says="YouTube refuses it. Run the project again from thumbnail_generation.",
        )
    ]
    if not known.lines:
        return found
    return [
        *found,
        judged(
            GROUP,
            "contrast of its title",
            known.contrast,
            ": 1",
            limit=f"≥ {contrast.LEAST:g}",
            good=known.contrast >= contrast.LEAST,
            says="Choose another `style`; then run the project again from asset_generation.",
        ),
        judged(
            GROUP,
            "letters in a list of videos",
            known.letter,
            "px",
            limit=f"≥ {least:g} at {layouts.STAMP[0]} × {layouts.STAMP[1]}",
            good=known.letter >= least,
            says=f"They can hardly be read. {_SHORTER}",
            otherwise="warn",
        ),
        judged(
            GROUP,
            "lines of its title",
            known.lines if known.whole else f"{known.lines}, cut short",
            limit=f"≤ {LINES}, all of it",
            good=known.whole and known.lines <= LINES,
            says=_SHORTER,
            otherwise="warn" if known.lines <= LINES else "fail",
        ),
        judged(
            GROUP,
            "title over a face",
            "yes" if known.covers else "no",
            limit="no",
            good=not known.covers,
            says=_SHORTER,
            otherwise="warn",
        ),
    ]
