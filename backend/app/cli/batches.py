"""Commands about batches: batch new, run, show."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from app import pipeline
from app.cli import output, stack

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Id = Annotated[str, typer.Argument(help="The batch's number.", metavar="ID")]
Playlist = Annotated[
    Path, typer.Argument(help="YAML with title, defaults and projects.", metavar="PLAYLIST.yaml")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (new, run, show):
        app.command()(command)


def new(playlist: Playlist, json: Json = False) -> None:
    """Create a batch and a project for each entry of a playlist; prints its number."""
    made = pipeline.create_batch(playlist)
    output.facts(made.model_dump(mode="json"), as_json=json, lines=[str(made.batch_id)])


def run(batch_id: Id, json: Json = False) -> None:
    """Make every video of a batch; one failure does not stop the others."""
    from app.tasks import batch, batch_processing_task

    made = batch.load(batch_id)
    with output.waiting("Starting the workers…"):
        result = batch_processing_task.delay(batch_id=made.batch_id)
    stack.warn_without_workers()
    try:
        _follow(batch.subscribe(made))
    except KeyboardInterrupt:
        output.note(f"\nThe work goes on. See it with `reelchain batch show {made.batch_id}`.")
        sys.exit(0)
    _print(result.get(timeout=60), as_json=json)


def _follow(events: Iterable[dict[str, Any]]) -> None:
    said = ""
    for event in events:
        line = f"{event['progress']:3d} %  {event['message']}"
        if line != said:
            output.note(line)
            said = line


def show(batch_id: Id, json: Json = False) -> None:
    """Show each project of a batch and what became of it."""
    from app.tasks import batch

    _print(batch.outcome(batch.load(batch_id)), as_json=json)


def _print(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.facts(facts, as_json=True)
        return
    counts = ", ".join(f"{count} {status}" for status, count in facts["counts"].items())
    output.facts(
        None, as_json=False, lines=[f"Batch {facts['batch_id']}: {facts['title']} ({counts})"]
    )
    rows = [
        [
            entry["project_id"],
            entry["status"],
            entry.get("video_url") or (entry.get("error") or {}).get("message", ""),
        ]
        for entry in facts["projects"]
    ]
    output.table(["Project", "State", "Video or error"], rows)
