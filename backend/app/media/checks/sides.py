"""The two sides of the sound: whether one loudspeaker, or one ear, gets all of it."""

from __future__ import annotations

import numpy as np

from app.media.checks._play import Sound
from app.media.checks.facts import AGAIN, Meant, Row, Verdict, judged
from app.media.checks.sound import GROUP

LOPSIDED = 3.0
"""Decibels that one side may be louder than the other, over the whole film."""
LOST = 3.0
"""Decibels that may be lost where both sides sound from one loudspeaker; unrelated sides lose 3."""

_LEAST = 1e-9


class Sides:
    """Adds up the power of the sides, and of what is left of them on one loudspeaker."""

    def __init__(self, meant: Meant) -> None:
        self._own = meant.own_music
        self._left = self._right = self._middle = 0.0

    def hear(self, block: Sound) -> None:
        """Take in the next samples."""
        left, right = (block[:, side].astype(np.float32) / 32768 for side in (0, 1))
        self._left += float(np.vdot(left, left))
        self._right += float(np.vdot(right, right))
        middle = (left + right) / 2
        self._middle += float(np.vdot(middle, middle))

    def rows(self) -> list[Row]:
        """Return what was found."""
        left, right = (max(side, _LEAST) for side in (self._left, self._right))
        apart = float(10 * np.log10(left / right))
        lost = float(10 * np.log10((left + right) / 2 / max(self._middle, _LEAST)))
        side = "left" if apart > 0 else "right"
        remedy = "Choose another piece, or `music: auto`." if self._own else AGAIN
        otherwise: Verdict = "warn" if self._own else "fail"
        return [
            judged(
                GROUP,
                "left side against right",
                apart,
                "dB",
                limit=f"± {LOPSIDED:g}",
                good=abs(apart) <= LOPSIDED,
                says=f"The sound comes from the {side}. {remedy}",
                otherwise=otherwise,
            ),
            judged(
                GROUP,
                "lost on one loudspeaker",
                lost,
                "dB",
                limit=f"≤ {LOST:g}",
                good=lost <= LOST + 0.1,
                says=f"The sides take from each other: a telephone plays little of it. {remedy}",
                otherwise=otherwise,
            ),
        ]
