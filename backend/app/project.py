"""One project's folder: its state, its artifacts, its lock, its run number.

The folder is the truth. Everything expensive is made through `Project.make`, which returns at once
what was made from the same inputs and is still what was recorded. Knows neither Redis nor Celery.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from app import disk
from app.errors import InputError, NotFoundError, StateError
from app.models import Artifact, ErrorFact, ProjectSpec, ProjectStatus, Stage, StageStatus

SCHEMA_VERSION = 1
STAGE_ORDER: tuple[Stage, ...] = get_args(Stage)
STATE = "project_state.json"
PREVIOUS = "project_state.previous.json"
LOCK = ".lock"
NEW_LOCK = ".new.lock"
STATE_LOCK = ".state.lock"
LAST_ID = ".last_id"
WORK, EDIT = "work", "edit"

Build = Callable[..., None]
"""Gets a temporary path for each artifact asked for, and writes each."""


def now() -> str:
    """Return the time in UTC as ISO 8601 with seconds, as all our files and messages have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StageState(BaseModel):
    """What is known of one stage."""

    model_config = ConfigDict(extra="forbid")

    status: StageStatus = "pending"
    attempts: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float = 0.0
    inputs: str | None = None
    artifacts: dict[str, Artifact] = {}
    roles: dict[str, str] = {}
    """Role → path of what callers ask for: `video`, `thumbnail` …"""
    facts: dict[str, Any] = {}
    warnings: list[str] = []
    error: ErrorFact | None = None


class RunState(BaseModel):
    """The run that owns the project now: later number wins, everywhere."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(default=0, ge=0)
    stages: list[Stage] = []
    ended: bool = False
    """Its last stage is done, or one failed: a message of it has nothing more to say."""


class ProjectState(BaseModel):
    """`project_state.json`."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    project_id: int
    created_at: str
    updated_at: str
    status: ProjectStatus = "pending"
    run: RunState = RunState()
    spec: ProjectSpec
    origin: str | None = None
    """The file the project was made from, so that the same file again updates it."""
    batch: int | None = None
    stages: dict[Stage, StageState] = {}
    seal: str | None = None
    """Digest of all that decided the finished video: see `Project.sealed`."""
    publication: dict[str, Any] | None = None
    """Where the video went: publisher, url, video_id, marker, time."""

    def stage(self, stage: Stage) -> StageState:
        """Return the stage's part, made on first use."""
        return self.stages.setdefault(stage, StageState())

    def result(self, stage: Stage) -> dict[str, Any]:
        """Return what the task of `stage` returns: ids and small facts only."""
        part = self.stage(stage)
        return {
            "project_id": self.project_id,
            "run": self.run.number,
            "stage": stage,
            "status": part.status,
            "artifacts": dict(part.roles),
            "seconds": part.seconds,
            "video": self.stage("video_rendering").roles.get("video"),
            "video_url": (self.publication or {}).get("url"),
            "warnings": [text for name in STAGE_ORDER for text in self.stage(name).warnings],
        }

    def failure(self) -> ErrorFact | None:
        """Return the error that ended the project's latest failed run, if that is its state."""
        failed = [p for p in self.stages.values() if p.status == "failed" and p.error is not None]
        if self.status != "failed" or not failed:
            return None
        return max(failed, key=lambda part: part.finished_at or "").error

    def artifact(self, path: str) -> Artifact | None:
        """Return the record of one artifact, whichever stage made it."""
        for part in self.stages.values():
            if path in part.artifacts:
                return part.artifacts[path]
        return None


class _UnreadableError(Exception):
    """Why a state file can't be used."""


def _parse(path: Path) -> ProjectState:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _UnreadableError("it is missing") from None
    except IsADirectoryError:
        raise _UnreadableError("it is a folder") from None
    except OSError as error:
        # what it says may be right: an earlier state in its place would undo work
        raise StateError(
            "state_unreadable",
            f"{path} could not be read: {error.strerror}.",
            "Mend that, then try again; nothing was changed.",
        ) from error
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _UnreadableError(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise _UnreadableError("it is not a JSON object")
    version = document.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StateError(
            "state_newer",
            f"{path} was written by a newer Reelchain (schema {version}).",
            f"Use that version; this one reads schema {SCHEMA_VERSION} and left the file untouched.",
        )
    if document.pop("checksum", None) != disk.digest(document):
        raise _UnreadableError("its checksum does not fit its content")
    try:
        return ProjectState.model_validate(document)
    except ValidationError as error:
        raise _UnreadableError(f"its shape is wrong ({error.error_count()} faults)") from None


def _encode(state: ProjectState) -> bytes:
    # the checksum is of what a reader gets: JSON turns numbers as keys into text, for one
    document = json.loads(state.model_dump_json())
    document["checksum"] = disk.digest(document)
    return to_json(document, indent=1) + b"\n"


class Project:
    """One project on disk. Cheap to open; safe to share between threads and processes.

    Attributes:
        id: The project's number, from 1.
        folder: Its folder below the data folder.
    """

    def __init__(self, folder: Path, project_id: int) -> None:
        self.folder = folder
        self.id = project_id

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
            number = max([_last_id(projects), *ids(projects)]) + 1
            state = ProjectState(
                project_id=number,
                created_at=moment,
                updated_at=moment,
                spec=spec,
                origin=origin,
                batch=batch,
            )
            disk.write_atomic(self.folder / STATE, _encode(state))
            disk.fsync_tree(self.folder)
            target = projects / str(number)
            try:
                # an empty folder holds the number; the rename over it is atomic
                target.mkdir()
            except FileExistsError:
                continue
            disk.write_atomic(projects / LAST_ID, f"{number}\n".encode())
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
        if not (folder / STATE).exists() and not (folder / PREVIOUS).exists():
            if (folder / "source").is_dir():
                raise StateError(
                    "state_missing",
                    f"{folder / STATE} is missing, and so is its previous generation.",
                    "Restore either from a backup; the project is left as it is.",
                )
            raise NotFoundError(
                "project_not_found",
                f"There is no project {number}.",
                "See `reelchain ls` for those there are.",
            )
        return cls(folder, number)

    # -- state ---------------------------------------------------------------------------

    def state(self) -> ProjectState:
        """Return the state as it stands, read anew; the previous generation if that must serve.

        Raises:
            StateError: `state_unreadable` or `state_newer`; nothing was changed.
        """
        return self._read()[0]

    def _read(self) -> tuple[ProjectState, str | None]:
        """Return the state and, where the current file could not be used, why."""
        current = self.folder / STATE
        try:
            return self._checked(_parse(current)), None
        except _UnreadableError as error:
            reason = str(error)
        try:
            return self._checked(_parse(self.folder / PREVIOUS)), reason
        except _UnreadableError as error:
            raise StateError(
                "state_unreadable",
                f"{current} can't be used: {reason}; nor can its previous generation: {error}.",
                "Restore either from a backup; nothing was changed.",
            ) from None

    def _checked(self, state: ProjectState) -> ProjectState:
        if state.project_id != self.id:
            raise _UnreadableError(f"it belongs to project {state.project_id}")
        return state

    @contextmanager
    def transaction(self) -> Iterator[ProjectState]:
        """Change the state: read under a lock, let the caller change it, write it durably.

        An exception inside leaves the file as it was.
        """
        with disk.lock(self.folder / STATE_LOCK):
            state, damage = self._read()
            if damage:
                self._keep_damaged(damage)
            yield state
            state.updated_at = now()
            self._write(state, rotate=damage is None)

    def _keep_damaged(self, damage: str) -> None:
        current = self.folder / STATE
        kept = "nowhere, there was no file"
        if current.exists():
            aside = self.folder / f"project_state.damaged-{time.time_ns()}.json"
            disk.rename(current, aside)
            kept = aside.name
        self.log(
            "state_recovered",
            message=f"{STATE} could not be used: {damage}. The previous generation was taken; "
            f"the damaged file is kept as {kept}.",
        )

    def _write(self, state: ProjectState, *, rotate: bool) -> None:
        current = self.folder / STATE
        aside = disk.temporary(current)
        try:
            disk.write(aside, _encode(state))
            disk.fsync(aside)
            if rotate:
                self._keep_previous(current)
            disk.rename(aside, current)
        except BaseException:
            disk.unlink(aside)
            raise
        disk.fsync(self.folder)

    def _keep_previous(self, current: Path) -> None:
        previous = self.folder / PREVIOUS
        link = disk.temporary(previous)
        try:
            os.link(current, link)
        except OSError:  # a file system without hard links
            disk.write_atomic(previous, current.read_bytes())
            return
        disk.rename(link, previous)
        # rename(2) leaves both names where they are one file: after a crash just here
        disk.unlink(link)

    def log(self, code: str, **facts: Any) -> None:
        """Add a line to `events.jsonl`, the history a person can read."""
        line = {"time": now(), "code": code, **facts}
        disk.append_line(self.folder / "events.jsonl", json.dumps(line, ensure_ascii=False))

    # -- who works here --------------------------------------------------------------------

    @contextmanager
    def lock(self, *, wait: float = 0.5, purpose: str = WORK) -> Iterator[None]:
        """Hold the project: one process at a time. Sweeps what a dead owner left half made.

        Args:
            wait: Seconds to try.
            purpose: `WORK`, or `EDIT` for a moment's change that is no run.

        Raises:
            disk.Locked: Another process holds it.
        """
        with disk.lock(self.folder / LOCK, wait=wait) as handle:
            _note(handle, f"{purpose} by pid {os.getpid()} since {now()}\n")
            try:
                self._sweep()
                yield
            finally:
                _note(handle, "")

    def _sweep(self) -> None:
        # under the state's lock, since a writer of the state may have its own unfinished file here
        with disk.lock(self.folder / STATE_LOCK):
            disk.sweep(self.folder, leave=self.folder / "source")

    def locked(self) -> bool:
        """Tell whether a run works on the project at this moment; an edit is waited for."""
        while True:
            try:
                with disk.lock(self.folder / LOCK, wait=0.1, shared=True):
                    return False
            except disk.Locked:
                if (self.folder / LOCK).read_text().startswith(WORK):
                    return True

    def begin_run(self, stages: Sequence[Stage], *, at_least: int = 0) -> int:
        """Start a new run: every earlier one is outdated from now on.

        Args:
            stages: What the run was asked to do, in order.
            at_least: A run number known elsewhere (Redis); the new one is above it.

        Returns:
            The run's number. It never falls, whichever file was lost.
        """
        with self.transaction() as state:
            number = max(state.run.number, self._previous_run(), self._run_file(), at_least) + 1
            disk.write_atomic(self.folder / "run", f"{number}\n".encode())
            state.run = RunState(number=number, stages=list(stages))
            state.status = "pending"
        self.log("run_started", run=number, stages=list(stages))
        return number

    def _previous_run(self) -> int:
        try:
            return _parse(self.folder / PREVIOUS).run.number
        except (_UnreadableError, StateError):
            return 0

    def _run_file(self) -> int:
        try:
            return int((self.folder / "run").read_text())
        except (OSError, ValueError):
            return 0

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
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        locks = self.folder / ".locks"
        locks.mkdir(exist_ok=True)
        with disk.lock(locks / disk.digest(list(names))[:24]):
            made = self._made(names, wanted)
            if made is not None:
                return made
            aside = [disk.temporary(target) for target in targets]
            try:
                build(*aside)
                if check is not None:
                    check(*aside)
                records = tuple(map(self._measured, names, aside, [wanted] * len(names)))
                for source, target in zip(aside, targets, strict=True):
                    disk.place(source, target)
            except BaseException:
                for source in aside:
                    disk.remove(source)
                raise
            with self.transaction() as state:
                state.stage(stage).artifacts.update({record.path: record for record in records})
            return records

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
                part = state.stage(stage)
                part.status, part.inputs, part.artifacts, part.facts = "pending", None, {}, {}
        self.log("forgotten", stages=list(stages))

    def intact(self, record: Artifact) -> bool:
        """Tell whether an artifact still is what was recorded, to the byte."""
        path = self.path(record.path)
        try:
            return path.stat().st_size == record.size and disk.sha256(path) == record.sha256
        except OSError:
            return False

    def keep_only(self, stage: Stage, names: set[str]) -> None:
        """Drop what earlier versions of the project left in a finished stage."""
        gone = set(self.state().stage(stage).artifacts) - names
        if not gone:
            return
        for name in gone:
            disk.unlink(self.path(name))
        with self.transaction() as state:
            for name in gone:
                state.stage(stage).artifacts.pop(name, None)

    def path(self, name: str) -> Path:
        """Return the absolute path of a name inside the project.

        Raises:
            InputError: `path_outside`, for a name that leaves the folder.
        """
        pure = PurePosixPath(name)
        if pure.is_absolute() or not pure.parts or ".." in pure.parts or "\x00" in name:
            raise InputError(
                "path_outside",
                f"{name!r} is not a path inside the project.",
                "Give a relative path without '..'.",
            )
        return self.folder.joinpath(*pure.parts)

    def seal(self, state: ProjectState) -> str:
        """Return the digest of what a finished video was made from and by: spec, sources, code."""
        made = {p: a.sha256 for part in state.stages.values() for p, a in part.artifacts.items()}
        spec = state.spec.model_dump(mode="json")
        return disk.digest([spec, self.source_digest(), made, _code_stamp()])

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
        source = self.folder / "source"
        files = {
            path.relative_to(source).as_posix(): disk.sha256(path)
            for path in sorted(source.rglob("*"))
            if path.is_file()
        }
        return disk.digest(files)


def _note(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def _code_stamp() -> list[list[object]]:
    """Return name, size and time of every module of ours: another code, another stamp."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return [[str(f.name), f.stat().st_size, f.stat().st_mtime_ns] for f in files]


def _last_id(projects: Path) -> int:
    """Return the highest id ever given: a removed project's number is not used again."""
    try:
        return int((projects / LAST_ID).read_text())
    except (OSError, ValueError):
        return 0


def ids(projects: Path) -> list[int]:
    """Return the ids of all projects (or batches) in a folder, ascending."""
    try:
        names = [entry.name for entry in os.scandir(projects)]
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if re.fullmatch(r"[1-9][0-9]{0,17}", name))


def check_id(value: object, what: str) -> int:
    """Return a project's or batch's id as a number.

    Raises:
        InputError: `project_id_invalid` or `batch_id_invalid`.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise InputError(
            f"{what}_id_invalid",
            f"{value!r} is not a {what} id.",
            f"A {what} id is a whole number from 1; see `reelchain ls`.",
        )
    return int(text)


def _sweep_new(projects: Path) -> None:
    """Remove what creators that died left half made; nothing while another one is at work."""
    try:
        with disk.lock(projects / NEW_LOCK, wait=0):
            for path in projects.glob(f"{disk.TEMPORARY}*"):
                disk.remove(path)
    except disk.Locked:
        return
