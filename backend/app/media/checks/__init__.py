"""A finished film, measured: what a viewer sees, hears and reads, against what was planned.

One decoding of the film serves all groups that look or listen. Each group is a file: it says what
it measured, whether that is within its limit, and what to change where it is not.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from app.media import ffmpeg
from app.media.checks import ink, length, motion, offset, picture, poster, sound, words
from app.media.checks._play import Listener, Watcher, play
from app.media.checks.facts import Meant, Row, Verdict
from app.media.ffmpeg import Report

__all__ = ["GROUPS", "Meant", "Row", "Verdict", "film", "quick"]

GROUPS = tuple(one.GROUP for one in (sound, picture, offset, words, ink, motion, length, poster))
"""Names of the groups, in the order of their rows."""

_LOUDNESS_SHARE = 0.1
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
    tell = report or (lambda _done: None)
    facts = ffmpeg.probe(path)
    rows: list[Row] = []
    if sound.GROUP in only:
        rows += sound.measured(path, meant)
    tell(_LOUDNESS_SHARE)
    ear, eye, lags, cuts = (
        sound.Ear(meant),
        picture.Eye(meant),
        offset.Lags(meant),
        offset.Cuts(meant),
    )
    type_, jitter = ink.Ink(meant), motion.Jitter(meant)
    watchers: dict[Watcher, str] = {eye: "picture", cuts: "offset", type_: "text", jitter: "motion"}
    listeners: dict[Listener, str] = {ear: "sound", lags: "offset"}
    seen = [one for one, group in watchers.items() if group in only]
    heard = [one for one, group in listeners.items() if group in only]
    log = ""
    if seen or heard:
        log = play(
            path,
            meant.plan.size,
            watchers=seen,
            listeners=heard,
            report=lambda done: tell(_LOUDNESS_SHARE + (1 - _LOUDNESS_SHARE) * done),
            duration=facts.duration,
        )
    rows += ear.rows() if ear in heard else []
    rows += [*picture.file_rows(path, meant, log), *eye.rows()] if eye in seen else []
    rows += [*lags.rows(), *cuts.rows()] if lags in heard else []
    rows += words.rows(meant) if words.GROUP in only else []
    rows += type_.rows() if type_ in seen else []
    rows += jitter.rows() if jitter in seen else []
    rows += length.rows(meant, facts.duration) if length.GROUP in only else []
    rows += poster.rows(meant) if poster.GROUP in only else []
    return rows


def quick(meant: Meant) -> list[Row]:
    """Measure what can be told without decoding the film: its captions, on a few frames drawn anew.

    Raises:
        MediaError: `captions_unreadable`, `canvas_unusable`.
    """
    type_ = ink.Ink(meant, most=_QUICK)
    type_.see_drawn()
    return [*words.rows(meant), *type_.rows(), *length.rows(meant, meant.plan.seconds)]
