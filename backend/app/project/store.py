"""A project's state on the disk: read, changed under a lock, kept with its previous generation."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from app import disk
from app.errors import InputError, StateError
from app.project.hold import STATE_LOCK, Hold, not_found
from app.project.state import PREVIOUS, STATE, ProjectState, UnreadableError, encode, now, parse

EVENTS = "events.jsonl"


class Outdated(Exception):  # noqa: N818 - a fact, not a fault
    """A later run owns the project, or this one is over: nothing more may be committed by it."""


class Store(Hold):
    """The part of a project's handle that reads and writes its files.

    Attributes:
        id: The project's number, from 1.
        folder: The project's folder.
    """

    def state(self) -> ProjectState:
        """Return the state as it stands, read anew; the previous generation if that must serve.

        Raises:
            StateError: `state_unreadable` or `state_newer`; nothing was changed.
            NotFoundError: `project_not_found`: it was removed.
        """
        return self._read()[0]

    def _read(self) -> tuple[ProjectState, str | None]:
        """Return the state and, where the current file could not be used, why."""
        current = self.folder / STATE
        try:
            return self._checked(parse(current)), None
        except UnreadableError as error:
            reason = str(error)
        try:
            return self._checked(parse(self.folder / PREVIOUS)), reason
        except UnreadableError as error:
            if not self.folder.exists():
                raise not_found(self.id) from None
            raise StateError(
                "state_unreadable",
                f"{current} can't be used: {reason}; nor can its previous generation: {error}.",
                "Restore either from a backup; nothing was changed.",
            ) from None

    def _checked(self, state: ProjectState) -> ProjectState:
        if state.project_id != self.id:
            raise UnreadableError(f"it belongs to project {state.project_id}")
        return state

    @contextlib.contextmanager
    def transaction(
        self, *, durable: bool = True, line: Mapping[str, Any] | None = None
    ) -> Iterator[ProjectState]:
        """Change the state: read under a lock, let the caller change it, write it durably.

        An exception inside leaves the file as it was.

        Args:
            durable: False for what may be forgotten in a power cut: not forced to the disk.
            line: What `log` writes first, whatever comes then: who reads both under the lock finds
                both or neither.

        Raises:
            Outdated: The handle commits for a run (`claim`) that is over or was taken over from.
            NotFoundError: `project_not_found`: it was removed.
        """
        with self.holding(STATE_LOCK):
            if line is not None:
                self.log(**line)
            with self._changing(durable=durable) as state:
                yield state

    @contextlib.contextmanager
    def _changing(self, *, durable: bool = True) -> Iterator[ProjectState]:
        """Do what `transaction` does; the caller holds the state's lock."""
        state, damage = self._read()
        self._refuse_outdated(state)
        if damage:
            self._keep_damaged(damage)
        yield state
        state.updated_at = now()
        self._write(state, rotate=damage is None, durable=durable)

    def keep_private(self, name: str, document: Any) -> None:
        """Write a file of `private/` durably, mode 0600, that only this project's owner reads.

        Args:
            name: The file's name.
            document: A JSON value.

        Raises:
            Outdated: As in `transaction`.
        """
        with self.holding(STATE_LOCK):
            self._refuse_outdated(self._read()[0])
            path = self.path(f"private/{name}")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            disk.write_json(path, document)
            path.chmod(0o600)

    def _refuse_outdated(self, state: ProjectState) -> None:
        if self.fence is not None and (state.run.number != self.fence or state.run.ended):
            raise Outdated

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

    def _write(self, state: ProjectState, *, rotate: bool, durable: bool = True) -> None:
        current = self.folder / STATE
        aside = disk.temporary(current)
        try:
            disk.write(aside, encode(state))
            if durable:
                disk.fsync(aside)
            if rotate and durable:  # the generation before stays one that is on the disk
                self._keep_previous(current)
            disk.rename(aside, current)
        except BaseException:
            disk.unlink(aside)
            raise
        if durable:
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
        """Add a line to `events.jsonl`, the history a person can read.

        Raises:
            NotFoundError: `project_not_found`: it was removed.
        """
        line = {"time": now(), "code": code, **facts}
        try:
            disk.append_line(self.folder / EVENTS, json.dumps(line, ensure_ascii=False))
        except FileNotFoundError:
            raise not_found(self.id) from None

    def path(self, name: str) -> Path:
        """Return the absolute path of a name inside the project.

        Raises:
            InputError: `path_outside`, for a name that leaves the folder.
        """
        pure = PurePosixPath(name)
        wrong = pure.is_absolute() or not pure.parts or ".." in pure.parts or "\x00" in name
        if wrong or disk.leads_out(self.folder, pure.parts):
            raise InputError(
                "path_outside",
                f"{name!r} is not a path inside the project.",
                "Give a relative path without '..' and without links that lead out of the folder.",
            )
        return self.folder.joinpath(*pure.parts)
