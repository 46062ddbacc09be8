"""The film's duration against its words, and against what was asked for."""

from __future__ import annotations

from app.media.checks.facts import AGAIN, Meant, Row, judged

GROUP = "length"

TOLERANCE = 0.15
"""Share by which a duration may be off."""
SHORT, LONG = -0.4, 1.0
"""Shares beyond which no voice is merely quick or slow: words are missing, or a voice hangs. Addresses
and abbreviations that are spelt out take up to twice the time of the rule of thumb."""


def rows(meant: Meant, seconds: float) -> list[Row]:
    """Return the rows of a film of `seconds`."""
    plan = meant.plan
    found = [
        judged(
            GROUP,
            "duration",
            seconds,
            "s",
            limit=f"{plan.seconds:.2f} ± {1 / plan.fps:.2f}, as planned",
            good=abs(seconds - plan.seconds) <= 1.01 / plan.fps,
            says=f"The film is not as long as its scenes. {AGAIN}",
        )
    ]
    if meant.reading > 0:
        off = seconds / meant.reading - 1
        what = "longer" if off > 0 else "shorter"
        found.append(
            judged(
                GROUP,
                "duration against its words",
                100 * off,
                "%",
                limit=f"± {100 * TOLERANCE:g}",
                good=abs(off) <= TOLERANCE,
                says=f"It is {100 * abs(off):.0f} % {what} than its words take to say. "
                "Listen whether the voice drags, spells out or leaves out words; `speed` and `pause` change it.",
                otherwise="warn" if SHORT <= off <= LONG else "fail",
            )
        )
    if meant.length is not None:
        off = seconds / meant.length - 1
        found.append(
            judged(
                GROUP,
                "duration against what was asked",
                100 * off,
                "%",
                limit=f"± {100 * TOLERANCE:g} of {meant.length:g} s",
                good=abs(off) <= TOLERANCE,
                says="Shorten or lengthen the script, or set another `length`; then run the project again.",
                otherwise="warn",
            )
        )
    return found
