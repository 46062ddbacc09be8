"""What a stage's work gets: the project, `make`, progress, retries; and what a stage is made from."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from app import disk, messages, progress, settings
from app.errors import ReelchainError
from app.models import FEEDS, FRAME_SIZES, Artifact, ProjectSpec, Stage
from app.project import STAGE_ORDER, Project, ProjectState, style_file
from app.providers import Report
from app.tasks._turn import Turn

T = TypeVar("T")

RETRY_DELAYS = (2.0, 5.0, 10.0)
"""Seconds before each further try of one unit."""
LONGEST_WAIT = 15.0
"""A service that asks for more than this many seconds ends the stage instead of holding a slot."""


@dataclass(frozen=True)
class StageDefinition:
    """One stage: its key, its work, its weight in the progress of a run."""

    stage: Stage
    work: Callable[[StageContext], None]
    share: int
    version: str
    label: str
    task_name: str


_STYLED: tuple[Stage, ...] = ("asset_generation", "video_rendering", "thumbnail_generation")
"""Stages that read the style, which may be a file of the user's."""

DEFINITIONS: dict[Stage, StageDefinition] = {}
"""Filled by `stage_task` as the stage modules are imported; in order of `STAGE_ORDER`."""


@dataclass
class StageContext:
    """What a stage's work gets: the project, `make`, progress, retries.

    Attributes:
        project: The folder worked on; its lock is held.
        stage: The stage's key.
        run: The run's number.
        spec: What the user asked for.
        roles: Role → path of what the result names; filled by the work.
        facts: Small facts of the outcome, for messages and `show`; filled by the work.
        warnings: Sentences for the user; filled by `warn`.
    """

    project: Project
    stage: Stage
    run: int
    spec: ProjectSpec
    _meter: progress.Meter
    _turn: Turn
    _on_retry: Callable[[ReelchainError, float, int], None]
    roles: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _touched: set[str] = field(default_factory=set)

    def make(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        check: Callable[[Path], None] | None = None,
        retry: bool = True,
    ) -> Artifact:
        """`Project.make` for this stage; a transient error of `build` is tried again."""
        checks = check or (lambda _path: None)
        return self.make_all((name,), inputs=inputs, build=build, check=checks, retry=retry)[0]

    def make_all(
        self,
        names: Sequence[str],
        *,
        inputs: Mapping[str, Any],
        build: Callable[..., None],
        check: Callable[..., None] | None = None,
        retry: bool = True,
    ) -> tuple[Artifact, ...]:
        """`Project.make_all` for this stage; a transient error of `build` is tried again.

        Args:
            names: The files.
            inputs: What they are made from.
            build: Makes them.
            check: Raises if they are not right.
            retry: False where `build` calls `retrying` for each unit of its own.
        """

        def unit() -> tuple[Artifact, ...]:
            return self.project.make_all(
                names,
                stage=self.stage,
                inputs=inputs,
                build=self._turn.guarded(build),
                check=check,
            )

        made = self.retrying(unit) if retry else unit()
        self._touched.update(names)
        return made

    def make_text(self, name: str, text: str) -> Artifact:
        """Make a small text file; it is written again only where the text differs."""
        build = functools.partial(_write_text, text=text)
        return self.make(name, inputs={"text": text}, build=build)

    def keep(self, name: str) -> None:
        """Count an artifact as this version's although it was not made through `make`."""
        self._touched.add(name)

    def retrying(self, unit: Callable[[], T]) -> T:
        """Call `unit`, again after 2, 5 and 10 s while it raises a transient error.

        A service's own Retry-After wins where it is longer.
        """
        for number, pause in enumerate(RETRY_DELAYS, 1):
            try:
                return unit()
            except ReelchainError as error:
                delay = max(pause, error.retry_after or 0)
                if not error.retryable or delay > LONGEST_WAIT:
                    raise
                self._on_retry(error, delay, number)
                self._turn.pause(delay)
        return unit()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the stage may go on."""
        self._turn.pause(seconds)

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the stage waits for its own threads: it may be ended there."""
        return self._turn.interruptible()

    @property
    def called_off(self) -> bool:
        """Whether the stage is to end before its work does."""
        return self._turn.called_off

    def step(self, fraction: float, code: str, **facts: object) -> None:
        """Report that `fraction` (0-1) of the stage is done, with the message of `code`."""
        self._turn.check()
        self._meter.tell(fraction, code, messages.text(code, self.spec.language, **facts))

    def report(self, begin: float, end: float, code: str, **facts: object) -> Report:
        """Return a callable that maps 0-1 of one unit onto `begin`-`end` of the stage."""
        return lambda done: self.step(begin + (end - begin) * done, code, **facts)

    def warn(self, sentence: str) -> None:
        """Tell the user something that is not an error; it stands in the result and the state."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video's frame in pixels, both even."""
        scale = settings.get().render_scale
        width, height = FRAME_SIZES[self.spec.shape]
        return round(width * scale / 2) * 2, round(height * scale / 2) * 2

    def state(self) -> ProjectState:
        """Return the project's state, read anew."""
        return self.project.state()

    def drop_rest(self, state: ProjectState) -> None:
        """Drop what this stage made for earlier versions of the project, in a transaction."""
        self.project.keep_only(state, self.stage, self._touched)


def projects_dir() -> Path:
    """Return the folder that holds all projects."""
    return settings.get().projects_dir


def open_project(project_id: object) -> Project:
    """Return a project of the data folder."""
    return Project.open(projects_dir(), project_id)


def inputs_of(project: Project, state: ProjectState, stage: Stage) -> str:
    """Return the digest of what a stage would be made from now."""
    index = STAGE_ORDER.index(stage)
    before = STAGE_ORDER[:index]
    spec = state.spec.model_dump(mode="json")
    feeding = {name: spec[name] for name in spec if FEEDS[name] in (*before, stage)}
    made = {
        path: artifact.sha256
        for other in before
        for path, artifact in state.stage(other).artifacts.items()
    }
    source = project.source_digest() if not before else None
    version = DEFINITIONS[stage].version
    inputs = {"spec": feeding, "made": made, "source": source, "version": version}
    if stage in _STYLED and (written := style_file(state.spec)):
        inputs["style"] = written
    return disk.digest(inputs)


def is_made(project: Project, state: ProjectState, stage: Stage) -> bool:
    """Tell whether a stage is complete, from today's inputs, with every file as recorded."""
    part = state.stage(stage)
    return (
        part.status == "completed"
        and part.inputs == inputs_of(project, state, stage)
        and all(project.intact(artifact) for artifact in part.artifacts.values())
    )


def _write_text(path: Path, *, text: str) -> None:
    path.write_text(text, encoding="utf-8")
