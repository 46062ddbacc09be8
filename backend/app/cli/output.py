"""How facts, errors and waiting look in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from app import errors
from app.project import STAGE_ORDER

STAGE_LABELS = {
    "script_generation": "Script",
    "asset_generation": "Voice and pictures",
    "video_rendering": "Video",
    "thumbnail_generation": "Thumbnail",
    "youtube_upload": "Publish",
}


def facts(document: Any, *, as_json: bool, lines: Iterable[str] = ()) -> None:
    """Print one document as JSON, or its lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        for line in lines:
            sys.stdout.write(f"{line}\n")


def hanging(head: str, text: str) -> str:
    """Return a line for a person: in a terminal broken at words, in columns under its beginning.

    A pipe or file gets it as one line.
    """
    if not sys.stdout.isatty():
        return f"{head}  {text}"
    from rich.console import Console
    from rich.text import Text

    console, indent = Console(), " " * (len(head) + 2)
    parts = Text(text).wrap(console, max(console.width - len(indent), 20))
    return f"{head}  " + f"\n{indent}".join(part.plain.rstrip() for part in parts)


def note(text: str) -> None:
    """Say something to the person at the terminal, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def failed(error: errors.ReelchainError, *, as_json: bool) -> int:
    """Report an error; return its exit code."""
    if as_json:
        document = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stdout.write(json.dumps({"error": document}, ensure_ascii=False, indent=2) + "\n")
    note(f"Error [{error.code}]: {error.message}")
    if error.hint:
        note(f"  {error.hint}")
    return error.exit_code


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as wide as the terminal; into a pipe or file as wide as it is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(_plain(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 1000).print(made)


def _plain(cell: object) -> Any:
    from rich.text import Text

    return Text("" if cell is None else str(cell))  # a title is no markup


def clock(seconds: float) -> str:
    """Return 125 as `2:05`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@contextmanager
def waiting(text: str) -> Iterator[Any]:
    """Show that something takes a moment; yields a callable that changes the text."""
    if not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def follow(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Show a run's events as live bars (or lines, where nobody watches); return the last one."""
    shown = _Bars() if sys.stderr.isatty() else _Lines()
    last: dict[str, Any] = {}
    with shown:
        for event in events:
            last = event
            shown.show(event)
    return last


class _Lines:
    """One line per stage change and per tenth of the way: for logs and pipes."""

    def __init__(self) -> None:
        self._said: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, event: dict[str, Any]) -> None:
        mark = (event["stage"], event["progress"] // 10, event["status"], event["final"])
        if mark != self._said:
            self._said = mark
            note(f"{event['progress']:3d} %  {event['message']}")


class _Bars:
    """A bar for each stage, the message and the time left below."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
        )
        self._rows: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        for stage in STAGE_ORDER:
            self._rows[stage] = self._bars.add_task(
                f"{STAGE_LABELS[stage]:<20}", total=100, start=False, note=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, event: dict[str, Any]) -> None:
        if event["code"] == "queued":
            self._note(event["stage"], event["message"])
            return
        index = STAGE_ORDER.index(event["stage"])
        for stage in STAGE_ORDER[:index]:
            self._finish(stage)
        row = self._rows[event["stage"]]
        if not self._bars.tasks[row].started:
            self._bars.start_task(row)
        self._bars.update(row, completed=event["stage_progress"], note=_remark(event))
        if event["final"] and event["status"] in ("completed", "pending"):
            self._finish(event["stage"])
        elif event["final"]:
            self._bars.stop_task(row)

    def _note(self, stage: str, text: str) -> None:
        self._bars.update(self._rows[stage], note=text)

    def _finish(self, stage: str) -> None:
        row = self._rows[stage]
        self._bars.start_task(row)
        self._bars.update(row, completed=100, note="")
        self._bars.stop_task(row)


def _remark(event: dict[str, Any]) -> str:
    eta = event.get("eta_seconds")
    left = f"  ({clock(eta)} left)" if eta and not event["final"] else ""
    return f"{event['message']}{left}"
