"""The command `check`: a finished video, measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from app import settings
from app.cli import output
from app.errors import CheckError
from app.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Id = Annotated[str, typer.Argument(help="The project's number; see `reelchain ls`.", metavar="ID")]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="One group: sound, picture, offset, captions, text, motion, length, thumbnail. May be repeated."
    ),
]

_NOTHING = "There is nothing to measure: nothing of that kind is in the video."
_PATIENCE = 2.0
"""Seconds before progress is told where nobody watches a terminal."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(check)


def check(project_id: Id, only: Only = None, json: Json = False) -> None:
    """Measure a finished video: sound, picture, captions, motion; say what to change.

    Exits with 14 where something is not as it must be; a warning is worth a look and no failure.
    """
    from app import checking

    project = Project.open(settings.get().projects_dir, project_id)
    with output.waiting("Measuring the video…") as tell:
        found = checking.check(project, only=only or (), report=_progress(tell))
    rows: list[dict[str, Any]] = found["rows"]
    if json:
        output.facts(found, as_json=True)
    else:
        output.table(["", "What", "Measured", "Limit", ""], [_line(row) for row in rows])
        notes = (row for row in rows if row["says"])
        lines = [output.hanging(row["verdict"], f"{row['name']}: {row['says']}") for row in notes]
        output.facts(None, as_json=False, lines=lines)
    bad = [row for row in rows if row["verdict"] == "fail"]
    if bad:
        error = CheckError(
            "check_failed",
            f"{len(bad)} of {len(rows)} measurements of project {project.id} are out of their limits.",
            "Change what each row says, then run the project again.",
        )
        output.note(f"Error [{error.code}]: {error.message}\n  {error.hint}")
        sys.exit(error.exit_code)
    if not json:
        draft = " It is a draft: RENDER_SCALE is below 1." if found["draft"] else ""
        warned = sum(row["verdict"] == "warn" for row in rows)
        told = f", {warned} worth a look" if warned else ""
        line = f"All is well: {len(rows)} measured{told}.{draft}"
        output.facts(None, as_json=False, lines=[line if rows else _NOTHING])


def _line(row: dict[str, Any]) -> list[object]:
    value = row["value"]
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    measured = f"{shown} {row['unit']}".replace(" : 1", ":1").strip()
    return [row["group"], row["name"], measured, row["limit"], row["verdict"]]


def _progress(tell: Callable[[str], None]) -> Callable[[float], None]:
    """Return what tells progress: at once to a terminal, in tenths and only if it lasts to a log."""
    begun, said = time.monotonic(), 0

    def report(done: float) -> None:
        nonlocal said
        percent = int(100 * done)
        live = sys.stderr.isatty()
        step = percent if live else percent // 10 * 10
        if step > said and (live or time.monotonic() - begun > _PATIENCE):
            said = step
            tell(f"Measuring the video: {step} %")

    return report
