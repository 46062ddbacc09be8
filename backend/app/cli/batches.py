"""Commands about batches: batch new, run, show, ls, cancel, retry-failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from app import playlist as room
from app.cli import money, output, stack

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Id = Annotated[str, typer.Argument(help="The batch's number.", metavar="ID")]
Playlist = Annotated[
    Path,
    typer.Argument(
        help="YAML with title, defaults, projects, on_failure, priority, window and budget.",
        metavar="PLAYLIST.yaml",
    ),
]
OnFailure = Annotated[
    str | None,
    typer.Option(help="After a failure: continue with the others, or stop.", metavar="WHAT"),
]
Priority = Annotated[
    str | None, typer.Option(help="high, normal, low, or 0-9 (9 first).", metavar="P")
]
Budget = Annotated[
    float | None,
    typer.Option(help="US dollars that all its projects may cost together.", metavar="USD"),
]
Window = Annotated[int | None, typer.Option(help="Projects in work at once.", metavar="N")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (new, run, show, ls, cancel):
        app.command()(command)
    app.command("retry-failed")(retry_failed)


def new(
    playlist: Playlist,
    dry_run: DryRun = False,
    on_failure: OnFailure = None,
    priority: Priority = None,
    window: Window = None,
    budget: Budget = None,
    json: Json = False,
) -> None:
    """Create a batch and a project for each entry of a playlist; prints its number."""
    rules: dict[str, Any] = {"on_failure": on_failure, "priority": priority, "window": window}
    rules["budget"] = budget
    if dry_run:
        _print_preview(room.preview(playlist, **rules), as_json=json)
        return
    made = room.create_batch(playlist, **rules)
    output.facts(made.model_dump(mode="json"), as_json=json, lines=[str(made.batch_id)])


def run(batch_id: Id, dry_run: DryRun = False, budget: Budget = None, json: Json = False) -> None:
    """Make every video of a batch; one failure does not stop the others."""
    _run(batch_id, failed_only=False, dry_run=dry_run, budget=budget, as_json=json)


def retry_failed(
    batch_id: Id, dry_run: DryRun = False, budget: Budget = None, json: Json = False
) -> None:
    """Start the failed and cancelled projects of a batch again, and only them."""
    _run(batch_id, failed_only=True, dry_run=dry_run, budget=budget, as_json=json)


def _run(
    batch_id: str, *, failed_only: bool, dry_run: bool, budget: float | None, as_json: bool
) -> None:
    planned = room.estimate(batch_id, failed_only=failed_only)
    if dry_run:
        output.facts(planned, as_json=as_json, lines=_estimate_lines(planned))
        return
    for line in _estimate_lines(planned):
        output.note(line)
    with output.waiting("Starting the workers…"):
        result = room.run(batch_id, failed_only=failed_only, budget=budget)
    stack.warn_without_workers()
    try:
        _follow(room.follow(batch_id))
    except KeyboardInterrupt:
        output.note(
            f"\nThe work goes on. See it with `reelchain batch show {batch_id}`, "
            f"end it with `reelchain batch cancel {batch_id}`."
        )
        sys.exit(0)
    _print(result.get(timeout=60), as_json=as_json)


def _follow(events: Iterable[dict[str, Any]]) -> None:
    said = ""
    for event in events:
        line = f"{event['progress']:3d} %  {event['message']}"
        if line != said:
            said = line
            eta = event.get("eta_seconds")
            left = f"  ({output.clock(eta)} left)" if eta else ""
            output.note(f"{line}{left}")


def show(batch_id: Id, json: Json = False) -> None:
    """Show each project of a batch, what became of it, and what services have cost."""
    facts = room.status(batch_id)
    _print(facts, as_json=json)
    if not json:
        money.show(facts["spend"])


def ls(json: Json = False) -> None:
    """List all batches."""
    rows = room.listing()
    if json:
        output.facts(rows, as_json=True)
        return
    output.table(
        ["Batch", "State", "Projects", "Title"],
        [
            [row["batch_id"], row["status"], _counts(row.get("counts", {})), row.get("title", "")]
            for row in rows
        ],
    )


def cancel(batch_id: Id, yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Cancel a batch that is being run: what is made is kept, the rest is not begun."""
    facts = room.status(batch_id)
    if facts["status"] != "running":
        output.note(f"Batch {facts['batch_id']} is not being run; nothing to cancel.")
        _print_short(facts, as_json=json)
        return
    open_end = sum(facts["counts"].get(s, 0) for s in ("pending", "running", "waiting"))
    question = f"Cancel batch {facts['batch_id']}, {open_end} projects not ended?"
    if dry_run:
        output.note(question)
        _print_short(facts, as_json=json)
        return
    if not yes:
        typer.confirm(question, abort=True, err=True)
    with output.waiting("Cancelling…"):
        room.cancel(batch_id)
    _print_short(room.status(batch_id), as_json=json)


def _print_preview(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.facts(facts, as_json=True)
        return
    output.facts(None, as_json=False, lines=[f"{facts['title']} (nothing is made)"])
    output.table(
        ["Entry", "Title", "From", "Language", "Length"],
        [
            [number, job["title"], job["source"], job["language"], output.clock(seconds)]
            for number, job in enumerate(facts["projects"], 1)
            for seconds in [job["video_seconds"]]
        ],
    )
    output.facts(None, as_json=False, lines=_estimate_lines(facts["estimate"]))


def _estimate_lines(planned: dict[str, Any]) -> list[str]:
    services = ", ".join(planned["services"].values())
    time = (
        f"{output.clock(planned['video_seconds'])} of video, about "
        f"{output.clock(planned['seconds'])} with {planned['at_once']} at once "
        f"({planned['basis']})"
    )
    lines = [
        f"{planned['to_make']} of {planned['projects']} projects to make: {time}.",
        f"By {services}: {money.forecast(planned)}, {_quota(planned)}.",
    ]
    return [*lines, planned["note"]] if planned["note"] else lines


def _quota(planned: dict[str, Any]) -> str:
    units = planned["quota_units"]
    if not units:
        return "quota unknown" if units is None else "no quota"
    told = ", ".join(f"{count} of {bucket}" for bucket, count in units.items())
    return f"quota {told} ({planned['fits_today']} fit today; prices of {planned['quota_of']})"


def _print(facts: dict[str, Any], *, as_json: bool) -> None:
    _print_short(facts, as_json=as_json)
    if as_json:
        return
    output.table(
        ["Project", "State", "Video or error"],
        [
            [
                entry["project_id"],
                entry["status"],
                entry.get("video_url") or (entry.get("error") or {}).get("message", ""),
            ]
            for entry in facts["projects"]
        ],
    )


def _print_short(facts: dict[str, Any], *, as_json: bool) -> None:
    line = (
        f"Batch {facts['batch_id']}: {facts['title']}, {facts['status']} "
        f"({_counts(facts['counts'])})"
    )
    output.facts(facts, as_json=as_json, lines=[line])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())
