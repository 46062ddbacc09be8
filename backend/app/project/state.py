"""`project_state.json`: what it holds, how it is read and written.

A file that can't be used is never taken for an empty one: the reader says why.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from app import disk
from app.errors import StateError
from app.models import Artifact, ErrorFact, ProjectSpec, ProjectStatus, Stage, StageStatus

SCHEMA_VERSION: Literal[2] = 2
"""2 added callers, priority, and what a run went through; 1 is read as 2 without them."""
STAGE_ORDER: tuple[Stage, ...] = get_args(Stage)
STATE = "project_state.json"
PREVIOUS = "project_state.previous.json"


def now() -> str:
    """Return the time in UTC as ISO 8601 with seconds, as all our files and messages have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StageState(BaseModel):
    """What is known of one stage."""

    model_config = ConfigDict(extra="forbid")

    status: StageStatus = "pending"
    attempts: int = Field(default=0, ge=0, le=10**9)
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float = Field(default=0.0, ge=0, le=10**9)
    inputs: str | None = None
    artifacts: dict[str, Artifact] = {}
    roles: dict[str, str] = {}
    """Role → path of what callers ask for: `video`, `thumbnail` …"""
    facts: dict[str, Any] = {}
    warnings: list[str] = []
    error: ErrorFact | None = None

    def forget(self) -> None:
        """Let the next run make it anew; its files stay until it does."""
        self.status, self.inputs, self.artifacts, self.facts = "pending", None, {}, {}


class RunState(BaseModel):
    """The run that owns the project now: later number wins, everywhere."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(default=0, ge=0, le=10**15)
    stages: list[Stage] = []
    ended: bool = False
    """Its last stage is done, one failed, or it was cancelled: no message of it counts any more."""
    due: float | None = Field(default=None, ge=0, le=10**11)
    """When it goes on, in seconds since the epoch, while the project is `waiting`."""
    rescues: int = Field(default=0, ge=0, le=10**9)
    """How many runs it took over from, whose owner or message was lost."""
    deaths: dict[str, int] = {}
    """Unit of work → weight of the deaths of those who had it in hand, since anything was last
    finished."""
    waits: int = 0
    """How often it has waited for a service since anything was last finished."""
    dropped: bool = False
    """Its failure was taken off the list of dead letters."""

    @property
    def on_its_way(self) -> bool:
        """Whether there is a run, and it is not over."""
        return self.number > 0 and not self.ended

    def progressed(self) -> None:
        """Something was finished: earlier misfortunes count no more."""
        self.deaths, self.waits = {}, 0


class Spend(BaseModel):
    """What one model of one service was used for, in all runs of a project, and what that cost."""

    model_config = ConfigDict(extra="forbid")

    calls: int = Field(default=0, ge=0, le=10**15)
    input_tokens: int = Field(default=0, ge=0, le=10**15)
    output_tokens: int = Field(default=0, ge=0, le=10**15)
    pictures: int = Field(default=0, ge=0, le=10**15)
    characters: int = Field(default=0, ge=0, le=10**15)
    untold: int = Field(default=0, ge=0, le=10**15)
    """Calls of which nobody knows how much they used."""
    usd: str | None = Field(default="0", pattern=r"^\d{1,15}(\.\d{1,30})?$")
    """US dollars, at the prices of the day of each call; None where they are not known."""


class ProjectState(BaseModel):
    """`project_state.json`."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    project_id: int
    created_at: str
    updated_at: str
    status: ProjectStatus = "pending"
    run: RunState = RunState()
    spec: ProjectSpec
    origin: str | None = None
    """The file the project was made from, so that the same file again updates it."""
    batch: int | None = None
    priority: int = Field(default=5, ge=0, le=9)
    """Urgency of its messages, 9 the most urgent."""
    callers: dict[str, Stage] = {}
    """Task id → stage: results that somebody may wait for, answered when that stage is done."""
    stages: dict[Stage, StageState] = {}
    seal: str | None = None
    """Digest of all that decided the finished video: see `Project.sealed`."""
    publication: dict[str, Any] | None = None
    """Where the video went: publisher, url, video_id, marker, time."""
    spend: dict[str, Spend] = {}
    """`service/model` → what it was used for: for ever, whatever becomes of what was made."""

    def stage(self, stage: Stage) -> StageState:
        """Return the stage's part, made on first use."""
        if stage not in self.stages:
            self.stages[stage] = StageState()
        return self.stages[stage]

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


class UnreadableError(Exception):
    """Why a state file can't be used."""


def parse(path: Path) -> ProjectState:
    """Return the state a file holds.

    Raises:
        UnreadableError: It is no state of ours, or not whole.
        StateError: `state_unreadable` where the system can't read it, `state_newer`.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("it is missing") from None
    except IsADirectoryError:
        raise UnreadableError("it is a folder") from None
    except OSError as error:
        # what it says may be right: an earlier state in its place would undo work
        raise StateError(
            "state_unreadable",
            f"{path} could not be read: {error.strerror}.",
            "Mend that, then try again; nothing was changed.",
        ) from error
    try:
        document = json.loads(raw)
        if b"\\ud" in raw.lower():  # half a surrogate pair could be read, and never written again
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise UnreadableError("it is not a JSON object")
    version = document.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StateError(
            "state_newer",
            f"{path} was written by a newer Reelchain (schema {version}).",
            f"Use that version; this one reads schema {SCHEMA_VERSION} and left the file untouched.",
        )
    if document.pop("checksum", None) != disk.digest(document):
        raise UnreadableError("its checksum does not fit its content")
    try:
        return ProjectState.model_validate(document)
    except ValidationError as error:
        raise UnreadableError(f"its shape is wrong ({error.error_count()} faults)") from None


def encode(state: ProjectState) -> bytes:
    """Return a state as the bytes of its file, checksum included."""
    # the checksum is of what a reader gets: JSON turns numbers as keys into text, for one
    document = json.loads(state.model_dump_json())
    document["schema_version"] = SCHEMA_VERSION
    document["checksum"] = disk.digest(document)
    return to_json(document, indent=1) + b"\n"
