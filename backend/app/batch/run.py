"""A run of a batch: who is in flight, who is next, who has ended; one short step at a time.

`work.json` says where the run stands. It is not forced to the disk: what a power cut takes is
rebuilt from `ended.jsonl`, and what that lost is found out from the projects.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app import disk, settings
from app.batch.entries import failed, on_its_way
from app.batch.folder import TERMINAL, Batch, BatchRun, load, locked, mark, marker, save
from app.errors import ReelchainError
from app.models import ErrorFact
from app.project import check_id

WORK = "work.json"
ENDED = "ended.jsonl"
REMEMBERED = 20
"""Latest task ids answered: a message that Redis delivers once more starts nothing."""


@dataclass(frozen=True)
class End:
    """How a project came to its end in a run of its batch."""

    project_id: int
    status: str
    error: ErrorFact | None = None
    at_once: bool = False
    """It was complete already, or could not even be started: says nothing of the batch's pace."""


@dataclass
class Work:
    """Where a run stands; `work.json`."""

    run: int
    next: int = 0
    """Index of the first project not begun."""
    flying: dict[int, int] = field(default_factory=dict)
    """Project → its own run number before it was sent."""
    ended: dict[str, int] = field(default_factory=dict)
    """Status → how many."""
    at_once: int = 0
    skip: list[int] = field(default_factory=list)
    """Projects that had ended when this had to be rebuilt."""

    @property
    def done(self) -> int:
        return sum(self.ended.values())


@dataclass(frozen=True)
class Step:
    """What one step of a run brought: projects to send now, and where the run stands.

    Where the run was stopped, they are to be given up instead.
    """

    batch: Batch
    work: Work
    begun: tuple[int, ...] = ()
    changed: bool = False

    @property
    def over(self) -> bool:
        """True where all that will be begun has ended, and nobody has closed the run yet."""
        nothing_left = self.work.next >= len(self.batch.todo)
        return self.batch.run.running and not self.work.flying and nothing_left

    @property
    def room(self) -> bool:
        """True where a further project can be begun; where the run was stopped, given up."""
        more = self.work.next < len(self.batch.todo)
        return self.batch.run.running and more and len(self.work.flying) < self.batch.in_flight


def begin(batch_id: object, task_id: str, *, failed_only: bool = False) -> Batch:
    """Begin a run of a batch, or join the one that is on its way; `task_id` gets the outcome.

    A task id that was answered already begins nothing: its message was delivered twice.

    Args:
        batch_id: The batch.
        task_id: Who waits for the outcome.
        failed_only: Only the projects that failed or were cancelled.
    """
    only = failed(load(batch_id)) if failed_only else None
    with locked(check_id(batch_id, "batch")) as made:
        run = made.run
        if task_id in (*run.answered, *run.callers):
            return made
        if run.running:
            return save(made, callers=(*run.callers, task_id))
        mark(made.batch_id)
        disk.unlink(made.folder / ENDED)
        fresh = BatchRun(
            number=run.number + 1,
            running=True,
            began=time.time(),
            only=only,
            callers=(task_id,) if task_id else (),
            answered=run.answered,
        )
        return save(made, **dict(fresh))


def look(number: int) -> Step:
    """Return where a run stands, without changing anything."""
    made = load(number)
    return Step(made, read_work(made))


def step(number: int, end: End | None = None) -> Step:
    """Record that a project ended, and choose those to be sent now: they count as in flight.

    Whoever calls it holds `sending` until it has sent them. The same end a second time, or of a
    project that is not in flight, changes nothing.
    """
    with locked(number) as found:
        made, work = found, read_work(found)
        if not made.run.running:
            return Step(made, work)
        ended = end is not None and work.flying.pop(end.project_id, None) is not None
        if end is not None and ended:
            made = _record(made, work, end)
        begun = _take(made, work)
        if ended or begun:
            _write_work(made, work)
        return Step(made, work, begun, changed=ended or bool(begun))


def _record(batch: Batch, work: Work, end: End) -> Batch:
    error = end.error.model_dump(exclude={"traceback"}) if end.error else None
    line = {"run": work.run, "project_id": end.project_id, "status": end.status, "error": error}
    disk.append_line(batch.folder / ENDED, json.dumps(line, ensure_ascii=False))
    work.ended[end.status] = work.ended.get(end.status, 0) + 1
    work.at_once += end.at_once
    if end.status == "failed" and batch.on_failure == "stop" and not batch.run.stopped:
        return save(batch, stopped="failed")
    return batch


def _take(batch: Batch, work: Work) -> tuple[int, ...]:
    begun = []
    while Step(batch, work).room:
        project_id = batch.todo[work.next]
        work.next += 1
        if project_id not in work.skip and project_id not in work.flying:
            # a run on its way is joined: its end is this run's, too
            work.flying[project_id] = run_number(project_id) - _joins(project_id)
            begun.append(project_id)
    return tuple(begun)


def _joins(project_id: int) -> bool:
    try:
        return on_its_way(project_id)
    except ReelchainError:  # its state can't be read: sending it will say so
        return False


def run_number(project_id: int) -> int:
    """Return the number of a project's latest run, at the price of one small file; 0 if none."""
    try:
        return int((settings.get().projects_dir / str(project_id) / "run").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def stop(number: int) -> Batch:
    """Begin no further project of a running batch: it is cancelled."""
    with locked(number) as made:
        if not made.run.running or made.run.stopped == "cancelled":
            return made
        return save(made, stopped="cancelled")


def reopen(number: int, projects: Sequence[int]) -> None:
    """Count projects as in flight again: they had ended, and somebody started them anew."""
    with locked(number) as made:
        work = read_work(made)
        before = ends(made)
        for project_id in projects:
            status = str(before.get(project_id, {}).get("status", ""))
            if work.ended.get(status):
                work.ended[status] -= 1
            work.flying[project_id] = max(0, run_number(project_id) - 1)
        _write_work(made, work)


def rest(number: int, run: int, answered: Sequence[str], ended: dict[str, Any]) -> tuple[str, ...]:
    """Close a run whose callers have their answer.

    Returns:
        Those who joined meanwhile and wait for theirs; the run is closed when there are none.
    """
    with locked(number) as made:
        if made.run.number != run or not made.run.running:
            return ()
        left = tuple(task_id for task_id in made.run.callers if task_id not in answered)
        if left:
            return left
        known = (*made.run.answered, *made.run.callers)[-REMEMBERED:]
        save(
            made,
            running=False,
            callers=(),
            answered=known,
            counts=ended["counts"],
            status=ended["status"],
        )
        disk.unlink(marker(number))
        return ()


def read_work(batch: Batch) -> Work:
    """Return where the run stands; rebuilt from the list of ends where the file can't be used."""
    try:
        document = json.loads((batch.folder / WORK).read_bytes())
        document["flying"] = {int(key): int(run) for key, run in document["flying"].items()}
        work = Work(**document)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        work = Work(run=-1)
    if work.run == batch.run.number:
        return work
    known = ends(batch)
    rebuilt = Work(run=batch.run.number, skip=sorted(known))
    for line in known.values():
        rebuilt.ended[line["status"]] = rebuilt.ended.get(line["status"], 0) + 1
    return rebuilt


def _write_work(batch: Batch, work: Work) -> None:
    # not forced to the disk: a power cut may take it, and it is rebuilt
    aside = disk.temporary(batch.folder / WORK)
    try:
        disk.write(aside, json.dumps(asdict(work)).encode())
        disk.rename(aside, batch.folder / WORK)
    except BaseException:
        disk.unlink(aside)
        raise


def ends(batch: Batch) -> dict[int, dict[str, Any]]:
    """Return project → its line in `ended.jsonl` of the current run; torn lines are left out."""
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = (batch.folder / ENDED).read_bytes().splitlines()
    except OSError:
        return {}
    for raw in lines:
        with contextlib.suppress(ValueError, LookupError, TypeError):
            line = json.loads(raw)
            if line["run"] == batch.run.number and line["status"] in TERMINAL:
                found[int(line["project_id"])] = line
    return found


def tally(batch: Batch, work: Work) -> dict[str, int]:
    """Return status → how many of a run's projects, those in flight as `running`."""
    rest_of_it = len(batch.todo) - work.done - len(work.flying)
    waiting = "cancelled" if batch.run.stopped else "pending"
    counts = {**work.ended, "running": len(work.flying)}
    counts[waiting] = counts.get(waiting, 0) + rest_of_it
    return {status: count for status, count in counts.items() if count > 0}
