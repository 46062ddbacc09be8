"""Commands about projects: demo, make, new, run, watch, show, ls, cancel, rm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app import disk, errors, pipeline, providers, settings
from app.cli import fields, money, output, plan, stack
from app.project import STAGE_ORDER, Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Id = Annotated[str, typer.Argument(help="The project's number; see `reelchain ls`.", metavar="ID")]
What = Annotated[
    str, typer.Argument(help="A topic, or a story: .md, .txt or .yaml.", metavar="TOPIC|FILE")
]
Priority = Annotated[
    str | None, typer.Option(help="high, normal, low, or 0-9 with 9 the most urgent.")
]
Budget = Annotated[
    float | None, typer.Option(help="US dollars it may cost in all, from now on.", metavar="USD")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (demo, make, new, run, watch, show, cancel):
        app.command()(command)
    app.command("ls")(list_projects)
    app.command("rm")(remove)


def demo(
    language: Annotated[str, typer.Option(help="en, zh-TW or ja.")] = "en",
    json: Json = False,
) -> None:
    """Make a narrated video from a story and pictures that ship with the project."""
    from app.language import normalise

    folder = Path(pipeline.__file__).parent / "demo"
    spoken = normalise(language)
    story = folder / ("story.md" if spoken == "en" else f"story.{spoken}.md")
    project = pipeline.project_of_file(story) or pipeline.create_project(story)
    _run(project, as_json=json)


@fields.options
def make(
    what: What,
    new: Annotated[
        bool, typer.Option("--new", help="Make another project of the same file.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make a video: create the project (or update that of the same file), run it, watch it.

    A file that was made before updates its project, and only what changed is made anew.
    A topic is always a new project.
    """
    is_file = pipeline.is_file_argument(what)
    source = what if is_file else {"topic": what}
    known = pipeline.project_of_file(what) if is_file and not new else None
    if dry_run:
        planned = pipeline.preview_of(source, overrides=given, update=known)
        plan.show(planned, as_json=json)
    elif known is not None:
        _run(pipeline.update_project(known.id, what, overrides=given), as_json=json)
    else:
        project = pipeline.create_project(source, overrides=given)
        _tell_of_haste(project)
        _run(project, as_json=json)


@fields.options
def new(what: What, json: Json = False, *, given: dict[str, Any]) -> None:
    """Create a project without starting it; prints its number."""
    source = what if pipeline.is_file_argument(what) else {"topic": what}
    project = pipeline.create_project(source, overrides=given)
    _tell_of_haste(project)
    document = {"project_id": project.id, "folder": str(project.folder)}
    output.facts(document, as_json=json, lines=[str(project.id)])


def _tell_of_haste(project: Project) -> None:
    """Say so where a project's voice will be faster than its captions can be read."""
    from app.language import LEGIBLE_SPEED

    spec = project.state().spec
    limit = LEGIBLE_SPEED[spec.language]
    if spec.speed > limit:
        output.note(
            f"At a speed of {spec.speed:g} the captions pass faster than one reads. "
            f"Choose a speed of at most {limit:g} if they are to be read."
        )


def run(
    project_id: Id,
    from_stage: Annotated[
        str | None, typer.Option("--from", help=f"Remake from: {', '.join(STAGE_ORDER)}.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="End the run on its way and begin another.")
    ] = False,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish a second video; the first one stays.")
    ] = False,
    priority: Priority = None,
    budget: Budget = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run a project, or go on with it: what is made already is not made again.

    A run that is on its way is joined, unless --restart ends it.
    """
    project = pipeline.open_project(project_id)
    stage: Any = from_stage
    if dry_run:
        planned = pipeline.preview(project.id, from_stage=stage, republish=republish)
        plan.show(planned, as_json=json)
        return
    if republish:
        _ask_for_a_second(project, yes=yes, as_json=json)
    how: dict[str, Any] = {"from_stage": stage, "restart": restart, "republish": republish}
    how |= {"priority": priority, "budget": budget}
    _run(project, as_json=json, **how)


def _ask_for_a_second(project: Project, *, yes: bool, as_json: bool) -> None:
    """Ask whether a second video is meant, unless it is the first or was said.

    Raises:
        InputError: `confirmation_needed`, where nobody can be asked.
    """
    before = project.state().publication
    if before is None:
        output.note(f"Project {project.id} was not published before: this makes its first video.")
        return
    if yes:
        return
    what = f"This makes a second video; the first stays at {before.get('url')}"
    chosen = settings.get().publisher
    if before.get("publisher") == chosen and providers.publisher(chosen).replaces:
        what = f"This publishes it anew, in the place of {before.get('url')}"
    if as_json or not sys.stdin.isatty():
        raise errors.InputError("confirmation_needed", f"{what}.", "Say so with --yes.")
    typer.confirm(f"{what}. Go on?", abort=True, err=True)


def _run(project: Project, *, as_json: bool, **how: Any) -> None:
    outcome = _started(project, **how)
    if outcome is None:
        stack.warn_without_workers()
        _watch(project)
    status = pipeline.status(project.id)
    output.facts(_outcome(status), as_json=as_json, lines=_where(status))


def _started(
    project: Project, *, from_stage: Any = None, republish: bool = False, **how: Any
) -> Any:
    """Start the project; return its outcome if it was complete already."""
    as_it_is = from_stage is None and not republish and how.get("budget") is None
    if as_it_is and (outcome := pipeline.finished(project.id)) is not None:
        return outcome
    with output.waiting("Starting the workers…"):
        result = pipeline.start(project.id, from_stage=from_stage, republish=republish, **how)
    return result.get() if type(result).__name__ == "EagerResult" else None


def _watch(project: Project) -> None:
    """Show the run to its end.

    Raises:
        ReelchainError: What ended it.
    """
    from app.tasks import subscribe_progress

    try:
        last = output.follow(subscribe_progress(project.id))
    except KeyboardInterrupt:
        output.note(
            f"\nThe work goes on. Watch it with `reelchain watch {project.id}`, "
            f"stop it with `reelchain cancel {project.id}`."
        )
        sys.exit(0)
    fact = last.get("error")
    if last.get("status") == "failed" and fact:
        raise errors.rebuild(fact["type"], fact["code"], fact["message"], fact["hint"])
    if last.get("status") == "cancelled":
        raise errors.Cancelled(
            "cancelled",
            f"Project {project.id} was cancelled.",
            f"What is made is kept; `reelchain run {project.id}` goes on with it.",
        )


def _outcome(status: dict[str, Any]) -> dict[str, Any]:
    folder = Path(status["folder"])
    return {
        "project_id": status["project_id"],
        "status": status["status"],
        "title": status["title"],
        "folder": status["folder"],
        "files": {role: str(folder / path) for role, path in status["artifacts"].items()},
        "video_url": (status["publication"] or {}).get("url"),
        "publication": status["publication"],
        "seconds": round(sum(stage["seconds"] for stage in status["stages"].values()), 2),
        "video_seconds": status["stages"]["video_rendering"]["facts"].get("seconds"),
        "warnings": _warnings(status),
        "credits": status["stages"]["asset_generation"]["facts"].get("credits", []),
    }


def _publication(status: dict[str, Any]) -> dict[str, str]:
    """Return what is known of the published video, the address first."""
    published = status["publication"] or {}
    facts = published.get("facts") or {}
    shown = {"published": published.get("url"), "privacy": facts.get("privacy")}
    if facts.get("privacy") == "private" and (moment := status["spec"].get("publish_at")):
        shown["privacy"] = f"private, public from {moment}"
    shown["playlist"] = facts.get("playlist") or facts.get("playlist_id")
    shown |= {name: facts.get(name) for name in ("thumbnail", "captions", "processing")}
    return {name: str(told) for name, told in shown.items() if told}


def _warnings(status: dict[str, Any]) -> list[str]:
    return [text for stage in status["stages"].values() for text in stage["warnings"]]


def _where(status: dict[str, Any]) -> Iterator[str]:
    facts = _outcome(status)
    length = facts["video_seconds"]
    yield f"Project {facts['project_id']}: {facts['title']}"
    if isinstance(length, int | float) and 0 < length < 10**9:
        yield f"  {output.clock(length)} of video, made in {output.clock(facts['seconds'])}"
    for role in ("video", "thumbnail", "captions_srt", "captions_vtt", "captions_ass", "script"):
        if role in facts["files"]:
            yield f"  {role.replace('_', ' '):<14}{facts['files'][role]}"
    for name, told in _publication(status).items():
        yield f"  {name:<14}{told}"
    for line in facts["credits"]:
        yield f"  {line}"
    for warning in facts["warnings"]:
        yield f"  Note: {warning}"


def watch(project_id: Id, json: Json = False) -> None:
    """Show the progress of a project until its run ends."""
    project = pipeline.open_project(project_id)
    if not project.state().run.number:
        output.note(f"Not started yet; `reelchain run {project.id}` starts it. Waiting…")
    _watch(project)
    status = pipeline.status(project.id)
    output.facts(_outcome(status), as_json=json, lines=_where(status))


def show(
    project_id: Id,
    history: Annotated[bool, typer.Option("--history", help="Every try of every stage.")] = False,
    json: Json = False,
) -> None:
    """Show a project: its stages, files, warnings, error, what services have cost."""
    status = pipeline.status(project_id)
    if history:
        from app import records

        status["history"] = records.history(status["project_id"])
    if json:
        output.facts(status, as_json=True)
        return
    output.facts(None, as_json=False, lines=[*_where(status), f"  {'state':<14}{status['status']}"])
    output.table(["Stage", "State", "Tries", "Seconds", "Notes"], map(_row, *_stages(status)))
    money.show(status["spend"])
    if history:
        columns = ["run", "stage", "attempt", "status", "started_at", "seconds", "error_code"]
        rows = [[row[column] for column in columns] for row in status["history"]]
        output.table(["Run", "Stage", "Try", "State", "Started", "Seconds", "Error"], rows)


def _stages(status: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    return list(status["stages"]), list(status["stages"].values())


_TOLD_ELSEWHERE = ("credits", "fell_back")
"""Facts that are no notes: the lines of the description, and what a warning says in words."""


def _row(name: str, stage: dict[str, Any]) -> list[object]:
    error = stage["error"]
    remark = (
        f"{error['code']}: {error['message']}"
        if error
        else "; ".join(f"{k} {v}" for k, v in stage["facts"].items() if k not in _TOLD_ELSEWHERE)
    )
    return [name, stage["status"], stage["attempts"], stage["seconds"] or "", remark]


def cancel(project_id: Id, json: Json = False) -> None:
    """Cancel a project: what works on it stops within two seconds; what is made is kept."""
    number = pipeline.open_project(project_id).id
    done = pipeline.cancel(number)
    line = (
        f"Project {number} is cancelled." if done else f"Nothing was at work on project {number}."
    )
    output.facts({"project_id": number, "cancelled": done}, as_json=json, lines=[line])


def remove(
    project_id: Id,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Delete a project with everything that was made for it; what was published stays.

    Refused while a run is on its way: cancel it first.
    """
    project = pipeline.open_project(project_id)
    files = disk.files(project.folder)
    size = sum(length for _, length in files) / 1e6
    facts = {"project_id": project.id, "folder": str(project.folder), "files": len(files)}
    what = f"project {project.id} ({pipeline.title_of(project)}): {len(files)} files, {size:.1f} MB"
    if dry_run:
        output.facts({**facts, "removed": False}, as_json=json, lines=[f"Would delete {what}"])
        return
    if not yes:
        typer.confirm(f"Delete {what}?", abort=True, err=True)
    pipeline.remove(project.id)
    output.facts({**facts, "removed": True}, as_json=json, lines=[f"Deleted {what}"])


def list_projects(json: Json = False) -> None:
    """List all projects."""
    rows = pipeline.listing()
    if json:
        output.facts(rows, as_json=True)
    elif not rows:
        output.facts(
            None, as_json=False, lines=[f"No projects yet in {settings.get().projects_dir}."]
        )
    else:
        columns = ("project_id", "status", "language", "shape", "updated_at", "title")
        output.table(
            ["ID", "State", "Language", "Shape", "Updated", "Title"],
            [[row.get(column, "") for column in columns] for row in rows],
        )
