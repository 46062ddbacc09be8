"""Captions: sentences cut into cues, cues drawn in four styles, and written as files.

`cut` and `timed` say what is shown when, `Painter` draws it, `srt`, `vtt` and `ass` write it;
`safe` and `zone` say where things may stand.
"""

from __future__ import annotations

from app.media.captions.cues import LEAD, LIMITS, Cue, Mark, speed, timed, too_fast
from app.media.captions.cutting import cut, grouped, pieces
from app.media.captions.files import ass, srt, vtt
from app.media.captions.painting import Painter, Raster
from app.media.captions.places import COLUMNS, COVERED, LINES, Box, Shape, room, safe, shape, zone

VERSION = "5"
"""Of how captions are cut and look; raise it when the same words would come out otherwise."""

__all__ = [
    "COLUMNS",
    "COVERED",
    "LEAD",
    "LIMITS",
    "LINES",
    "VERSION",
    "Box",
    "Cue",
    "Mark",
    "Painter",
    "Raster",
    "Shape",
    "ass",
    "cut",
    "grouped",
    "pieces",
    "room",
    "safe",
    "shape",
    "speed",
    "srt",
    "timed",
    "too_fast",
    "vtt",
    "zone",
]
