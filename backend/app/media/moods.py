"""What pieces of each mood are made of: chords, patterns, tempo, players, their parts.

To add one: a row in `MOODS` and its name in `styles.Mood`; a test listens to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.media.styles import Mood

Chord = tuple[int, ...]
"""Semitones above the tonic; the first is the bass note."""
Theme = tuple[Chord, ...]
Pattern = tuple[int, ...]
"""Eighths of a bar; the number is a chord tone from below, -1 a rest."""

_I: Chord = (0, 4, 7, 14)
_I6: Chord = (0, 4, 7, 9)
_I7: Chord = (0, 4, 7, 11)
_II: Chord = (2, 5, 9, 12)
_III: Chord = (4, 7, 11, 14)
_IV: Chord = (5, 9, 12, 16)
_IV9: Chord = (5, 9, 12, 19)
_V: Chord = (7, 12, 14, 17)
_V3: Chord = (7, 11, 14, 17)
_V6: Chord = (11, 7, 14, 19)
_VI: Chord = (9, 12, 16, 19)
_MAJOR: tuple[Theme, ...] = (
    (_I, _VI, _IV9, _V),
    (_I7, _III, _IV, _V),
    (_VI, _IV9, _I, _V6),
    (_IV, _I, _II, _VI),
    (_I, _V6, _VI, _IV9),
    (_IV9, _V, _III, _VI),
    (_I7, _IV, _I7, _II),
)
_MINOR: tuple[Theme, ...] = (
    ((0, 3, 7, 14), (8, 12, 15, 19), (3, 7, 10, 17), (10, 14, 17, 12)),
    ((0, 3, 7, 10), (5, 8, 12, 19), (8, 12, 15, 19), (7, 12, 14, 17)),
    ((8, 12, 15, 19), (10, 14, 17, 12), (0, 3, 7, 14), (3, 7, 10, 14)),
    ((0, 3, 7, 14), (10, 14, 17, 12), (8, 12, 15, 19), (5, 8, 12, 15)),
)
_CHEERFUL: tuple[Theme, ...] = (
    (_I6, _V3, _VI, _IV),
    (_I, _IV, _V3, _IV),
    (_I6, _II, _IV, _V3),
    (_IV, _V3, _I6, _VI),
)
_DORIAN: tuple[Theme, ...] = (
    ((0, 3, 7, 10), (0, 3, 7, 14), (5, 9, 12, 15), (5, 9, 12, 19)),
    ((0, 3, 7, 14), (10, 14, 17, 12), (5, 9, 12, 15), (0, 3, 7, 10)),
    ((0, 3, 7, 10), (3, 7, 10, 14), (10, 14, 17, 12), (5, 9, 12, 15)),
)
_OPEN: tuple[Theme, ...] = (
    # fifths and fourths of the scale 0 2 3 7 8, with no leading note
    ((0, 7, 12, 14), (8, 12, 15, 19), (0, 7, 12, 15), (7, 12, 14, 19)),
    ((0, 7, 12, 15), (3, 7, 14, 10), (8, 15, 12, 14), (0, 7, 14, 12)),
    ((8, 12, 15, 14), (3, 7, 12, 14), (0, 7, 12, 14), (7, 14, 12, 15)),
)

_FLOWING: tuple[Pattern, ...] = (
    (0, -1, 2, -1, 1, -1, 3, -1),
    (0, 1, 2, 3, -1, 2, 1, -1),
    (0, 2, 1, 2, 3, 2, 1, 2),
    (0, -1, 1, 2, -1, 3, -1, 2),
    (-1, 0, -1, 2, -1, 1, 3, -1),
    (0, 2, 3, -1, 1, -1, 2, -1),
)
_SPARSE: tuple[Pattern, ...] = (
    (0, -1, -1, 2, -1, -1, 3, -1),
    (0, -1, -1, -1, 3, -1, 1, -1),
    (-1, -1, 2, -1, 0, -1, -1, 3),
    (3, -1, 2, -1, -1, -1, 0, -1),
)
_STEADY: tuple[Pattern, ...] = (
    (0, 2, 0, 3, 0, 2, 0, 1),
    (0, 1, 2, 0, 1, 2, 0, 3),
    (0, 0, 2, 0, 3, 0, 2, 0),
    (0, 3, 2, 0, 3, 2, 1, 2),
)
_BOUNCING: tuple[Pattern, ...] = (
    (0, -1, 2, 3, -1, 2, -1, 1),
    (0, 2, -1, 2, 3, -1, 2, -1),
    (-1, 2, 3, -1, -1, 2, 3, 1),
    (0, -1, 3, -1, 2, 3, -1, 2),
)


@dataclass(frozen=True)
class Section:
    """How eight bars are played: gains of the instruments, whether the second theme sounds."""

    pad: float
    pluck: float
    melody: float
    bass: float
    beat: float
    second: bool = False


@dataclass(frozen=True)
class Character:
    """What all pieces of a mood have in common.

    Attributes:
        tempo: Slowest and quickest, quarters a minute.
        minor: Share of the pieces that take `minor` themes; the others take `major`.
        beats: Share of the pieces with percussion.
        instruments: What plucks may be played with.
        patterns: Of the plucks.
        sections: Played in turn after the opening.
        opening: Played first.
        level: Gain that brings a full section to about -20 LUFS.
        middle: MIDI note that pads lie around.
        bass: Place in the bar, gain and probability of each note.
        kicks: Eighths with a soft drum.
        claps: Eighths with a clap.
    """

    tempo: tuple[float, float]
    minor: float
    beats: float
    instruments: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    sections: tuple[Section, ...]
    opening: Section
    level: float
    middle: int = 58
    major_themes: tuple[Theme, ...] = _MAJOR
    minor_themes: tuple[Theme, ...] = _MINOR
    bass: tuple[tuple[float, float, float], ...] = ((0, 1.0, 1.0), (0.625, 0.5, 0.4))
    kicks: tuple[int, ...] = (0, 5)
    claps: tuple[int, ...] = ()


_QUIET_OPENING = Section(pad=1.0, pluck=0.45, melody=0.0, bass=0.0, beat=0.0)

MOODS: dict[Mood, Character] = {
    "calm": Character(
        tempo=(69, 85),
        minor=0.3,
        beats=0.7,
        instruments=("felt", "nylon", "mallet", "tine"),
        patterns=_FLOWING,
        opening=_QUIET_OPENING,
        sections=(
            Section(pad=0.95, pluck=0.8, melody=0.0, bass=0.7, beat=0.0),
            Section(pad=0.85, pluck=0.9, melody=0.35, bass=0.9, beat=0.8),
            Section(pad=1.0, pluck=0.5, melody=0.8, bass=0.9, beat=0.4, second=True),
            Section(pad=0.85, pluck=1.0, melody=0.3, bass=0.9, beat=1.0),
            Section(pad=1.1, pluck=0.35, melody=0.55, bass=0.5, beat=0.0, second=True),
        ),
        level=0.48,
    ),
    "deep": Character(
        tempo=(56, 66),
        minor=0.75,
        beats=0.35,
        instruments=("felt", "tine"),
        patterns=_SPARSE,
        opening=_QUIET_OPENING,
        sections=(
            Section(pad=1.1, pluck=0.6, melody=0.0, bass=0.8, beat=0.0),
            Section(pad=1.05, pluck=0.7, melody=0.5, bass=0.9, beat=0.35),
            Section(pad=1.15, pluck=0.4, melody=0.8, bass=0.8, beat=0.0, second=True),
            Section(pad=1.05, pluck=0.8, melody=0.3, bass=0.9, beat=0.4),
        ),
        level=0.47,
        middle=54,
        kicks=(0,),
    ),
    "drive": Character(
        tempo=(104, 114),
        minor=0.8,
        beats=1.0,
        instruments=("mallet", "nylon"),
        patterns=_STEADY,
        minor_themes=_DORIAN,
        opening=Section(pad=0.55, pluck=0.8, melody=0.0, bass=0.0, beat=0.3),
        sections=(
            Section(pad=0.55, pluck=0.75, melody=0.0, bass=0.8, beat=0.7),
            Section(pad=0.55, pluck=0.8, melody=0.3, bass=0.9, beat=1.0),
            Section(pad=0.75, pluck=0.6, melody=0.6, bass=0.9, beat=0.8, second=True),
            Section(pad=0.6, pluck=0.85, melody=0.25, bass=0.9, beat=1.1),
        ),
        level=0.42,
        bass=(
            (0, 0.9, 1.0),
            (0.25, 0.5, 0.5),
            (0.375, 0.6, 0.8),
            (0.625, 0.6, 0.7),
            (0.75, 0.5, 1.0),
        ),
        kicks=(0, 2, 4, 6),
        claps=(2, 6),
    ),
    "solemn": Character(
        tempo=(48, 56),
        minor=1.0,
        beats=0.0,
        instruments=("koto",),
        patterns=_SPARSE,
        minor_themes=_OPEN,
        opening=Section(pad=1.0, pluck=0.9, melody=0.0, bass=0.5, beat=0.0),
        sections=(
            Section(pad=0.9, pluck=1.0, melody=0.4, bass=0.9, beat=0.0),
            Section(pad=1.0, pluck=0.8, melody=0.9, bass=0.9, beat=0.0, second=True),
            Section(pad=0.95, pluck=1.05, melody=0.5, bass=0.8, beat=0.0),
        ),
        level=0.5,
        middle=55,
        bass=((0, 1.2, 1.0),),
    ),
    "bright": Character(
        tempo=(112, 124),
        minor=0.0,
        beats=1.0,
        instruments=("nylon", "mallet"),
        patterns=_BOUNCING,
        major_themes=_CHEERFUL,
        opening=Section(pad=0.4, pluck=0.95, melody=0.0, bass=0.6, beat=0.5),
        sections=(
            Section(pad=0.4, pluck=0.85, melody=0.3, bass=0.9, beat=1.0),
            Section(pad=0.45, pluck=0.8, melody=0.7, bass=0.9, beat=1.0),
            Section(pad=0.6, pluck=0.8, melody=0.8, bass=0.9, beat=0.7, second=True),
            Section(pad=0.4, pluck=0.9, melody=0.4, bass=1.0, beat=1.1),
        ),
        level=0.44,
        bass=((0, 1.0, 1.0), (0.375, 0.7, 0.8), (0.5, 0.8, 1.0), (0.875, 0.5, 0.5)),
        kicks=(0, 3, 4),
        claps=(2, 6),
    ),
}
"""Name in a style → what it stands for."""
