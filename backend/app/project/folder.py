"""One project's folder: create, open, its runs, what is made in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from app import disk, settings
from app.errors import StateError
from app.models import FEEDS, Artifact, ProjectSpec, Stage
from app.project import owner
from app.project.hold import EDIT, STATE_LOCK, not_found
from app.project.listing import ACTIVE, check_id, ids, last_id, note_id
from app.project.state import (
    PREVIOUS,
    STATE,
    ProjectState,
    RunState,
    UnreadableError,
    encode,
    now,
    parse,
)
from app.project.store import Outdated, Store

NEW_LOCK = ".new.lock"
RUN = "run"
CANCELLED = "cancelled"

SENT_TRIES = 50
"""Fiftieths of a second that a sender waits to say so: at worst the watchdog sends once more."""

Build = Callable[..., None]
"""Gets a temporary path for each artifact asked for, and writes each."""


class Project(Store):
    """One project on disk. Cheap to open: any number of handles may be, anywhere.

    Threads may make things through one handle; its lock is taken by one thread for all of them.

    Attributes:
        id: The project's number, from 1.
        folder: Its folder below the data folder.
        fence: The run this handle commits for; None commits whatever it is asked to.
    """

    # -- coming into being -------------------------------------------------------------

    @classmethod
    def create(
        cls,
        projects: Path,
        spec: ProjectSpec,
        *,
        origin: str | None = None,
        batch: int | None = None,
        sources: Callable[[Path], None] | None = None,
    ) -> Project:
        """Make a new project; its id is one above the highest there is.

        Args:
            projects: The folder that holds all projects.
            spec: What the user asked for.
            origin: The file it came from, if any.
            batch: The batch it belongs to, if any.
            sources: Fills the new project's `source/` folder; if it raises, no project is left.
        """
        projects.mkdir(parents=True, exist_ok=True)
        _sweep_new(projects)
        aside = disk.temporary(projects / "new")
        project = cls(aside, 0)
        with disk.lock(projects / NEW_LOCK, shared=True):
            try:
                (aside / "source").mkdir(parents=True)
                (aside / "private").mkdir(mode=0o700)
                if sources is not None:
                    sources(aside / "source")
                project.log("created", message="Project created.")
                project._claim_id(projects, spec, origin, batch)
            except BaseException:
                disk.remove(aside)
                raise
        return project

    def _claim_id(
        self, projects: Path, spec: ProjectSpec, origin: str | None, batch: int | None
    ) -> None:
        """Write the first state and rename the folder to the first free number."""
        moment = now()
        while True:
            number = max([last_id(projects), *ids(projects)]) + 1
            state = ProjectState(
                project_id=number,
                created_at=moment,
                updated_at=moment,
                spec=spec,
                origin=origin,
                batch=batch,
            )
            disk.write_atomic(self.folder / STATE, encode(state))
            disk.fsync_tree(self.folder)
            target = projects / str(number)
            try:
                # an empty folder holds the number; the rename over it is atomic
                target.mkdir()
            except FileExistsError:
                continue
            if last_id(projects) >= number:  # given, and removed, since we chose it
                target.rmdir()
                continue
            note_id(projects, number)
            disk.rename(self.folder, target)
            disk.fsync(projects)
            self.folder, self.id = target, number
            return

    @classmethod
    def open(cls, projects: Path, project_id: object) -> Project:
        """Return an existing project.

        Raises:
            InputError: `project_id_invalid`, for anything but a whole number from 1.
            NotFoundError: `project_not_found`.
        """
        number = check_id(project_id, "project")
        folder = projects / str(number)
        if _has_state(folder):
            return cls(folder, number)
        if not (folder / "source").is_dir():
            raise not_found(number)
        if not _has_state(folder):  # asked again: it may have come into being between the two
            raise StateError(
                "state_missing",
                f"{folder / STATE} is missing, and so is its previous generation.",
                "Restore either from a backup; the project is left as it is.",
            )
        return cls(folder, number)

    def remove(self) -> None:
        """Delete the folder; its number is not used again.

        Raises:
            Outdated: A run has begun.
            NotFoundError: `project_not_found`: another one was quicker.
        """
        projects, gone = self.folder.parent, disk.temporary(self.folder)
        # as creators do: who sweeps what is half made waits until nobody is at it
        with disk.lock(projects / NEW_LOCK, shared=True):
            with self.holding(STATE_LOCK):  # runs begin and are cancelled under it
                if self._read()[0].run.on_its_way:
                    raise Outdated
                disk.unlink(projects / ACTIVE / str(self.id))
                disk.rename(self.folder, gone)
                disk.fsync(projects)
            disk.remove(gone)

    # -- runs ---------------------------------------------------------------------------------

    def begin_run(
        self,
        stages: Sequence[Stage],
        *,
        at_least: int = 0,
        after: int | None = None,
        behind: int | None = None,
        callers: Mapping[str, Stage] | None = None,
        priority: int | None = None,
        deaths: Mapping[str, int] | None = None,
    ) -> int:
        """Start a new run: every earlier one is outdated from now on.

        Args:
            stages: What the run was asked to do, in order.
            at_least: A run number known elsewhere (Redis); the new one is above it.
            after: The run it takes over from; what that one went through is remembered.
            behind: The run whose good end it follows.
            callers: Task id → stage, of those who wait for it. Who waits already goes on waiting.
            priority: Urgency of its messages from now on, 0-9; None leaves it as it is.
            deaths: Unit → what its owners' deaths weigh, with the one that is taken over from.

        Returns:
            The run's number. It never falls, whichever file was lost.

        Raises:
            Outdated: The run to take over from is over, or another one took over or began already.
        """
        with self.transaction() as state:
            before = state.run
            if after is not None and (before.number != after or before.ended):
                raise Outdated
            if behind is not None and (before.number != behind or state.status != "pending"):
                raise Outdated
            if not self.active():
                state.callers = {}
            self.touch()
            number = max(before.number, self._previous_run(), self._run_file(), at_least) + 1
            disk.write_atomic(self.folder / RUN, f"{number}\n".encode())
            state.run = RunState(number=number, stages=list(stages))
            if after is not None:
                state.run.deaths = {**before.deaths, **(deaths or {})}
                state.run.waits = before.waits
                state.run.rescues = before.rescues + 1
            state.callers |= callers or {}
            state.priority = state.priority if priority is None else priority
            state.status = "pending"
            _nobody_is_at_it(state)
        self.log("run_started", run=number, stages=list(stages))
        return number

    def join(self, callers: Mapping[str, Stage]) -> bool:
        """Let tasks wait for the run that is on its way; False if it is over."""
        with self.transaction() as state:
            joined = state.run.on_its_way
            if joined:
                state.callers |= callers
        return joined

    def cancel(self, *, even_idle: bool = False) -> bool:
        """End the run: no message of it counts any more, and its owner stops at its next beat.

        Args:
            even_idle: Also a project that no run is at becomes `cancelled`, if it is not completed.

        Returns:
            False if there was nothing to cancel.
        """
        # all of it under the state's lock: whoever begins to work here sweeps unfinished files, and
        # whoever begins a run or removes the project does so before or after
        with self.holding(STATE_LOCK):
            with self._changing() as state:
                open_end = even_idle and state.status in ("pending", "waiting")
                if not (state.run.on_its_way or open_end):
                    return False
                state.status, state.run.ended, state.run.due = "cancelled", True, None
                _nobody_is_at_it(state)
            self._tell_owner_of_cancel(state.run.number)
            if self.active():
                self.touch()
            self.log("cancelled", run=state.run.number)
        return True

    def _tell_owner_of_cancel(self, run: int) -> None:
        # after the state, which is the truth; the owner reads this small file four times a second
        if self._run_file() <= run:  # higher where the beginning of a run failed half way
            disk.write_atomic(self.folder / RUN, f"{run} {CANCELLED}\n".encode())

    def standing(self, run: int) -> str:
        """Return what became of a run, at the price of one small file: `ok`, `lost`, `cancelled`."""
        number, cancelled = self._read_run_file()
        if number > run:
            return "lost"
        return "cancelled" if number == run and cancelled else "ok"

    def touch(self) -> None:
        """Mark the project as one whose run is on its way."""
        marker = self.folder.parent / ACTIVE / str(self.id)
        try:
            os.utime(marker)
        except FileNotFoundError:
            marker.parent.mkdir(exist_ok=True)
            marker.touch()
            disk.fsync(marker.parent)

    def active(self) -> bool:
        """Tell whether a run is on its way, or somebody still waits to hear of its end."""
        return (self.folder.parent / ACTIVE / str(self.id)).exists()

    def rest(self, run: int) -> None:
        """Everybody was told that the run is over; a later one that has begun goes on."""
        with self.holding(STATE_LOCK):
            found = self._read()[0].run
            if found.number == run and not found.on_its_way:
                disk.unlink(self.folder.parent / ACTIVE / str(self.id))

    def sent(self, run: int) -> None:
        """Turn our note «about to send» into «sent», unless somebody took the message already."""
        for _ in range(SENT_TRIES):
            if not self._is_ours(self.owner(), run):
                return  # who works here writes a note of his own at once
            # else somebody only looks, and lets go in a moment
            with contextlib.suppress(disk.Locked), self.lock(wait=0.02, purpose=EDIT) as before:
                if self._is_ours(before, run):
                    self.leave(owner.me("queued", run=run))

    def _is_ours(self, note: owner.Owner | None, run: int) -> bool:
        ours = (os.getpid(), run, "sending")
        return note is not None and (note.pid, note.run, note.purpose) == ours

    def _previous_run(self) -> int:
        try:
            return parse(self.folder / PREVIOUS).run.number
        except (UnreadableError, StateError):
            return 0

    def _run_file(self) -> int:
        return self._read_run_file()[0]

    def _read_run_file(self) -> tuple[int, bool]:
        try:
            number, *rest = (self.folder / RUN).read_text().split()
            return int(number), CANCELLED in rest
        except (OSError, ValueError):
            return 0, False

    # -- making things ----------------------------------------------------------------------

    def make(
        self,
        name: str,
        *,
        stage: Stage,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        check: Callable[[Path], None] | None = None,
    ) -> Artifact:
        """Return the artifact `name`, building it only where it must be.

        Args:
            name: Path relative to the project's folder.
            stage: The stage whose record it belongs to.
            inputs: JSON value of everything it is made from, the builder's version included.
            build: Writes the file it is given.
            check: Raises if what was built is not right; it then never gets its name.
        """
        checks = check or (lambda _path: None)
        return self.make_all((name,), stage=stage, inputs=inputs, build=build, check=checks)[0]

    def make_all(
        self,
        names: Sequence[str],
        *,
        stage: Stage,
        inputs: Mapping[str, Any],
        build: Build,
        check: Callable[..., None] | None = None,
    ) -> tuple[Artifact, ...]:
        """Like `make`, for files that come out of one act; `build` gets a path for each."""
        targets = [self.path(name) for name in names]
        wanted = disk.digest(inputs)
        locks = self.path(".locks")
        for folder in (locks, *(target.parent for target in targets)):
            self._make_room(folder)
        with disk.lock(locks / disk.digest(list(names))[:24]):
            made = self._made(names, wanted)
            if made is not None:
                return made
            aside = [disk.temporary(target) for target in targets]
            try:
                with self._in_hand(names):
                    build(*aside)
                    if check is not None:
                        check(*aside)
                    records = tuple(map(self._measured, names, aside, [wanted] * len(names)))
                for source in aside:
                    disk.fsync(source)
                # inside, so that an outdated run replaces nothing of its successor's
                with self.transaction() as state:
                    for source, target in zip(aside, targets, strict=True):
                        disk.rename(source, target)
                    for folder in {target.parent for target in targets}:
                        disk.fsync(folder)
                    state.stage(stage).artifacts.update({record.path: record for record in records})
                    state.run.progressed()
            except BaseException:
                for source in aside:
                    disk.remove(source)
                raise
            return records

    def _make_room(self, folder: Path) -> None:
        """Make a folder below the project's own, which a late thread must not bring back."""
        if folder != self.folder and not folder.is_dir():
            self._make_room(folder.parent)
            folder.mkdir(exist_ok=True)

    def _measured(self, name: str, path: Path, inputs: str) -> Artifact:
        if not path.is_file() or path.stat().st_size == 0:
            raise StateError(
                "artifact_empty",
                f"{name} came out empty.",
                "Run the project again; if it stays so, the worker's log says what made it.",
            )
        return Artifact(
            path=name, size=path.stat().st_size, sha256=disk.sha256(path), inputs=inputs
        )

    def _made(self, names: Sequence[str], wanted: str) -> tuple[Artifact, ...] | None:
        state = self.state()
        records = [state.artifact(name) for name in names]
        found = [r for r in records if r is not None and r.inputs == wanted and self.intact(r)]
        return tuple(found) if len(found) == len(names) else None

    def adopt(self, name: str, *, stage: Stage, inputs: Mapping[str, Any]) -> Artifact:
        """Record a file as the user left it, as made from `inputs`."""
        record = self._measured(name, self.path(name), disk.digest(inputs))
        with self.transaction() as state:
            state.stage(stage).artifacts[name] = record
        return record

    def forget(self, stages: Sequence[Stage]) -> None:
        """Let the next run make these stages anew. Their files stay until it does."""
        with self.transaction() as state:
            for stage in stages:
                state.stage(stage).forget()
        self.log("forgotten", stages=list(stages))

    def intact(self, record: Artifact) -> bool:
        """Tell whether an artifact still is what was recorded, to the byte."""
        path = self.path(record.path)
        try:
            return path.stat().st_size == record.size and disk.sha256(path) == record.sha256
        except OSError:
            return False

    def keep_only(self, state: ProjectState, stage: Stage, names: set[str]) -> None:
        """Drop what earlier versions of the project left in a finished stage.

        Args:
            state: The state of a transaction; the records go from it.
            stage: The stage.
            names: What stays.
        """
        artifacts = state.stage(stage).artifacts
        for name in set(artifacts) - names:
            disk.unlink(self.path(name))
            del artifacts[name]

    def seal(self, state: ProjectState) -> str:
        """Return the digest of what a finished video was made from and by: spec, sources, code.

        A style of the user's is a source as well.
        """
        made = {p: a.sha256 for part in state.stages.values() for p, a in part.artifacts.items()}
        feeding = {name for name, stage in FEEDS.items() if stage is not None}
        spec = state.spec.model_dump(mode="json", include=feeding)
        written = filter(None, [style_file(state.spec)])
        return disk.digest([spec, self.source_digest(), made, _code_stamp(), *written])

    def sealed(self, state: ProjectState) -> bool:
        """Tell whether a completed project is still what was sealed, without asking the stages.

        False means no more than that they have to be asked: the code may be another.
        """
        return (
            state.status == "completed"
            and state.seal is not None
            and state.seal == self.seal(state)
            and all(
                self.intact(a) for part in state.stages.values() for a in part.artifacts.values()
            )
        )

    def source_digest(self) -> str:
        """Return the digest of every file in `source/`: names and content."""
        source = self.path("source")
        while True:
            try:
                files = {
                    path.relative_to(source).as_posix(): disk.sha256(path)
                    for path, _ in disk.files(source)
                    if not path.is_symlink()
                }
            except FileNotFoundError:  # another `source/` was put in its place just now
                continue
            return disk.digest(files)


def _has_state(folder: Path) -> bool:
    return (folder / STATE).exists() or (folder / PREVIOUS).exists()


def style_file(spec: ProjectSpec) -> str | None:
    """Return the digest of the user's file that holds a project's style; None where it is ours."""
    file = settings.get().styles_folder / f"{spec.style}.yaml"
    return disk.sha256(file) if file.is_file() else None


def _nobody_is_at_it(state: ProjectState) -> None:
    for part in state.stages.values():
        if part.status == "running":
            part.status = "pending"


@cache
def _code_stamp() -> list[list[object]]:
    """Return name, size and time of every module of ours: another code, another stamp."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return [[str(f.name), f.stat().st_size, f.stat().st_mtime_ns] for f in files]


def _sweep_new(projects: Path) -> None:
    """Remove what creators that died left half made; nothing while another one is at work."""
    try:
        with disk.lock(projects / NEW_LOCK, wait=0):
            for path in projects.glob(f"{disk.TEMPORARY}*"):
                disk.remove(path)
    except disk.Locked:
        return
