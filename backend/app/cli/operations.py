"""Commands for those who keep it running: queues, workers, purge, health, doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import output

if TYPE_CHECKING:
    from app.doctor import Check

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Queue = Annotated[
    list[str] | None, typer.Option("--queue", "-Q", help="Only this queue; may be given again.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (queues, workers, purge, health, doctor):
        app.command()(command)


# -- queues ------------------------------------------------------------------------------------


def queues(json: Json = False) -> None:
    """Show what waits: how many by queue and priority, and the oldest."""
    from app import operations

    rows = operations.queues()
    if json:
        output.facts(rows, as_json=True)
        return
    output.table(
        ["Queue", "Waiting", "Priority: waiting", "Taken, not done", "Oldest", "What it is"],
        [
            [
                row["queue"],
                row["waiting"],
                _priorities(row),
                row["unacked"],
                *_oldest(row["oldest"]),
            ]
            for row in rows
        ],
    )


def _priorities(row: dict[str, Any]) -> str:
    return ", ".join(f"{priority}: {count}" for priority, count in row["priorities"].items())


def _oldest(facts: dict[str, Any] | None) -> tuple[str, str]:
    if facts is None:
        return "", ""
    age = facts["age_seconds"]
    whose = f", project {facts['project_id']}" if facts["project_id"] else ""
    return "unknown" if age is None else _span(age), f"{facts['task']}{whose}"


def _span(seconds: float | None) -> str:
    """Return 93784 as `1 d 2 h`, 125 as `2 min 5 s`."""
    if seconds is None:
        return ""
    parts: list[str] = []
    left = round(seconds)
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


# -- workers -----------------------------------------------------------------------------------


def workers(json: Json = False) -> None:
    """Show each worker and its children: what they do, since when, CPU and memory."""
    from app import operations

    facts = operations.workers()
    if json:
        output.facts(facts, as_json=True)
        return
    if not facts["workers"]:
        output.facts(None, as_json=False, lines=["No worker. Start one: ./reelchain worker"])
    else:
        output.table(
            ["Worker", "Process", "State", "Works on", "For", "CPU %", "Memory MB", "Up"],
            [row for worker in facts["workers"] for row in _worker(worker)],
        )
    for worker in facts["workers"]:
        if worker["hint"]:
            output.note(f"{worker['name']}: {worker['hint']}")
    for owner in facts["frozen"]:
        where = f"process {owner['pid']} on {owner['host']}"
        output.note(f"Project {owner['project_id']}: {owner['why']} ({where}). {owner['hint']}")


def _worker(worker: dict[str, Any]) -> list[list[Any]]:
    queues = ", ".join(worker["queues"])
    figures = [worker["cpu_percent"], worker["memory_mb"], _span(worker["uptime"])]
    first = [worker["name"], worker["pid"], worker["state"], queues, "", *figures]
    return [first, *(_child(child) for child in worker["children"])]


def _child(child: dict[str, Any]) -> list[Any]:
    work = child["stage"] or child["task"] or ""
    if child["project_id"]:
        run = f" run {child['run']}" if child["run"] else ""
        work = f"project {child['project_id']}{run}, {work}"
    figures = [child["cpu_percent"], child["memory_mb"], ""]
    return ["", child["pid"], child["state"], work, _span(child["seconds"]), *figures]


# -- purge -------------------------------------------------------------------------------------


def purge(
    queue: Queue = None,
    keep_projects: Annotated[
        bool,
        typer.Option("--keep-projects", help="Cancel no project: its message is sent again."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be dropped.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Drop the messages that wait; what is at work goes on.

    A project or batch whose message is dropped is cancelled, or a worker would send it again within
    seconds. Nothing that it has made is lost: `reelchain run ID` goes on with it.
    """
    from app import operations as room

    messages = room.plan(queue or ())
    whose = room.concerned(messages)
    would = {
        "queues": room.summary(messages),
        "projects": [project.id for project in whose.projects],
        "batches": list(whose.batches),
        "going_on": list(whose.going_on),
    }
    if not messages or dry_run:
        document = {**would, "dropped": 0, "dry_run": dry_run}
        output.facts(document, as_json=json, lines=_would(would, keep_projects))
        return
    if not json:
        for line in _would(would, keep_projects):
            output.note(line)
    if not yes:
        typer.confirm("Drop them?", abort=True, err=True)
    done = room.drop(messages, keep_projects=keep_projects)
    output.facts(done, as_json=json, lines=_dropped(done))


def _would(facts: dict[str, Any], keep: bool) -> list[str]:
    if not facts["queues"]:
        return ["Nothing waits."]
    lines = []
    for row in facts["queues"]:
        tasks = ", ".join(f"{count} × {task}" for task, count in row["tasks"].items())
        lines.append(f"{row['queue']}: {row['messages']} to be dropped ({tasks})")
    what = "to be sent again by the workers" if keep else "to be cancelled"
    whose = [name for name in ("projects", "batches") if facts[name]]
    lines += [f"{name.capitalize()} {what}: {_numbers(facts[name])}" for name in whose]
    return [*lines, *_going_on(facts)]


def _dropped(done: dict[str, Any]) -> list[str]:
    lines = [f"{done['dropped']} dropped."]
    what = "The workers send these again" if done["kept"] else "Cancelled"
    for name, command in (("projects", "run"), ("batches", "batch run")):
        if done[name]:
            again = f"; to go on with one: ./reelchain {command} {done[name][0]}"
            told = f"{what}: {name} {_numbers(done[name])}"
            lines.append(told + ("" if done["kept"] else again))
    return [*lines, *_going_on(done)]


def _going_on(facts: dict[str, Any]) -> list[str]:
    return [
        f"Batch {number} goes on with its other projects; to end it: ./reelchain batch cancel {number}"
        for number in facts["going_on"]
    ]


def _numbers(ids: list[int]) -> str:
    more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
    return ", ".join(map(str, ids[:20])) + more


# -- health, doctor ----------------------------------------------------------------------------


def health(queue: Queue = None, json: Json = False) -> None:
    """Tell within three seconds whether all is well: exit code 0, or 1. For container managers."""
    from app.doctor import health as room

    checks = room.examine(queue or ())
    if json:
        output.facts([check.facts() for check in checks], as_json=True)
    else:
        lines = (f"{check.status:5} {check.name}: {check.what}" for check in checks)
        output.facts(None, as_json=False, lines=lines)
    if error := room.verdict(checks):
        sys.exit(output.failed(error, as_json=False))


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every file: compare contents, not only sizes.")
    ] = False,
    json: Json = False,
) -> None:
    """Check this machine and the data folder: what is used, why, and what to mend.

    Never removes a file of yours: a story, a script, or what is not ours is only told of.
    """
    from app.doctor import examine, folders

    with output.waiting("Looking…"):
        checks = [*examine(), *folders.look(fix=fix, deep=deep)]
    _print(checks, as_json=json)
    if any(check.status == "fail" for check in checks):
        sys.exit(1)


def _print(checks: list[Check], *, as_json: bool) -> None:
    rows = [check.facts() for check in checks]
    if as_json:
        output.facts(rows, as_json=True)
        return
    output.table(
        ["Check", "State", "What", "What to do"],
        [[row["name"], row["status"], row["what"], row["hint"]] for row in rows],
    )
