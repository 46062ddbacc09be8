"""A finished film, measured: what a viewer sees, hears and reads, against what was planned.

One decoding of the film serves all groups that look or listen. Each group is a file: it says what
it measured, whether that is within its limit, and what to change where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from app.errors import MediaError
from app.media import audio, ffmpeg
from app.media.checks import (
    ink,
    length,
    likeness,
    motion,
    offset,
    pauses,
    picture,
    poster,
    sides,
    sound,
    stream,
    words,
)
from app.media.checks._play import Glancer, Listener, Watcher, play
from app.media.checks._views import Views
from app.media.checks.facts import Meant, Row, Verdict
from app.media.ffmpeg import Report

__all__ = ["GROUPS", "Meant", "Row", "Verdict", "film", "quick"]

GROUPS = tuple(one.GROUP for one in (sound, picture, offset, words, ink, motion, length, poster))
"""Names of the groups, in the order of their rows."""

_QUICK = 6
"""Captions that are looked at right after a render."""


def film(
    path: Path,
    meant: Meant,
    *,
    only: Collection[str] = GROUPS,
    report: Report | None = None,
) -> list[Row]:
    """Measure a finished film.

    Args:
        path: The film.
        meant: What it was meant to be.
        only: Groups to measure.
        report: Called with the fraction done; may raise to stop.

    Raises:
        MediaError: `media_unreadable`, `film_unreadable`, `captions_unreadable`, or FFmpeg's own.
    """
    duration = _duration(path)
    crew = _Crew(meant)
    log = crew.play(path, meant.plan.size, only, report=report, duration=duration)
    rows: dict[str, Callable[[], list[Row]]] = {
        sound.GROUP: lambda: [
            *sound.loudness(audio.loudness(log), meant),
            *crew.ear.rows(),
            *crew.pauses.rows(),
            *crew.sides.rows(),
        ],
        picture.GROUP: lambda: [
            *stream.rows(path, meant, log),
            *crew.eye.rows(),
            *crew.likeness.rows(),
        ],
        offset.GROUP: lambda: [*crew.lags.rows(), *crew.cuts.rows()],
        words.GROUP: lambda: words.rows(meant),
        ink.GROUP: crew.ink.rows,
        motion.GROUP: crew.jitter.rows,
        length.GROUP: lambda: length.rows(meant, duration),
        poster.GROUP: lambda: poster.rows(meant),
    }
    return [row for group in GROUPS if group in only for row in rows[group]()]


def _duration(path: Path) -> float:
    """Return the seconds of a film that has a picture and a sound."""
    facts = ffmpeg.probe(path)
    for codec, what in ((facts.video_codec, "picture"), (facts.audio_codec, "sound")):
        if codec is None:
            raise MediaError(
                "film_unreadable",
                f"{path.name} has no {what}.",
                "Run the project again from video_rendering.",
            )
    return facts.duration


class _Crew:
    """Who looks at the frames of a film and who listens to it, each for a group."""

    def __init__(self, meant: Meant) -> None:
        self.ear, self.eye = sound.Ear(meant), picture.Eye(meant)
        views = Views(meant.plan)
        self.lags, self.cuts = offset.Lags(meant), offset.Cuts(meant, views)
        self.ink, self.jitter = ink.Ink(meant), motion.Jitter(meant, views)
        self.likeness = likeness.Likeness(meant, views)
        self.pauses, self.sides = pauses.Pauses(meant), sides.Sides(meant)

    def play(
        self,
        path: Path,
        size: tuple[int, int],
        only: Collection[str],
        *,
        report: Report | None,
        duration: float,
    ) -> str:
        """Decode a film for the groups that want it; return FFmpeg's log, empty where none does."""
        glancers: dict[Glancer, str] = {
            self.eye: picture.GROUP,
            self.likeness: picture.GROUP,
            self.cuts: offset.GROUP,
        }
        watchers: dict[Watcher, str] = {self.ink: ink.GROUP, self.jitter: motion.GROUP}
        listeners: dict[Listener, str] = {
            self.ear: sound.GROUP,
            self.pauses: sound.GROUP,
            self.sides: sound.GROUP,
            self.lags: offset.GROUP,
        }
        return play(
            path,
            size,
            glancers=[one for one, group in glancers.items() if group in only],
            watchers=[one for one, group in watchers.items() if group in only],
            listeners=[one for one, group in listeners.items() if group in only],
            report=report,
            duration=duration,
        )


def quick(meant: Meant) -> list[Row]:
    """Measure what can be told without decoding the film: its captions, on a few frames drawn anew.

    Raises:
        MediaError: `captions_unreadable`, `canvas_unusable`.
    """
    type_ = ink.Ink(meant, most=_QUICK)
    type_.see_drawn()
    return [*words.rows(meant), *type_.rows(), *length.rows(meant, meant.plan.seconds)]
