"""Commands about what was: tasks, and dead ls, show, replay, drop."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import output
from app.errors import InputError
from app.project import STAGE_ORDER, check_id

if TYPE_CHECKING:
    # SQLAlchemy costs a fifth of a second; `ls` does without it
    from app.dead import Filter, Letter

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Since = Annotated[
    str | None,
    typer.Option(help="Only from then on: 2h, 3d, 2026-11-21 or 2026-11-21T10:00 (UTC)."),
]
Ids = Annotated[list[str] | None, typer.Argument(help="Numbers of projects.", metavar="[ID]...")]
Code = Annotated[str | None, typer.Option(help="Only those with this error.")]
Stage = Annotated[str | None, typer.Option(help=f"Only of one stage: {', '.join(STAGE_ORDER)}.")]
Batch = Annotated[str | None, typer.Option(help="Only of one batch.", metavar="ID")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(tasks)
    room = typer.Typer(help="Projects that failed and wait for you.", no_args_is_help=True)
    for command in (show, replay, drop):
        room.command()(command)
    room.command("ls")(list_letters)
    app.add_typer(room, name="dead")


def _since(text: str | None) -> str | None:
    """Return the ISO time that `2h`, `3d` or a date means."""
    if text is None:
        return None
    ago = re.fullmatch(r"([0-9]{1,6})\s*([smhdw])", text.strip().lower())
    if ago:
        when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            "since_invalid",
            f"{text!r} is no time.",
            "Write 90m, 2h, 3d, or a date such as 2026-11-21.",
        ) from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- figures -----------------------------------------------------------------------------------


def tasks(
    since: Since = None,
    project: Annotated[str | None, typer.Option(help="Only one project.", metavar="ID")] = None,
    json: Json = False,
) -> None:
    """Show what became of the tasks: runs, success, failures, seconds, retries, by stage and task."""
    from app import records

    number = check_id(project, "project") if project is not None else None
    rows = records.figures(since=_since(since), project_id=number)
    order: dict[str, int] = {stage: place for place, stage in enumerate(STAGE_ORDER)}
    rows.sort(key=lambda row: (row["kind"], order.get(row["name"], 0), row["name"]))
    if json or not rows:
        output.facts(rows, as_json=json, lines=["Nothing recorded yet."])
        return
    output.table(
        ["Task", "Runs", "Success", "Failures", "Median s", "Mean s", "p95 s", "Retries"],
        map(_figures, rows),
    )


def _figures(row: dict[str, Any]) -> list[object]:
    rate = row["success_rate"]
    failures = ", ".join(f"{code} {count}" for code, count in row["failures"].items())
    return [
        row["name"],
        row["runs"],
        "" if rate is None else f"{100 * rate:.1f} %",
        failures,
        *(row[name] for name in ("median", "mean", "p95")),
        row["retries"] or "",
    ]


# -- dead letters ------------------------------------------------------------------------------


def list_letters(
    code: Code = None,
    stage: Stage = None,
    since: Since = None,
    batch: Batch = None,
    json: Json = False,
) -> None:
    """List the projects that failed: where, why, after how many tries."""
    from app import dead

    found = dead.letters(_filter(None, code, stage, since, batch))
    if json:
        output.facts([_short(letter) for letter in found], as_json=True)
    elif not found:
        output.facts(None, as_json=False, lines=["No dead letters."])
    else:
        output.table(
            ["ID", "Run", "Batch", "Stage", "Tries", "Failed", "Error"],
            [
                [
                    *(letter.project_id, letter.run, letter.batch, letter.stage, letter.tries),
                    *(letter.failed_at, f"{letter.code}: {letter.message}"),
                ]
                for letter in found
            ],
        )


def _short(letter: Letter) -> dict[str, Any]:
    return letter.model_dump(mode="json", exclude={"traceback"})


def _filter(
    ids: list[str] | None,
    code: str | None,
    stage: str | None,
    since: str | None,
    batch: str | None,
) -> Filter:
    from app import dead

    if stage is not None and stage not in STAGE_ORDER:
        raise InputError(
            "stage_unknown",
            f"There is no stage {stage!r}.",
            f"Choose one of: {', '.join(STAGE_ORDER)}.",
        )
    return dead.Filter(
        ids=[check_id(text, "project") for text in ids or ()],
        code=code,
        stage=stage,
        since=_since(since),
        batch=check_id(batch, "batch") if batch is not None else None,
    )


def show(
    project_id: Annotated[str, typer.Argument(help="The project's number.", metavar="ID")],
    json: Json = False,
) -> None:
    """Show one dead letter: task, arguments, error, traceback, each try."""
    from app import dead, records

    letter = dead.letter(project_id)
    tries = [row for row in records.history(letter.project_id) if row["run"] == letter.run]
    document = {**letter.model_dump(mode="json"), "history": tries}
    facts = {
        "project": letter.project_id,
        "batch": letter.batch,
        "run": letter.run,
        "stage": letter.stage,
        "task": letter.task,
        "arguments": ", ".join(f"{name}={value}" for name, value in letter.arguments.items()),
        "failed": letter.failed_at,
        "tries": letter.tries,
        "rescues": letter.rescues or None,
        "error": f"{letter.code}: {letter.message}",
        "what to do": letter.hint,
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items() if value not in (None, "")]
    output.facts(document, as_json=json, lines=[*lines, *letter.traceback.splitlines()])
    if tries and not json:
        columns = ["stage", "attempt", "status", "started_at", "seconds", "retries", "error_code"]
        output.table(
            ["Stage", "Try", "State", "Started", "Seconds", "Retries", "Error"],
            [[row[column] for column in columns] for row in tries],
        )


def replay(
    ids: Ids = None,
    code: Code = None,
    stage: Stage = None,
    since: Since = None,
    batch: Batch = None,
    every: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run failed projects again from where they failed; each letter once."""
    from app import dead

    chosen = _filter(ids, code, stage, since, batch)
    found = _chosen(chosen, every=every)
    if _agreed("replay", chosen, found, dry_run=dry_run, yes=yes, as_json=json):
        from app.cli import stack

        with output.waiting("Starting the workers…"):
            done = _each(found, dead.replay, "replayed")
        if done["replayed"]:
            stack.warn_without_workers()
        output.facts(done, as_json=json, lines=_told(done, "replayed", "sent again"))


def drop(
    ids: Ids = None,
    code: Code = None,
    stage: Stage = None,
    since: Since = None,
    batch: Batch = None,
    every: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take failed projects off the list; the projects stay, and `run` goes on with them."""
    from app import dead

    chosen = _filter(ids, code, stage, since, batch)
    found = _chosen(chosen, every=every)
    if _agreed("drop", chosen, found, dry_run=dry_run, yes=yes, as_json=json):
        done = _each(found, dead.drop, "dropped")
        output.facts(done, as_json=json, lines=_told(done, "dropped", "taken off the list"))


def _chosen(chosen: Filter, *, every: bool) -> list[Letter]:
    """Return the letters meant.

    Raises:
        InputError: `dead_nothing_chosen`, where neither numbers nor a filter were given.
        NotFoundError: `dead_not_found`, for a number that is no dead letter.
    """
    from app import dead

    if chosen == dead.Filter(ids=chosen.ids) and not chosen.ids and not every:
        raise InputError(
            "dead_nothing_chosen",
            "No dead letter was chosen.",
            "Give numbers of projects, --code, --stage, --since, --batch, or --all.",
        )
    for number in chosen.ids:
        dead.letter(number)
    return dead.letters(chosen)


def _agreed(
    what: str,
    chosen: Filter,
    found: list[Letter],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> bool:
    """Say what would be done; ask, where letters were chosen in bulk."""
    would = [
        f"Would {what}: project {each.project_id}, {each.stage}, {each.code}" for each in found
    ]
    if dry_run:
        document = {f"would_{what}": [_short(letter) for letter in found]}
        output.facts(document, as_json=as_json, lines=would or ["No dead letter fits."])
        return False
    if found and not chosen.ids and not yes:
        for line in would:
            output.note(line)
        typer.confirm(f"{what.capitalize()} {len(found)}?", abort=True, err=True)
    return True


def _each(found: list[Letter], act: Callable[[Letter], bool], name: str) -> dict[str, list[int]]:
    done: dict[str, list[int]] = {name: [], "skipped": []}
    for letter in found:
        done[name if act(letter) else "skipped"].append(letter.project_id)
    return done


def _told(done: dict[str, list[int]], name: str, text: str) -> list[str]:
    lines = [f"Project {number}: {text}." for number in done[name]]
    lines += [f"Project {number}: no dead letter any more." for number in done["skipped"]]
    return lines or ["No dead letter fits."]
